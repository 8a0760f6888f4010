from typing import Any

import pytest

from chalicelib import targets, templates
from chalicelib.errors import Fatal, Invalid, NotFound
from chalicelib.mapping import Mapper
from chalicelib.templates import custom, freescout

SEED_TYPES = {"customer_users", "tickets", "time_entries", "agents", "accounts"}


@pytest.mark.accepts("SV-055", "SV-056", "SV-057", "SV-058")
def test_the_two_system_templates_say_what_the_reference_says() -> None:
    assert [template.NAME for template in templates.all()] == ["FreeScout Platform", "Custom Database"]
    assert (freescout.PLATFORM, custom.PLATFORM) == ("freescout", "custom")
    assert freescout.SUPPORTED_TYPES == ("customer_users", "tickets", "time_entries", "agents")
    assert set(custom.SUPPORTED_TYPES) == SEED_TYPES
    assert set(targets.names()) >= SEED_TYPES
    for template in templates.all():
        assert templates.get(template.ID) is template
        assert len(template.ID) == 36
        assert template.CREATED_AT.endswith("Z")
        assert template.DESCRIPTION


def test_an_unknown_template_is_not_found() -> None:
    with pytest.raises(NotFound):
        templates.get("00000000-0000-0000-0000-000000000000")


@pytest.mark.accepts("SV-060")
def test_each_query_shows_name_table_joins_fields_and_target() -> None:
    queries = freescout.queries({})
    assert tuple(queries) == freescout.TYPES == targets.names()
    for name, query in queries.items():
        shown = query.model_dump(mode="json", exclude_none=True)
        assert {"name", "base_table", "joins", "fields", "target_type"} <= shown.keys()
        assert shown["target_type"] == name
        assert type(query).model_validate(shown) == query
    assert queries["customer_users"].name == "Customer Users Import"
    assert queries["customer_users"].base_table == "customers"


@pytest.mark.parametrize("name", freescout.TYPES)
def test_every_query_fills_fields_its_target_has(name: str) -> None:
    query = freescout.queries({"include_spam": True})[name]
    Mapper(query, targets.get(name))
    required = {field for field, info in targets.get(name).Record.model_fields.items() if info.is_required()}
    assert required | {"external_id"} <= set(query.mapped)


@pytest.mark.parametrize("name", freescout.TYPES)
def test_secrets_are_never_read(name: str) -> None:
    shown = freescout.queries({})[name].model_dump_json()
    for secret in ("password", "remember_token", "invite_hash", "in_server", "out_server"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timezone": "Europe/Nowhere"}, "options.timezone"),
        ({"timezone": "UTC'; DROP TABLE users; --"}, "options.timezone"),
        ({"ticket_number": "subject"}, "options.ticket_number"),
        ({"table_prefix": 'x"; --'}, "options.table_prefix"),
        ({"table_prefix": "a" * 21}, "options.table_prefix"),
        ({"include_spam": "yes"}, "options.include_spam"),
        ({"surprise": 1}, "options.surprise"),
    ],
)
def test_options_become_part_of_sql_so_unfit_ones_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        freescout.queries(options)
    assert list(refused.value.errors or {}) == [field]


def test_another_products_database_is_recognised() -> None:
    schema = {"tables": [{"name": "customers", "columns": [{"name": "id", "type": "integer"}]}]}
    with pytest.raises(Fatal, match="it has no conversations, emails, threads, users") as stopped:
        freescout.queries({}, schema)
    assert stopped.value.code == "template_mismatch"


def test_the_custom_template_brings_no_queries() -> None:
    assert custom.queries({}) == {}
