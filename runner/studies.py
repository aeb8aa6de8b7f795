"""Lift studies of the user's: one neutral table, checked against spec and panel, and what models make of them.

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
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.calibration import LiftStudy, lift_studies, predict, study_rows
from mmm_core.errors import RangeError, UserError
from mmm_core.evaluate import split_window
from mmm_core.types import DateArray, FittedModel, FloatArray, LiftStudies, ModelProblem, Scope
from runner.dataset import MediaPanel, next_period
from runner.findings import Finding, Severity
from runner.source import Source, is_missing, read_table, shown
from runner.spec import ExperimentSpec

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

REQUIRED = ("channel", "start", "end", "estimate", "scope")
OPTIONAL = ("lower", "upper", "level", "standard_error", "spend", "metric", "source")
DEFAULT_LEVEL = 0.95
# Spend of a study and of the data further apart than this are probably not the same campaign (Robyn's constant).
SPEND_TOLERANCE = 0.1
REMEDY = "set calibration.path in the spec"


@dataclass(frozen=True)
class StudyRecord:
    """One row of the table, its interval and standard error filled in from each other; NaN and "" where unknown."""

    study: LiftStudy
    lower: float
    upper: float
    level: float
    spend: float
    source: str

    @property
    def channel(self) -> str:
        """Its channels as the table names them."""
        return "+".join(self.study.channels)

    @property
    def label(self) -> str:
        """How a sentence names it."""
        return f"the study of {self.channel} from {self.study.start} to {self.study.end}"


@dataclass(frozen=True, eq=False)
class Studies:
    """The lift studies of a spec, checked: S records, the same as arrays, and what was noticed."""

    records: tuple[StudyRecord, ...]
    arrays: LiftStudies
    findings: tuple[Finding, ...]


# ---------------------------------------------------------------------------------------------------------- reading


def load_studies(spec: ExperimentSpec, panel: MediaPanel) -> Studies | None:
    """Read and check the table that the spec names; None where it names none.

    Raises:
        UserError: the first thing wrong with it, in one sentence.
    """
    if spec.calibration is None:
        return None
    path = spec.calibration.path
    return studies_from_table(spec, panel, read_table(path, REMEDY), path)


def studies_from_table(spec: ExperimentSpec, panel: MediaPanel, table: pd.DataFrame, path: str) -> Studies:
    """The checked studies of a table that is already in memory; ``path`` names it in messages."""
    assert spec.calibration is not None  # the caller saw to it
    source = Source.of(path, table)
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
    return Studies(records, arrays, (*_unused_columns(source), *_notice(spec, panel, records, arrays)))


def period_ends(panel: MediaPanel) -> DateArray:
    """(T,) last day of each period."""
    following: DateArray = np.append(panel.dates[1:], next_period(panel.dates[-1], panel.frequency))
    return following - np.timedelta64(1, "D")


def _check_columns(source: Source) -> None:
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


def _records(source: Source, spec: ExperimentSpec) -> tuple[StudyRecord, ...]:
    starts, ends = source.days("start"), source.days("end")
    estimates = source.numbers("estimate", "fill it or delete the row")
    optional = {
        c: _optional_numbers(source, c) for c in ("lower", "upper", "level", "standard_error", "spend")
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


def _optional_numbers(source: Source, column: str) -> FloatArray:
    """(S,) a column that may be absent or empty; NaN there."""
    out = np.full(len(source.table), np.nan)
    if column in source.table:
        present = np.array([not is_missing(cell) for cell in source.table[column].tolist()])
        filled = Source(source.path, source.table[present], source.rows[present])
        out[present] = filled.numbers(column)
    return out


def _optional_texts(source: Source, column: str) -> list[str]:
    if column not in source.table:
        return [""] * len(source.table)
    return ["" if is_missing(cell) else str(cell).strip() for cell in source.table[column].tolist()]


def _check_metric(source: Source, spec: ExperimentSpec) -> None:
    for i, metric in enumerate(_optional_texts(source, "metric")):
        if metric and metric != spec.outcome.column:
            problem = (
                f"is {shown(metric)}, but the outcome of the spec is {spec.outcome.column!r}; delete the row"
            )
            raise source.fail("metric", problem, i)


def _channels(source: Source, spec: ExperimentSpec, i: int) -> tuple[str, ...]:
    """The media of one row; a name that holds a plus itself is understood."""
    cell = source.table["channel"].tolist()[i]
    if is_missing(cell):
        raise source.fail("channel", "is empty; name a channel, or several as tv+search", i)
    whole, known = str(cell).strip(), spec.media_names
    names = (whole,) if whole in known else tuple(name.strip() for name in whole.split("+"))
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


def _scope(source: Source, i: int) -> Scope:
    cell = source.table["scope"].tolist()[i]
    try:
        return Scope(str(cell).strip().lower())
    except ValueError:
        raise source.fail("scope", f"is {shown(cell)}, expected {' or '.join(Scope)}", i) from None


def _interval(
    source: Source, i: int, estimate: float, given: dict[str, FloatArray]
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


def _check_days(source: Source, panel: MediaPanel, records: Sequence[StudyRecord]) -> None:
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


# ---------------------------------------------------------------------------------------------------------- findings


def _unused_columns(source: Source) -> list[Finding]:
    unused = [str(c) for c in source.table.columns if str(c) not in (*REQUIRED, *OPTIONAL)]
    if not unused:
        return []
    details = f"Columns of the lift studies that are not used: {', '.join(unused)}."
    return [Finding("study-columns-unused", Severity.INFO, details)]


def _notice(
    spec: ExperimentSpec, panel: MediaPanel, records: Sequence[StudyRecord], arrays: LiftStudies
) -> list[Finding]:
    """What should be known about studies that can be used."""
    findings = []
    for s, record in enumerate(records):
        rows = slice(int(arrays.first[s]), int(arrays.stop[s]))
        findings += _training(spec, panel, record, rows)
        findings += _exposure(spec, panel, record, rows)
        findings += _size(panel, record, arrays.row_weights[s])
        findings += _spend(spec, panel, record)
    return findings


def _training(spec: ExperimentSpec, panel: MediaPanel, record: StudyRecord, rows: slice) -> list[Finding]:
    """Whether a candidate's training rows hold the study: they are the first ones of the window."""
    low, high = spec.ranges(("train_size",))["train_size"]
    n_train, _ = split_window(panel.stop - panel.start, np.array([low, high]))
    least, most = (panel.start + int(n) for n in n_train)
    if rows.stop <= least:
        return []
    if rows.start >= most:
        return [
            Finding(
                "study-outside-training",
                Severity.WARNING,
                f"No training row sees {record.label}: training ends by {panel.dates[most - 1]} at the latest. It "
                "still judges every model, by what the model expects there, but no model is fitted to its rows.",
                "Set validation.time_series: false, or raise hyperparameters.train_size, to train on them.",
            )
        ]
    return [
        Finding(
            "study-partly-outside-training",
            Severity.INFO,
            f"Some candidates train on only some rows of {record.label}, or on none: training ends between "
            f"{panel.dates[least - 1]} and {panel.dates[most - 1]}.",
        )
    ]


