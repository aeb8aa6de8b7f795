"""What faults cost, told at the end of the run as the table of docs/reliability.md."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Cost:
    """One fault: what was hurt, what had to be computed again, and how long the work took with and without it."""

    fault: str
    repeated: str
    seconds: float
    undisturbed: float | None = None


_COSTS: list[Cost] = []


@pytest.fixture(scope="session")
def costs() -> list[Cost]:
    """Tests append to it."""
    return _COSTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _COSTS:
        return
    terminalreporter.section("what faults cost")
    terminalreporter.line("| fault | computed again | seconds | seconds without it |")
    terminalreporter.line("|---|---|---|---|")
    for cost in _COSTS:
        without = "" if cost.undisturbed is None else f"{cost.undisturbed:.1f}"
        terminalreporter.line(f"| {cost.fault} | {cost.repeated} | {cost.seconds:.1f} | {without} |")
