"""`make clean`: remove the state directory, unless a Wharf is running in it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from infra.local.processes import CannotStart, end_stale, only_one


def main() -> int:
    """Remove the directory named on the command line."""
    state = Path(sys.argv[1]).resolve()
    try:
        with only_one(state):
            end_stale(state / "postgres" / "data" / "postmaster.pid", str(state))
            end_stale(state / "cloud" / "pid", str(state.parent))
            shutil.rmtree(state)
    except CannotStart as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
