"""What libpq is told: what was checked, each value as one, and nothing of the environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from chalicelib import sessions
from chalicelib.errors import SourceUnreachable
from tests.conftest import Database
from tests.network.conftest import TEST, Door, body
from tests.routes.conftest import Api

INJECTIONS = [
    "x host=127.0.0.1",
    "x hostaddr=127.0.0.1 port={port}",
    "x' hostaddr='127.0.0.1' port='{port}",
    "x\\' hostaddr=127.0.0.1 port={port} user='",
    "x\\",
    "host=127.0.0.1 port={port}",
    "hostaddr=127.0.0.1 port={port} dbname=x",
    "postgresql://127.0.0.1:{port}/x",
    "postgres://me@127.0.0.1:{port}/x?hostaddr=127.0.0.1",
    "postgresql:///x?host=/tmp&port={port}",
    "service=inner",
    "x\nhostaddr=127.0.0.1\nport={port}",
    "x\thostaddr=127.0.0.1",
    "x options='-c search_path=evil'",
    "sslmode=disable",
    "x passfile=/etc/passwd",
    "x sslrootcert=/etc/passwd",
    "x\u00a0hostaddr=127.0.0.1",
]


@pytest.mark.parametrize("field_name", ["database", "username", "password"])
@pytest.mark.parametrize("text", INJECTIONS)
def test_a_value_stays_one_value(freescout_db: Database, door: Door, cloud: None, field_name: str, text: str) -> None:
    """Only the server that was checked is asked, and is told the text as it stands."""
    told = replace(freescout_db.connection, **{field_name: text.format(port=door.port)})
    with pytest.raises(SourceUnreachable) as refused:
        sessions.connect(told, freescout_db.address)
    assert refused.value.code in ("source_authentication", "source_database")
    [begun] = door.begun
    parsed = psycopg.conninfo.conninfo_to_dict(begun.decode())
    name = {"database": "dbname", "username": "user", "password": "password"}[field_name]
    assert parsed[name] == text.format(port=door.port)
    assert (parsed["host"], parsed["hostaddr"]) == (freescout_db.address.host, freescout_db.address.ip)
    assert "service" not in parsed
    assert parsed["options"] == ""
    assert door.came == []


@pytest.mark.parametrize("field_name", ["database", "username", "password"])
@pytest.mark.parametrize("text", ["x\0", "\0", "x\0hostaddr=127.0.0.1", "\ud800"])
def test_a_text_that_c_would_read_otherwise_is_refused(
    freescout_db: Database, door: Door, field_name: str, text: str
) -> None:
    with pytest.raises(SourceUnreachable):
        sessions.connect(replace(freescout_db.connection, **{field_name: text}), freescout_db.address)
    door.untouched()


def test_a_host_with_more_in_it_is_refused_by_the_api_in_every_field(
    door: Door, api: Api, loopback: pytest.MonkeyPatch
) -> None:
    for text in INJECTIONS:
        answer = api.post(TEST, body(host=text.format(port=door.port), port=door.port))
        assert answer.status_code == 422, text
        assert list(answer.json_body["errors"]) == ["host"], text
    for name in ("hostaddr", "options", "service", "passfile", "sslrootcert", "sslkey", "conninfo", "url", "dsn"):
        answer = api.post(TEST, body(**{name: "127.0.0.1"}))
        assert (answer.status_code, list(answer.json_body["errors"])) == (422, [name])
    door.untouched()


def test_the_environment_leads_nowhere(
    freescout_db: Database, door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = tmp_path / "pg_service.conf"
    service.write_text(
        f"[inner]\nhostaddr=127.0.0.1\nport={door.port}\noptions=-c search_path=evil\nsslkey=/etc/passwd\n"
    )
    password = tmp_path / "pgpass"
    password.write_text("*:*:*:*:wrong\n")
    password.chmod(0o600)
    inner = {"PGHOST": "127.0.0.1", "PGHOSTADDR": "127.0.0.1", "PGPORT": str(door.port), "PGDATABASE": "evil"}
    inner |= {"PGSERVICE": "inner", "PGSERVICEFILE": str(service), "PGPASSFILE": str(password), "PGUSER": "evil"}
    inner |= {"PGPASSWORD": "wrong", "PGOPTIONS": "-c default_transaction_read_only=off -c search_path=evil"}
    inner |= {
        "PGSSLMODE": "disable",
        "PGSSLNEGOTIATION": "direct",
        "PGSSLROOTCERT": "/nowhere",
        "PGSSLCERT": "/nowhere",
    }
    inner |= {"PGSSLKEY": "/nowhere", "PGSSLCRL": "/nowhere", "PGSSLCRLDIR": "/nowhere", "PGREQUIREPEER": "evil"}
    inner |= {"PGREQUIREAUTH": "password", "PGCHANNELBINDING": "require", "PGTARGETSESSIONATTRS": "standby"}
    inner |= {"PGGSSENCMODE": "require", "PGCONNECT_TIMEOUT": "1", "PGCLIENTENCODING": "LATIN1", "PGAPPNAME": "evil"}
    inner |= {"PGMINPROTOCOLVERSION": "3.2", "PGMAXPROTOCOLVERSION": "3.2", "PGSSLCERTMODE": "require"}
    inner |= {"PGSSLMINPROTOCOLVERSION": "TLSv1.3", "PGLOADBALANCEHOSTS": "random", "PGKRBSRVNAME": "evil"}
    for name, value in inner.items():
        monkeypatch.setenv(name, value)
    with freescout_db.session() as session:
        row = session.execute("SELECT current_database(), current_setting('search_path'), current_user").fetchone()
        assert row == ("freescout", '"$user", public', freescout_db.connection.username)
        named = session.execute("SELECT current_setting('application_name'), current_setting('transaction_read_only')")
        assert named.fetchone() == ("wharf", "on")
    assert door.came == []
