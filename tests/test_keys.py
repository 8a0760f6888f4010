"""Names of items: no tenant can name another's, and no two things share a name."""

import inspect
import uuid

import pytest

from chalicelib import keys

BUILDERS = {name: value for name, value in vars(keys).items() if inspect.isfunction(value) and not name.startswith("_")}


@pytest.mark.parametrize(
    "name",
    sorted(
        BUILDERS.keys() - {"login", "mint_id", "token", "sha256", "record_shard", "record_type_of", "organisation_of"}
    ),
)
def test_every_builder_takes_the_organisation_first(name):
    assert next(iter(inspect.signature(BUILDERS[name]).parameters)) == "org"


def test_parts_of_an_identity_cannot_run_into_each_other():
    one = keys.record_id("o", "tickets", "s", "ab", "c")
    other = keys.record_id("o", "tickets", "s", "a", "bc")
    assert one != other
    assert one == keys.record_id("o", "tickets", "s", "ab", "c")


def test_another_tenants_row_has_another_record():
    assert keys.record_id("a", "tickets", "s", "t", "1") != keys.record_id("b", "tickets", "s", "t", "1")


def test_shards_are_even_over_name_based_ids():
    counts = [0] * keys.RECORD_SHARDS
    for number in range(6400):
        counts[keys.record_shard(keys.record_id("o", "tickets", "s", "t", str(number)))] += 1
    assert min(counts) > 60
    assert max(counts) < 150


def test_a_partition_tells_organisation_and_type():
    partition, _ = keys.record("o", "ticket_notes", str(uuid.uuid4()))
    assert keys.record_type_of(partition) == "ticket_notes"
    assert keys.organisation_of(partition) == "o"


def test_claims_hold_no_value():
    partition, _ = keys.claim("o", "customer_users", "email", "person@example.org")
    assert "person" not in partition


def test_names_stay_as_they_are():
    """Changing one orphans all that is stored under it."""
    claimed = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert keys.claim("o", "agents", "email", "a") == (f"O#o#UQ#agents#email#{claimed}", "UQ")
    assert keys.link("o", "agents", "s", "users", "7") == ("O#o#LK#agents#s#users#11", "7")
    assert keys.type_lock("o", "agents") == ("O#o#T#agents", "LOCK")
    assert keys.profile_lock("o", "p") == ("O#o#P#p", "LOCK")
    assert keys.record_id("o", "tickets", "s", "t", "1") == "2c7e3c09-4dfa-5bfd-9732-0863cf7b38af"


@pytest.mark.parametrize("part", range(5))
def test_every_part_of_an_identity_tells_records_apart(part):
    one = ["o", "tickets", "s", "t", "1"]
    other = [*one[:part], "x", *one[part + 1 :]]
    assert keys.record_id(*one) != keys.record_id(*other)
