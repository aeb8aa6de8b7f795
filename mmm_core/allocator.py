"""Which spend per channel: the most response for a budget or at an efficiency, or the least money for an outcome.

The variables are the channels' spends over the horizon; each channel's response is a ``response.ChannelResponse``, so
the numbers before and after come from one function in one unit, and for a plan equal to history they are the
decomposition's. Over an ensemble of models the response is the mean of the models' responses; one model is an ensemble
of one. ``separable`` finds the optimum.

Axes: P paid channels, N models of the ensemble, S points of a grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Self

import numpy as np

from mmm_core import separable
from mmm_core.errors import ShapeError, UserError
from mmm_core.response import (
    Carryover,
    ChannelResponse,
    Flighting,
    Horizon,
    channel_responses,
    historical_spends,
)
from mmm_core.types import FittedModel, FloatArray, ModelProblem, OutcomeKind, read_only

# Marginal responses that differ by less than this part of the largest count as equal: the response then is within
# about its square of the optimum's.
STATIONARY = 1e-4
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


@dataclass(frozen=True)
class Bounds:
    """Limits of the channels' spends.

    Attributes:
        default: (low, high) multiples of the initial spend, for channels without their own; None takes DEFAULT_BOUNDS.
        channels: channel to its own (low, high) multiples.
        amounts: channel to (low, high) in currency over the horizon, before any multiple.
    """

    default: tuple[float, float] | None = None
    channels: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    amounts: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pairs = [
            (f" of {name}", pair) for table in (self.channels, self.amounts) for name, pair in table.items()
        ]
        if self.default is not None:
            pairs.insert(0, ("", self.default))
        for name, pair in pairs:
            low_high = tuple(pair)
            is_pair = len(low_high) == 2 and np.isfinite(low_high).all()
            if not (is_pair and 0 <= low_high[0] <= low_high[1]):
                raise UserError(f"bounds{name} are {list(pair)}, expected [low, high] with 0 <= low <= high")

    @classmethod
    def of(cls, bounds: BoundsLike) -> Self:
        """From a pair for every channel, or a table of pairs."""
        if bounds is None:
            return cls()
        if isinstance(bounds, Bounds):
            return cls(bounds.default, bounds.channels, bounds.amounts)
        if isinstance(bounds, Mapping):
            return cls(channels=bounds)
        return cls(default=(float(bounds[0]), float(bounds[1])))

    def limits(
        self, goal: str, channels: Sequence[str], reference: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(P,) lowest and (P,) highest spend over the horizon, given what multiples refer to."""
        unknown = [name for name in (*self.channels, *self.amounts) if name not in channels]
        if unknown:
            raise UserError(
                f"bounds name {', '.join(unknown)}, not among the paid channels {', '.join(channels)}"
            )
        default = DEFAULT_BOUNDS[goal] if self.default is None else self.default
        multiples = np.array([self.channels.get(name, default) for name in channels], dtype=np.float64)
        limits = multiples * reference[:, np.newaxis]
        for p, name in enumerate(channels):
            limits[p] = self.amounts.get(name, limits[p])
        return limits[:, 0].copy(), limits[:, 1].copy()


BoundsLike = Bounds | tuple[float, float] | Sequence[float] | Mapping[str, tuple[float, float]] | None


@dataclass(frozen=True, eq=False)
class ResponseSurface:
    """Mean response of the models of an ensemble, channel by channel.

    Attributes:
        members: N tuples of P responses, one tuple a model.
    """

    members: tuple[tuple[ChannelResponse, ...], ...]

    @classmethod
    def of(
        cls,
        problem: ModelProblem,
        models: FittedModel | Sequence[FittedModel],
        horizon: Horizon | None = None,
        carryover: Carryover = Carryover.PLAN,
        flighting: Flighting = Flighting.HISTORICAL,
    ) -> Self:
        """The surface of one model or of several."""
        listed = (models,) if isinstance(models, FittedModel) else tuple(models)
        if not listed:
            raise ShapeError("a plan needs at least one model")
        return cls(tuple(channel_responses(problem, m, horizon, carryover, flighting) for m in listed))

    @property
    def channels(self) -> tuple[ChannelResponse, ...]:
        """P responses of the first model; spends and notes are the same in all."""
        return self.members[0]

    def values(self, x: FloatArray) -> FloatArray:
        """Response of each channel, in the shape (P,) or (P, S) of the spends."""
        return self._mean([[r.response(spend) for r, spend in zip(m, x, strict=True)] for m in self.members])

    def slopes(self, x: FloatArray) -> FloatArray:
        """d response / d spend of each channel, in the shape of the spends."""
        return self._mean([[r.marginal(spend) for r, spend in zip(m, x, strict=True)] for m in self.members])

    @staticmethod
    def _mean(rows: list[list[FloatArray]]) -> FloatArray:
        mean: FloatArray = np.array(rows).sum(axis=0) / len(rows)
        return mean


