"""Which rows are brought together, and how they are laid into extra chunks."""

import random

from chalicelib.steps import match
from chalicelib.steps.match import group, in_index, pack, run_index


def rows(*entries):
    """(row, external id, key, ...) as `transform` writes them."""
    return [[row, ext, list(keys)] for row, ext, *keys in entries]


def grouped(keyed, links=None):
    return group(keyed, links or {}, lambda ext: f"derived-{ext}")


def test_rows_that_share_a_key_across_chunks_form_a_group_in_source_order():
    assert grouped({0: rows((0, "1", "a"), (1, "2", "b")), 1: rows((0, "3", "b"), (1, "4"))}) == [[(0, 1), (1, 0)]]


def test_rows_that_meet_inside_one_chunk_stay_there():
    assert grouped({0: rows((0, "1", "a"), (1, "2", "a")), 1: rows((0, "3", "b"))}) == []


def test_a_chain_of_shared_keys_is_one_group():
    keyed = {0: rows((0, "1", "a", "b")), 1: rows((0, "2", "b", "c")), 2: rows((0, "3", "c"), (1, "4"))}
    assert grouped(keyed) == [[(0, 0), (1, 0), (2, 0)]]


def test_the_same_external_id_twice_is_a_group():
    assert grouped({0: rows((0, "1")), 1: rows((0, "1"))}) == [[(0, 0), (1, 0)]]


def test_a_row_linked_to_another_rows_record_meets_that_row_without_sharing_a_key():
    keyed = {0: rows((0, "1", "a")), 1: rows((0, "2", "b"))}
    assert grouped(keyed) == []
    assert grouped(keyed, {"2": "derived-1"}) == [[(0, 0), (1, 0)]]


def test_the_outcome_does_not_depend_on_the_order_chunks_are_listed_in():
    keyed = {n: rows(*((row, f"{n}-{row}", f"k{(n * 7 + row * 3) % 11}") for row in range(5))) for n in range(6)}
    shuffled = list(keyed.items())
    random.Random(1).shuffle(shuffled)
    assert grouped(dict(shuffled)) == grouped(keyed)


def test_groups_are_never_split_and_chunks_are_numbered_on(monkeypatch):
    monkeypatch.setattr(match, "EXTRA_CHUNK_ROWS", 4)
    groups = [[(0, n), (1, n), (2, n)] for n in range(3)] + [[(n, 9) for n in range(6)]]
    extra = pack(groups, first=5)
    assert sorted(extra) == [5, 6, 7, 8]
    assert [len(members) for members in extra.values()] == [3, 3, 3, 6]
    assert [place for members in extra.values() for place in members] == [place for g in groups for place in g]


def test_the_runs_index_knows_its_rows_and_no_others():
    index = run_index({0: rows((0, "1"), (1, "2")), 1: rows((0, "ü"))}, {"2": "r"})
    assert len(index) == 32
    assert all(in_index(index, name) for name in ("1", "2", "ü", "record:r"))
    assert not in_index(index, "3")
    assert not in_index(b"", "1")


def test_a_wait_is_a_tenth_of_what_was_waited_within_bounds():
    assert [match.wait_seconds(waited) for waited in (0, 49, 600, 3_000, 90_000)] == [5, 5, 60, 300, 300]
