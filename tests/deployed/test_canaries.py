"""Secrets and rows leave no trace where they have no place: canaries are planted, and everything is searched.

Each canary is a word of its own, put where a secret or a row's content goes, in requests that work and in ones that
fail. Then all that the stack has answered, printed, logged, kept, or runs with is searched for each, in any encoding.
"""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from chalicelib import dynamo, encryption, keys
from chalicelib.errors import Fatal
from infra.local.deploy import ROOT
from infra.local.freescout.generate import generate
from infra.local.postgres import Postgres
from infra.local.processes import scrubbed
from infra.local.stack import Stack
from tests.conftest import Database, database
from tests.deployed.search import Place, everything, forms, hits
from tests.deployed.tenant import Tenant
from tests.sources.servers import greeted, message, server, text

PROFILES = "/api/import/profiles"


def canary(name: str) -> str:
    """A word that stands nowhere else."""
    return f"Canary{name}{secrets.token_hex(8)}"


@dataclass
class Planted:
    """What was planted, and all that was found to search. places: kind by kind."""

    tenant: Tenant
    secrets: dict[str, str] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    harmless: dict[str, str] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    profile: str = ""
    jobs: list[str] = field(default_factory=list)

    def secret(self, name: str) -> str:
        """A new canary for a secret field; symbols around it, as passwords have them."""
        return self.secrets.setdefault(name, canary(name))

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """A request whose whole answer is kept for the search."""
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        access = self.tenant.api.access
        standard = {"Authorization": f"Bearer {access.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(access.endpoint + path, data=content, method=method)
        for name, value in (standard | headers).items():
            request.add_header(name, value)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            said = answer.read()
            everything_said = said + str(answer.headers).encode()
            self.places.append(Place("answer", f"{method} {path.split('?')[0]} {answer.status}", everything_said))
            return answer.status, json.loads(said)

    def run(self, job: str) -> dict[str, Any]:
        """The job when it has ended, every way to look at it asked."""
        self.jobs.append(job)
        self.tenant.wait(job)
        self.send("GET", f"/api/import/jobs/{job}/status")
        self.send("GET", "/api/import/jobs")
        return dict(self.send("GET", f"/api/import/jobs/{job}")[1])


@pytest.fixture(scope="module")
def desk(postgres_server: Postgres) -> Database:
    """A small help desk."""
    found = database(postgres_server, "canaries")
    generate(found.dsn, 15, seed=2)
    return found


@pytest.fixture(scope="module")
def planted(deployed: Stack, in_process: None, desk: Database) -> Planted:
    made = Planted(Tenant(deployed, desk))
    made.secrets["ApiToken"] = made.tenant.api.access.token.removeprefix("whf_")
    made.secrets["Server"] = desk.connection.password
    good_profile(made)
    wrong_fields(made)
    servers_that_talk(made)
    imports(made, desk)
    command(made)
    made.places += everything(deployed, [made.tenant.org], made.jobs)
    return made


def body(planted: Planted, **changes: Any) -> dict[str, Any]:
    where = planted.tenant.database.connection
    known = {"name": "Canaries", "database_type": "postgresql", "host": where.host, "port": where.port}
    known |= {"database": where.database, "username": where.username, "password": where.password}
    return known | {"ssl_mode": "prefer"} | changes


def good_profile(planted: Planted) -> None:
    """Passwords in the fields that are made for them."""
    planted.harmless["Name"] = canary("Name")
    status, made = planted.send(
        "POST", PROFILES, body(planted, name=planted.harmless["Name"], password=planted.secret("Created") + "'\"\\é%")
    )
    assert status == 201
    planted.profile = made["profile"]["id"]
    path = f"{PROFILES}/{planted.profile}"
    wrong = planted.send("POST", f"{path}/test-connection")[1]["connection_test"]
    assert (wrong["success"], wrong["error"]) == (False, "Authentication failed")
    assert planted.send("GET", f"{path}/schema")[0] == 422
    changed = body(planted, name=planted.harmless["Name"], password=planted.secret("Updated"))
    assert planted.send("PUT", path, changed)[0] == 200
    tried = body(planted, password=planted.secret("Tested"))
    del tried["name"]
    assert planted.send("POST", f"{PROFILES}/test-connection", tried)[0] == 200
    for wanted in (PROFILES, path, f"{PROFILES}?search={planted.harmless['Name']}"):
        assert planted.send("GET", wanted)[0] == 200


def wrong_fields(planted: Planted) -> None:
    """Secrets typed where they do not belong, in wrong types, in broken bodies, in the address, as a token."""
    url = f"postgresql://ada:{planted.secret('Url')}@127.0.0.1:5432/desk?sslmode=disable"
    refused: list[dict[str, Any]] = [
        {"host": url},
        {"host": f"ada:{planted.secret('UserInfo')}@127.0.0.1"},
        {"host": f"host=127.0.0.1 password={planted.secret('Dsn')}"},
        {"port": planted.secret("Port")},
        {"ssl_mode": planted.secret("SslMode")},
        {"database_type": planted.secret("Type")},
        {"database": planted.secret("Database") + "\x01"},
        {"username": planted.secret("Username") + "\x00"},
        {"username": f"{planted.secret('Long')} " * 20},
        {"password": [planted.secret("List")]},
        {"password": {"value": planted.secret("Object")}},
        {"password": planted.secret("TooLong") * 40},
        {"password": planted.secret("Nul") + "\x00"},
        {"sslpassword": planted.secret("Unknown")},
        {"notes": "\x00" + planted.secret("Notes")},
    ]
    path = f"{PROFILES}/{planted.profile}"
    for changes in refused:
        assert planted.send("POST", PROFILES, body(planted, **changes))[0] == 422, changes
        assert planted.send("PUT", path, body(planted, **changes))[0] == 422, changes
        tried = body(planted, **changes)
        del tried["name"]
        assert planted.send("POST", f"{PROFILES}/test-connection", tried)[0] == 422, changes
    broken = [
        b'{"password": "%s"' % planted.secret("Broken").encode(),
        b'{"password": "%s", "password": "x"}' % planted.secret("Twice").encode(),
        b'{"password": "\\ud800%s"}' % planted.secret("Surrogate").encode(),
        b'["%s"]' % planted.secret("NoObject").encode(),
        b'password=%s' % planted.secret("Form").encode(),
        b'{"password": "%s"}' % (planted.secret("Huge").encode() * 50_000),
    ]  # fmt: skip
    for content in broken:
        assert planted.send("POST", PROFILES, content)[0] in (400, 413)
    for secret in (planted.secret("Query"), urllib.parse.quote(planted.secret("Quoted") + "/ &")):
        assert planted.send("GET", f"{PROFILES}?password={secret}")[0] == 422
    template = {"template_id": planted.secret("TemplateId")[:36], "options": {"timezone": planted.secret("Option")}}
    assert planted.send("PUT", f"{path}/template", template)[0] == 422
    for token in (f"whf_{planted.secret('WrongToken').ljust(43, 'x')[:43]}", planted.secret("NoToken")):
        assert planted.send("GET", PROFILES, Authorization=f"Bearer {token}")[0] == 401
    basic = base64.b64encode(f"ada:{planted.secret('Basic')}".encode()).decode()
    assert planted.send("GET", PROFILES, Authorization=f"Basic {basic}")[0] == 401


def servers_that_talk(planted: Planted) -> None:
    """Servers whose error text, version or name repeat what nobody may see again."""
    said = planted.secret("ServerSays")

    def complains(caller: Any) -> None:
        greeted(caller)
        caller.sendall(message(b"E", b"SFATAL\0C28P01\0M" + text(f'password "{said}" is wrong') + b"\0"))

    with server(complains) as address:
        tried = body(planted, port=address.port, host=address.host, password=planted.secret("ToStranger"))
        del tried["name"]
        answer = planted.send("POST", f"{PROFILES}/test-connection", tried)[1]["connection_test"]
        assert answer["success"] is False
        profile = planted.tenant.add_profile(port=address.port, password=planted.secret("JobToStranger"))
        assert planted.run(planted.tenant.start(profile))["status"] == "failed"


def imports(planted: Planted, desk: Database) -> None:
    """Rows with canaries: in a good import, and in ones that fail over them."""
    for name in ("Email", "Body", "Subject", "Poison", "Cast"):
        planted.rows[name] = canary(name)
    rows = planted.rows
    with psycopg.connect(desk.dsn, autocommit=True) as connection:
        connection.execute("UPDATE threads SET body = %s WHERE state = 2", [f"<p>{rows['Body']}</p>"])
        connection.execute("UPDATE conversations SET subject = %s", [rows["Subject"]])
        connection.execute("UPDATE emails SET email = %s || id || '@example.com'", [rows["Email"]])
        connection.execute("UPDATE users SET email = %s || id", [rows["Poison"]])
    job = planted.run(planted.tenant.start())
    assert job["status"] == "completed"
    assert planted.run(planted.tenant.start(dry_run=True))["status"] == "completed"
    with psycopg.connect(desk.dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE timelogs ALTER finished DROP DEFAULT, ALTER finished TYPE text")
        connection.execute("UPDATE timelogs SET finished = %s", [rows["Cast"]])
    failed = planted.run(planted.tenant.start())
    assert (failed["status"], [error["code"] for error in failed["errors"]]) == ("failed", ["source_query_failed"])
    wrong = planted.tenant.add_profile(password=planted.secret("JobPassword"))
    failed = planted.run(planted.tenant.start(wrong))
    assert [error["code"] for error in failed["errors"]] == ["source_authentication"]


def command(planted: Planted) -> None:
    """The command, as a process of its own: what it prints, and nothing of its secrets on its command line."""
    where = planted.tenant.database.connection
    at = ["--host", where.host, "--port", str(where.port), "--database", where.database, "--username", where.username]
    name = canary("Cli")
    for arguments in (
        ["profiles", "create", "--name", name, *at],
        ["profiles", "create", "--name", "Refused", "--host", "a b", *at[2:]],
        ["profiles", "test", name],
        ["profiles", "update", name, "--password-stdin"],
        ["profiles", "show", name, "--json"],
        ["profiles", "list"],
        ["import", "run", "-p", name],
        ["doctor"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", "from cli.main import main; main()", *arguments],
            input=planted.secret("Stdin"),
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            env=scrubbed(
                WHARF_ENDPOINT=planted.tenant.api.access.endpoint,
                WHARF_TOKEN=planted.tenant.api.access.token,
                WHARF_SOURCE_PASSWORD=planted.secret("Environment"),
            ),
        )
        planted.places.append(Place("command", " ".join(arguments[:2]), (done.stdout + done.stderr).encode()))
    planted.harmless["Cli"] = name


KINDS = {
    "answer", "command", "log", "execution", "StateTable", "RecordsTable", "object", "template", "function", "process",
    "events",
}  # fmt: skip


@pytest.mark.accepts("SV-021")
def test_no_secret_stands_anywhere(planted: Planted) -> None:
    assert len(planted.secrets) > 30
    found = {name: where for name, secret in planted.secrets.items() if (where := hits(secret, planted.places))}
    assert found == {}


def test_rows_stand_only_where_records_are_kept(planted: Planted) -> None:
    """In the records, and in the job's objects; not in logs, events, state, answers about jobs, or the command."""
    found = {
        name: where
        for name, word in planted.rows.items()
        if (where := hits(word, (p for p in planted.places if p.kind not in ("RecordsTable", "object"))))
    }
    assert found == {}


def test_the_search_looks_at_every_kind_of_place_and_finds_what_is_there(planted: Planted, deployed: Stack) -> None:
    """The control: for each kind a word that belongs there, found by the same search."""
    assert {place.kind for place in planted.places} - {"metric"} == KINDS
    job = planted.jobs[-1]
    belongs = {
        "answer": planted.harmless["Name"],
        "StateTable": planted.harmless["Name"],
        "command": planted.harmless["Cli"],
        "RecordsTable": planted.rows["Body"],
        "object": planted.rows["Body"],
        "execution": job,
        "log": job,
        "template": deployed.outputs["StateTable"],
        "function": deployed.outputs["StateTable"],
        "process": deployed.outputs["StateTable"],
    }
    for kind, word in belongs.items():
        assert hits(word, (place for place in planted.places if place.kind == kind)), kind


def test_a_word_is_found_in_every_dress() -> None:
    word = canary("Dress")
    dresses = [
        word.encode(),
        json.dumps({"a": f"\n{word}é"}).encode(),
        json.dumps(json.dumps({"a": f'"{word}"'})).encode(),
        urllib.parse.quote(f"p@ss {word}/").encode(),
        *(
            base64.b64encode(f"{'x' * before}{word}{'y' * behind}".encode())
            for before in range(4)
            for behind in range(4)
        ),
        f"\\x{word.encode().hex()}".encode(),
        word.encode().hex().upper().encode(),
        word[::-1].encode(),
        gzip.decompress(gzip.compress(word.encode())),
    ]
    for dress in dresses:
        assert hits(word, [Place("dress", "", dress)]), dress
    assert hits(word, [Place("dress", "", canary("Dress").encode())]) == []
    assert all(len(form) >= 20 for form in forms(word))


# --- the ciphertext


@pytest.fixture
def sealed(planted: Planted) -> tuple[str, str]:
    """(organisation, ciphertext) of the planted profile's password."""
    item = dynamo.get("state", keys.profile(planted.tenant.org, planted.profile))
    assert item
    return planted.tenant.org, item["password"]


def test_a_password_decrypts_for_its_own_organisation_and_profile_alone(
    planted: Planted, sealed: tuple[str, str]
) -> None:
    org, ciphertext = sealed
    assert encryption.decrypt(ciphertext, org=org, owner=planted.profile) == planted.secrets["Updated"]
    for context in (
        {"org": org, "owner": planted.tenant.profile},
        {"org": "another", "owner": planted.profile},
        {"org": planted.profile, "owner": org},
        {"org": org, "owner": ""},
    ):
        with pytest.raises(Fatal) as refused:
            encryption.decrypt(ciphertext, **context)
        assert refused.value.code == "secret_unusable"


def test_a_password_copied_to_another_profile_is_of_no_use_there(planted: Planted, sealed: tuple[str, str]) -> None:
    """Whoever can write the table still cannot have one profile's password sent to another profile's server."""
    org, _ = sealed
    good = dynamo.get("state", keys.profile(org, planted.tenant.profile))
    assert good
    thief = planted.tenant.add_profile()
    dynamo.update("state", keys.profile(org, thief), "SET #password = :stolen", {"stolen": good["password"]})
    status, answer = planted.send("POST", f"{PROFILES}/{thief}/test-connection")
    assert status >= 400 or answer["connection_test"]["success"] is False
    job = planted.run(planted.tenant.start(thief))
    assert (job["status"], [error["code"] for error in job["errors"]]) == ("failed", ["secret_unusable"])
    assert hits(planted.secrets["Server"], planted.places) == []
