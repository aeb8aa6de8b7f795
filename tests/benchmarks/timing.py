"""Rows of timings: how they are taken, shown, stored, and held against earlier ones."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

FORMAT = 1
# Below this an earlier and a later median say the same: what two runs on a quiet machine differ by.
NOISE = 0.1


@dataclass(frozen=True)
class Row:
    """One way of doing one thing, timed.

    Attributes:
        group: rows that are measured together. subject, way: what is done, and how.
        unit: of the times, such as "µs per candidate". n: how many of it one repeat did.
        median, low, high: over the repeats; None where the way does not exist here, which ``check`` explains.
        reference: the way of the same group and subject that ``ratio`` compares with: how many times its time.
        check: what was found about the results beside the timing.
    """

    group: str
    subject: str
    way: str
    unit: str
    n: int
    median: float | None
    low: float | None
    high: float | None
    reference: str
    ratio: float | None
    check: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes rows of two runs the same."""
        return self.group, self.subject, self.way, self.unit


def seconds_of(
    action: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Seconds of each repeat, after one that is not counted: it compiles and fills caches."""
    action()
    found = []
    for _ in range(repeats):
        began = clock()
        action()
        found.append(clock() - began)
    return found


def row(
    group: str,
    subject: str,
    way: str,
    unit: str,
    seconds: Sequence[float],
    *,
    n: int = 1,
    reference: Row | None = None,
    check: str = "",
) -> Row:
    """A row from the seconds of its repeats; ``unit`` begins with s, ms or µs."""
    scale = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit.split(maxsplit=1)[0]] / n
    median = statistics.median(seconds) * scale
    ratio = median / reference.median if reference is not None and reference.median else None
    name = "" if reference is None else reference.way
    if reference is not None and reference.subject != subject:
        name = f"{reference.subject}, {reference.way}"
    low, high = min(seconds) * scale, max(seconds) * scale
    return Row(group, subject, way, unit, n, median, low, high, name, ratio, check)


def absent(group: str, subject: str, way: str, unit: str, why: str) -> Row:
    """A row that says why nothing was timed."""
    return Row(group, subject, way, unit, 0, None, None, None, "", None, why)


def difference(found: Any, expected: Any) -> float:
    """Largest relative difference of two arrays; what is equal, infinities too, differs by 0."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.abs(found[~same] / expected[~same] - 1)
    return float(np.max(np.nan_to_num(relative, nan=np.inf, posinf=np.inf), initial=0.0))


def agreement(what: str, found: Any, expected: Any, of: str) -> str:
    """``losses of NumPy to 2e-15``: how far results agree with whose."""
    gap = difference(found, expected)
    return f"{what} of {of} to {gap:.0e}" if gap else f"{what} of {of}, equal"


# ------------------------------------------------------------------------------------------------------------- showing


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"


def cells(entry: Row, earlier: Row | None = None) -> list[str]:
    """A row as text; ``earlier`` is the same row of another run."""
    if entry.median is None or entry.low is None or entry.high is None:
        return [entry.group, entry.subject, entry.way, "", "", "", entry.check, ""]
    ratio = "" if entry.ratio is None else f"{_number(entry.ratio)} × {entry.reference}"
    return [
        entry.group,
        entry.subject,
        entry.way,
        f"{_number(entry.median)} {entry.unit}",
        f"{_number(entry.low)} to {_number(entry.high)}",
        ratio,
        entry.check,
        change(entry, earlier),
    ]


def change(entry: Row, earlier: Row | None) -> str:
    """``0.81, faster``: the median in that of an earlier run; empty where there is none."""
    if earlier is None or not earlier.median or entry.median is None:
        return ""
    ratio = entry.median / earlier.median
    word = "faster" if ratio < 1 - NOISE else "slower" if ratio > 1 + NOISE else "same"
    return f"{ratio:.2f}, {word}"


HEADINGS = ("group", "what", "way", "median", "spread", "time, in that of", "results", "in earlier run")


def print_table(rows: Sequence[Row], earlier: Sequence[Row] = (), caption: str | None = None) -> None:
    """The rows for people; a column for an earlier run where there is one."""
    known = {entry.key: entry for entry in earlier}
    headings = HEADINGS if known else HEADINGS[:-1]
    table = Table(title=f"Timings, {os.cpu_count()} cores", caption=caption)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("median", "spread") else "left")
    for before, entry in zip([None, *rows], rows, strict=False):
        if before is not None and before.group != entry.group:
            table.add_section()
        table.add_row(*cells(entry, known.get(entry.key))[: len(headings)])
    Console(width=None if os.isatty(1) else 200).print(table)


def markdown(rows: Sequence[Row]) -> str:
    """The rows for a page of the documentation."""
    lines = ["| " + " | ".join(HEADINGS[:-1]) + " |", "| --- " * 7 + "|"]
    lines += ["| " + " | ".join(cells(entry)[:-1]) + " |" for entry in rows]
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------------- storing


def write_rows(path: Path, rows: Sequence[Row], command: str) -> None:
    """The rows as JSON, with what they depend on; the machine is known by its cores alone."""
    document = {
        "format": FORMAT,
        "command": command,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "rows": [asdict(entry) for entry in rows],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[Row]:
    """The rows of ``write_rows``."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("format") != FORMAT:
        raise SystemExit(f"{path}: written by another version of this script; run it again with --json")
    return [Row(**entry) for entry in document["rows"]]
