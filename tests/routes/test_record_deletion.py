"""DELETE of a record: what is left of it, and what becomes of those around it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.routes.conftest import Api
from tests.routes.editing import MARK, delete, given, holder, item, patch, refused, trail
from tests.routes.test_record_routes import RECORDS, ids


def test_a_tombstone_keeps_nothing_of_the_content(api: Api) -> None:
    record_id = given(api, "customer_users", "1", name="Jane", email="jane@example.com", notes="private")
    first = item(api, "customer_users", record_id)
    started = datetime.now(UTC)
    answer = delete(api, "customer_users", record_id)
    assert (answer.status_code, answer.json_body) == (200, {"message": "Record deleted successfully"})
    left = item(api, "customer_users", record_id)
    when = datetime.fromisoformat(left["deleted"])
    assert timedelta(seconds=-1) <= when - started < timedelta(minutes=1)
    assert left == {
        "pk": first["pk"],
        "sk": record_id,
        "origin": first["origin"],
        "by": MARK,
        "ver": 2,
        "deleted": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "expires": left["expires"],
    }
    assert 0 <= left["expires"] - int(when.timestamp()) - 30 * 86400 <= 1
    assert holder(api, "customer_users", "jane@example.com") is None
    assert trail(api) == [("record.deleted", f"customer_users/{record_id}", [])]


def test_a_deleted_record_is_nowhere_shown_and_its_address_is_free(api: Api) -> None:
    gone = given(api, "customer_users", "1", name="Jane", email="jane@example.com")
    other = given(api, "customer_users", "2", name="Bo")
    assert delete(api, "customer_users", gone).status_code == 200
    place = f"{RECORDS}/customer_users"
    assert api.get(f"{place}/{gone}").json_body["message"] == "Record not found"
    assert ids(api.get(place)) == [other]
    assert ids(api.get(place, external_id="1")) == ids(api.get(place, email="jane@example.com")) == []
    assert patch(api, "customer_users", other, {"email": "jane@example.com"}).status_code == 200
    assert ids(api.get(place, email="jane@example.com")) == [other]


def test_what_refers_to_a_deleted_record_stays_as_it_is(api: Api) -> None:
    parent = given(api, "tickets", "1", title="T")
    refs = {"ticket": {"type": "tickets", "id": parent}}
    first, second = (given(api, "ticket_notes", ext, content="c", refs=refs) for ext in ("1", "2"))
    assert delete(api, "ticket_notes", first).status_code == 200
    assert "parent" not in item(api, "ticket_notes", first)
    assert ids(api.get(f"{RECORDS}/ticket_notes", parent=parent)) == [second]
    assert delete(api, "tickets", parent).status_code == 200
    assert ids(api.get(f"{RECORDS}/ticket_notes", parent=parent)) == [second]
    assert api.get(f"{RECORDS}/ticket_notes/{second}").json_body["ticket_id"] == parent
    assert patch(api, "ticket_notes", second, {"content": "d", "ticket_id": parent}).status_code == 200


def test_a_body_does_not_come_with_a_deletion(api: Api) -> None:
    record_id = given(api, "accounts", "1", name="Acme")
    answer = api.request("DELETE", f"{RECORDS}/accounts/{record_id}", {"force": True}, {"If-Match": "*"})
    refused(answer, 422, "validation_failed", {"force": ["The force field is not known."]})
    assert item(api, "accounts", record_id)["ver"] == 1
