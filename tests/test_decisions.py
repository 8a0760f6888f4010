"""Rules of chalicelib/decisions.py, each a case somebody once got wrong."""

from dataclasses import replace

import pytest

from chalicelib.decisions import Scope, Standing, content_hash, decide

SCOPE = Scope(
    org="o1",
    record_type="customer_users",
    source_id="s1",
    origins={"customer_users": "customers", "accounts": "accounts"},
    mapped=("external_id", "email", "name", "account"),
    policy={"on_match": "update", "on_new": "create", "on_key": "update"},
    references={"account": ("accounts",)},
)


def row(number, ext, email=None, *, refs=None, **data):
    keys = {"email": email} if email else {}
    return {"row": number, "ext": ext, "data": {**keys, **data}, "refs": refs or {}, "keys": keys, "warnings": []}


def stored(ext, email=None, *, source="s1", hash_="old", **more):
    keys = [["email", email]] if email else []
    return {
        "pk": "O#o1#T#customer_users#07",
        "sk": SCOPE.derive(ext),
        "origin": {"source": source, "table": "customers", "ext": ext},
        "data": {"email": email} if email else {},
        "refs": {},
        "keys": keys,
        "ver": 4,
        "by": "earlier",
        "hash": hash_,
        **more,
    }


def standing(*records, **more):
    claims = {(k[0], k[1]): r["sk"] for r in records if not r.get("deleted") for k in r["keys"]}
    return Standing(records={r["sk"]: r for r in records}, claims=claims, **more)


def with_policy(**policy):
    return replace(SCOPE, policy=SCOPE.policy | policy)


def test_new_row_is_created_under_the_id_its_source_row_derives():
    [line] = decide([row(0, "7", "a@x")], Standing(), SCOPE)
    assert (line["action"], line["id"]) == ("created", SCOPE.derive("7"))
    assert line["write"]["claim"] == [("email", "a@x")]
    assert line["write"]["expect"] is None


def test_unchanged_row_is_skipped_without_a_write():
    [first] = decide([row(0, "7", "a@x")], Standing(), SCOPE)
    held = stored("7", "a@x", hash_=first["write"]["hash"])
    [line] = decide([row(0, "7", "a@x")], standing(held), SCOPE)
    assert (line["action"], line["reason"]) == ("skipped", "unchanged")
    assert "write" not in line


def test_own_record_beats_a_unique_key_held_by_another_and_the_row_fails():
    own, other = stored("7", "a@x"), stored("8", "b@x")
    [line] = decide([row(0, "7", "b@x")], standing(own, other), SCOPE)
    assert (line["action"], line["reason"]) == ("failed", "duplicate_key")
    assert line["message"] == "Duplicate entry found for key 'email'."
    assert line["duplicate_of"] == other["sk"]
    assert "write" not in line


def test_an_unchanged_row_whose_key_a_person_gave_to_another_stays_unchanged():
    """The edited record has another key now, and the row's old one is taken; there is nothing to write, so no clash."""
    [first] = decide([row(0, "7", "a@x")], Standing(), SCOPE)
    edited = stored("7", "new@x", hash_=first["write"]["hash"])
    other = stored("8", "a@x")
    [line, theirs] = decide([row(0, "7", "a@x"), row(1, "8", "a@x", name="8")], standing(edited, other), SCOPE)
    assert line == {"row": 0, "ext": "7", "id": edited["sk"], "action": "skipped", "reason": "unchanged"}
    assert (theirs["action"], theirs["id"]) == ("updated", other["sk"])
    [changed] = decide([row(0, "7", "a@x", name="New")], standing(edited, other), SCOPE)
    assert (changed["action"], changed["reason"], changed["duplicate_of"]) == ("failed", "duplicate_key", other["sk"])


def test_row_without_a_record_matches_by_key_and_is_linked():
    held = stored("crm-1", "a@x", source="another", hash_="old")
    [line] = decide([row(0, "7", "a@x", name="N")], standing(held), SCOPE)
    assert (line["action"], line["id"], line["link"]) == ("updated", held["sk"], held["sk"])
    assert line["match"] == {"field": "email", "confidence": 100, "why": "Both have the same email."}
    assert line["write"]["expect"] == {"ver": 4, "by": "earlier"}


def test_linked_row_is_its_records_own_row_from_then_on():
    held = stored("crm-1", "a@x", source="another")
    [line] = decide([row(0, "7", "new@x")], standing(held, links={"7": held["sk"]}), SCOPE)
    assert (line["action"], line["id"]) == ("updated", held["sk"])
    assert line["write"]["free"] == [("email", "a@x")]
    assert "link" not in line


