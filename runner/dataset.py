"""Table to panel: columns by name, every row checked, nothing silently repaired.

A ``MediaPanel`` is the table as the model may use it: dates ascending and regular, numbers finite. What cannot be used
is refused with file, column and row and the remedy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import DateArray, FloatArray
from runner.findings import Finding, Severity
from runner.source import Source, near_name, read_table, shown
from runner.spec import ContextSpec, ExperimentSpec

if TYPE_CHECKING:
    import pandas as pd

DAYS = {1: "daily", 7: "weekly"}
MONTH_DAYS = range(28, 32)


class Frequency(StrEnum):
    """How long a period is."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True, eq=False)
class MediaPanel:
    """The table as read and checked.

    Attributes:
        dates: (T,) first day of each period, ascending, without gaps.
        frequency: length of a period.
        outcome: (T,) the KPI.
        numeric: column of the data -> (T,) float64, for spends, exposures, organic, numeric context, precomputed.
        factors: column of the data -> (T,) level of each period.
        start, stop: rows [start, stop) are the modelling window.
        findings: what was noticed while reading.
    """

    dates: DateArray
    frequency: Frequency
    outcome: FloatArray
    numeric: Mapping[str, FloatArray]
    factors: Mapping[str, tuple[str, ...]]
    start: int
    stop: int
    findings: tuple[Finding, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the values, hex: the same for CSV and Parquet, integers and floats."""
        h = hashlib.sha256(
            self.dates.astype("datetime64[D]").astype(np.int64).tobytes() + self.outcome.tobytes()
        )
        for name in sorted(self.numeric):
            h.update(name.encode() + self.numeric[name].tobytes())
        for name in sorted(self.factors):
            h.update(name.encode() + "\0".join(self.factors[name]).encode())
        return h.hexdigest()


# ------------------------------------------------------------------------------------------------------------ dates


def frequency_of(dates: DateArray) -> Frequency:
    """Length of a period by the most common distance of sorted dates; ValueError if it is none that we know."""
    steps = np.diff(dates).astype(np.int64)
    lengths, counts = np.unique(steps[steps > 0], return_counts=True)
    if len(lengths) == 0:
        raise ValueError("fewer than two different dates")
    step = int(lengths[np.argmax(counts)])
    if step in MONTH_DAYS:
        return Frequency.MONTHLY
    if step not in DAYS:
        raise ValueError(f"dates are {step} days apart")
    return Frequency(DAYS[step])


def next_period(day: np.datetime64, frequency: Frequency, periods: int = 1) -> np.datetime64:
    """The first day of a later period."""
    if frequency is Frequency.MONTHLY:
        month = day.astype("datetime64[M]")
        later: np.datetime64 = (month + periods).astype("datetime64[D]") + (
            day - month.astype("datetime64[D]")
        )
        return later
    return day + np.timedelta64(periods * (7 if frequency is Frequency.WEEKLY else 1), "D")


def _check_dates(source: Source, column: str, dates: DateArray) -> Frequency:
    """dates sorted; every neighbouring pair is one period apart, or the sentence says where not."""
    for i in np.flatnonzero(np.diff(dates) == np.timedelta64(0, "D")):
        first, second = sorted(source.rows[i : i + 2].tolist())
        problem = f"the date {dates[i]} stands twice, in rows {first} and {second}; keep one row per period"
        raise source.fail(column, problem)
    try:
        frequency = frequency_of(dates)
    except ValueError as error:
        raise source.fail(column, f"{error}; expected daily, weekly or monthly rows") from None
    if frequency is Frequency.MONTHLY:
        other = dates[dates != dates.astype("datetime64[M]").astype("datetime64[D]")]
        if len(other):
            raise source.fail(column, f"monthly rows must be dated on day 1 of the month, found {other[0]}")
    for before, after in pairwise(dates):
        _check_step(source, column, before, after, frequency)
    return frequency


def _check_step(
    source: Source, column: str, before: np.datetime64, after: np.datetime64, frequency: Frequency
) -> None:
    expected = next_period(before, frequency)
    if after == expected:
        return
    if after < expected or not _whole_periods(before, after, frequency):
        problem = (
            f"mixed intervals: rows are {frequency} but {before} is followed by {after}; expected {expected}"
        )
        raise source.fail(column, problem)
    last = next_period(after, frequency, -1)
    missing = f"{expected} is" if last == expected else f"{expected} to {last} are"
    raise source.fail(column, f"a gap: {before} is followed by {after}, {missing} missing; add every period")


def _whole_periods(first: np.datetime64, later: np.datetime64, frequency: Frequency) -> bool:
    days = int((later - first).astype(np.int64))
    if frequency is Frequency.MONTHLY:
        return True  # both are on day 1 of a month
    return days % (7 if frequency is Frequency.WEEKLY else 1) == 0


# ----------------------------------------------------------------------------------------------------------- window


def _window_rows(source: Source, spec: ExperimentSpec, dates: DateArray) -> tuple[int, int, list[Finding]]:
    """Rows [start, stop) of the modelling window, and findings where it begins or ends between two dates."""
    start, stop = 0, len(dates)
    findings: list[Finding] = []
    if spec.window.start is not None:
        day = np.datetime64(spec.window.start, "D")
        _check_inside(source, "start", day, dates, dates[-1])
        start = int(np.searchsorted(dates, day, side="left"))
        findings += _snapped("start", day, dates[start])
    if spec.window.end is not None:
        day = np.datetime64(spec.window.end, "D")
        _check_inside(source, "end", day, dates, _end_of_period(dates))
        stop = int(np.searchsorted(dates, day, side="right"))
        findings += _snapped("end", day, dates[stop - 1])
    if stop <= start:
        raise UserError(
            f"{source.path}: no date of the data lies between window.start {spec.window.start} and window.end "
            f"{spec.window.end}; widen the window"
        )
    return start, stop, findings


def _check_inside(
    source: Source, key: str, day: np.datetime64, dates: DateArray, last: np.datetime64
) -> None:
    if not dates[0] <= day <= last:
        raise UserError(
            f"{source.path}: window.{key} {day} lies outside the data ({dates[0]} to {dates[-1]}); move it inside"
        )


def _snapped(key: str, asked: np.datetime64, found: np.datetime64) -> list[Finding]:
    if asked == found:
        return []
    details = f"window.{key} {asked} is not a date of the data; the window {key}s with the period {found}."
    return [Finding("window-snapped", Severity.INFO, details)]


def _end_of_period(dates: DateArray) -> np.datetime64:
    end: np.datetime64 = dates[-1] + (dates[-1] - dates[-2]) - np.timedelta64(1, "D")
    return end


# ----------------------------------------------------------------------------------------------------------- checks


def _check_columns(source: Source, spec: ExperimentSpec) -> None:
    known = [str(c) for c in source.table.columns]
    for column, role in spec.column_roles():
        if column not in known:
            raise UserError(
                f"{source.path}: there is no column {column!r} ({role}); {near_name(column, known)}"
            )


def _media_columns(spec: ExperimentSpec) -> dict[str, str]:
    """Column of the data -> what it is, for everything that is spent or seen."""
    media = {c.spend: f"spend of channel {c.name}" for c in spec.channels}
    media |= {c.exposure: f"exposure of channel {c.name}" for c in spec.channels if c.exposure}
    return media | {o.column: f"organic {o.name}" for o in spec.organic}


def _check_media(source: Source, spec: ExperimentSpec, panel: MediaPanel) -> None:
    for column, role in _media_columns(spec).items():
        values = panel.numeric[column]
        for i in np.flatnonzero(values < 0):
            raise source.fail(column, f"is negative ({values[i]:g}); {role} cannot be, correct it", int(i))
        if not values[panel.start : panel.stop].any():
            raise source.fail(
                column, f"{role} is zero in every row of the window; remove the channel or widen the window"
            )


def _check_variation(source: Source, spec: ExperimentSpec, panel: MediaPanel) -> None:
    window = slice(panel.start, panel.stop)
    for column, role in spec.column_roles():
        if column in panel.numeric and np.ptp(panel.numeric[column][window]) == 0:
            problem = (
                f"{role} has the same value in every row of the window; it can explain nothing, remove it"
            )
            raise source.fail(column, problem)
    for column, levels in panel.factors.items():
        if len(set(levels)) == 1:
            problem = f"this factor is {shown(levels[0])} in every row; it can explain nothing, remove it"
            raise source.fail(column, problem)
    if np.ptp(panel.outcome[window]) == 0:
        problem = "the outcome has the same value in every row of the window; there is nothing to explain"
        raise source.fail(spec.outcome.column, problem)


# ------------------------------------------------------------------------------------------------------------ panel


def load_panel(spec: ExperimentSpec, read: Callable[[str], pd.DataFrame] = read_table) -> MediaPanel:
    """Read and check the table of a spec, or those of its rows that ``data.where`` takes.

    Args:
        spec: what to read. read: makes a table of a path; another one than ``read_table`` may keep what it has read.
    Raises:
        UserError: the first thing wrong with it, in one sentence.
    """
    source = Source.of(spec.data.path, read(spec.data.path))
    return _panel(spec, source.where(spec.data.where, "data.where") if spec.data.where else source)


def panel_from_table(spec: ExperimentSpec, table: pd.DataFrame, path: str) -> MediaPanel:
    """The checked panel of a table that is already in memory, all of it; ``path`` names it in messages."""
    return _panel(spec, Source.of(path, table))


def _panel(spec: ExperimentSpec, source: Source) -> MediaPanel:
    _check_columns(source, spec)
    found = source.days(spec.data.date)
    source, findings = _in_order(source, found)
    dates: DateArray = np.sort(found)
    frequency = _check_dates(source, spec.data.date, dates)
    start, stop, snapped = _window_rows(source, spec, dates)
    factors, noticed = _factors(source, spec)
    panel = MediaPanel(
        dates=dates,
        frequency=frequency,
        outcome=source.numbers(spec.outcome.column),
        numeric=_numeric(source, spec, factors),
        factors=factors,
        start=start,
        stop=stop,
        findings=(*findings, *noticed, *snapped),
    )
    _check_media(source, spec, panel)
    _check_variation(source, spec, panel)
    return panel


def _in_order(source: Source, dates: DateArray) -> tuple[Source, list[Finding]]:
    found = source.sorted_by(dates)
    if (found.rows == source.rows).all():
        return found, []
    return found, [
        Finding("rows-sorted", Severity.INFO, "The rows were not in order of date and were sorted.")
    ]


def _factors(source: Source, spec: ExperimentSpec) -> tuple[dict[str, tuple[str, ...]], list[Finding]]:
    """Context columns of labels: those that the spec calls factors, and those that hold text only."""
    factors: dict[str, tuple[str, ...]] = {}
    findings = []
    for context in spec.context:
        if context.kind == "factor":
            factors[context.column] = source.levels(context.column)
        elif _is_text(source, context):
            factors[context.column] = source.levels(context.column)
            findings.append(
                Finding(
                    "text-context",
                    Severity.INFO,
                    f"The context column {context.column!r} holds text and is taken as a factor.",
                    "Write kind: factor in the spec if that is meant; correct the cells if it is not.",
                )
            )
    return factors, findings


def _is_text(source: Source, context: ContextSpec) -> bool:
    """Whether a context column holds text only; a column of numbers with text among them is refused."""
    word = source.first_word(context.column)
    if word is not None and source.has_number(context.column):
        cell = shown(source.cells(context.column)[word])
        problem = f"is {cell}, expected a number; correct it, or set kind: factor if the column holds labels"
        raise source.fail(context.column, problem, word)
    return word is not None


def _numeric(
    source: Source, spec: ExperimentSpec, factors: Mapping[str, tuple[str, ...]]
) -> dict[str, FloatArray]:
    media = _media_columns(spec)
    columns = [column for column, role in spec.column_roles() if role not in ("data.date", "outcome")]
    return {
        column: source.numbers(column, "fill it, with 0 where there was none")
        if column in media
        else source.numbers(column)
        for column in columns
        if column not in factors
    }
