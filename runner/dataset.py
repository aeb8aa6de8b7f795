"""File to panel: columns by name, every row checked, nothing silently repaired.

A ``MediaPanel`` is the table as the model may use it: dates ascending and regular, numbers finite. What cannot be used
is refused with file, column and row (counted from 1, without the header) and the remedy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import DateArray, FloatArray
from runner.findings import Finding, Severity
from runner.spec import ExperimentSpec

if TYPE_CHECKING:
    import pandas as pd

# Text that stands for a missing number. In a factor column the same text is a level like any other: Robyn's own demo
# has a level "na".
MISSING = frozenset({"", "na", "nan", "null", "none", "n/a", "#n/a"})
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


@dataclass(frozen=True)
class _Source:
    """A table under its name, with the sentences about its cells."""

    path: str
    table: pd.DataFrame

    def row(self, index: int, dates: Sequence[Any] | None = None) -> str:
        """``row 12 (2022-03-21)``."""
        return f"row {index + 1}" + (f" ({dates[index]})" if dates is not None else "")

    def fail(self, column: str, problem: str) -> UserError:
        return UserError(f"{self.path}: column {column!r}: {problem}")


# ---------------------------------------------------------------------------------------------------------- reading


def read_table(path: str) -> pd.DataFrame:
    """A table from CSV, Parquet, or a directory of Parquet; local path or a URI that pyarrow or fsspec understands.

    CSV cells stay text, so that a number that is none can be named with its row.

    Raises:
        UserError: missing, empty or not a table.
    """
    import pandas as pd

    remote = "://" in path
    if not remote and not Path(path).exists():
        raise UserError(f"{path}: there is no such file; set data.path in the spec or give --data")
    try:
        if Path(path).suffix.lower() in (".parquet", ".pq") or (not remote and Path(path).is_dir()):
            table = _read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: the file is empty; expected a header and one row per period") from None
    except pd.errors.ParserError as error:
        raise UserError(f"{path}: not a well-formed CSV table ({str(error).strip()})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text; save it as CSV in UTF-8") from error
    except (OSError, ImportError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a table ({_first_line(error)})") from error
    if len(table) == 0:
        raise UserError(f"{path}: the table has a header but no rows; expected one row per period")
    return table


def _read_parquet(path: str) -> pd.DataFrame:
    import pyarrow.dataset as ds
    from pyarrow import fs

    if "://" in path:
        filesystem, inner = fs.FileSystem.from_uri(path)
        frame: pd.DataFrame = (
            ds.dataset(inner, filesystem=filesystem, format="parquet").to_table().to_pandas()
        )
        return frame
    local: pd.DataFrame = ds.dataset(path, format="parquet").to_table().to_pandas()
    return local


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _header_duplicates(path: str) -> list[str]:
    """Names that stand twice in a CSV's header: pandas would rename the second one."""
    import csv

    if "://" in path or not Path(path).is_file() or Path(path).suffix.lower() in (".parquet", ".pq"):
        return []
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file), [])
    return sorted({name for name in header if header.count(name) > 1})


def _check_columns(source: _Source, spec: ExperimentSpec) -> None:
    duplicates = _header_duplicates(source.path)
    if duplicates:
        raise UserError(f"{source.path}: the column {duplicates[0]!r} stands twice in the header; rename one")
    known = [str(c) for c in source.table.columns]
    for column, role in spec.column_roles():
        if column not in known:
            import difflib

            close = difflib.get_close_matches(column, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the table has {', '.join(known)}"
            raise UserError(f"{source.path}: there is no column {column!r} ({role}); {hint}")


# ------------------------------------------------------------------------------------------------------------ cells


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or cell != cell


def _is_text(values: pd.Series) -> bool:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values.dtype):
        return False
    return any(not _is_missing(cell) and not _is_number(cell) for cell in values)


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _numbers(source: _Source, column: str, dates: Sequence[Any]) -> FloatArray:
    """A column as float64; UserError names the first cell that is missing, text or infinite."""
    values = source.table[column].tolist()
    out = np.empty(len(values))
    for i, cell in enumerate(values):
        if _is_missing(cell):
            raise source.fail(
                column, f"{source.row(i, dates)} is missing; fill it (0 for no spend) or shorten the table"
            )
        try:
            out[i] = float(cell)
        except (TypeError, ValueError):
            raise source.fail(
                column, f"{source.row(i, dates)} is {cell!r}, expected a number such as 1234.5"
            ) from None
        if not np.isfinite(out[i]):
            raise source.fail(column, f"{source.row(i, dates)} is {cell}, expected a finite number")
    return out