def _exposure(spec: ExperimentSpec, panel: MediaPanel, record: StudyRecord, rows: slice) -> list[Finding]:
    columns = {c.name: c.modelled for c in spec.channels} | {o.name: o.column for o in spec.organic}
    silent = [name for name in record.study.channels if not panel.numeric[columns[name]][rows].any()]
    if not silent:
        return []
    return [
        Finding(
            "study-without-exposure",
            Severity.WARNING,
            f"The data have no exposure of {' and '.join(silent)} in the rows of {record.label}: every model predicts "
            "no immediate effect there, and in total only what earlier exposures left over.",
            "Correct the dates of the study or the data.",
        )
    ]


def _size(panel: MediaPanel, record: StudyRecord, weights: FloatArray) -> list[Finding]:
    whole = float(weights @ panel.outcome)
    if abs(record.study.estimate) <= abs(whole):
        return []
    return [
        Finding(
            "study-larger-than-outcome",
            Severity.WARNING,
            f"The estimate of {record.label}, {record.study.estimate:,.0f}, is more than the whole outcome of its "
            f"days, {whole:,.0f}.",
            "Check its unit: that of the outcome, summed over the days of the study.",
        )
    ]


def _spend(spec: ExperimentSpec, panel: MediaPanel, record: StudyRecord) -> list[Finding]:
    columns = [c.spend for c in spec.channels if c.name in record.study.channels]
    if np.isnan(record.spend) or not columns:
        return []
    arrays = lift_studies([record.study], panel.dates, period_ends(panel))
    known = float(sum(arrays.row_weights[0] @ panel.numeric[column] for column in columns))
    if abs(record.spend - known) <= SPEND_TOLERANCE * known:
        return []
    return [
        Finding(
            "study-spend-differs",
            Severity.WARNING,
            f"By its table {record.label} spent {record.spend:,.0f}, by the data {known:,.0f}.",
            "Check dates and channels of the study; an estimate for other money does not belong to these rows.",
        )
    ]


