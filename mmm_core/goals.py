"""What a plan may be asked for, and what its answer says; who finds the plan is another's business.

A ``Seeker`` knows the limits and finds the best plan for a budget, at a rate, at a price or for a value; ``answer_for``
puts a scenario to it and words what came of it: solved, infeasible with the nearest that can be had, or not converged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import FloatArray, OutcomeKind

# Relative difference between two amounts that is rounding.
ROUNDING = 1e-9


class PlanStatus(StrEnum):
    """How the search for a plan ended."""

    SOLVED = "solved"
    INFEASIBLE = "infeasible"
    NOT_CONVERGED = "not_converged"


class BudgetRule(StrEnum):
    """Whether a budget must be spent."""

    EQUAL = "equal"
    AT_MOST = "at_most"


@dataclass(frozen=True)
class MaxResponse:
    """The most response for a budget: of the horizon, or per period; by default what was spent in the horizon."""

    goal: ClassVar[str] = "max_response"

    total_budget: float | None = None
    budget_per_period: float | None = None
    rule: BudgetRule = BudgetRule.EQUAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", BudgetRule(self.rule))
        if self.total_budget is not None and self.budget_per_period is not None:
            raise UserError("a scenario takes total_budget or budget_per_period, not both")
        for name in ("total_budget", "budget_per_period"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise UserError(f"{name} must be a number >= 0, is {value}")


@dataclass(frozen=True)
class TargetEfficiency:
    """The most response at a ROAS of at least (conversions: at a CPA of at most) the target, over all channels.

    With ``marginal`` it is the last unit of money that must earn the target, not the mean: the plan is the one of the
    largest sum R - target * x (conversions: target * R - x), and money goes on being spent while it earns that much.
    """

    goal: ClassVar[str] = "target_efficiency"

    target: float
    marginal: bool = False

    def __post_init__(self) -> None:
        _check_target(self.target)

    def rate(self, kind: OutcomeKind) -> float:
        """Response that a unit of money must bring."""
        return self.target if kind is OutcomeKind.REVENUE else 1.0 / self.target


@dataclass(frozen=True)
class TargetOutcome:
    """The least money with which the outcome of the horizon reaches a target.

    Attributes:
        target: outcome over the horizon, of everything.
        rest: what comes of it without the paid channels, whose response must bring what is missing; by default the
            target is that of their response alone.
    """

    goal: ClassVar[str] = "target_outcome"

    target: float
    rest: float = 0.0

    def __post_init__(self) -> None:
        _check_target(self.target)
        if not np.isfinite(self.rest):
            raise UserError(f"the outcome without paid channels must be a number, is {self.rest}")

    @property
    def response(self) -> float:
        """What the paid channels must bring."""
        return self.target - self.rest


def _check_target(target: float) -> None:
    if not (np.isfinite(target) and target > 0):
        raise UserError(f"the target of a scenario must be a number above 0, is {target}")


Scenario = MaxResponse | TargetEfficiency | TargetOutcome

# Robyn's defaults, as multiples of the initial spend; a target outcome may take as much as a target efficiency.
DEFAULT_BOUNDS = {"max_response": (0.5, 2.0), "target_efficiency": (0.1, 10.0), "target_outcome": (0.1, 10.0)}


def efficiency(kind: OutcomeKind, spend: FloatArray | float, response: FloatArray | float) -> FloatArray:
    """ROAS = response / spend or CPA = spend / response (infinite without response); NaN where nothing is spent."""
    spend, response = np.asarray(spend, dtype=np.float64), np.asarray(response, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = response / spend if kind is OutcomeKind.REVENUE else spend / response
    result: FloatArray = np.where(spend > 0, ratio, np.nan)
    return result


@dataclass(frozen=True, eq=False)
class Found:
    """The best plan that a seeker found.

    Attributes:
        spends: the plan, in the seeker's own shape. money, value: its totals.
        flaw: what is wrong with it as an optimum, for the end of a sentence; empty if nothing is.
        upper_bound: no plan under the same condition can bring more; NaN if that is not known.
        last: what the last unit of money brings where it brings least, of what stands above its lower limit.
        notes: sentences on channels that need one.
    """

    spends: Any
    money: float
    value: float
    flaw: str = ""
    upper_bound: float = float("nan")
    last: float = float("nan")
    notes: tuple[str, ...] = ()


class Seeker(Protocol):
    """Finds best plans within its limits; deterministic."""

    @property
    def held(self) -> tuple[float, float]:
        """Smallest and largest total that the limits can hold."""
        ...

    @property
    def initial(self) -> tuple[float, float]:
        """Money and value of the plan that changes nothing."""
        ...

    def spend(self, budget: float, is_equal: bool) -> Found:
        """The largest value for a budget that the limits can hold."""
        ...

    def at_rate(self, rate: float) -> Found | float:
        """The largest value that is at least rate * money; where there is none, the best value / money."""
        ...

    def at_price(self, rate: float) -> Found | float:
        """The largest value less rate * money; where no money above the limits is worth it, what the best would be."""
        ...

    def reach(self, value: float) -> Found | float:
        """The least money that brings a value; where none does, the largest value."""
        ...


@dataclass(frozen=True, eq=False)
class Answer:
    """Spends (None if infeasible), the status and what explains it."""

    status: PlanStatus
    message: str
    spends: Any = None
    notes: tuple[str, ...] = ()
    total_budget: float | None = None
    nearest_budget: float | None = None
    best_efficiency: float | None = None
    best_outcome: float | None = None
    upper_bound: float = float("nan")


def answer_for(seeker: Seeker, scenario: Scenario, kind: OutcomeKind, n_periods: int) -> Answer:
    """What comes of a scenario.

    Args:
        seeker: who finds plans. scenario: what is asked. kind: ROAS or CPA. n_periods: of the horizon.
    """
    if isinstance(scenario, MaxResponse):
        return _for_budget(seeker, scenario, n_periods)
    if isinstance(scenario, TargetOutcome):
        return _for_outcome(seeker, scenario)
    found = (seeker.at_price if scenario.marginal else seeker.at_rate)(scenario.rate(kind))
    if not isinstance(found, Found):
        return _out_of_reach(scenario, kind, found)
    reached = found.last if scenario.marginal else found.value / found.money if found.money > 0 else np.nan
    metric = "marginal " * scenario.marginal + kind.efficiency.upper()
    limit = "at least" if kind is OutcomeKind.REVENUE else "at most"
    asked = f"{limit} {number(scenario.target)} asked"
    return _answer(seeker, found, f"a {metric} of {number(as_efficiency(kind, reached))} ({asked})")


def _for_budget(seeker: Seeker, scenario: MaxResponse, n_periods: int) -> Answer:
    budget = budget_of(scenario, seeker.initial[0], n_periods)
    least, most = seeker.held
    nearest = max(budget, least) if scenario.rule is BudgetRule.AT_MOST else min(max(budget, least), most)
    if abs(nearest - budget) > ROUNDING * max(budget, nearest):
        message = (
            f"infeasible: the bounds hold a total of {number(least)} to {number(most)} and the budget is "
            f"{number(budget)}; the nearest feasible budget is {number(nearest)}"
        )
        return Answer(PlanStatus.INFEASIBLE, message, total_budget=budget, nearest_budget=nearest)
    found = seeker.spend(nearest, scenario.rule is BudgetRule.EQUAL)
    return _answer(seeker, found, f"a budget of {number(budget)}", total_budget=budget)


def budget_of(scenario: MaxResponse, initial: float, n_periods: int) -> float:
    """The budget of the horizon: asked for, or what is spent initially."""
    if scenario.total_budget is not None:
        return scenario.total_budget
    if scenario.budget_per_period is not None:
        return scenario.budget_per_period * n_periods
    return initial


def _for_outcome(seeker: Seeker, scenario: TargetOutcome) -> Answer:
    whole = "an outcome" if scenario.rest else "a response"
    found = seeker.reach(scenario.response)
    asked = number(scenario.target)
    if not isinstance(found, Found):
        best = scenario.rest + found
        message = (
            f"infeasible: {whole} of {asked} is out of reach within the bounds; the largest is {number(best)}"
        )
        return Answer(PlanStatus.INFEASIBLE, message, best_outcome=best)
    reached = number(scenario.rest + found.value)
    return _answer(seeker, found, f"{whole} of {reached} ({asked} asked) takes {number(found.money)}, which")


def _answer(seeker: Seeker, found: Found, what: str, total_budget: float | None = None) -> Answer:
    before = seeker.initial[1]
    brings = f"{what} brings a response of {number(found.value)}"
    if before > 0:
        brings += f", {found.value / before - 1:+.1%} against the initial plan"
    status = PlanStatus.NOT_CONVERGED if found.flaw else PlanStatus.SOLVED
    message = f"not converged: {brings}, but {found.flaw}" if found.flaw else f"solved: {brings}"
    return Answer(
        status, message, found.spends, found.notes, total_budget=total_budget, upper_bound=found.upper_bound
    )


def _out_of_reach(scenario: TargetEfficiency, kind: OutcomeKind, ratio: float) -> Answer:
    metric = "marginal " * scenario.marginal + kind.efficiency.upper()
    message = f"infeasible: a {metric} of {number(scenario.target)} is out of reach within the bounds"
    if not np.isfinite(ratio) or (ratio <= 0 and kind is OutcomeKind.CONVERSION):
        return Answer(PlanStatus.INFEASIBLE, f"{message}, which allow no spend that brings response")
    best = as_efficiency(kind, ratio)
    message += f"; the best attainable is {number(best)}"
    return Answer(PlanStatus.INFEASIBLE, message, best_efficiency=best)


def as_efficiency(kind: OutcomeKind, rate: float) -> float:
    """Response per unit of money as a ROAS or a CPA."""
    if kind is OutcomeKind.REVENUE:
        return rate
    return 1.0 / rate if rate > 0 else float("inf")


def number(value: float) -> str:
    """Thousands in full, small numbers with four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