def _levels(source: _Source, column: str, dates: Sequence[Any]) -> tuple[str, ...]:
    levels = []
    for i, cell in enumerate(source.table[column].tolist()):
        if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):
            raise source.fail(
                column, f"{source.row(i, dates)} is empty; write a level of its own, such as none"
            )
        levels.append(str(cell))
    return tuple(levels)


# ------------------------------------------------------------------------------------------------------------ dates


def _parse_dates(source: _Source, column: str) -> DateArray:
    import pandas as pd

    values = source.table[column].tolist()
    out = np.empty(len(values), dtype="datetime64[D]")
    for i, cell in enumerate(values):
        if _is_missing(cell):
            raise source.fail(column, f"{source.row(i)} has no date")
        try:
            if isinstance(cell, str):
                out[i] = np.datetime64(date.fromisoformat(cell.strip().replace("/", "-")[:10]), "D")
            else:
                out[i] = np.datetime64(pd.Timestamp(cell).date(), "D")
        except (TypeError, ValueError):
            raise source.fail(
                column, f"{source.row(i)} is {cell!r}, expected a date like 2024-01-29 (year, month, day)"
            ) from None
    return out


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


def _check_dates(source: _Source, column: str, dates: DateArray) -> Frequency:
    """dates sorted; every neighbouring pair is one period apart, or the sentence says where not."""
    for i in range(1, len(dates)):
        if dates[i] == dates[i - 1]:
            raise source.fail(column, f"the date {dates[i]} stands twice; keep one row per period")
    try:
        frequency = frequency_of(dates)
    except ValueError as error:
        raise source.fail(column, f"{error}; expected daily, weekly or monthly rows") from None
    if frequency is Frequency.MONTHLY:
        for day in dates:
            if int((day - day.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)) != 0:
                raise source.fail(column, f"monthly rows must be dated on day 1 of the month, found {day}")
    for i in range(1, len(dates)):
        expected = next_period(dates[i - 1], frequency)
        if dates[i] == expected:
            continue
        if dates[i] < expected or not _whole_periods(dates[i - 1], dates[i], frequency):
            raise source.fail(
                column,
                f"mixed intervals: rows are {frequency} but {dates[i - 1]} is followed by {dates[i]}; "
                f"expected {expected}",
            )
        raise source.fail(
            column, f"a gap: {dates[i - 1]} is followed by {dates[i]}, {expected} is missing; add the row(s)"
        )
    return frequency


def _whole_periods(first: np.datetime64, later: np.datetime64, frequency: Frequency) -> bool:
    days = int((later - first).astype(np.int64))
    if frequency is Frequency.MONTHLY:
        return True  # both are on day 1 of a month
    return days % (7 if frequency is Frequency.WEEKLY else 1) == 0


def _window_rows(source: _Source, spec: ExperimentSpec, dates: DateArray) -> tuple[int, int, list[Finding]]:
    first, last = dates[0], dates[-1]
    findings = []
    rows = [0, len(dates)]
    for key, asked in (("start", spec.window.start), ("end", spec.window.end)):
        if asked is None:
            continue
        day = np.datetime64(asked, "D")
        if not first <= day <= _end_of_period(dates):
            raise UserError(
                f"{source.path}: window.{key} {asked} lies outside the data ({first} to {last}); move it inside"
            )
        rows[key == "end"] = int(np.searchsorted(dates, day, side="left" if key == "start" else "right"))
        snapped = dates[rows[0]] if key == "start" and rows[0] < len(dates) else dates[rows[1] - 1]
        if snapped != day:
            findings.append(
                Finding(
                    "window-snapped",
                    Severity.INFO,
                    f"window.{key} {asked} is not a date of the data; the window {key}s with the period {snapped}.",
                )
            )
    if rows[1] <= rows[0]:
        raise UserError(f"{source.path}: window.start is after window.end; swap them")
    return rows[0], rows[1], findings


