"""The table that a model of Robyn's is rebuilt on, and the baseline columns of the file's own, where they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import DateArray, FloatArray
from runner.robyn import names
from runner.robyn.reading import RobynInputs, RobynModel
from runner.source import Source, is_missing, is_number, read_table

if TYPE_CHECKING:
    import pandas as pd

RAW_DATA = "Extras.raw_data"


@dataclass(frozen=True, eq=False)
class ModelTable:
    """A table with what a model needs, and what its columns are.

    Attributes:
        path: what to call it in messages. table: its cells. is_raw: it came out of the model file itself.
        date, outcome: their columns. dates: (T,) in the order of the table.
        is_modelled: it holds Prophet's columns and numeric factors, as Robyn's dt_mod does.
    """

    path: str
    table: pd.DataFrame
    is_raw: bool
    date: str
    outcome: str
    dates: DateArray
    is_modelled: bool

    @property
    def is_dt_mod(self) -> bool:
        """Whether it looks like Robyn's dt_mod, in which exposures are in currency and stand for the spend."""
        return self.is_modelled or self.outcome == names.OUTCOME

    @property
    def columns(self) -> list[str]:
        """Names of its columns."""
        return [str(name) for name in self.table.columns]

    def is_numeric(self, column: str) -> bool:
        """Whether every cell of a column is a number."""
        cells = self.table[column].tolist()
        return all(not is_missing(cell) and is_number(cell) for cell in cells)


def read_data(model: RobynModel, path: str | None) -> ModelTable:
    """The table at ``path``, or the raw data of the model file where there is none.

    Raises:
        UserError: no table at all, or its columns of date and outcome are not found.
    """
    inputs = model.inputs
    where = path if path is not None else f"{model.path} ({RAW_DATA})"
    table = read_table(path, "give --data the table of the model") if path is not None else _raw_table(model)
    columns = [str(name) for name in table.columns]
    date = _one_of(where, columns, "date", (inputs.date, names.DATE))
    outcome = _one_of(where, columns, "outcome", (inputs.outcome, names.OUTCOME))
    return ModelTable(
        path=where,
        table=table,
        is_raw=path is None,
        date=date,
        outcome=outcome,
        dates=Source.of(where, table).days(date),
        is_modelled=bool(inputs.prophet) and all(name in columns for name in inputs.prophet),
    )


def _raw_table(model: RobynModel) -> pd.DataFrame:
    import pandas as pd

    if not model.raw_data:
        raise UserError(f"{model.path}: the file holds no {RAW_DATA}; give the model's table with --data")
    return pd.DataFrame(list(model.raw_data))


def _one_of(where: str, columns: Sequence[str], role: str, wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in columns:
            return name
    raise UserError(
        f"{where}: there is no column {wanted[0]!r} ({role} of the model), nor {wanted[1]!r} as in Robyn's dt_mod; "
        f"the table has {', '.join(columns)}"
    )


def read_baseline(path: str, inputs: RobynInputs, data: ModelTable) -> dict[str, FloatArray]:
    """Column name -> (T,) the file's own Prophet columns and numeric factors, in the order of the data's dates.

    Args:
        path: a table such as Robyn's dt_mod. inputs: which columns are needed. data: whose dates they must cover.
    Raises:
        UserError: a column or date is missing, or the model has no such columns.
    """
    if not inputs.prophet:
        raise UserError(f"{path}: the model has no Prophet columns to take from here; leave --baseline out")
    source = Source.of(path, read_table(path, "give --baseline the table of the baseline columns"))
    columns = [str(name) for name in source.table.columns]
    date = _one_of(path, columns, "date", (data.date, names.DATE))
    rows = {day: row for row, day in enumerate(source.days(date).tolist())}
    order = []
    for day in np.sort(data.dates).tolist():
        if day not in rows:
            raise UserError(
                f"{path}: column {date!r}: there is no row for {day}; every date of the data needs one"
            )
        order.append(rows[day])
    taken: dict[str, FloatArray] = {}
    for column in (*inputs.prophet, *_factors(inputs, data)):
        if column not in columns:
            raise UserError(
                f"{path}: there is no column {column!r}; the baseline of the model is "
                f"{', '.join((*inputs.prophet, *_factors(inputs, data)))}"
            )
        taken[column] = source.numbers(column)[order]
    return taken


def _factors(inputs: RobynInputs, data: ModelTable) -> list[str]:
    """Context columns that Prophet made numbers of."""
    return [c for c in inputs.context if c in data.columns and is_factor(c, inputs, data)]


def is_factor(column: str, inputs: RobynInputs, data: ModelTable) -> bool:
    """Whether a context column holds labels; Robyn takes every column that is not numeric for a factor by itself."""
    if data.is_modelled:
        return not data.is_numeric(column)
    return column in inputs.factors or not data.is_numeric(column)


def window_of(model: RobynModel, data: ModelTable) -> tuple[np.datetime64, np.datetime64]:
    """First and last date of the window among the dates of the data.

    Robyn moves a date that is none of the data to the nearest one, before it writes the file; an end beyond its data
    stays, and means the last row. So an end between two dates is the earlier one, or the nearest if that makes a window
    of the file's length.

    Raises:
        UserError: the data do not cover the window.
    """
    dates = np.sort(data.dates)
    start_day, end_day = _day(model, "window_start"), _day(model, "window_end")
    period = np.diff(dates).max() if len(dates) > 1 else np.timedelta64(1, "D")
    for key, day in (("window_start", start_day), ("window_end", end_day)):
        if not dates[0] - period < day < dates[-1] + period:
            raise UserError(
                f"{data.path}: column {data.date!r}: the data run from {dates[0]} to {dates[-1]} and do not cover the "
                f"model's {key} {day}; give the table that the model was made on"
            )
    start, nearest = (dates[int(np.argmin(np.abs(dates - day)))] for day in (start_day, end_day))
    before = dates[max(int(np.searchsorted(dates, end_day, side="right")) - 1, 0)]
    ends = (before, nearest)
    lengths = [int(((dates >= start) & (dates <= end)).sum()) for end in ends]
    wanted = model.inputs.window_length
    if wanted is None or wanted in lengths:
        return start, ends[lengths.index(wanted) if wanted is not None else 0]
    raise UserError(
        f"{data.path}: column {data.date!r}: {lengths[0]} rows from {start} to {before}, but the window of the model "
        f"has {wanted}; give the table that the model was made on"
    )


def _day(model: RobynModel, key: str) -> np.datetime64:
    text = getattr(model.inputs, key)
    try:
        return np.datetime64(text, "D")
    except ValueError:
        raise UserError(f"{model.path}: InputCollect.{key}: {text!r} is not a date") from None


def given_baseline(
    model: RobynModel, baseline: str | None, data: ModelTable
) -> Mapping[str, FloatArray] | None:
    """The columns of --baseline, None where Prophet is asked or the data hold them themselves."""
    return None if baseline is None else read_baseline(baseline, model.inputs, data)
