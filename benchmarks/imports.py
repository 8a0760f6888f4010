"""Importing app.py, which every cold start pays for, against an application of Chalice's alone with one route."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.source import line

ROOT = Path(__file__).parent.parent
ROUNDS = int(os.environ.get("BENCH_IMPORT_ROUNDS", "15"))

BARE = """
from chalice import Chalice, Response
app = Chalice(app_name="bare")
@app.route("/")
def index():
    return Response(body={})
"""

HEAVY = ("aws_lambda_powertools", "boto3", "botocore", "cryptography", "psycopg", "pydantic", "rapidfuzz", "sqlglot")
"""What no function may pay for that does not use it."""

MEASURED = """
import json, sys, time
sys.path.insert(0, {root!r})
code = compile({code!r}, "measured", "exec")
began = time.process_time()
exec(code, {{"__name__": "measured"}})
spent = time.process_time() - began
print(json.dumps([spent, [name for name in {heavy!r} if name in sys.modules]]))
"""


def main() -> None:
    """Print the figures."""
    sides: dict[str, list[float]] = {"import app": [], BARE: []}
    loaded: list[str] = []
    with tempfile.TemporaryDirectory() as byte_code:
        for turn in range(ROUNDS + 1):
            for code, spent in sorted(sides.items(), reverse=bool(turn % 2)):
                seconds, found = measured(code, byte_code)
                if turn:  # the first one writes byte code
                    spent.append(seconds)
                if code == "import app":
                    loaded = found
    ours, bare = (statistics.median(spent) for spent in sides.values())
    line("import_app", ours * 1000, "ms CPU", ours / bare, f"a bare Chalice application, {bare * 1000:.1f} ms")
    line("import_app_heavy_modules", len(loaded), "modules", None, ", ".join(loaded) or f"none of {', '.join(HEAVY)}")


def measured(code: str, byte_code: str) -> tuple[float, list[str]]:
    """CPU seconds of running the code in a process of its own, and which heavy modules it loaded."""
    text = MEASURED.format(root=str(ROOT), code=code, heavy=HEAVY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPYCACHEPREFIX"] = byte_code
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds, found = json.loads(done.stdout)
    return seconds, found


if __name__ == "__main__":
    main()