def test_rows_that_meet_in_a_chunk_fold_to_one_write_carried_by_the_first():
    first, second = decide([row(0, "7", "a@x", name="Old"), row(1, "8", "a@x", name="New")], Standing(), SCOPE)
    assert (first["action"], second["action"], second["reason"]) == ("created", "updated", "duplicate")
    assert first["write"]["data"]["name"] == "New"
    assert (second["with"], second["duplicate_of"], second["link"]) == (0, first["id"], first["id"])
    assert "write" not in second


def test_folded_rows_imported_again_are_all_unchanged():
    rows = [row(0, "7", "a@x", name="Old"), row(1, "8", "a@x", name="New")]
    [first, _] = decide(rows, Standing(), SCOPE)
    held = stored("7", "a@x", hash_=first["write"]["hash"])
    lines = decide(rows, standing(held, links={"8": held["sk"]}), SCOPE)
    assert [line["reason"] for line in lines] == ["unchanged", "unchanged"]
    assert not any("write" in line or "link" in line or "with" in line for line in lines)


def test_skipping_duplicates_still_links_them_so_that_references_to_them_resolve():
    lines = decide([row(0, "7", "a@x"), row(1, "8", "a@x")], Standing(), with_policy(on_match="skip", on_key="skip"))
    assert [line["action"] for line in lines] == ["created", "skipped"]
    assert (lines[1]["link"], lines[1]["with"], lines[1]["reason"]) == (lines[0]["id"], 0, "duplicate")


def test_key_that_is_moving_to_another_row_of_the_same_source_is_not_taken_for_a_match():
    held = stored("7", "a@x")
    moved = [row(0, "7", "b@x"), row(1, "8", "a@x")]
    lines = decide(moved, standing(held), SCOPE)
    assert [(line["action"], line.get("reason")) for line in lines] == [
        ("updated", "changed"),
        ("failed", "duplicate_key"),
    ]
    [elsewhere] = decide([row(0, "8", "a@x")], standing(held, in_run=lambda ext: ext == "7"), SCOPE)
    assert elsewhere["reason"] == "duplicate_key"
    [gone] = decide([row(0, "8", "a@x")], standing(held), SCOPE)
    assert (gone["action"], gone["id"]) == ("updated", held["sk"])


def test_update_replaces_what_the_query_fills_and_keeps_the_rest():
    held = stored("7", "a@x")
    held["data"] |= {"name": "Old", "nickname": "kept"}
    held["refs"] = {"account": {"type": "accounts", "id": "gone"}, "owner": {"id": "kept"}}
    [line] = decide([row(0, "7", "a@x")], standing(held), SCOPE)
    assert line["write"]["data"] == {"email": "a@x", "nickname": "kept"}
    assert line["write"]["refs"] == {"owner": {"id": "kept"}}
    assert line["write"]["before"] is held


def test_deleted_record_is_made_anew_over_its_tombstone():
    held = stored("7", "a@x", deleted=True)
    [line] = decide([row(0, "7", "a@x")], standing(held), SCOPE)
    assert (line["action"], line["write"]["expect"]) == ("created", {"ver": 4, "by": "earlier"})
    assert line["write"]["claim"] == [("email", "a@x")]


def test_reference_to_an_absent_record_stays_open_with_a_warning_and_heals_when_it_comes():
    rows = [row(0, "7", refs={"account": "acme"})]
    [line] = decide(rows, Standing(), SCOPE)
    assert line["write"]["refs"]["account"] == {
        "type": "accounts",
        "id": SCOPE.derive("acme", "accounts"),
        "ext": "acme",
        "open": True,
    }
    assert line["warnings"] == ["account: accounts acme has not been imported"]
    held = stored("7", hash_=line["write"]["hash"])
    [again] = decide(rows, standing(held), SCOPE)
    assert again["reason"] == "unchanged"
    [healed] = decide(rows, standing(held, parents={("accounts", "acme"): "id-1"}), SCOPE)
    assert healed["action"] == "updated"
    assert healed["write"]["refs"]["account"] == {"type": "accounts", "id": "id-1"}


