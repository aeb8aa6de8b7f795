"""The neutral table of lift studies, which every other format becomes, checked against spec and panel.

    column          must   what
    channel         yes    name of a channel or organic medium, or several that were moved together: tv+search
    start, end      yes    first and last day of the study, inside the window
    estimate        yes    outcome that it found over its whole length, in the outcome's unit; not 0
    scope           yes    total or immediate, see ``mmm_core.calibration``
    lower, upper    no     interval of the estimate; both or none
    level           no     of that interval, such as 0.9; default 0.95
    standard_error  no     of the estimate; follows from the interval if left out
    spend           no     money of its channels in these days, to check against the data
    metric          no     must be the outcome's column
    source          no     where it comes from, for the reader

Cells of columns that need not be there may be empty. Other columns are left alone, and a finding names them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mmm_core.calibration import LiftStudy, lift_studies, study_rows
from mmm_core.errors import RangeError, UserError
from mmm_core.types import FloatArray, Scope
from runner.dataset import MediaPanel
from runner.source import is_missing, shown
from runner.spec import ExperimentSpec
from runner.studies.adapting import optional_numbers, split_names, unused_columns
from runner.studies.noticing import notice
from runner.studies.records import Studies, StudyRecord, period_ends
from runner.studies.sources import StudySource

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("channel", "start", "end", "estimate", "scope")
OPTIONAL = ("lower", "upper", "level", "standard_error", "spend", "metric", "source")
DEFAULT_LEVEL = 0.95
BETWEEN = r"\s*\+\s*"


def studies_from_table(spec: ExperimentSpec, panel: MediaPanel, table: pd.DataFrame, path: str) -> Studies:
    """The checked studies of a neutral table that is already in memory; ``path`` names it in messages.

    Raises:
        UserError: the first thing wrong with it, in one sentence.
    """
    return studies_of_source(spec, panel, StudySource.of(path, table))


def studies_of_source(spec: ExperimentSpec, panel: MediaPanel, source: StudySource) -> Studies:
    """As ``studies_from_table``, sentences naming the columns that the file itself has."""
    assert spec.calibration is not None  # the caller saw to it
    _check_columns(source)
    records = _records(source, spec)
    _check_days(source, panel, records)
    last_days = period_ends(panel)
    for i, record in enumerate(records):
        try:
            study_rows(record.study, panel.dates, last_days, spec.calibration.convention)
        except RangeError as error:
            raise source.fail("start", f"{error}; set calibration.convention: correct", i) from None
    arrays = lift_studies([r.study for r in records], panel.dates, last_days, spec.calibration.convention)
    unused = [str(c) for c in source.table.columns if str(c) not in (*REQUIRED, *OPTIONAL)]
    return Studies(records, arrays, (*unused_columns(unused), *notice(spec, panel, records, arrays)))


def _check_columns(source: StudySource) -> None:
    known = [str(name) for name in source.table.columns]
    for column in REQUIRED:
        if column not in known:
            raise UserError(
                f"{source.path}: there is no column {column!r}; a table of lift studies needs "
                f"{', '.join(REQUIRED)}, this one has {', '.join(known)}"
            )
    for column, other in (("lower", "upper"), ("upper", "lower")):
        if column in known and other not in known:
            raise UserError(f"{source.path}: there is a column {column!r} but none {other!r}; add it")


def _records(source: StudySource, spec: ExperimentSpec) -> tuple[StudyRecord, ...]:
    starts, ends = source.days("start"), source.days("end")
    estimates = source.numbers("estimate", "fill it or delete the row")
    optional = {
        c: optional_numbers(source, c) for c in ("lower", "upper", "level", "standard_error", "spend")
    }
    labels = _optional_texts(source, "source")
    _check_metric(source, spec)
    records = []
    for i in range(len(source.table)):
        if estimates[i] == 0:
            problem = (
                "is 0, and an error in percent of 0 does not exist; delete the row, or give what was found"
            )
            raise source.fail("estimate", problem, i)
        lower, upper, level, error = _interval(source, i, float(estimates[i]), optional)
        study = LiftStudy(
            channels=_channels(source, spec, i),
            start=starts[i],
            end=ends[i],
            estimate=float(estimates[i]),
            scope=_scope(source, i),
            standard_error=error,
        )
        records.append(StudyRecord(study, lower, upper, level, float(optional["spend"][i]), labels[i]))
    return tuple(records)


def _optional_texts(source: StudySource, column: str) -> list[str]:
    if column not in source.table:
        return [""] * len(source.table)
    return ["" if is_missing(cell) else str(cell).strip() for cell in source.table[column].tolist()]


def _check_metric(source: StudySource, spec: ExperimentSpec) -> None:
    for i, metric in enumerate(_optional_texts(source, "metric")):
        if metric and metric != spec.outcome.column:
            problem = (
                f"is {shown(metric)}, but the outcome of the spec is {spec.outcome.column!r}; delete the row"
            )
            raise source.fail("metric", problem, i)


def _channels(source: StudySource, spec: ExperimentSpec, i: int) -> tuple[str, ...]:
    """The media of one row; a name that holds a plus itself is understood."""
    cell = source.table["channel"].tolist()[i]
    if is_missing(cell):
        raise source.fail("channel", "is empty; name a channel, or several as tv+search", i)
    known = spec.media_names
    names = tuple(split_names(str(cell), known, BETWEEN))
    for name in names:
        if name not in known:
            problem = f"names {shown(name)}, which is no channel of the spec; {_near_channel(spec, name)}"
            raise source.fail("channel", problem, i)
        if names.count(name) > 1:
            raise source.fail("channel", f"names {name!r} twice; name it once", i)
    return names


def _near_channel(spec: ExperimentSpec, name: str) -> str:
    """What may have been meant: the channel of this column, or one spelt nearly so."""
    of_column = {column: c.name for c in spec.channels for column in (c.spend, c.exposure)}
    of_column |= {o.column: o.name for o in spec.organic}
    close = difflib.get_close_matches(name, spec.media_names, n=1)
    meant = of_column.get(name, close[0] if close else None)
    return f"did you mean {meant!r}?" if meant else f"the spec has {', '.join(spec.media_names)}"


def _scope(source: StudySource, i: int) -> Scope:
    cell = source.table["scope"].tolist()[i]
    try:
        return Scope(str(cell).strip().lower())
    except ValueError:
        raise source.fail("scope", f"is {shown(cell)}, expected {' or '.join(Scope)}", i) from None


def _interval(
    source: StudySource, i: int, estimate: float, given: dict[str, FloatArray]
) -> tuple[float, float, float, float]:
    """(lower, upper, level, standard error) of one row, each from what is given; all but the level may stay NaN."""
    lower, upper, level, error = (float(given[c][i]) for c in ("lower", "upper", "level", "standard_error"))
    for column, end, other in (("lower", lower, upper), ("upper", upper, lower)):
        if np.isnan(end) and not np.isnan(other):
            raise source.fail(column, "is missing; give both ends of the interval or none", i)
    if lower > estimate or upper < estimate or lower == upper:
        column = "lower" if lower > estimate or lower == upper else "upper"
        problem = f"is not on its side of the estimate {estimate:g}; expected lower < estimate < upper"
        raise source.fail(column, problem, i)
    if not np.isnan(level) and not 0 < level < 1:
        raise source.fail("level", f"is {level:g}, expected a share between 0 and 1, such as 0.9", i)
    if error <= 0:
        raise source.fail(
            "standard_error", f"is {error:g}, expected more than 0; leave the cell empty if unknown", i
        )
    level = DEFAULT_LEVEL if np.isnan(level) else level
    width = NormalDist().inv_cdf((1 + level) / 2)
    if np.isnan(error):
        error = (upper - lower) / (2 * width)
    if np.isnan(lower):
        lower, upper = estimate - width * error, estimate + width * error
    return lower, upper, level, error


def _check_days(source: StudySource, panel: MediaPanel, records: Sequence[StudyRecord]) -> None:
    first, last = panel.dates[panel.start], period_ends(panel)[panel.stop - 1]
    for i, record in enumerate(records):
        study = record.study
        if study.end < study.start:
            raise source.fail("end", f"is {study.end}, before the start {study.start}; swap them", i)
        for column, day in (("start", study.start), ("end", study.end)):
            if not first <= day <= last:
                problem = (
                    f"is {day}, outside the window ({first} to {last}); widen the window or delete the row"
                )
                raise source.fail(column, problem, i)