def _end_of_period(dates: DateArray) -> np.datetime64:
    end: np.datetime64 = dates[-1] + (dates[-1] - dates[-2]) - np.timedelta64(1, "D")
    return end


# ----------------------------------------------------------------------------------------------------------- checks


def _check_media(source: _Source, spec: ExperimentSpec, panel: MediaPanel) -> None:
    rows = slice(panel.start, panel.stop)
    media = [(c.spend, f"spend of channel {c.name}") for c in spec.channels]
    media += [(c.exposure, f"exposure of channel {c.name}") for c in spec.channels if c.exposure]
    media += [(o.column, f"organic {o.name}") for o in spec.organic]
    for column, role in media:
        values = panel.numeric[column]
        negative = np.flatnonzero(values < 0)
        if len(negative):
            i = int(negative[0])
            raise source.fail(
                column, f"{source.row(i, panel.dates.tolist())} is negative ({values[i]:g}); {role} cannot be"
            )
        if values[rows].sum() == 0:
            raise source.fail(
                column, f"{role} is zero in every row of the window; remove the channel or widen the window"
            )


def _check_variation(source: _Source, spec: ExperimentSpec, panel: MediaPanel) -> None:
    columns = {column: role for column, role in spec.column_roles() if column in panel.numeric}
    for column, role in columns.items():
        if np.ptp(panel.numeric[column][panel.start : panel.stop]) == 0:
            raise source.fail(
                column,
                f"{role} has the same value in every row of the window; it can explain nothing, remove it",
            )
    for column, levels in panel.factors.items():
        if len(set(levels)) == 1:
            raise source.fail(column, "this factor has one level only; it can explain nothing, remove it")
    if np.ptp(panel.outcome[panel.start : panel.stop]) == 0:
        raise source.fail(spec.outcome.column, "the outcome has the same value in every row of the window")


def load_panel(spec: ExperimentSpec) -> MediaPanel:
    """Read and check the table of a spec.

    Raises:
        UserError: the first thing wrong with it, in one sentence.
    """
    return panel_from_table(spec, read_table(spec.data.path), spec.data.path)


def panel_from_table(spec: ExperimentSpec, table: pd.DataFrame, path: str) -> MediaPanel:
    """The checked panel of a table that is already in memory; ``path`` names it in messages."""
    source = _Source(path, table.reset_index(drop=True))
    _check_columns(source, spec)
    findings: list[Finding] = []
    dates = _parse_dates(source, spec.data.date)
    order = np.argsort(dates, kind="stable")
    if (order != np.arange(len(dates))).any():
        findings.append(
            Finding("rows-sorted", Severity.INFO, "The rows were not in order of date and were sorted.")
        )
        source = _Source(path, source.table.iloc[order].reset_index(drop=True))
        dates = dates[order]
    frequency = _check_dates(source, spec.data.date, dates)
    start, stop, snapped = _window_rows(source, spec, dates)
    labels = dates.tolist()
    factors: dict[str, tuple[str, ...]] = {}
    for context in spec.context:
        text = _is_text(source.table[context.column])
        if context.kind == "factor" or text:
            factors[context.column] = _levels(source, context.column, labels)
        if text and context.kind == "numeric":
            findings.append(
                Finding(
                    "text-context",
                    Severity.INFO,
                    f"The context column {context.column!r} holds text and is taken as a factor.",
                    "Write kind: factor in the spec if that is meant; correct the cells if it is not.",
                )
            )
    numeric = {
        column: _numbers(source, column, labels)
        for column, role in spec.column_roles()
        if role not in ("data.date", "outcome") and column not in factors
    }
    outcome = _numbers(source, spec.outcome.column, labels)
    panel = MediaPanel(dates, frequency, outcome, numeric, factors, start, stop, tuple(findings + snapped))
    _check_media(source, spec, panel)
    _check_variation(source, spec, panel)
    return panel
