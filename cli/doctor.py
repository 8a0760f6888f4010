"""`wharf doctor`: what stands between this machine and the API, one line a check."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import typer
from rich.text import Text

from cli import access, terminal
from cli.access import Access
from cli.client import Client
from cli.connect import PROFILES
from cli.failures import FAILED, Failure
from cli.terminal import Json

app = typer.Typer(add_completion=False)

SKEW_SECONDS = 300
"""Signed AWS requests are refused beyond five minutes (AWS Signature Version 4)."""


@dataclass(frozen=True)
class Finding:
    """One check: `state` is ok, warn, fail or skip; `hint` says what to do."""

    check: str
    state: str
    detail: str
    hint: str = ""


@app.command()
def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Check Python, endpoint, token and clock, and AWS when AWS_ENDPOINT_URL is set."""
    given = ctx.find_root().obj or {}
    findings = examine(given.get("endpoint"), given.get("token"))
    if as_json:
        terminal.print_json([asdict(finding) for finding in findings])
    else:
        styles = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
        for finding in findings:
            line = Text.assemble((f"{finding.state:<5}", styles[finding.state]), f"{finding.check:<10}", finding.detail)
            terminal.out().print(line, soft_wrap=True)
            if finding.hint and finding.state != "ok":
                terminal.out().print(Text(f"{'':<15}{finding.hint}"), soft_wrap=True)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(FAILED)


def examine(endpoint: str | None, token: str | None) -> list[Finding]:
    """All findings, in the order in which one depends on the other."""
    findings = [_python()]
    try:
        found = access.find(endpoint, token)
    except Failure as failure:
        findings.append(Finding("endpoint", "fail", failure.message, failure.hint or ""))
    else:
        findings += _endpoint(found)
    if os.environ.get("AWS_ENDPOINT_URL"):
        findings.append(_aws(os.environ["AWS_ENDPOINT_URL"]))
    return findings


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("python", "ok", version)
    return Finding("python", "warn", f"{version} is not tested", "Use Python 3.11, 3.12 or 3.13.")


def _endpoint(found: Access) -> list[Finding]:
    api = Client(found)
    started, asked_at = time.perf_counter(), datetime.now(UTC)
    try:
        answer = api.response("/api/health")
    except Failure as failure:
        return [Finding("endpoint", "fail", failure.message, failure.hint or "")]
    took = f"{(time.perf_counter() - started) * 1000:.0f} ms"
    if answer.status != 200 or b'"status"' not in answer.data:
        what = f"{found.endpoint} answers {answer.status} to /api/health"
        return [Finding("endpoint", "fail", what, "Is this the address of a Wharf API?")]
    where = f"{found.endpoint} (from {found.origin}) answers in {took}"
    state = "warn" if found.exposed else "ok"
    findings = [Finding("endpoint", state, where, "The token would travel unencrypted: use https.")]
    return [*findings, _clock(answer.headers.get("Date"), asked_at), _token(api, found)]


def _clock(date: str | None, now: datetime) -> Finding:
    try:
        skew = abs((parsedate_to_datetime(date or "") - now).total_seconds())
    except (TypeError, ValueError):
        return Finding("clock", "skip", "the endpoint does not tell the time")
    if skew > SKEW_SECONDS:
        return Finding("clock", "fail", f"{skew:,.0f} s off the endpoint's", "Set this machine's clock (NTP).")
    return Finding("clock", "ok", "within a second or two" if skew <= 2 else f"{skew:.0f} s off the endpoint's")


def _token(api: Client, found: Access) -> Finding:
    if not found.token:
        return Finding("token", "fail", "none is set", "Set WHARF_TOKEN or use `wharf login`.")
    try:
        api.get(PROFILES, per_page=1)
    except Failure as failure:
        return Finding("token", "fail", failure.message, failure.hint or "")
    return Finding("token", "ok", f"accepted (…{found.token[-4:]})")


def _aws(endpoint: str) -> Finding:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    quick = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 1})
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        identity = boto3.client("sts", region_name=region, config=quick).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return Finding("aws", "fail", f"{endpoint}: {terminal.one_line(error, 120)}", "Check AWS_ENDPOINT_URL.")
    return Finding("aws", "ok", f"{endpoint} answers as account {identity['Account']}")
