"""What is not money, in periods to come: baseline from Prophet, context and organic media given or as a year before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.features import ProphetFit, factor_levels, fit_prophet
from mmm_core.flight import year_before
from mmm_core.types import FloatArray, ModelProblem, Role
from runner.baseline import fit_baseline, holidays_to_come, read_holidays
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.plans.calendar import Calendar
from runner.problem import context_columns
from runner.source import Source, read_table
from runner.spec import ExperimentSpec

CONTEXT_REMEDY = "correct --context"
# Earlier forecasts that tell how far such a one goes wrong.
N_BACKTESTS = 4
# Columns of the run's own baseline and of a new fit that differ more than this are not the same fit.
SAME_FIT = 1e-6


@dataclass(frozen=True, eq=False)
class ToCome:
    """Design columns on and behind the data.

    Attributes:
        columns: name -> (N,) every column but the paid channels', from the data's first period to the plan's end.
        trend_noise: (S, n_later) draws of what Prophet's trend may do behind the data; zeros without one.
        assumed: columns that nobody told and that are taken to be as a year before.
        misses: how the same forecast missed the baseline's columns where the data tell.
        findings: what had to be assumed.
    """

    columns: Mapping[str, FloatArray]
    trend_noise: FloatArray
    assumed: tuple[str, ...] = ()
    misses: tuple[Miss, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, eq=False)
class Miss:
    """Prophet, fitted on the rows before ``start``, against the columns of a fit on all rows, for [start, stop).

    Attributes:
        start, stop: rows of the data. columns: name -> (stop - start,) forecast less the column of the run.
    """

    start: int
    stop: int
    columns: Mapping[str, FloatArray]


@dataclass(eq=False)
class _Given:
    """The user's table of what is to come, column by column; what it does not hold is asked for elsewhere."""

    source: Source | None
    rows: Mapping[Any, int]
    used: set[str] = field(default_factory=set)

    def holds(self, column: str) -> bool:
        return self.source is not None and column in self.source.table.columns

    def values(self, column: str, days: Sequence[Any]) -> list[Any]:
        """Cells of a column at days, all of which the table must have."""
        assert self.source is not None
        self.used.add(column)
        cells = self.source.table[column].tolist()
        return [cells[self.rows[day]] for day in days]


def look_ahead(
    spec: ExperimentSpec,
    panel: MediaPanel,
    problem: ModelProblem,
    calendar: Calendar,
    context: str | None,
    draws: int,
    seed: np.random.SeedSequence,
) -> ToCome:
    """Every column but the paid channels' up to the plan's end.

    Args:
        spec, panel, problem: of the run. calendar: dates of the plan. context: path of the user's table.
        draws: how many of the trend. seed: of them.
    Raises:
        UserError: the table lacks a date or a column that nothing else can tell, or a cell is none.
    """
    known = {
        name: column
        for name, role, column in zip(problem.columns, problem.roles, problem.design, strict=True)
        if role is not Role.PAID
    }
    if len(calendar.to_come) == 0:
        return ToCome(known, np.zeros((draws, 0)))
    given = _read_context(spec, calendar, context)
    findings: list[Finding] = []
    assumed: list[str] = []
    later: dict[str, FloatArray] = {}
    levels = _later_levels(spec, panel, calendar, given, assumed)
    noise = np.zeros((draws, len(calendar.to_come)))
    misses: tuple[Miss, ...] = ()
    if spec.baseline.components:
        fitted, factors = fit_baseline(spec, panel)
        findings += _same_fit(fitted, factors, problem, panel)
        holidays = holidays_to_come(spec, panel, calendar.to_come)
        findings += [*_unknown_holidays(fitted, holidays), *_holidays_end(spec, panel, calendar)]
        later |= fitted.columns(calendar.to_come, levels, holidays)
        noise = fitted.trend_noise(len(calendar.to_come), draws, seed)
        misses = _misses(spec, panel, problem, fitted, factors, len(calendar.to_come))
    later |= _later_numbers(spec, panel, calendar, given, assumed)
    later |= _later_dummies(spec, panel, levels)
    findings += [*_assumed(assumed, calendar), *_unused(given, spec)]
    columns = {name: np.concatenate([column, later[name]]) for name, column in known.items()}
    unsure = tuple(c for c, own in context_columns(spec, panel).items() if own.name in assumed)
    unsure += tuple(o.name for o in spec.organic if o.name in assumed)
    return ToCome(columns, noise, unsure, misses, tuple(findings))