@dataclass(frozen=True, eq=False)
class PlanPoint:
    """What a plan brings over the horizon, channel by channel."""

    channels: tuple[str, ...]
    outcome_kind: OutcomeKind
    spend: FloatArray  # (P,) currency
    response: FloatArray  # (P,) outcome
    marginal: FloatArray  # (P,) d response / d spend

    @property
    def total_spend(self) -> float:
        """Currency."""
        return float(self.spend.sum())

    @property
    def total_response(self) -> float:
        """Outcome."""
        return float(self.response.sum())

    @property
    def efficiency(self) -> FloatArray:
        """(P,) ROAS = response / spend or CPA = spend / response; NaN without spend."""
        return efficiency(self.outcome_kind, self.spend, self.response)

    @property
    def total_efficiency(self) -> float:
        """ROAS or CPA of all channels together."""
        return float(efficiency(self.outcome_kind, self.total_spend, self.total_response))


def efficiency(kind: OutcomeKind, spend: FloatArray | float, response: FloatArray | float) -> FloatArray:
    """ROAS = response / spend or CPA = spend / response (infinite without response); NaN where nothing is spent."""
    spend, response = np.asarray(spend, dtype=np.float64), np.asarray(response, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = response / spend if kind is OutcomeKind.REVENUE else spend / response
    result: FloatArray = np.where(spend > 0, ratio, np.nan)
    return result


def plan_response(
    problem: ModelProblem,
    models: FittedModel | Sequence[FittedModel],
    spends: Mapping[str, float] | FloatArray,
    horizon: Horizon | None = None,
    carryover: Carryover = Carryover.PLAN,
    flighting: Flighting = Flighting.HISTORICAL,
) -> PlanPoint:
    """What any plan brings, by the function that the allocator optimises.

    Args:
        problem: the data. models: one model, or several whose mean response counts.
        spends: currency over the horizon, by channel (every one named) or shape (P,) in the order of problem.paid.
        horizon, carryover, flighting: as in response.channel_responses.
    Returns:
        PlanPoint.
    Raises:
        UserError: a channel is missing or unknown, or a spend is negative or not finite.
    """
    surface = ResponseSurface.of(problem, models, horizon, carryover, flighting)
    return _point(problem, surface, _spends_of(problem, spends))


def _spends_of(problem: ModelProblem, spends: Mapping[str, float] | FloatArray) -> FloatArray:
    if isinstance(spends, Mapping):
        if set(spends) != set(problem.paid):
            raise UserError(
                f"a plan names {', '.join(spends)}; it must name each of {', '.join(problem.paid)}"
            )
        spends = np.array([spends[channel] for channel in problem.paid])
    values = np.asarray(spends, dtype=np.float64)
    if values.shape != (problem.n_paid,):
        raise ShapeError(f"spends have shape {values.shape}, expected ({problem.n_paid},)")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise UserError("planned spends must be numbers >= 0")
    return values


def _point(problem: ModelProblem, surface: separable.Surface, spends: FloatArray | None) -> PlanPoint:
    nothing = np.full(problem.n_paid, np.nan)
    return PlanPoint(
        channels=problem.paid,
        outcome_kind=problem.outcome_kind,
        spend=read_only(nothing if spends is None else spends),
        response=read_only(nothing if spends is None else surface.values(spends)),
        marginal=read_only(nothing if spends is None else surface.slopes(spends)),
    )


@dataclass(frozen=True, eq=False)
class Plan:
    """A scenario's answer.

    Attributes:
        scenario, horizon, carryover, flighting: what was asked.
        start, end: first day of the first and of the last period of the horizon, ISO.
        candidates: N models that it rests on.
        status: infeasible plans carry no optimised numbers (NaN).
        message: one sentence.
        notes: sentences on channels that need one.
        initial, optimised: before and after, by the same function.
        lower, upper: (P,) bounds of the spends, currency over the horizon.
        total_budget: asked of a MaxResponse, else None.
        nearest_budget: the feasible budget nearest to one that the bounds cannot hold.
        best_efficiency: the best ROAS or CPA (marginal, if that was asked) within the bounds, where the target is out
            of reach.
        best_outcome: the largest outcome within the bounds, where a TargetOutcome is out of reach.
        upper_bound: no plan (and with a marginal target or a target outcome: none of as much money) can bring more
            response than this, up to the resolution of the search grid.
    """

    scenario: Scenario
    horizon: Horizon
    carryover: Carryover
    flighting: Flighting
    start: str
    end: str
    candidates: tuple[str, ...]
    status: PlanStatus
    message: str
    notes: tuple[str, ...]
    initial: PlanPoint
    optimised: PlanPoint
    lower: FloatArray
    upper: FloatArray
    total_budget: float | None = None
    nearest_budget: float | None = None
    best_efficiency: float | None = None
    best_outcome: float | None = None
    upper_bound: float = float("nan")

    @property
    def lift(self) -> float:
        """Optimised over initial response, less 1; NaN if infeasible."""
        before = self.initial.total_response
        return self.optimised.total_response / before - 1 if before > 0 else float("nan")

    def table(self, scenario: str = "") -> dict[str, list[Any]]:
        """Columns of the plan's table, one row a channel, under the scenario's name."""
        metric = self.initial.outcome_kind.efficiency
        points = {"initial": self.initial, "optimised": self.optimised}
        columns: dict[str, list[Any]] = {
            "channel": list(self.initial.channels),
            "initial_spend": self.initial.spend.tolist(),
            "lower_spend": self.lower.tolist(),
            "upper_spend": self.upper.tolist(),
            "optimised_spend": self.optimised.spend.tolist(),
        }
        columns |= {f"{name}_response": point.response.tolist() for name, point in points.items()}
        columns |= {f"{name}_marginal": point.marginal.tolist() for name, point in points.items()}
        columns |= {f"{name}_{metric}": point.efficiency.tolist() for name, point in points.items()}
        constants = {
            "scenario": scenario,
            "goal": self.scenario.goal,
            "status": str(self.status),
            "carryover": str(self.carryover),
            "flighting": str(self.flighting),
            "start": self.start,
            "end": self.end,
            "n_periods": self.horizon.n_periods,
        }
        return columns | {name: [value] * len(self.lower) for name, value in constants.items()}


@dataclass(frozen=True)
class _Terms:
    """What a plan is for, and how its spend becomes exposure."""

    horizon: Horizon
    carryover: Carryover
    flighting: Flighting


@dataclass(frozen=True, eq=False)
class _Question:
    """A scenario in numbers: the response within the bounds, and where history stands."""

    box: separable.Box
    initial: FloatArray
    n_periods: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Answer:
    """Spends (None if infeasible), the status and what explains it."""

    status: PlanStatus
    message: str
    spends: FloatArray | None = None
    notes: tuple[str, ...] = ()
    total_budget: float | None = None
    nearest_budget: float | None = None
    best_efficiency: float | None = None
    best_outcome: float | None = None
    upper_bound: float = float("nan")


def allocate(
    problem: ModelProblem,
    models: FittedModel | Sequence[FittedModel],
    scenario: Scenario,
    *,
    horizon: Horizon | None = None,
    bounds: BoundsLike = None,
    carryover: Carryover = Carryover.PLAN,
    flighting: Flighting = Flighting.HISTORICAL,
    keep_zero_coefficients: bool = True,
    seed: int = 0,
) -> Plan:
    """The best spends of a scenario.

    MaxResponse: maximise sum_p R_p(x_p) s.t. sum x = budget (or <=). TargetEfficiency: maximise sum_p R_p(x_p) s.t.
    sum_p R_p(x_p) >= target * sum x (conversions: sum x <= target * sum_p R_p); with a marginal target: maximise
    sum_p R_p(x_p) - target * sum x. TargetOutcome: minimise sum x s.t. sum_p R_p(x_p) >= target - rest. All within the
    bounds; R_p is the mean over the models. The plan is no worse than the initial one whenever that one is allowed.

    Args:
        problem: the data.
        models: one model or several of the same problem.
        scenario: MaxResponse, TargetEfficiency or TargetOutcome.
        horizon: rows planned for; default the modelling window.
        bounds: a pair (low, high) of multiples of the initial spend for all channels, a table of pairs by channel, or
            Bounds (which also takes amounts); default DEFAULT_BOUNDS. For a channel without spend in the horizon
            they are multiples of the window's mean.
        carryover, flighting: see response.Carryover and response.Flighting.
        keep_zero_coefficients: False gives channels without effect in any model no spend at all, whatever their
            bounds (Robyn's default).
        seed: of the random starts.
    Returns:
        Plan; look at its status first.
    Raises:
        UserError: bounds name an unknown channel, the horizon lies outside the data.
    Source: scenarios, bounds and defaults of Robyn 3.12.1, allocator.R; its efficiency constraint has a wrong gradient
        and its solver's status is ignored, neither of which is so here.
    """
    listed = (models,) if isinstance(models, FittedModel) else tuple(models)
    terms = _Terms(horizon or Horizon.window(problem), Carryover(carryover), Flighting(flighting))
    question = _question(problem, listed, scenario.goal, terms, bounds, keep_zero_coefficients)
    return _plan(problem, listed, scenario, terms, question, _answered(question, scenario, problem, seed))


def _answered(question: _Question, scenario: Scenario, problem: ModelProblem, seed: int) -> _Answer:
    if isinstance(scenario, MaxResponse):
        return _best_response(question, scenario, seed)
    if isinstance(scenario, TargetOutcome):
        return _least_money(question, scenario, seed)
    if scenario.marginal:
        return _on_marginal_target(question, scenario, problem, seed)
    return _on_target(question, scenario, problem.outcome_kind, seed)


def _plan(
    problem: ModelProblem,
    models: Sequence[FittedModel],
    scenario: Scenario,
    terms: _Terms,
    question: _Question,
    answer: _Answer,
) -> Plan:
    return Plan(
        scenario=scenario,
        horizon=terms.horizon,
        carryover=terms.carryover,
        flighting=terms.flighting,
        start=str(problem.dates[terms.horizon.start]),
        end=str(problem.dates[terms.horizon.stop - 1]),
        candidates=tuple(model.candidate for model in models),
        status=answer.status,
        message=answer.message,
        notes=(*question.notes, *answer.notes),
        initial=_point(problem, question.box.surface, question.initial),
        optimised=_point(problem, question.box.surface, answer.spends),
        lower=read_only(question.box.lower),
        upper=read_only(question.box.upper),
        total_budget=answer.total_budget,
        nearest_budget=answer.nearest_budget,
        best_efficiency=answer.best_efficiency,
        best_outcome=answer.best_outcome,
        upper_bound=answer.upper_bound,
    )


def budget_limits(
    problem: ModelProblem,
    goal: str = MaxResponse.goal,
    *,
    horizon: Horizon | None = None,
    bounds: BoundsLike = None,
    carryover: Carryover = Carryover.PLAN,
) -> tuple[float, float]:
    """Smallest and largest total spend over the horizon that the bounds can hold; needs no model.

    Args:
        problem, horizon, bounds, carryover: as in allocate. goal: of the scenario, for its default bounds.
    Returns:
        Two amounts in currency.
    """
    _, reference = historical_spends(problem, horizon or Horizon.window(problem), carryover)
    lower, upper = Bounds.of(bounds).limits(goal, problem.paid, reference)
    return float(lower.sum()), float(upper.sum())


def _question(
    problem: ModelProblem,
    models: Sequence[FittedModel],
    goal: str,
    terms: _Terms,
    bounds: BoundsLike,
    keep_zero_coefficients: bool,
) -> _Question:
    surface = ResponseSurface.of(problem, models, terms.horizon, terms.carryover, terms.flighting)
    initial = np.array([r.initial_spend for r in surface.channels])
    reference = np.array([r.reference_spend for r in surface.channels])
    lower, upper = Bounds.of(bounds).limits(goal, problem.paid, reference)
    without_effect = np.array(
        [all(r.coef == 0 for r in column) for column in zip(*surface.members, strict=True)]
    )
    if not keep_zero_coefficients:
        lower, upper = np.where(without_effect, 0.0, lower), np.where(without_effect, 0.0, upper)
    notes = [r.note for r in surface.channels if r.note]
    for p, channel in enumerate(problem.paid):
        if without_effect[p]:
            notes.append(_no_effect_note(channel, len(surface.members), keep_zero_coefficients))
        elif upper[p] == 0:
            notes.append(f"{channel} is closed by its bounds and gets no spend")
    box = separable.Box(surface, lower, upper)
    return _Question(box, initial, terms.horizon.n_periods, tuple(notes))


def _no_effect_note(channel: str, n_models: int, kept: bool) -> str:
    where = "the model" if n_models == 1 else "every model"
    share = (
        "it gets no more than bounds and budget force on it" if kept else "it is left out and gets no spend"
    )
    return f"{channel} has coefficient 0 in {where}, so no spend on it brings response: {share}"


# -------------------------------------------------------------------------------------------------------- max_response


def _best_response(question: _Question, scenario: MaxResponse, seed: int) -> _Answer:
    budget = _budget(question, scenario)
    held = float(question.box.lower.sum()), float(question.box.upper.sum())
    nearest = min(max(budget, held[0]), held[1])
    if scenario.rule is BudgetRule.AT_MOST:
        nearest = max(budget, held[0])
    if abs(nearest - budget) > ROUNDING * max(budget, nearest):
        message = (
            f"infeasible: the bounds hold a total of {_number(held[0])} to {_number(held[1])} and the budget is "
            f"{_number(budget)}; the nearest feasible budget is {_number(nearest)}"
        )
        return _Answer(PlanStatus.INFEASIBLE, message, total_budget=budget, nearest_budget=nearest)
    constraint = separable.Budget(nearest, scenario.rule is BudgetRule.EQUAL)
    solution = separable.maximise(question.box, constraint, [question.initial], seed)
    return _answer(question, solution, f"a budget of {_number(budget)}", total_budget=budget)


def _budget(question: _Question, scenario: MaxResponse) -> float:
    if scenario.total_budget is not None:
        return scenario.total_budget
    if scenario.budget_per_period is not None:
        return scenario.budget_per_period * question.n_periods
    return float(question.initial.sum())


def _answer(
    question: _Question, solution: separable.Solution, what: str, total_budget: float | None = None
) -> _Answer:
    before = float(question.box.surface.values(question.initial).sum())
    brings = f"{what} brings a response of {_number(solution.value)}"
    if before > 0:
        brings += f", {solution.value / before - 1:+.1%} against the initial plan"
    is_optimal = solution.violation <= ROUNDING and solution.stationarity <= STATIONARY
    status = PlanStatus.SOLVED if is_optimal else PlanStatus.NOT_CONVERGED
    message = f"solved: {brings}"
    if not is_optimal:
        message = (
            f"not converged: {brings}, but it is not the optimum: marginal responses that should be equal differ by "
            f"{solution.stationarity:.2g} of the largest, and the constraint is missed by {solution.violation:.2g}"
        )
    return _Answer(status, message, solution.x, total_budget=total_budget, upper_bound=solution.upper_bound)


# --------------------------------------------------------------------------------------------------- target_efficiency


def _on_target(question: _Question, scenario: TargetEfficiency, kind: OutcomeKind, seed: int) -> _Answer:
    is_revenue = kind is OutcomeKind.REVENUE
    rate = scenario.rate(kind)
    starts = [question.initial]
    if not question.box.path.reaches(rate):
        # The grid is too coarse to tell just reachable from out of reach.
        ratio, best = separable.best_ratio(question.box)
        if ratio < rate:
            return _out_of_reach(scenario, kind, ratio)
        starts.append(best)
    solution = separable.maximise(question.box, separable.Efficiency(rate), starts, seed)
    reached = float(efficiency(kind, float(solution.x.sum()), solution.value))
    limit = "at least" if is_revenue else "at most"
    what = f"a {kind.efficiency.upper()} of {_number(reached)} ({limit} {_number(scenario.target)} asked)"
    return _answer(question, solution, what)


def _on_marginal_target(
    question: _Question, scenario: TargetEfficiency, problem: ModelProblem, seed: int
) -> _Answer:
    kind, box = problem.outcome_kind, question.box
    rate = scenario.rate(kind)
    ratio = separable.best_gain(box)
    if ratio < rate:
        return _out_of_reach(scenario, kind, ratio)
    solution = separable.maximise(box, separable.Price(rate), seed=seed)
    slopes = box.usable_slopes(solution.x)
    raised = solution.x > box.lower + separable.AT_BOUND * box.span
    last = _as_efficiency(kind, float(slopes[raised].min(initial=np.inf)))
    limit = "at least" if kind is OutcomeKind.REVENUE else "at most"
    what = (
        f"a marginal {kind.efficiency.upper()} of {_number(last)} ({limit} {_number(scenario.target)} asked)"
    )
    answer = _answer(question, solution, what)
    held = ~raised & (box.lower > 0) & (slopes < rate)
    notes = [
        f"{problem.paid[p]} is held at its lower bound, where its marginal {kind.efficiency.upper()} is "
        f"{_number(_as_efficiency(kind, float(slopes[p])))}"
        for p in np.flatnonzero(held)
    ]
    return replace(answer, notes=tuple(notes))


def _as_efficiency(kind: OutcomeKind, rate: float) -> float:
    """Response per unit of money as a ROAS or a CPA."""
    if kind is OutcomeKind.REVENUE:
        return rate
    return 1.0 / rate if rate > 0 else float("inf")


def _out_of_reach(scenario: TargetEfficiency, kind: OutcomeKind, ratio: float) -> _Answer:
    metric = "marginal " * scenario.marginal + kind.efficiency.upper()
    message = f"infeasible: a {metric} of {_number(scenario.target)} is out of reach within the bounds"
    if not np.isfinite(ratio) or (ratio <= 0 and kind is OutcomeKind.CONVERSION):
        return _Answer(PlanStatus.INFEASIBLE, f"{message}, which allow no spend that brings response")
    best = ratio if kind is OutcomeKind.REVENUE else 1.0 / ratio
    message += f"; the best attainable is {_number(best)}"
    return _Answer(PlanStatus.INFEASIBLE, message, best_efficiency=best)


# ------------------------------------------------------------------------------------------------------ target_outcome


def _least_money(question: _Question, scenario: TargetOutcome, seed: int) -> _Answer:
    box, rest = question.box, scenario.rest
    whole = "an outcome" if rest else "a response"
    largest = float(box.surface.values(separable.top(box)).sum())
    if largest < scenario.response - ROUNDING * abs(scenario.target):
        message = (
            f"infeasible: {whole} of {_number(scenario.target)} is out of reach within the bounds; the largest is "
            f"{_number(rest + largest)}"
        )
        return _Answer(PlanStatus.INFEASIBLE, message, best_outcome=rest + largest)
    wanted = min(scenario.response, largest)
    solution = separable.maximise(box, separable.Reach(wanted), [question.initial], seed)
    # A target next to nothing of which rounding alone is missing is not missed.
    if solution.violation * abs(wanted) <= ROUNDING * abs(scenario.target):
        solution = replace(solution, violation=0.0)
    money = _number(float(solution.x.sum()))
    what = (
        f"{whole} of {_number(rest + solution.value)} ({_number(scenario.target)} asked) takes {money}, which"
    )
    return _answer(question, solution, what)


def _number(value: float) -> str:
    """Thousands in full, small numbers with four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
