"""The whole of Wharf on this machine: PostgreSQL, embedded cloud, deployed stack, front. One call, one context.

Used by `make run` and by the tests of the deployed stack. Everything it keeps lies in the state directory;
everything it starts ends with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local import cloud as embedded
from infra.local import deploy, postgres
from infra.local.front import Front
from infra.local.processes import CannotStart, choose_port, only_one

__all__ = ["CannotStart", "Stack", "stack"]

SWEEPS_AT_START = 32
SWEEP_SECONDS = 15
"""Eight minutes in all: a killed worker's lease lives for its 300 s and one minute more."""


@dataclass
class Stack:
    """A running Wharf.

    endpoint: base URL of the API, without /api; what WHARF_ENDPOINT takes.
    aws_endpoint: where boto3 finds the embedded cloud.
    outputs: of the CloudFormation stack (StateTable, RecordsTable, Bucket, DataKey, StateMachine, ...).
    postgres: the embedded server; `postgres.dsn("name")` is a URL to a database.
    seconds: how long each part of the start took.
    """

    endpoint: str
    aws_endpoint: str
    outputs: dict[str, str]
    postgres: postgres.Postgres
    state: Path
    seconds: dict[str, float] = field(default_factory=dict)
    _stop: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def postgres_dsn(self) -> str:
        """The server's own database, as its superuser."""
        return self.postgres.dsn()

    def client(self, service: str) -> Any:
        """A boto3 client of the embedded cloud."""
        return embedded.client(self.aws_endpoint, service)

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Run a Lambda by the name it has in `app.py`. Raises RuntimeError with its error, if any."""
        physical = self.outputs[f"{function.capitalize()}Function"]
        answer = self.client("lambda").invoke(FunctionName=physical, Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise RuntimeError(f"{function}: {payload.get('errorType')}: {payload.get('errorMessage')}")
        return payload

    def sweep(self) -> None:
        """Have jobs settled whose execution has died, now instead of at the next tenth minute."""
        event = {"version": "0", "id": "start", "detail-type": "Scheduled Event", "source": "wharf.local"}
        event |= {"account": "", "time": "", "region": embedded.REGION}
        payload = json.dumps({**event, "resources": [], "detail": {}})
        name = self.outputs["SweepFunction"]
        self.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=payload)

    def environment(self) -> dict[str, str]:
        """What a process needs to run chalicelib against this stack, as a deployed function has it."""
        return {
            **embedded.CREDENTIALS,
            "AWS_ENDPOINT_URL": self.aws_endpoint,
            "WHARF_STATE_TABLE": self.outputs["StateTable"],
            "WHARF_RECORDS_TABLE": self.outputs["RecordsTable"],
            "WHARF_BUCKET": self.outputs["Bucket"],
            "WHARF_KMS_KEY": self.outputs["DataKey"],
            "WHARF_STATE_MACHINE": self.outputs["StateMachine"],
            "WHARF_ALLOW_LOOPBACK": "true",
        }

    def stop(self) -> None:
        """End everything in order: front, cloud (it writes its state down), PostgreSQL. Twice does no harm."""
        self._stop.close()


@contextlib.contextmanager
def stack(
    state: Path,
    *,
    port: int | None = None,
    cloud_port: int | None = None,
    postgres_port: int | None = None,
    root: Path = deploy.ROOT,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Stack]:
    """Start everything and yield it, end everything on leaving.

    state: directory for data, logs and what remembers the last run; made if absent. Ports: None means the last
    run's if free, else any. progress: called with a short sentence before each part. Raises CannotStart with a
    message for people.
    """
    state = state.resolve()
    with contextlib.ExitStack() as undo:
        undo.enter_context(only_one(state))
        running = _start(state, (port, cloud_port, postgres_port), root, progress, undo)
        running._stop = undo.pop_all()
    try:
        yield running
    finally:
        running.stop()


def _start(
    state: Path,
    wanted: tuple[int | None, int | None, int | None],
    root: Path,
    progress: Callable[[str], None],
    undo: contextlib.ExitStack,
) -> Stack:
    clock = _Clock()
    port, cloud_port, postgres_port = _ports(state, *wanted)
    logs = state / "logs"
    progress("Starting PostgreSQL")
    database = postgres.run(state / "postgres", postgres_port, log=logs / "postgres.log")
    undo.callback(database.stop)
    clock.lap("postgres")
    progress("Starting the embedded cloud")
    cloud = embedded.run(state / "cloud", cloud_port, log=logs / "cloud.log")
    undo.callback(cloud.stop)
    clock.lap("cloud")
    progress("Deploying the stack")
    restarted = deploy.stack_outputs(cloud) is not None
    outputs = deploy.deploy(cloud, state, root=root)
    clock.lap("deploy")
    front = Front(port, cloud_port, f"/_aws/execute-api/{outputs['RestAPIId']}/live")
    undo.callback(front.stop)
    running = Stack(front.url, cloud.endpoint, outputs, database, state, clock.seconds)
    if restarted:
        undo.callback(_sweep_at_start(running).set)
    return running


def _sweep_at_start(running: Stack) -> threading.Event:
    """Sweep every few seconds for the first minutes; the event ends it.

    An execution dies with the cloud it runs on, so here, unlike on AWS, a restart leaves jobs behind. The sweep waits
    for a young job's start and for dead workers' leases, so once is not enough.
    """
    ended = threading.Event()

    def sweep() -> None:
        for _ in range(SWEEPS_AT_START):
            with contextlib.suppress(Exception):  # a hint; the schedule sweeps as well
                running.sweep()
            if ended.wait(SWEEP_SECONDS):
                return

    threading.Thread(target=sweep, daemon=True).start()
    return ended


class _Clock:
    """Seconds per part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name], self._last = round(now - self._last, 2), now


def _ports(state: Path, *wanted: int | None) -> list[int]:
    """Front, cloud and PostgreSQL ports; the ones chosen are remembered, so that stored addresses stay right."""
    names = ("front", "cloud", "postgres")
    memory = state / "ports.json"
    try:
        remembered = json.loads(memory.read_text())
    except (OSError, ValueError):
        remembered = {"front": 8400}
    purposes = ("the API", "the embedded cloud", "PostgreSQL")
    ports: list[int] = []
    for name, purpose, port in zip(names, purposes, wanted, strict=True):
        chosen = choose_port(port, remembered=remembered.get(name), purpose=purpose)
        while port is None and chosen in ports:  # one found free before, and not taken yet
            chosen = choose_port(None, purpose=purpose)
        ports.append(chosen)
    if len(set(ports)) < len(ports):
        raise CannotStart("the ports of the API, the embedded cloud and PostgreSQL must differ")
    memory.write_text(json.dumps(dict(zip(names, ports, strict=True))))
    return ports