def _read_context(spec: ExperimentSpec, calendar: Calendar, path: str | None) -> _Given:
    if path is None:
        return _Given(None, {})
    source = Source.of(path, read_table(path, CONTEXT_REMEDY))
    day_column = next((c for c in ("date", spec.data.date) if c in source.table.columns), None)
    if day_column is None:
        raise UserError(f"{path}: expected a column date, found {', '.join(map(str, source.table.columns))}")
    days = source.days(day_column).tolist()
    rows = {day: i for i, day in enumerate(days)}
    if len(rows) < len(days):
        twice = next(i for i, day in enumerate(days) if rows[day] != i)
        raise source.fail(day_column, f"{days[twice]} stands there twice; keep one row per date", twice)
    first = max(calendar.horizon.start, calendar.n_known)
    for day in calendar.dates[first:].tolist():
        if day not in rows:
            raise UserError(
                f"{path}: the date {day} of the plan is missing; add a row for every period of it"
            )
    return _Given(source, rows, {day_column})


def _days_asked(calendar: Calendar, given: _Given) -> tuple[list[int], list[Any]]:
    """Rows behind the data that the table can tell, and their days; periods of a gap may be missing from it."""
    days = calendar.to_come.tolist()
    rows = [i for i, day in enumerate(days) if day in given.rows]
    return rows, [days[i] for i in rows]


def _later_numbers(
    spec: ExperimentSpec, panel: MediaPanel, calendar: Calendar, given: _Given, assumed: list[str]
) -> dict[str, FloatArray]:
    """Numeric context, organic media and precomputed columns behind the data."""
    wanted = {c.name: c.column for c in spec.context if c.column in panel.numeric}
    wanted |= {o.name: o.column for o in spec.organic}
    later = {}
    for name, column in wanted.items():
        values = _a_year_before(panel.numeric[column], calendar)
        key = next((k for k in (column, name) if given.holds(k)), None)
        if key is None:
            assumed.append(name)
        else:
            values = _put(values, key, calendar, given, negative=name not in {o.name for o in spec.organic})
        later[name] = values
    for column in spec.baseline.precomputed:
        if not given.holds(column):
            raise UserError(
                f"the baseline column {column!r} comes from the data, and nothing tells it behind them; give it for "
                "every period of the plan in --context"
            )
        later[column] = _put(np.zeros(len(calendar.to_come)), column, calendar, given, negative=True)
    return later


def _put(values: FloatArray, key: str, calendar: Calendar, given: _Given, *, negative: bool) -> FloatArray:
    """Values with those of the table in their place."""
    assert given.source is not None
    rows, days = _days_asked(calendar, given)
    given.values(key, days)
    numbers = given.source.numbers(key, "fill it")
    for i, day in zip(rows, days, strict=True):
        at = given.rows[day]
        if not negative and numbers[at] < 0:
            raise given.source.fail(
                key, f"is negative ({numbers[at]:g}); an organic medium cannot be, correct it", at
            )
        values[i] = numbers[at]
    return values


def _a_year_before(values: FloatArray, calendar: Calendar) -> FloatArray:
    """The same periods of the latest year in the data; the mean of all where there is none."""
    rows = [
        year_before(row, calendar.n_known, calendar.year)
        for row in range(calendar.n_known, len(calendar.dates))
    ]
    return np.array([values.mean() if row is None else values[row] for row in rows])


def _assumed(names: Sequence[str], calendar: Calendar) -> list[Finding]:
    if not names:
        return []
    first = year_before(calendar.n_known, calendar.n_known, calendar.year)
    how = "as in the same periods a year before" if first is not None else "as on the mean of the data"
    them, are = ("it", "is") if len(names) == 1 else ("them", "are")
    details = f"Nothing tells {', '.join(names)} behind the data; {'they' if are == 'are' else 'it'} {are} taken {how}."
    return [
        Finding(
            "plan-context-assumed", Severity.INFO, details, f"Give {them} in --context if you know better."
        )
    ]


def _later_levels(
    spec: ExperimentSpec, panel: MediaPanel, calendar: Calendar, given: _Given, assumed: list[str]
) -> dict[str, list[str]]:
    """Levels of the factors behind the data, by name."""
    later = {}
    for context in spec.context:
        own = panel.factors.get(context.column)
        if own is None:
            continue
        usual = max(sorted(set(own)), key=own.count)
        rows = [
            year_before(row, calendar.n_known, calendar.year)
            for row in range(calendar.n_known, len(calendar.dates))
        ]
        levels = [usual if row is None else own[row] for row in rows]
        key = next((k for k in (context.column, context.name) if given.holds(k)), None)
        if key is None:
            assumed.append(context.name)
        else:
            _put_levels(levels, key, own, calendar, given)
        later[context.name] = levels
    return later


