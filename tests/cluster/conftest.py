"""What faults cost, told at the end of the run as the table of docs/reliability.md."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

# A file to write the costs to, for tests/cluster/reliability.py.
COSTS_FILE = "MMM_COSTS_FILE"


@dataclass(frozen=True)
class Cost:
    """One fault: what was hurt, whether the run went on by itself, what was computed again, and what it cost.

    Attributes:
        fault: in words. outcome: what the user sees. repeated: what was computed again.
        noticed: seconds without a sign of what was lost, before it was begun again; None where nothing is waited for.
        seconds: of the whole run, all its parts.
        undisturbed: of the same run in the same session without the fault; None where it was not run.
    """

    fault: str
    outcome: str
    repeated: str
    seconds: float
    undisturbed: float | None
    noticed: float | None = None

    def row(self) -> str:
        """A row of the table."""
        numbers = (self.noticed, self.seconds, self.undisturbed)
        shown = ["" if number is None else f"{number:.0f}" for number in numbers]
        return f"| {' | '.join([self.fault, self.outcome, self.repeated, *shown])} |"


HEAD = (
    "| fault | what the user sees | computed again | noticed after (s) | seconds | without it |\n"
    "| --- | --- | --- | --- | --- | --- |"
)
_COSTS: list[Cost] = []


@pytest.fixture(scope="session")
def costs() -> list[Cost]:
    """Tests append to it."""
    return _COSTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _COSTS:
        return
    terminalreporter.section("what faults cost")
    for line in [*HEAD.splitlines(), *(cost.row() for cost in _COSTS)]:
        terminalreporter.line(line)
    if COSTS_FILE in os.environ:
        text = json.dumps([asdict(cost) for cost in _COSTS], indent=2)
        Path(os.environ[COSTS_FILE]).write_text(text)
