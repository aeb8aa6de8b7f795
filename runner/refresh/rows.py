"""The new table beside the old one: which rows are new, which were restated, and where the window moves to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import FloatArray
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.spec import ExperimentSpec

NAMED_COLUMNS = 5
# A refresh whose window holds more new rows than this is hardly one.
LARGEST_PART_NEW = 0.5


@dataclass(frozen=True)
class Move:
    """Where the window moves to: first and last date of the new one, and how many of its periods are new."""

    start: np.datetime64
    end: np.datetime64
    periods: int
    n_window: int


def check_rows_of(path: str, old: MediaPanel, new: MediaPanel) -> None:
    """Every row of the old table must be in the new one, which must go on after the old window.

    Raises:
        UserError: another frequency, rows are missing, or nothing is new.
    """
    if new.frequency != old.frequency:
        raise UserError(
            f"{path}: the rows are {new.frequency}, those of the run {old.frequency}; give data of one frequency"
        )
    missing = old.dates[~np.isin(old.dates, new.dates)]
    if len(missing):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{path}: the row of {missing[0]}{more} of the run's table is missing; give the old rows with the new ones"
        )
    last = old.dates[old.stop - 1]
    if new.dates[-1] <= last:
        raise UserError(
            f"{path}: there is no row after {last}, where the window of the run ends; add the new ones"
        )


def move_window(
    path: str, old: MediaPanel, new: MediaPanel, steps: int | None = None, grow: bool = False
) -> Move:
    """The window moved on by its new periods: all that there are, or ``steps`` of them; ``grow`` leaves its start.

    Raises:
        UserError: there are fewer new rows than steps, or at least as many as the window is long.
    """
    after = int(np.searchsorted(new.dates, old.dates[old.stop - 1], side="right"))
    available = len(new.dates) - after
    periods = available if steps is None else steps
    if periods > available:
        raise UserError(
            f"{path}: --steps {periods}, but only {available} rows follow the window of the run; lower it"
        )
    length = old.stop - old.start
    if periods >= length:
        raise UserError(
            f"{path}: {periods} new rows for a window of {length}: nothing of the model before would be left; "
            f"set --steps below {length}, or run the experiment anew"
        )
    start = int(np.searchsorted(new.dates, old.dates[old.start])) + (0 if grow else periods)
    stop = after + periods
    return Move(new.dates[start], new.dates[stop - 1], periods, stop - start)


def notice_rows(old: MediaPanel, new: MediaPanel, move: Move, spec: ExperimentSpec) -> list[Finding]:
    """Findings about restated rows and about a window that is mostly new."""
    findings = list(_restated(old, new, spec))
    if move.periods > LARGEST_PART_NEW * move.n_window:
        findings.append(
            Finding(
                "mostly-new",
                Severity.WARNING,
                f"{move.periods} of the {move.n_window} periods of the window are new: the model before says little "
                "about them.",
                "Run the experiment anew, or refresh more often.",
            )
        )
    return findings


def _restated(old: MediaPanel, new: MediaPanel, spec: ExperimentSpec) -> Iterator[Finding]:
    rows = np.searchsorted(new.dates, old.dates)
    changed = np.zeros(len(rows), dtype=np.bool_)
    told = []
    columns = {spec.outcome.column: (old.outcome, new.outcome[rows])}
    columns |= {name: (values, new.numeric[name][rows]) for name, values in old.numeric.items()}
    for name, (before, after) in columns.items():
        differs = before != after
        if differs.any():
            changed |= differs
            told.append(f"{name} in {differs.sum()} ({_total_change(before, after)})")
    for name, levels in old.factors.items():
        differs = np.array([new.factors[name][row] for row in rows]) != np.array(levels)
        if differs.any():
            changed |= differs
            told.append(f"{name} in {differs.sum()}")
    if not told:
        return
    more = [f"and {len(told) - NAMED_COLUMNS} more columns"] if len(told) > NAMED_COLUMNS else []
    in_window = int(changed[old.start : old.stop].sum())
    yield Finding(
        "restated-rows",
        Severity.WARNING,
        f"{changed.sum()} of the {len(rows)} rows of the run were restated, {in_window} of them in its window: "
        f"{', '.join([*told[:NAMED_COLUMNS], *more])}.",
        "Part of what moved follows from this; see which change is meant, or correct the table.",
    )


def _total_change(before: FloatArray, after: FloatArray) -> str:
    """The change of the column's total, or of its largest cell where the total stands or is 0."""
    total = float(before.sum())
    change = float(after.sum()) - total
    if total == 0 or abs(change) < 0.0005 * abs(total):
        return f"by up to {np.abs(after - before).max():,.4g}"
    return f"total {change / total:+.1%}"
