"""What a plan is asked for: goal, dates, flighting and limits, with the user's own table of amounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from mmm_core.allocator import Bounds
from mmm_core.errors import UserError
from mmm_core.goals import BudgetRule, MaxResponse, Scenario, TargetEfficiency, TargetOutcome
from mmm_core.planning import Cells, Laying, PlanRules
from mmm_core.types import FloatArray
from runner.findings import Finding, Severity
from runner.plans.calendar import Calendar
from runner.source import Source, is_missing, near_name, number, read_table, shown
from runner.spec import DEFAULT_BOUNDS

GOALS = ("max_response", "target_efficiency", "target_outcome")
AMOUNTS = {"spend": "fixed", "lower": "lower", "upper": "upper"}
PLAN_REMEDY = "correct --plan"
# How far a free flighting moves periods from the kept plan: without a limit its plans promise more than twice as much
# and truly bring less (docs/plan.md).
REACH = 0.3


@dataclass(frozen=True)
class PlanRequest:
    """One question.

    Attributes:
        start, end: first and last day of the plan.
        goal: max_response, target_efficiency or target_outcome. target: of the latter two.
        marginal: whether the last unit of money must earn a target_efficiency, not the mean.
        budget: of a max_response; default the reference spend. at_most: whether some may be left over.
        flighting: kept, constant or free.
        bounds: channel (or "default") to (low, high) multiples of its reference spend over the horizon.
        period_bounds: the same of its reference spend in every period.
        reach: of a free flighting: how far a period may be from the kept plan, in parts of it; infinite for anywhere,
            None for REACH, or anywhere within ``period_bounds``.
        fixed: channel to its spend over the horizon.
        table: path of a table of amounts by date and channel. context: path of a table of what is to come.
        candidates: models to plan with; default all selected ones.
        name: of the plan.
    Raises:
        UserError: what is asked for makes no sense.
    """

    start: date
    end: date
    goal: str = "max_response"
    target: float | None = None
    marginal: bool = False
    budget: float | None = None
    at_most: bool = False
    flighting: str = "kept"
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    period_bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reach: float | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)
    table: str | None = None
    context: str | None = None
    candidates: tuple[str, ...] = ()
    name: str | None = None

    def __post_init__(self) -> None:
        if self.goal not in GOALS:
            raise UserError(f"--goal {self.goal}: expected one of {', '.join(GOALS)}")
        if self.flighting not in list(Laying):
            raise UserError(f"--flighting {self.flighting}: expected one of {', '.join(Laying)}")
        if self.goal == "max_response":
            if self.target is not None:
                raise UserError(
                    "--target belongs to the goals target_efficiency and target_outcome; give --goal"
                )
        elif self.target is None:
            raise UserError(f"--goal {self.goal} needs --target")
        elif self.budget is not None:
            raise UserError(f"--goal {self.goal} finds the budget itself; remove --budget")
        if self.marginal and self.goal != "target_efficiency":
            raise UserError("--marginal belongs to --goal target_efficiency")
        if self.reach is not None:
            if self.flighting != Laying.FREE:
                raise UserError(f"--reach belongs to --flighting free; the flighting is {self.flighting}")
            if not self.reach >= 0:
                raise UserError(f"--reach {self.reach:g}: expected a part of the kept plan from 0, or inf")
        for name in ("budget", "target"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise UserError(f"--{name} {value:g}: expected a number from 0")

    @property
    def plan_name(self) -> str:
        """The name asked for, or one made of dates and goal."""
        return self.name or f"{self.start}-{self.end}-{self.goal.replace('_', '-')}-{self.flighting}"

    def scenario(self, rest: float = 0.0) -> Scenario:
        """The core's word for the goal; ``rest`` is what of a target outcome comes without the plan's money."""
        if self.goal == "max_response":
            return MaxResponse(self.budget, rule=BudgetRule.AT_MOST if self.at_most else BudgetRule.EQUAL)
        assert self.target is not None  # seen to above
        if self.goal == "target_outcome":
            return TargetOutcome(self.target, rest)
        return TargetEfficiency(self.target, self.marginal)

    def rules(self, channels: Sequence[str], cells: Cells) -> PlanRules:
        """Flighting and limits for the core.

        Raises:
            UserError: a channel that does not exist, or bounds that are none.
        """
        for option, names in (
            ("--bounds", self.bounds),
            ("--period-bounds", self.period_bounds),
            ("--fixed", self.fixed),
        ):
            for name in names:
                if name not in channels and not (name == "default" and option != "--fixed"):
                    raise UserError(
                        f"{option} {name}: there is no such channel; {near_name(name, list(channels))}"
                    )
        for name, amount in self.fixed.items():
            if not (np.isfinite(amount) and amount >= 0):
                raise UserError(f"--fixed {name}={amount:g}: expected an amount from 0")
        bounds = Bounds(
            default=self.bounds.get("default", DEFAULT_BOUNDS[self.goal]),
            channels={name: pair for name, pair in self.bounds.items() if name != "default"},
            amounts={name: (amount, amount) for name, amount in self.fixed.items()},
        )
        return PlanRules(Laying(self.flighting), bounds, self._period_bounds(), cells, self.free_reach)

    @property
    def free_reach(self) -> float | None:
        """The reach for the core."""
        if self.flighting != Laying.FREE or self.reach == np.inf:
            return None
        default = None if self.period_bounds else REACH
        return default if self.reach is None else self.reach

    def _period_bounds(self) -> Bounds | None:
        if not self.period_bounds:
            return None
        own = {name: pair for name, pair in self.period_bounds.items() if name != "default"}
        return Bounds(default=self.period_bounds.get("default"), channels=own)


def parse_pairs(option: str, texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """``low,high`` or ``channel=low,high`` as a table; the rest is called default."""
    pairs: dict[str, tuple[float, float]] = {}
    for text in texts:
        channel, equals, pair = text.rpartition("=")
        try:
            low, high = (float(part) for part in pair.split(","))
        except ValueError:
            raise UserError(
                f"{option} {text}: expected low,high or channel=low,high, such as 0.7,1.5"
            ) from None
        if not 0 <= low <= high < np.inf:
            raise UserError(f"{option} {text}: expected 0 <= low <= high")
        pairs[channel if equals else "default"] = (low, high)
    return pairs


def parse_amounts(option: str, texts: Sequence[str]) -> dict[str, float]:
    """``channel=amount`` as a table."""
    amounts: dict[str, float] = {}
    for text in texts:
        channel, equals, amount = text.rpartition("=")
        try:
            amounts[channel] = float(amount)
        except ValueError:
            equals = ""
        if not equals or not channel:
            raise UserError(f"{option} {text}: expected channel=amount, such as tv=200000")
    return amounts


def read_cells(path: str | None, channels: Sequence[str], calendar: Calendar) -> tuple[Cells, list[Finding]]:
    """Amounts by date and channel from the user's table.

    Long: columns date, channel and any of spend (fixed), lower, upper. Wide: date and a column of spends per channel.
    Empty cells say nothing.

    Raises:
        UserError: an unknown channel, a date that is none of a period, a row twice, or an amount that is none.
    """
    cells = Cells.none(len(channels), calendar.horizon.n_periods)
    if path is None:
        return cells, []
    source = Source.of(path, read_table(path, PLAN_REMEDY))
    columns = [str(name) for name in source.table.columns]
    if "date" not in columns:
        raise UserError(f"{path}: expected a column date, found {', '.join(columns)}")
    rows, outside = _rows_of(source, calendar)
    if "channel" in columns:
        tables = _long(source, channels, rows, cells)
    else:
        tables = _wide(source, columns, channels, rows, cells)
    return Cells(**tables), outside


def _rows_of(source: Source, calendar: Calendar) -> tuple[list[int | None], list[Finding]]:
    """Position in the horizon of each row of the table, None where it lies outside."""
    days = source.days("date")
    places = {day: row for row, day in enumerate(calendar.planned.tolist())}
    rows: list[int | None] = []
    for i, day in enumerate(days):
        place = places.get(day.astype(object))
        if place is None and calendar.planned[0] <= day <= calendar.planned[-1]:
            raise source.fail(
                "date",
                f"is {day}, not the first day of a period; the plan begins on {calendar.planned[0]}",
                i,
            )
        rows.append(place)
    n_outside = rows.count(None)
    if not n_outside:
        return rows, []
    if n_outside == len(rows):
        raise UserError(
            f"{source.path}: no row lies between {calendar.planned[0]} and {calendar.planned[-1]}; {PLAN_REMEDY}"
        )
    details = f"{n_outside} rows of {source.path} lie outside the dates of the plan and are not used."
    return rows, [Finding("plan-rows-outside", Severity.INFO, details)]


def _long(
    source: Source, channels: Sequence[str], rows: Sequence[int | None], cells: Cells
) -> dict[str, FloatArray]:
    tables = {name: getattr(cells, name).copy() for name in ("fixed", "lower", "upper")}
    given = [column for column in AMOUNTS if column in source.table.columns]
    if not given:
        raise UserError(f"{source.path}: expected a column spend, lower or upper beside date and channel")
    seen: dict[tuple[int, int], int] = {}
    for i, channel in enumerate(str(cell).strip() for cell in source.table["channel"].tolist()):
        if channel not in channels:
            problem = f"is {shown(channel)}, no paid channel; {near_name(channel, list(channels))}"
            raise source.fail("channel", problem, i)
        row = rows[i]
        if row is None:
            continue
        place = (list(channels).index(channel), row)
        if place in seen:
            raise source.fail(
                "channel", f"{channel} stands there twice for one date, also in row {seen[place]}", i
            )
        seen[place] = int(source.rows[i])
        for column in given:
            tables[AMOUNTS[column]][place] = _amount(source, column, i)
    return tables


def _wide(
    source: Source,
    columns: Sequence[str],
    channels: Sequence[str],
    rows: Sequence[int | None],
    cells: Cells,
) -> dict[str, FloatArray]:
    fixed = cells.fixed.copy()
    for column in columns:
        if column != "date" and column not in channels:
            raise UserError(
                f"{source.path}: the column {column!r} is no paid channel; {near_name(column, list(channels))}"
            )
    seen: dict[int, int] = {}
    for i, row in enumerate(rows):
        if row is None:
            continue
        if row in seen:
            raise source.fail("date", f"stands there twice, also in row {seen[row]}; keep one", i)
        seen[row] = int(source.rows[i])
        for p, channel in enumerate(channels):
            if channel in columns:
                fixed[p, row] = _amount(source, channel, i)
    return {"fixed": fixed, "lower": cells.lower, "upper": cells.upper}


def _amount(source: Source, column: str, index: int) -> float:
    """One cell as an amount; NaN where it is empty."""
    cell: Any = source.table[column].iloc[index]
    if is_missing(cell):
        return float("nan")
    try:
        amount = number(cell)
    except (TypeError, ValueError):
        raise source.fail(column, f"is {shown(cell)}, expected an amount such as 1234.5", index) from None
    if not (np.isfinite(amount) and amount >= 0):
        raise source.fail(column, f"is {shown(cell)}; an amount cannot be negative, correct it", index)
    return amount