def _put_levels(levels: list[str], key: str, known: Sequence[str], calendar: Calendar, given: _Given) -> None:
    assert given.source is not None
    rows, days = _days_asked(calendar, given)
    given.values(key, days)
    told = given.source.levels(key)
    for i, day in zip(rows, days, strict=True):
        at = given.rows[day]
        if told[at] not in known:
            problem = f"is {told[at]!r}, a level that the data do not have, so that its effect is unknown; they have "
            raise given.source.fail(key, problem + ", ".join(sorted(set(known))), at)
        levels[i] = told[at]


def _later_dummies(
    spec: ExperimentSpec, panel: MediaPanel, levels: Mapping[str, Sequence[str]]
) -> dict[str, FloatArray]:
    """Without Prophet, the columns of the factors themselves."""
    if spec.baseline.components:
        return {}
    owners = context_columns(spec, panel)
    later = {}
    for context in dict.fromkeys(owners.values()):
        if context.name in levels:
            own = np.asarray(levels[context.name], dtype=object)
            for level in factor_levels(panel.factors[context.column]):
                later[f"{context.name}_{level}"] = (own == level).astype(np.float64)
    return later


def _same_fit(
    fitted: ProphetFit, factors: Mapping[str, Sequence[str]], problem: ModelProblem, panel: MediaPanel
) -> list[Finding]:
    """Whether Prophet gives the columns that the run's models were made with."""
    again = fitted.columns(panel.dates, factors)
    scale = float(panel.outcome.std())
    furthest = max(
        float(np.abs(column - problem.design[problem.columns.index(name)]).max())
        for name, column in again.items()
    )
    if furthest <= SAME_FIT * scale:
        return []
    return [
        Finding(
            "plan-baseline-differs",
            Severity.WARNING,
            f"Prophet, fitted again, differs from the columns of the run by up to {furthest:,.0f}, "
            f"{furthest / scale:.2g} standard deviations of the outcome; the forecast goes on from the new fit.",
            "Plan with the versions that made the run (manifest.json), or run it again.",
        )
    ]


def _misses(
    spec: ExperimentSpec,
    panel: MediaPanel,
    problem: ModelProblem,
    fitted: ProphetFit,
    factors: Mapping[str, Sequence[str]],
    n_later: int,
) -> tuple[Miss, ...]:
    """Forecasts as this one from earlier days, as long as it is or a sixth of the data, in the data's second half."""
    known = len(panel.dates)
    length = min(n_later, known // 6)
    found = []
    for start in np.unique(np.linspace(known // 2, known - length, N_BACKTESTS).astype(np.int64)).tolist():
        before, after = slice(0, start), slice(start, start + length)
        early = {name: levels[:start] for name, levels in factors.items()}
        try:
            again = fit_prophet(
                panel.dates[before],
                panel.outcome[before],
                fitted.components,
                fitted.holidays,
                {name: levels for name, levels in early.items() if len(set(levels)) > 1},
                spec.baseline.prophet,
            )
        except UserError:  # too little of something in the early rows
            continue
        later = again.columns(panel.dates[after], {name: levels[after] for name, levels in factors.items()})
        differences = {
            name: column - problem.design[problem.columns.index(name)][after]
            for name, column in later.items()
        }
        found.append(Miss(start, start + length, differences))
    return tuple(found)


def _unknown_holidays(fitted: ProphetFit, holidays: Sequence[Any]) -> list[Finding]:
    unknown = fitted.unknown_holidays(holidays)
    if not unknown:
        return []
    details = (
        f"Holidays that the data have never met in this combination have no effect: {', '.join(unknown)}."
    )
    return [Finding("plan-holiday-unknown", Severity.INFO, details)]


def _holidays_end(spec: ExperimentSpec, panel: MediaPanel, calendar: Calendar) -> list[Finding]:
    """Whether the user's own table of holidays goes as far as the plan, a quarter of a year apart."""
    if "holiday" not in spec.baseline.components or spec.baseline.holidays is None:
        return []
    last = np.datetime64(max(holiday.day for holiday in read_holidays(spec, panel)), "D")
    missing = calendar.to_come > last
    if missing.sum() < calendar.year // 4:
        return []
    return [
        Finding(
            "plan-no-holidays",
            Severity.WARNING,
            f"The table of holidays ends on {last}: the plan's last {missing.sum()} periods have none.",
            "Add the holidays of the plan's dates to baseline.holidays.",
        )
    ]


def _unused(given: _Given, spec: ExperimentSpec) -> list[Finding]:
    if given.source is None:
        return []
    left = [str(c) for c in given.source.table.columns if c not in given.used and c != spec.data.date]
    if not left:
        return []
    details = f"{given.source.path}: the columns {', '.join(left)} are not used; they are none of context or organic."
    return [Finding("plan-context-unused", Severity.INFO, details)]
