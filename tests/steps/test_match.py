"""Which rows are brought together, and how they are laid into extra chunks."""

import random

from chalicelib.steps import match
from chalicelib.steps.match import Names, in_index, pack


def rows(*entries):
    """(row, external id, key, ...) as `transform` writes them."""
    return [[row, ext, list(keys)] for row, ext, *keys in entries]


def names(keyed, links=None):
    found = Names(links or {}, lambda ext: f"derived-{ext}")
    for number, entries in keyed.items():
        found.add(number, entries)
    return found


def grouped(keyed, links=None):
    return names(keyed, links).groups()


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


def test_many_rows_come_to_the_groups_that_comparing_each_with_each_finds():
    random.seed(4)
    keyed = {
        n: rows(*((row, f"{n}-{row}", *(f"k{random.randrange(60)}" for _ in range(2))) for row in range(8)))
        for n in range(5)
    }
    wanted = [{(n, row): set(held)} for n, entries in keyed.items() for row, _, held in entries]
    while pair := next(((a, b) for a in wanted for b in wanted if a is not b and meet(a, b)), None):
        wanted = [one for one in wanted if one is not pair[0] and one is not pair[1]] + [pair[0] | pair[1]]
    spanning = [sorted(one) for one in wanted if len({chunk for chunk, _ in one}) > 1]
    assert len(spanning) > 1
    assert grouped(keyed) == sorted(spanning)


def meet(one, other):
    return bool(set().union(*one.values()) & set().union(*other.values()))


def test_groups_are_never_split_and_chunks_are_numbered_on(monkeypatch):
    monkeypatch.setattr(match, "EXTRA_CHUNK_ROWS", 4)
    groups = [[(0, n), (1, n), (2, n)] for n in range(3)] + [[(n, 9) for n in range(6)]]
    extra = pack(groups, first=5)
    assert sorted(extra) == [5, 6, 7, 8]
    assert [len(members) for members in extra.values()] == [3, 3, 3, 6]
    assert [place for members in extra.values() for place in members] == [place for g in groups for place in g]


def test_the_runs_index_knows_its_rows_and_no_others():
    index = names({0: rows((0, "1"), (1, "2")), 1: rows((0, "ü"))}, {"2": "r"}).index()
    assert len(index) == 32
    assert all(in_index(index, name) for name in ("1", "2", "ü", "record:r"))
    assert not in_index(index, "3")
    assert not in_index(b"", "1")


def test_a_wait_is_a_tenth_of_what_was_waited_within_bounds():
    assert [match.wait_seconds(waited) for waited in (0, 49, 600, 3_000, 90_000)] == [5, 5, 60, 300, 300]


def test_a_row_whose_link_is_dead_meets_those_that_are_linked_to_its_own_record():
    """What "1" was linked to may have been deleted since: then it is its own record again."""
    keyed = {0: rows((0, "1")), 1: rows((0, "2"))}
    assert grouped(keyed, {"1": "gone", "2": "derived-1"}) == [[(0, 0), (1, 0)]]
    assert grouped(keyed, {"1": "gone", "2": "elsewhere"}) == []
