"""The `wharf` command against the deployed stack and a real FreeScout database, from bootstrap to records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from infra.local import cloud
from infra.local.sample import Sample
from infra.local.stack import Stack

Wharf = Callable[..., Result]


@pytest.fixture(scope="module")
def sample(deployed: Stack) -> Sample:
    made = Sample(deployed.postgres, deployed.state, conversations=60, seed=3)
    made.fill()
    return made


@pytest.fixture(scope="module")
def wharf(deployed: Stack, sample: Sample) -> Iterator[Wharf]:
    """Run `wharf ...` as the administrator of an organisation that the command itself made."""
    environment = {
        **cloud.CREDENTIALS,
        "AWS_ENDPOINT_URL": deployed.aws_endpoint,
        "WHARF_ENDPOINT": deployed.endpoint,
        "WHARF_SOURCE_PASSWORD": str(sample.connection()["password"]),
        "XDG_CONFIG_HOME": str(deployed.state / "no-config"),
    }

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments), env=environment, prog_name="wharf")
        assert result.exit_code == code, result.output
        return result

    who = ("--org", "Command", "--email", "ada@command.example", "--name", "Ada")
    made = run("admin", "bootstrap", *who, "--stack", "wharf-local")
    environment["WHARF_TOKEN"] = made.stdout.strip()
    return run


@pytest.fixture(scope="module")
def imported(wharf: Wharf, sample: Sample) -> dict[str, object]:
    """The finished job of the whole sample, after a dry run that must leave nothing behind."""
    source = sample.connection()
    where = [word for name in ("host", "port", "database", "username") for word in (f"--{name}", str(source[name]))]
    wharf("profiles", "create", "--name", "Help desk", *where)
    assert "PostgreSQL" in wharf("profiles", "test", "help desk").stdout
    wharf("profiles", "template", "Help desk", "freescout", "-o", "timezone=Europe/Berlin")
    dry = json.loads(wharf("import", "run", "-p", "Help desk", "--dry-run", "--json").stdout)
    wharf("records", "search", "tickets", code=1)
    done: dict[str, object] = json.loads(wharf("import", "run", "-p", "Help desk", "--json").stdout)
    fates = ("created", "updated", "skipped", "failed")
    for record_type, counts in done["records"].items():  # type: ignore[attr-defined]
        assert [counts[fate] for fate in fates] == [dry["records"][record_type][fate] for fate in fates], record_type
    return done


def test_bootstrap_tells_where_the_api_is_and_the_token_opens_it(wharf: Wharf, deployed: Stack) -> None:
    who = ("--org", "Second", "--email", "bo@command.example", "--name", "Bo")
    made = json.loads(
        wharf("admin", "bootstrap", *who, "--stack", "wharf-local", "--region", "us-east-1", "--json").stdout
    )
    assert made["endpoint"] == deployed.outputs["EndpointURL"].rstrip("/")
    assert made["endpoint"].endswith("/live")
    listed = json.loads(wharf("--token", made["token"], "profiles", "list", "--json").stdout)
    assert listed == []


def test_bootstrap_names_what_aws_refused(wharf: Wharf) -> None:
    who = ("--org", "Third", "--email", "cy@command.example", "--name", "Cy")
    refused = wharf("admin", "bootstrap", *who, "--stack", "no-such-stack", code=1)
    assert "AWS refused:" in refused.stderr
    assert "no-such-stack" in refused.stderr
    assert "--stack, --region or --function" in " ".join(refused.stderr.split())
    failed = wharf("admin", "bootstrap", *who, "--function", "no-such-function", code=1)
    assert "AWS refused:" in failed.stderr


def test_doctor_finds_a_healthy_stack(wharf: Wharf) -> None:
    found = {one["check"]: one["state"] for one in json.loads(wharf("doctor", "--json").stdout)}
    assert found == {"python": "ok", "endpoint": "ok", "clock": "ok", "token": "ok", "aws": "ok"}


def test_every_row_is_accounted_for(imported: dict[str, object], sample: Sample) -> None:
    from infra.local.reconciliation import lines, reconciles

    assert reconciles(lines(sample.counted(), imported), imported)


def test_importing_again_writes_nothing(wharf: Wharf, imported: dict[str, object]) -> None:
    again = json.loads(wharf("import", "run", "-p", "Help desk", "--json").stdout)
    assert (again["records_imported"], again["records_updated"]) == (0, 0)
    assert again["records_skipped"] == imported["records_imported"]


def test_a_ticket_is_found_with_its_notes_and_a_customer_with_every_address(
    wharf: Wharf, imported: dict[str, object], sample: Sample
) -> None:
    seen = dict(sample.worth_seeing())
    wanted = ("records", "search", "tickets", "--external-id", seen["tickets"])
    (ticket,) = json.loads(wharf(*wanted, "--json").stdout)
    assert {note["is_internal"] for note in ticket["ticket_notes"]} == {True, False}
    shown = wharf(*wanted).stdout
    assert shown.count("● ") == len(ticket["ticket_notes"])
    assert "● internal note" in shown
    (customer,) = json.loads(
        wharf("records", "search", "customer_users", "--external-id", seen["customer_users"], "--json").stdout
    )
    shown = wharf("records", "search", "customer_users", "--email", customer["email"]).stdout
    assert len(customer["emails"]) > 1
    assert all((entry["value"] if isinstance(entry, dict) else entry) in shown for entry in customer["emails"])


def test_selected_types_alone_are_imported(wharf: Wharf, imported: dict[str, object]) -> None:
    done = json.loads(wharf("import", "run", "-p", "Help desk", "-t", "agents,accounts", "--json").stdout)
    assert set(done["records"]) == {"agents", "accounts"}


def test_a_type_that_is_none_is_refused_by_name(wharf: Wharf, imported: dict[str, object]) -> None:
    assert "selected_types.0" in wharf("import", "run", "-p", "Help desk", "-t", "agnts", code=1).stderr


def test_jobs_are_listed_and_shown(wharf: Wharf, imported: dict[str, object]) -> None:
    assert str(imported["id"]) in wharf("jobs", "list").stdout
    shown = wharf("jobs", "show", str(imported["id"])).stdout
    assert ["customer_users" in shown, "Completed" in shown] == [True, True]
    assert "completed" in wharf("jobs", "cancel", str(imported["id"]), code=1).stderr


def test_the_schema_names_the_tables(wharf: Wharf, imported: dict[str, object]) -> None:
    assert "conversations" in wharf("profiles", "schema", "Help desk").stdout
    assert "customer_id" in wharf("profiles", "schema", "Help desk", "conversations").stdout


def test_a_database_that_refuses_is_named_and_nothing_hangs(wharf: Wharf) -> None:
    nowhere = ("--host", "127.0.0.1", "--port", "1", "--database", "d", "--username", "u")
    wharf("profiles", "create", "--name", "Wrong", *nowhere)
    refused = wharf("profiles", "test", "Wrong", code=1)
    assert "Connection refused" in refused.stderr
    assert "failed" in wharf("profiles", "list").stdout
    wharf("profiles", "delete", "Wrong", "--yes")