@pytest.mark.parametrize(
    ("policy", "held", "expected"),
    [
        ({"on_match": "skip"}, True, ("skipped", "exists")),
        ({"on_new": "skip"}, False, ("skipped", "not_found")),
        ({"on_match": "update"}, True, ("updated", "changed")),
    ],
)
def test_modes(policy, held, expected):
    store = standing(stored("7", "a@x")) if held else Standing()
    [line] = decide([row(0, "7", "a@x")], store, with_policy(**policy))
    assert (line["action"], line.get("reason")) == expected


def test_without_duplicate_detection_a_taken_key_fails_the_row():
    [line] = decide([row(0, "7", "a@x")], standing(stored("8", "a@x")), with_policy(on_key="fail"))
    assert (line["action"], line["reason"]) == ("failed", "duplicate_key")


def test_key_of_a_field_the_query_does_not_fill_stays_claimed():
    held = stored("7", "a@x")
    scope = replace(SCOPE, mapped=("external_id", "name"))
    [line] = decide([row(0, "7", name="N")], standing(held), scope)
    assert line["write"]["keys"] == [("email", "a@x")]
    assert (line["write"]["claim"], line["write"]["free"]) == ([], [])


def test_a_row_that_comes_twice_and_matches_by_key_is_linked_once():
    """Two identical link writes in one transaction are refused by DynamoDB."""
    held = stored("crm-1", "a@x", source="another")
    lines = decide([row(0, "7", "a@x"), row(1, "7", "a@x", name="N")], standing(held), SCOPE)
    assert [line.get("link") for line in lines] == [held["sk"], None]
    assert (lines[1]["action"], lines[1]["with"]) == ("updated", 0)


def test_a_linked_rows_key_that_moves_away_is_not_taken_for_a_match():
    """The holder's record is another source's; the row linked to it, elsewhere in this run, gives the key up."""
    held = stored("crm-1", "a@x", source="another")
    here = standing(held, links={"9": held["sk"]})
    [line] = decide([row(0, "5", "a@x")], here, SCOPE)
    assert line["action"] == "updated"
    here.in_run = lambda name: name in ("9", f"record:{held['sk']}")
    [line] = decide([row(0, "5", "a@x")], here, SCOPE)
    assert line["reason"] == "duplicate_key"
    both = decide([row(0, "5", "a@x"), row(1, "9", "a@x")], here, SCOPE)
    assert [line["action"] for line in both] == ["updated", "updated"]


def test_another_sources_row_of_the_same_external_id_does_not_hold_the_key_back():
    held = stored("7", "a@x", source="another")
    [line] = decide([row(0, "8", "a@x")], standing(held, in_run=lambda ext: ext == "7"), SCOPE)
    assert (line["action"], line["link"]) == ("updated", held["sk"])


def test_a_rows_derived_record_beats_a_link_left_over():
    own, other = stored("7"), stored("crm-1", source="another")
    [line] = decide([row(0, "7", name="N")], standing(own, other, links={"7": other["sk"]}), SCOPE)
    assert line["id"] == own["sk"]


def test_a_key_an_update_has_just_taken_is_met_by_the_next_row_of_the_chunk():
    held = stored("7", "a@x")
    first, second = decide([row(0, "7", "b@x"), row(1, "8", "b@x")], standing(held), SCOPE)
    assert first["write"]["claim"] == [("email", "b@x")]
    assert (second["action"], second["with"], second["link"]) == ("updated", 0, held["sk"])


def test_a_query_that_fills_other_fields_is_a_change_though_its_rows_are_the_same():
    assert content_hash(("name",), {"name": "N"}, {}) != content_hash(("name", "phone"), {"name": "N"}, {})


def test_the_last_of_folded_rows_gives_its_references_too():
    rows = [row(0, "7", "a@x", refs={"account": "old"}), row(1, "8", "a@x", refs={"account": "new"})]
    parents = {("accounts", "old"): "id-old", ("accounts", "new"): "id-new"}
    [first, _] = decide(rows, Standing(parents=parents), SCOPE)
    assert first["write"]["refs"] == {"account": {"type": "accounts", "id": "id-new"}}


def test_a_line_keeps_the_rows_own_warnings_and_where_it_was_read():
    [line] = decide([row(0, "7", "a@x") | {"warnings": ["phone: cut"], "src": [3, 9]}], Standing(), SCOPE)
    assert (line["warnings"], line["src"]) == (["phone: cut"], [3, 9])


def test_a_reference_to_one_of_several_types_names_it_before_the_first_colon():
    scope = replace(SCOPE, references={"author": ("agents", "customer_users")})
    assert scope.names("author", "agents:crm:12") == ("agents", "crm:12")
