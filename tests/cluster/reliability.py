"""Measure what faults cost, and write it down: the table of docs/reliability.md.

    python -m tests.cluster.reliability [--json FILE]

Runs the tests of faults, which hurt whole runs for real and compare every table, and replaces the lines between the
markers of the document by what they cost. A fault that is not survived fails its test, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.cluster.conftest import COSTS_FILE, HEAD, Cost
from tests.cluster.nodes import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- measured -->\n", "<!-- end of what was measured -->"


def measure(costs: Path) -> list[Cost]:
    """What every fault cost; exits with the status of the tests when one of them fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cluster", "tests/cluster/test_faults.py"]
    status = subprocess.run(
        command, cwd=ROOT, env={**os.environ, COSTS_FILE: str(costs)}, check=False
    ).returncode
    if status:
        sys.exit(status)
    return [Cost(**facts) for facts in json.loads(costs.read_text())]


def section(costs: list[Cost]) -> str:
    """What stands between the markers."""
    where = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, Ray {version('ray')}"
    return "\n".join([f"Measured on {where}.", "", HEAD, *(cost.row() for cost in costs), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(Path(folder) / "costs.json")
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(cost) for cost in costs], indent=2) + "\n")
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}{section(costs)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
