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
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mmm_core import separable
from mmm_core.errors import ShapeError, UserError
from mmm_core.goals import (
    DEFAULT_BOUNDS,
    ROUNDING,
    Answer,
    BudgetRule,
    Found,
    MaxResponse,
    PlanStatus,
    Scenario,
    TargetEfficiency,
    TargetOutcome,
    answer_for,
    as_efficiency,
    efficiency,
    number,
)
from mmm_core.response import (
    Carryover,
    ChannelResponse,
    Flighting,
    Horizon,
    channel_responses,
    historical_spends,
)
from mmm_core.types import FittedModel, FloatArray, ModelProblem, OutcomeKind, read_only

__all__ = [
    "DEFAULT_BOUNDS",
    "Bounds",
    "BudgetRule",
    "MaxResponse",
    "Plan",
    "PlanPoint",
    "PlanStatus",
    "ResponseSurface",
    "Scenario",
    "SeparableSeeker",
    "TargetEfficiency",
    "TargetOutcome",
    "allocate",
    "budget_limits",
    "efficiency",
    "plan_response",
]

# Marginal responses that differ by less than this part of the largest count as equal: the response then is within
# about its square of the optimum's.
STATIONARY = 1e-4


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
class SeparableSeeker:
    """Finds plans of one spend per channel; see ``goals.Seeker``.

    Attributes:
        box: the response within the bounds. start: (P,) spends that change nothing. channels: their names.
        kind: ROAS or CPA, for notes. seed: of the random starts.
    """

    box: separable.Box
    start: FloatArray
    channels: tuple[str, ...]
    kind: OutcomeKind
    seed: int = 0

    @property
    def held(self) -> tuple[float, float]:
        """Smallest and largest total within the bounds."""
        return float(self.box.lower.sum()), float(self.box.upper.sum())

    @property
    def initial(self) -> tuple[float, float]:
        """Money and response of the start."""
        return float(self.start.sum()), float(self.box.surface.values(self.start).sum())

    def spend(self, budget: float, is_equal: bool) -> Found:
        """The most response for a budget."""
        return self._found(separable.Budget(budget, is_equal), [self.start])

    def at_rate(self, rate: float) -> Found | float:
        """The most response at an efficiency, or the best efficiency."""
        starts = [self.start]
        if not self.box.path.reaches(rate):
            # The grid is too coarse to tell just reachable from out of reach.
            ratio, best = separable.best_ratio(self.box)
            if ratio < rate:
                return ratio
            starts.append(best)
        return self._found(separable.Efficiency(rate), starts)

    def at_price(self, rate: float) -> Found | float:
        """The most response net of its price, or the highest price at which any channel is raised."""
        ratio = separable.best_gain(self.box)
        return ratio if ratio < rate else self._found(separable.Price(rate), [])

    def reach(self, value: float) -> Found | float:
        """The least money that brings a response, or the largest response."""
        largest = float(self.box.surface.values(separable.top(self.box)).sum())
        if largest < value - ROUNDING * abs(value):
            return largest
        return self._found(separable.Reach(min(value, largest)), [self.start])

    def _found(self, constraint: separable.Constraint, starts: list[FloatArray]) -> Found:
        solution = separable.maximise(self.box, constraint, starts, self.seed)
        flaw = ""
        if solution.violation > ROUNDING or solution.stationarity > STATIONARY:
            flaw = (
                "it is not the optimum: marginal responses that should be equal differ by "
                f"{solution.stationarity:.2g} of the largest, and the constraint is missed by {solution.violation:.2g}"
            )
        slopes = self.box.usable_slopes(solution.x)
        raised = solution.x > self.box.lower + separable.AT_BOUND * self.box.span
        return Found(
            spends=solution.x,
            money=float(solution.x.sum()),
            value=solution.value,
            flaw=flaw,
            upper_bound=solution.upper_bound,
            last=float(slopes[raised].min(initial=np.inf)),
            notes=self._held_notes(constraint, slopes, raised),
        )

    def _held_notes(
        self, constraint: separable.Constraint, slopes: FloatArray, raised: NDArray[np.bool_]
    ) -> tuple[str, ...]:
        """Channels that a lower bound keeps above what a price would leave them."""
        if not isinstance(constraint, separable.Price):
            return ()
        metric = self.kind.efficiency.upper()
        return tuple(
            f"{self.channels[p]} is held at its lower bound, where its marginal {metric} is "
            f"{number(as_efficiency(self.kind, float(slopes[p])))}"
            for p in np.flatnonzero(~raised & (self.box.lower > 0) & (slopes < constraint.rate))
        )


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
    seeker, notes = _seeker(problem, listed, scenario.goal, terms, bounds, keep_zero_coefficients, seed)
    answer = answer_for(seeker, scenario, problem.outcome_kind, terms.horizon.n_periods)
    return _plan(problem, listed, scenario, terms, seeker, replace(answer, notes=(*notes, *answer.notes)))


def _plan(
    problem: ModelProblem,
    models: Sequence[FittedModel],
    scenario: Scenario,
    terms: _Terms,
    seeker: SeparableSeeker,
    answer: Answer,
) -> Plan:
    surface = seeker.box.surface
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
        notes=answer.notes,
        initial=_point(problem, surface, seeker.start),
        optimised=_point(problem, surface, answer.spends),
        lower=read_only(seeker.box.lower),
        upper=read_only(seeker.box.upper),
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


def _seeker(
    problem: ModelProblem,
    models: Sequence[FittedModel],
    goal: str,
    terms: _Terms,
    bounds: BoundsLike,
    keep_zero_coefficients: bool,
    seed: int,
) -> tuple[SeparableSeeker, list[str]]:
    """Who finds the plan, and sentences on channels that need one."""
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
    return SeparableSeeker(box, initial, problem.paid, problem.outcome_kind, seed), notes


def _no_effect_note(channel: str, n_models: int, kept: bool) -> str:
    where = "the model" if n_models == 1 else "every model"
    share = (
        "it gets no more than bounds and budget force on it" if kept else "it is left out and gets no spend"
    )
    return f"{channel} has coefficient 0 in {where}, so no spend on it brings response: {share}"