def diagnose_studies(
    problem: ModelProblem, studies: Studies | None, models: Sequence[FittedModel]
) -> list[Finding]:
    """Studies whose interval holds no selected model's prediction: evidence and models contradict each other."""
    findings = []
    for s, record in enumerate(studies.records if studies else ()):
        predicted = np.array([predict(problem, model).predicted[s] for model in models])
        if np.isnan(record.lower) or ((record.lower <= predicted) & (predicted <= record.upper)).any():
            continue
        findings.append(
            Finding(
                "study-missed",
                Severity.WARNING,
                f"No selected model agrees with {record.label}: it found {record.study.estimate:,.0f} "
                f"({record.lower:,.0f} to {record.upper:,.0f}), they predict {predicted.min():,.0f} to "
                f"{predicted.max():,.0f}.",
                "Check dates, unit and scope of the study, and whether the ranges of the channel's hyperparameters "
                "allow what it found; then decide which to believe.",
            )
        )
    return findings


# ------------------------------------------------------------------------------------------------------------ tables


def studies_table(studies: Studies, metric: str) -> pa.Table:
    """``inputs/studies.parquet``: the studies as used, in the columns that ``studies_from_table`` reads."""
    import pyarrow as pa

    rows = studies.records
    numbers = ("lower", "upper", "level", "spend")
    return pa.table(
        {
            "channel": pa.array([r.channel for r in rows]),
            "start": pa.array(np.array([r.study.start for r in rows])),
            "end": pa.array(np.array([r.study.end for r in rows])),
            "estimate": pa.array([r.study.estimate for r in rows]),
            "scope": pa.array([str(r.study.scope) for r in rows]),
            "standard_error": _nullable([r.study.standard_error for r in rows]),
            **{name: _nullable([getattr(r, name) for r in rows]) for name in numbers},
            "metric": pa.array([metric] * len(rows)),
            "source": pa.array([r.source for r in rows]),
        }
    )


def _nullable(values: Sequence[float]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.float64(), mask=np.isnan(values))


def calibration_table(problem: ModelProblem, studies: Studies, models: Sequence[FittedModel]) -> pa.Table:
    """``calibration.parquet``: per model and study what was found and what the model predicts.

    ``error`` is |predicted - estimate| / |estimate| and ``weight`` its share in the loss; ``is_inside`` says whether
    the prediction lies in the study's interval, null where it has none.
    """
    import pyarrow as pa

    parts = [_calibration_rows(problem, studies, model) for model in models]
    return pa.concat_tables(parts)


def _calibration_rows(problem: ModelProblem, studies: Studies, model: FittedModel) -> pa.Table:
    import pyarrow as pa

    rows, n = studies.records, len(studies.records)
    found = predict(problem, model)
    lower, upper = np.array([r.lower for r in rows]), np.array([r.upper for r in rows])
    is_inside = (lower <= found.predicted) & (found.predicted <= upper)
    return pa.table(
        {
            "candidate": pa.array([model.candidate] * n),
            "study": pa.array(range(1, n + 1), pa.int32()),
            "channel": pa.array([r.channel for r in rows]),
            "scope": pa.array([str(r.study.scope) for r in rows]),
            "start": pa.array(np.array([r.study.start for r in rows])),
            "end": pa.array(np.array([r.study.end for r in rows])),
            "estimate": pa.array([r.study.estimate for r in rows]),
            "lower": _nullable(lower.tolist()),
            "upper": _nullable(upper.tolist()),
            "predicted": pa.array(found.predicted),
            "error": pa.array(found.error),
            "weight": pa.array(studies.arrays.error_weights),
            "is_inside": pa.array(is_inside, mask=np.isnan(lower)),
            "source": pa.array([r.source for r in rows]),
        }
    )
