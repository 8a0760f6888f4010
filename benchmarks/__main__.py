"""All benchmarks, one after the other, one line of JSON a figure; each in a process of its own."""

import subprocess
import sys

BENCHMARKS = ("imports", "api", "schema", "job", "load", "memory", "extract", "transform", "end_to_end")

for name in sys.argv[1:] or BENCHMARKS:
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
