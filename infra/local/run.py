"""`make run`: from nothing to an imported help desk, through the deployed stack and its HTTP API alone.

In: CONVERSATIONS, SEED, ONCE, PORT, STATE (or the options of the same names). Out: progress on stderr; the
reconciliation and two records on stdout. Exit status 0 only if the reconciliation agrees. Ends everything it started.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # what follows takes a second to load, and Ctrl-C may come meanwhile; nothing runs yet
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(130))

import psycopg
from rich.text import Text

from cli import access, admin, connect, progress, records, terminal
from cli.access import Access
from cli.client import Client
from cli.connect import JOBS, PROFILES
from cli.failures import FAILED, INTERRUPTED, USAGE, ApiError, Failure
from infra.local import reconciliation, sample
from infra.local.narrate import Narrator
from infra.local.stack import CannotStart, Stack, stack

ORGANISATION = "Sample help desk"
ADMIN = ("Ada Admin", "ada@helpdesk.example")
PROFILE = "FreeScout sample"
CANCEL_SECONDS = 90
"""A worker may be in the middle of a chunk; its lease ends before this."""


@dataclass(frozen=True)
class Options:
    """What the person asked for. once: end after the reconciliation instead of serving."""

    conversations: int
    seed: int
    once: bool
    port: int | None
    state: Path


def main() -> int:
    """Run the journey; the exit status."""
    narrator = Narrator()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in order with stderr in one log file
    warnings.simplefilter("ignore")  # libraries' opinions of the machine are no news here
    signal.signal(signal.SIGINT, _interrupt)  # a shell's background job would ignore it, and never end in order
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored: started with nohup
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        options = read_options()
        with stack(options.state, port=options.port, progress=narrator.begin) as running, _ending(narrator):
            status = Journey(running, options, narrator).run()
        narrator.done()
        return status
    except KeyboardInterrupt:
        narrator.done()
        narrator.say("Interrupted.")
        return INTERRUPTED
    except (CannotStart, Failure, OSError, psycopg.Error) as error:
        narrator.failed() if isinstance(error, CannotStart | OSError) else narrator.done()
        failure = error if isinstance(error, Failure) else Failure(str(error))
        terminal.explain(failure)
        if failure.exit_code != USAGE:
            terminal.note(f"  Logs: {options.state / 'logs'}")
        return failure.exit_code


def read_options(arguments: list[str] | None = None) -> Options:
    """Options, by default from the environment `make` hands on. Raises Failure (usage) for what is no number."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    environment = {name: value for name, value in os.environ.items() if value}
    parser.add_argument("--conversations", default=environment.get("CONVERSATIONS", "2000"))
    parser.add_argument("--seed", default=environment.get("SEED", "1"))
    parser.add_argument("--once", action="store_true", default=environment.get("ONCE", "0") not in ("0", "false", "no"))
    parser.add_argument("--port", default=environment.get("PORT"), help="Of the API. Default: 8400 if it is free.")
    parser.add_argument("--state", default=environment.get("STATE", ".wharf"), help="Where everything is kept.")
    given = parser.parse_args(arguments)
    return Options(
        conversations=_number("CONVERSATIONS", given.conversations, 1, 5_000_000),
        seed=_number("SEED", given.seed, 0, 2**31),
        once=given.once,
        port=_number("PORT", given.port, 1, 65535) if given.port else None,
        state=Path(given.state),
    )


