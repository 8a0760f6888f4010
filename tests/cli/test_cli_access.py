"""Which endpoint and token are used, and whom the token is kept from."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import access
from cli.access import Access
from cli.failures import Failure

HERE, ELSEWHERE = "https://wharf.example.com", "https://other.example.com"


def test_options_beat_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    access.save(Access("https://file.example", "whf_file", ""))
    assert access.find() == Access("https://file.example", "whf_file", str(access.config_path()))
    monkeypatch.setenv("WHARF_ENDPOINT", "https://environment.example")
    monkeypatch.setenv("WHARF_TOKEN", "whf_environment")
    assert access.find().endpoint == "https://environment.example"
    assert access.find("https://option.example", "whf_option") == Access(
        "https://option.example", "whf_option", "--endpoint"
    )


def test_a_saved_token_goes_only_to_the_endpoint_it_was_saved_with() -> None:
    access.save(Access(HERE, "whf_secret", ""))
    assert access.find(HERE + "/").token == "whf_secret"
    assert access.find(ELSEWHERE).token == ""


def test_the_file_is_readable_by_its_owner_alone() -> None:
    path = access.save(Access(HERE, 'whf_"quoted"', ""))
    assert path.stat().st_mode & 0o777 == 0o600
    assert access.find().token == 'whf_"quoted"'


def test_a_file_others_can_read_is_refused_with_the_remedy() -> None:
    path = access.save(Access(HERE, "whf_secret", ""))
    path.chmod(0o644)
    with pytest.raises(Failure) as caught:
        access.find()
    assert caught.value.hint == f"chmod 600 {path}"


def test_a_broken_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    path = access.save(Access(HERE, "x", ""))
    path.write_text("endpoint = ")
    with pytest.raises(Failure, match=str(path)):
        access.find()


def test_no_endpoint_is_a_usage_failure_that_says_how() -> None:
    with pytest.raises(Failure) as caught:
        access.find()
    assert caught.value.exit_code == 2
    assert "WHARF_ENDPOINT" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "wharf.example.com",
        "ftp://x",
        "https://",
        "http://x:99999",
        "http://x:a",
        "http://[::1",
        "http://u:p@x",
    ],
)
def test_an_endpoint_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Failure):
        access.find(text or None) if not text else access.normalise(text, "--endpoint")


@pytest.mark.parametrize("text", [f"{HERE}/", f"{HERE}/api", f" {HERE}/api/ "])
def test_an_endpoint_may_be_given_with_its_api_path(text: str) -> None:
    assert access.normalise(text, "--endpoint") == HERE


@pytest.mark.parametrize("token", ["whf_a\nb", "whf_ä", "whf_ a"])
def test_a_token_that_cannot_be_a_header_is_refused(token: str) -> None:
    with pytest.raises(Failure, match="characters no token has"):
        access.find(HERE, token)


@pytest.mark.parametrize(
    ("endpoint", "exposed"),
    [("http://127.0.0.1:8400", False), ("http://localhost", False), (HERE, False), ("http://wharf.example.com", True)],
)
def test_knows_when_a_token_would_travel_in_clear(endpoint: str, exposed: bool) -> None:
    assert Access(endpoint, "", "").exposed is exposed


def test_replacing_a_private_file_leaves_no_other_mode(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("old")
    path.chmod(0o644)
    access.write_private(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
