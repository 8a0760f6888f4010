"""Fill a database with a FreeScout help desk full of the mess real ones have.

The same (conversations, seed, version of Faker) makes the same rows. Replaces the schema `public` of the database.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

from infra.local.freescout import conversations as talk
from infra.local.freescout import people
from infra.local.freescout.chance import Chance
from infra.local.freescout.tables import MODULES, Tables


def generate(
    dsn: str, conversations: int = 2000, seed: int = 1, *, modules: bool = True, truth: Path | None = None
) -> dict[str, Any]:
    """Make the database anew; {rows: {table: count}, mess: {kind: count}, size, seconds}.

    modules: also the tables of the Time Tracking, Tags and Custom Fields modules. truth: a CSV to write
    customer_id,person_id to, which customers are one person.
    """
    started = time.monotonic()
    tables, chance = Tables(), Chance(seed)
    made = people.make(tables, chance, conversations)
    talk.make(tables, chance, made, conversations)
    for name, value in (("company_name", "Büro & Söhne"), ("next_ticket", "0"), ("email_branding", "1")):
        tables["options"].add(name, value)
    for alias in ("timetracking", "tags", "customfields", "apiwebhooks") if modules else ("apiwebhooks",):
        tables["modules"].add(alias, True, True)
    size = tables.load(dsn, modules=modules)
    if truth:
        with truth.open("w", newline="") as file:
            csv.writer(file).writerows([("customer_id", "person_id"), *made.persons])
    rows = {name: len(table.lines) for name, table in tables.items() if modules or name not in MODULES}
    return {"rows": rows, "mess": dict(made.mess), "size": size, "seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn", help="libpq connection string; its schema `public` is replaced")
    parser.add_argument("--conversations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-modules", action="store_true", help="leave out the tables of optional modules")
    parser.add_argument("--truth", type=Path, help="CSV of customer_id,person_id to write")
    chosen = parser.parse_args()
    report = generate(chosen.dsn, chosen.conversations, chosen.seed, modules=not chosen.no_modules, truth=chosen.truth)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
