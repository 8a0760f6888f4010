"""The verdict of `make run`: when does every row of the source have exactly one fate?"""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from infra.local import reconciliation
from infra.local.reconciliation import Counted, lines, reconciles


def job(status: str = "completed", **types: dict[str, int]) -> dict[str, Any]:
    counted = {"updated:duplicate": 1, "skipped:unchanged": 1, "failed:duplicate_key": 1}
    reasons = dict.fromkeys(types, counted)
    return {"id": "j", "status": status, "errors": None, "records": types, "reasons": reasons}


FATES = {"created": 7, "updated": 1, "skipped": 1, "failed": 1, "unprocessed": 0}


@pytest.mark.parametrize(
    ("source", "imported", "agrees"),
    [
        (Counted(10), FATES, True),
        (Counted(15, {"drafts": 3, "deleted": 2}), FATES, True),
        (Counted(11), FATES, False),
        (Counted(9), FATES, False),
        (Counted(10), FATES | {"created": 6, "unprocessed": 1}, False),
        (Counted(11), FATES | {"unprocessed": 1}, False),
        (Counted(0), {}, True),
    ],
)
def test_a_type_agrees_when_every_row_has_one_fate(source: Counted, imported: dict[str, int], agrees: bool) -> None:
    done = job(tickets=imported)
    assert reconciles(lines({"tickets": source}, done), done) is agrees


def test_a_type_the_job_forgot_does_not_agree() -> None:
    done = job(agents=FATES)
    assert not reconciles(lines({"agents": Counted(10), "tickets": Counted(1)}, done), done)


def test_a_type_nobody_counted_does_not_agree() -> None:
    done = job(agents=FATES)
    assert not reconciles(lines({}, done), done)


@pytest.mark.parametrize("status", ["failed", "cancelled", "running"])
def test_a_job_that_did_not_complete_never_reconciles(status: str) -> None:
    done = job(status, agents=FATES)
    assert not reconciles(lines({"agents": Counted(10)}, done), done)


def test_nothing_at_all_does_not_reconcile() -> None:
    assert not reconciles([], job())


class Reasons:
    """The import records a test scripts, in place of the API's pages."""

    def pages(self, path: str, **query: Any) -> list[dict[str, Any]]:
        assert path == "/api/import/analytics/records"
        assert query["import_action"] == "failed", "all other reasons are counted on the job"
        return [{"error_message": "Duplicate entry found for key 'email'.", "reason": "duplicate_key"}]


def test_the_table_fits_and_names_rules_and_reasons() -> None:
    screen = io.StringIO()
    done = job(customer_users={name: n * 111_111 for name, n in FATES.items()}, tickets=FATES)
    found = lines({"customer_users": Counted(1_111_110), "tickets": Counted(14, {"drafts": 3, "spam": 1})}, done)
    reconciliation.show(found, done, Reasons(), Console(file=screen, width=100))  # type: ignore[arg-type]
    shown = screen.getvalue()
    words = [line.split() for line in shown.splitlines()]
    assert ["customer_users", "1,111,110", "0", "777,777", "111,111", "111,111", "111,111", "✓"] in words
    assert ["tickets", "14", "4", "7", "1", "1", "1", "✓"] in words
    assert ["tickets", "3", "drafts"] in words
    assert ["1", "spam"] in words
    assert "Duplicate entry found for key 'email'." in shown
    assert "unchanged since it was imported last" in shown
    assert "has the unique key of another record" in shown
    assert "Reconciled" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 100


def test_a_gap_is_shown_with_its_size() -> None:
    screen = io.StringIO()
    done = job(tickets=FATES)
    found = lines({"tickets": Counted(13)}, done)
    reconciliation.show(found, done, Reasons(), Console(file=screen, width=100))  # type: ignore[arg-type]
    assert "✗ 3 missing" in screen.getvalue()
    assert "NOT reconciled: tickets." in screen.getvalue()