class Journey:
    """One run, step by step. Everything but the organisation goes through the HTTP API."""

    def __init__(self, running: Stack, options: Options, narrator: Narrator) -> None:
        self.running = running
        self.options = options
        self.narrator = narrator
        self.source = sample.Sample(running.postgres, options.state, options.conversations, options.seed)

    def run(self) -> int:
        """The whole journey; the exit status."""
        with self.narrator.step(f"Sample FreeScout, {self.options.conversations:,} conversations") as details:
            details.append(self.source.fill())
        api = self.sign_in()
        profile = self.prepare(api)
        job = self.import_all(api, profile)
        agrees = self.reconcile(api, job)
        self.show_records(api)
        self.leave_access(api)
        if self.options.once:
            return 0 if agrees else FAILED
        self.serve(api)
        return 0 if agrees else FAILED

    def sign_in(self) -> Client:
        """The sample's organisation with its administrator and token: the last run's, or new ones."""
        memory = self.options.state / "access.json"
        known: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
        with self.narrator.step("Organisation, administrator and token") as details:
            token = known.get(self.source.name)
            if token:
                api = Client(Access(self.running.endpoint, token, str(memory)))
                with contextlib.suppress(ApiError):
                    api.get(PROFILES, per_page=1)
                    details.append("as before")
                    return api
            function = self.running.outputs["BootstrapFunction"]
            made = admin.make(org=ORGANISATION, name=ADMIN[0], email=ADMIN[1], function=function, session=self.running)
            access.write_private(memory, json.dumps(known | {self.source.name: made["token"]}))
        return Client(Access(self.running.endpoint, made["token"], str(memory)))

    def prepare(self, api: Client) -> dict[str, Any]:
        """The profile, tested and with the FreeScout template: the last run's with today's address, or a new one."""
        with self.narrator.step("Import profile") as details:
            body = {"name": PROFILE, "database_type": "postgresql", **self.source.connection()}
            known = [one for one in api.pages(PROFILES, search=PROFILE) if one["name"] == PROFILE]
            answer = api.put(f"{PROFILES}/{known[0]['id']}", body) if known else api.post(PROFILES, body)
            profile: dict[str, Any] = answer["profile"]
            details.append("as before" if known else "created")
        with self.narrator.step("Connection test") as details:
            result = api.post(f"{PROFILES}/{profile['id']}/test-connection")["connection_test"]
            if not result["success"]:
                raise Failure(f"{result['message']}.", hint=result.get("error"))
            found = result["database_info"]
            details.append(f"{found['version']}, {found['table_count']} tables, {found.get('size', '')}")
        with self.narrator.step("FreeScout template") as details:
            body = {"template_id": connect.template(api, "freescout")["id"], "options": sample.TEMPLATE_OPTIONS}
            answer = api.put(f"{PROFILES}/{profile['id']}/template", body)
            details.append(", ".join(answer["profile"]["configuration"]["queries"]))
        return profile

    def import_all(self, api: Client, profile: dict[str, Any]) -> dict[str, Any]:
        """Start the job and see it through. Interrupted, it is cancelled and its end is waited for."""
        job_id = self.start(api, profile)
        self.narrator.say("  Importing")
        try:
            return progress.watch(api, job_id)
        except (KeyboardInterrupt, Failure):
            self.cancel(api, job_id)
            raise

    def start(self, api: Client, profile: dict[str, Any]) -> str:
        """A new job's id; a job that an earlier, killed run left behind is waited for first."""
        try:
            return str(api.post(f"{PROFILES}/{profile['id']}/import")["job"]["id"])
        except ApiError as error:
            if error.code != "job_running" or not error.body.get("running_job"):
                raise
            left = str(error.body["running_job"])
        self.narrator.say("  Waiting for the import an earlier run left behind")
        progress.watch(api, left)
        return str(api.post(f"{PROFILES}/{profile['id']}/import")["job"]["id"])

    def cancel(self, api: Client, job_id: str) -> None:
        """Cancel the job and wait until it has ended, so that the next run finds nothing held."""
        self.narrator.begin("Cancelling the import")
        with contextlib.suppress(Failure):  # it has just ended by itself, or nothing answers any more
            job = api.post(f"{JOBS}/{job_id}/cancel")["job"]
            waiting = threading.Event()
            for _ in range(CANCEL_SECONDS):
                if job["status"] in progress.ENDED:
                    break
                waiting.wait(1)
                job = api.get(f"{JOBS}/{job_id}/status")
        self.narrator.done()

    def reconcile(self, api: Client, job: dict[str, Any]) -> bool:
        """Compare the job with what independent SQL counts in the source. True when every row is accounted for."""
        found = reconciliation.lines(self.source.counted(), job)
        screen = terminal.out()
        rows, seconds = job["records_processed"], job["duration"] or 1
        self.narrator.say(f"  {rows:,} rows in {terminal.duration(job['duration'])}, {rows / seconds:,.0f} rows/s")
        screen.print()
        reconciliation.show(found, job, api, screen)
        if rows and job["records_skipped"] + job["records_failed"] == rows:
            screen.print(
                Text("Nothing changed in the source since the last import: nothing was written.", style="bold")
            )
        return reconciliation.reconciles(found, job)

    def show_records(self, api: Client) -> None:
        """A ticket with its notes and a customer with every address, as `wharf records search` shows them."""
        screen = terminal.out()
        for record_type, external_id in self.source.worth_seeing():
            found, _ = records.find(api, record_type, external_id=external_id)
            for record in found[:1]:
                command = f"$ wharf records search {record_type} --external-id {external_id}"
                screen.print()
                screen.print(Text(command, style="dim"))
                records.show(api, record, screen)

    def leave_access(self, api: Client) -> None:
        """Say where everything is, and leave it in a file a shell can read."""
        path = self.options.state / "env"
        programs = Path(sys.executable).parent
        lines = {"WHARF_ENDPOINT": api.access.endpoint, "WHARF_TOKEN": api.access.token}
        text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in lines.items())
        access.write_private(path, text + f'export PATH={shlex.quote(str(programs))}:"$PATH"\n')
        screen = terminal.out()
        screen.print()
        screen.print(
            terminal.grid({"API": api.access.endpoint + "/api", "token": api.access.token, "shell": f". {path}"}),
            soft_wrap=True,
        )

    def serve(self, api: Client) -> None:
        """Keep everything running until Ctrl-C."""
        self.narrator.say(f"\nServing at {api.access.endpoint}. Ctrl-C ends everything.", style="bold")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                threading.Event().wait(3600)


def _number(name: str, text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise Failure(f"{name} must be a number from {low:,} to {high:,}, not {text!r}.", exit_code=USAGE)
    return int(text)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _ending(narrator: Narrator) -> Iterator[None]:
    """However the journey ends, the stack is stopped in order: a further Ctrl-C must not cut that short."""
    try:
        yield
    except BaseException:
        narrator.failed()
        raise
    finally:
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        narrator.begin("Stopping")


if __name__ == "__main__":
    sys.exit(main())
