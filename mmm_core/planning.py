"""A plan by channel and period: money for periods to come (or past, or both), laid as it was, evenly or freely.

Flightings:

- kept: each channel's money is laid as in the reference (the same periods a year before), pulses included; the money
  per channel is the variable, and the problem that of ``allocator``, with the tail in every channel's response.
- constant: the same, laid evenly.
- free: the money of every channel in every period is the variable (``flight_search``). No period gets more than the
  channel ever had in one, or than the kept flighting would give it; with a ``reach`` none moves farther than that part
  from the kept plan, since a model knows its curves where money was spent, and pulses are made of the rest.

The value of a plan is its own response: what it adds to what history carries in, in the horizon and in its tail. A
target outcome alone counts the horizon only, since that is what it is a target for.

Axes: P channels, L periods of the horizon, D of its tail, N models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mmm_core import separable
from mmm_core.allocator import Bounds, BoundsLike, ResponseSurface, SeparableSeeker
from mmm_core.errors import ShapeError, UserError
from mmm_core.flight import FlightSurface, Ground
from mmm_core.flight_search import FlightSeeker
from mmm_core.goals import (
    Answer,
    MaxResponse,
    PlanStatus,
    Scenario,
    TargetOutcome,
    answer_for,
    number,
)
from mmm_core.response import ChannelResponse
from mmm_core.spectral import Region
from mmm_core.types import FittedModel, FloatArray, read_only

# Amounts that differ by this part are the same.
ROUNDING = 1e-9


class Laying(StrEnum):
    """How a channel's money is laid over the horizon."""

    KEPT = "kept"
    CONSTANT = "constant"
    FREE = "free"


@dataclass(frozen=True, eq=False)
class Cells:
    """Amounts that somebody gave for single periods; NaN where nobody did.

    Attributes:
        fixed: (P, L) what is spent. lower, upper: (P, L) limits of what may be.
    """

    fixed: FloatArray
    lower: FloatArray
    upper: FloatArray

    @classmethod
    def none(cls, n_channels: int, n_periods: int) -> Cells:
        """Nothing given."""
        return cls(*(np.full((n_channels, n_periods), np.nan) for _ in range(3)))

    def __post_init__(self) -> None:
        for name in ("fixed", "lower", "upper"):
            values = getattr(self, name)
            if values.shape != self.fixed.shape:
                raise ShapeError(f"{name} has shape {values.shape}, expected {self.fixed.shape}")
            given = values[~np.isnan(values)]
            if not (np.isfinite(given) & (given >= 0)).all():
                raise UserError("amounts of a plan must be numbers >= 0")

    @property
    def is_fixed(self) -> NDArray[np.bool_]:
        """(P, L) where nothing is left to decide."""
        return ~np.isnan(self.fixed)


@dataclass(frozen=True, eq=False)
class Limits:
    """What a plan may spend.

    Attributes:
        lower, upper: (P, L) in a period. least, most: (P,) over the horizon.
        shape: (P, L) how money above ``lower`` is laid where the flighting decides that; rows sum to 1 or, where all is
            fixed, to 0.
        notes: sentences on limits that gave way.
    """

    lower: FloatArray
    upper: FloatArray
    least: FloatArray
    most: FloatArray
    shape: FloatArray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PlanRules:
    """How a plan may be made.

    Attributes:
        laying: the flighting.
        bounds: of channels over the horizon: multiples of the reference spend, or amounts (``allocator.Bounds``).
        period_bounds: of channels in every period: multiples of the period's own reference spend; None for none.
        cells: amounts given for single periods.
        reach: of a free flighting: how far a period may be from the kept plan of the same question, in parts of what it
            gets there; None for anywhere.
    """

    laying: Laying = Laying.KEPT
    bounds: BoundsLike = None
    period_bounds: Bounds | None = None
    cells: Cells | None = None
    reach: float | None = None


def plan_limits(ground: Ground, goal: str, rules: PlanRules) -> Limits:
    """The limits of a plan in currency.

    Amounts for single periods win over bounds of the channel, and fixed ones over limits.

    Args:
        ground: reference spends. goal: of the scenario, for default bounds. rules: see there.
    Raises:
        UserError: bounds name an unknown channel, or limits contradict each other.
    """
    channels = ground.problem.paid
    cells = rules.cells or Cells.none(*ground.reference.shape)
    bounds = Bounds.of(rules.bounds)
    least, most = bounds.limits(goal, channels, ground.unit)
    # A channel that paused in the reference may go on pausing, unless somebody asked for more.
    paused = (ground.reference.sum(axis=1) == 0) & [
        c not in {*bounds.channels, *bounds.amounts} for c in channels
    ]
    least = np.where(paused, 0.0, least)
    lower, upper = _cell_limits(ground, rules, cells, most)
    shape = (
        np.full_like(lower, 1.0 / lower.shape[1]) if rules.laying is Laying.CONSTANT else ground.shape.copy()
    )
    if rules.laying is not Laying.FREE:
        lower, upper, shape = _laid_limits(ground, cells, lower, upper, shape)
    notes = []
    for p, channel in enumerate(channels):
        floor, ceiling = float(lower[p].sum()), float(upper[p].sum())
        if channel in bounds.amounts and not floor * (1 - ROUNDING) <= least[p] <= ceiling * (1 + ROUNDING):
            raise UserError(
                f"{channel} is fixed at {number(least[p])} over the horizon, but its periods hold {number(floor)} to "
                f"{number(ceiling)}; change one of them"
            )
        if floor > most[p] * (1 + ROUNDING) or ceiling < least[p] * (1 - ROUNDING):
            notes.append(
                f"{channel} is held to {number(floor)} to {number(ceiling)} by amounts given for its periods, which "
                "come before its bounds"
            )
        least[p], most[p] = np.clip((least[p], most[p]), floor, ceiling)
    return Limits(
        lower=read_only(lower),
        upper=read_only(upper),
        least=read_only(least),
        most=read_only(most),
        shape=read_only(shape),
        notes=tuple(notes),
    )


def _cell_limits(
    ground: Ground, rules: PlanRules, cells: Cells, most: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(P, L) lowest and highest spend of every period, before a flighting is kept."""
    problem = ground.problem
    lower = np.zeros_like(ground.reference)
    upper = np.full_like(ground.reference, np.inf)
    if rules.laying is Laying.FREE:
        largest = problem.spend[:, problem.window].max(axis=1)
        kept = most * ground.shape.max(axis=1)
        upper = np.repeat(np.maximum(largest, kept)[:, np.newaxis], upper.shape[1], axis=1)
    if rules.period_bounds is not None:
        bounds = rules.period_bounds
        for p, channel in enumerate(problem.paid):
            pair = bounds.channels.get(channel, bounds.default)
            if pair is not None:
                lower[p], upper[p] = (multiple * ground.reference[p] for multiple in pair)
    for limits, given in ((lower, cells.lower), (upper, cells.upper)):
        np.copyto(limits, given, where=~np.isnan(given))
    _check_cells(ground, lower, upper)
    for limits in (lower, upper):
        np.copyto(limits, cells.fixed, where=cells.is_fixed)
    return lower, upper


def _check_cells(ground: Ground, lower: FloatArray, upper: FloatArray) -> None:
    for p, t in np.argwhere(lower > upper * (1 + ROUNDING)):
        raise UserError(
            f"the limits of {ground.problem.paid[p]} in period {t + 1} of the horizon are {number(lower[p, t])} to "
            f"{number(upper[p, t])}; the lower one must not be above the upper one"
        )


def _laid_limits(
    ground: Ground, cells: Cells, lower: FloatArray, upper: FloatArray, shape: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Limits of the periods as a kept or constant flighting can meet them: all rise together.

    Returns:
        (P, L) the periods at the least and at the most money, and how money is laid between; unlimited ones stay so.
    """
    open_cells = np.where(cells.is_fixed, 0.0, shape)
    # Where the shape has nothing in the periods that are open, they share alike.
    empty = open_cells.sum(axis=1) == 0
    open_cells[empty] = ~cells.is_fixed[empty]
    sums = open_cells.sum(axis=1, keepdims=True)
    shape = open_cells / np.where(sums > 0, sums, 1.0)
    fixed = np.where(cells.is_fixed, cells.fixed, 0.0)
    low, high = np.where(cells.is_fixed, 0.0, lower), np.where(cells.is_fixed, np.inf, upper)
    for p, channel in enumerate(ground.problem.paid):
        used = shape[p] > 0
        if (low[p][~used] > 0).any():
            raise UserError(
                f"{channel} has a lower limit in a period in which its flighting spends nothing; plan it with the free "
                "flighting, or fix the amount"
            )
        floor = float(np.max(low[p][used] / shape[p][used], initial=0.0))
        ceiling = float(np.min(high[p][used] / shape[p][used], initial=np.inf))
        if floor > ceiling * (1 + ROUNDING):
            raise UserError(
                f"the limits of {channel} by period do not fit its flighting, which raises all periods alike: one "
                f"needs {number(floor)} over the horizon, another allows {number(ceiling)}; plan it with the free "
                "flighting"
            )
        lower[p] = fixed[p] + floor * shape[p]
        with np.errstate(invalid="ignore"):
            upper[p] = fixed[p] + np.where(used, np.maximum(ceiling, floor) * shape[p], 0.0)
    return lower, upper, shape


# -------------------------------------------------------------------------------------------------------------- plans


@dataclass(frozen=True, eq=False)
class FlightPlan:
    """A plan's answer.

    Attributes:
        scenario, rules: what was asked.
        surface: what spends bring, tail counted; over the models that the plan rests on.
        limits: within which it was looked for.
        status, message, notes: how that ended. spends: (P, L); NaN if infeasible.
        total_budget, nearest_budget, best_efficiency, best_outcome: as in ``allocator.Plan``.
    """

    scenario: Scenario
    rules: PlanRules
    surface: FlightSurface
    limits: Limits
    answer: Answer
    spends: FloatArray
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> PlanStatus:
        """How it ended."""
        return self.answer.status

    @property
    def message(self) -> str:
        """The same in a sentence."""
        return self.answer.message

    @property
    def is_feasible(self) -> bool:
        """Whether there are numbers."""
        return self.status is not PlanStatus.INFEASIBLE


def plan_flight(
    ground: Ground,
    models: FittedModel | Sequence[FittedModel],
    scenario: Scenario,
    rules: PlanRules | None = None,
    *,
    seed: int = 0,
) -> FlightPlan:
    """The best plan of a scenario by channel and period.

    MaxResponse, TargetEfficiency (also marginal) and TargetOutcome as in ``allocator.allocate``; response is the plan's
    own, the mean over the models (see the top of the module). With the free flighting the plan is no worse than the
    kept and the constant one wherever they are within its limits; the kept one is within any reach of itself.

    Args:
        ground: what the plan stands on. models: one model or several of the same problem.
        scenario: a TargetOutcome's ``rest`` is the outcome of the horizon that the plan's money does not bring, carried
            in response included.
        rules: flighting and limits. seed: of random starts.
    Raises:
        UserError: the limits contradict each other or name an unknown channel.
    """
    rules = rules or PlanRules()
    surface = FlightSurface.of(ground, models)
    counted = replace(surface, counted=surface.n_periods) if isinstance(scenario, TargetOutcome) else surface
    limits = plan_limits(ground, scenario.goal, rules)
    seeker: FlightSeeker | _LaidSeeker
    if rules.laying is Laying.FREE:
        known = _laid_plans(counted, scenario, rules, seed)
        limits = _within_reach(limits, known.get(Laying.KEPT), rules.reach)
        seeker = _free_seeker(counted, limits, known, seed)
    else:
        seeker = _LaidSeeker.of(counted, limits, seed)
    answer = answer_for(seeker, scenario, ground.problem.outcome_kind, ground.horizon.n_periods)
    spends = np.full_like(ground.reference, np.nan)
    if answer.spends is not None:
        spends = answer.spends if rules.laying is Laying.FREE else laid(limits, answer.spends)
    notes = (*ground.notes, *limits.notes, *answer.notes)
    return FlightPlan(scenario, rules, surface, _told(limits, rules), answer, read_only(spends), notes)


def laid(limits: Limits, money: FloatArray) -> FloatArray:
    """(P, L) spends of channels whose money (P,) is laid by their shapes, fixed amounts included."""
    base = np.where(limits.shape > 0, 0.0, limits.lower)
    spends: FloatArray = base + limits.shape * np.maximum(money - base.sum(axis=1), 0.0)[:, np.newaxis]
    return spends


def _told(limits: Limits, rules: PlanRules) -> Limits:
    """Limits of periods as they are where the flighting rules: those of the channel, laid."""
    if rules.laying is Laying.FREE:
        return limits
    return replace(
        limits, lower=read_only(laid(limits, limits.least)), upper=read_only(laid(limits, limits.most))
    )


def _laid_plans(
    surface: FlightSurface, scenario: Scenario, rules: PlanRules, seed: int
) -> dict[Laying, tuple[FloatArray, bool]]:
    """Laying to (the plan of the same question so laid, whether it answers it); without those that there are none of.

    For a target out of reach the plan that comes nearest to it stands in: all money for an outcome, the least for an
    efficiency.
    """
    ground = surface.ground
    found = {}
    for laying in (Laying.KEPT, Laying.CONSTANT):
        try:
            limits = plan_limits(ground, scenario.goal, replace(rules, laying=laying))
        except UserError:  # limits by period that no such flighting meets
            continue
        seeker = _LaidSeeker.of(surface, limits, seed)
        answer = answer_for(seeker, scenario, ground.problem.outcome_kind, ground.horizon.n_periods)
        if answer.spends is not None:
            found[laying] = laid(limits, answer.spends), True
        elif not isinstance(scenario, MaxResponse):
            nearest = limits.most if isinstance(scenario, TargetOutcome) else limits.least
            found[laying] = laid(limits, nearest), False
    return found


def _within_reach(limits: Limits, kept: tuple[FloatArray, bool] | None, reach: float | None) -> Limits:
    """Limits of a free flighting that stays near the kept plan."""
    if reach is None:
        return limits
    if kept is None:
        note = "there is no kept plan to stay near, so that every period may move anywhere within its limits"
        return replace(limits, notes=(*limits.notes, note))
    plan = np.clip(kept[0], limits.lower, limits.upper)
    lower = np.maximum(limits.lower, (1 - reach) * plan)
    upper = np.minimum(limits.upper, (1 + reach) * plan)
    return replace(
        limits,
        lower=read_only(lower),
        upper=read_only(upper),
        least=read_only(np.maximum(limits.least, lower.sum(axis=1))),
        most=read_only(np.minimum(limits.most, upper.sum(axis=1))),
    )


def _free_seeker(
    surface: FlightSurface, limits: Limits, known: Mapping[Laying, tuple[FloatArray, bool]], seed: int
) -> FlightSeeker:
    """Starts from the kept and the constant plan of the same question, where there is one within the limits."""
    ground = surface.ground
    region = Region.of(limits.lower, limits.upper, limits.least, limits.most)
    starts = [
        np.clip(plan, limits.lower, limits.upper)
        for plan, is_answer in known.values()
        if is_answer and _is_inside(plan, limits)
    ]
    return FlightSeeker(surface, region, ground.reference, tuple(starts), ground.problem.outcome_kind, seed)


def _is_inside(plan: FloatArray, limits: Limits) -> bool:
    above, below = plan <= limits.upper * (1 + ROUNDING), plan >= limits.lower * (1 - ROUNDING)
    return bool((above & below).all())


@dataclass(frozen=True, eq=False)
class _LaidSeeker(SeparableSeeker):
    """Finds money per channel where a shape lays it; what is there initially is the reference as it is."""

    reference: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, surface: FlightSurface, limits: Limits, seed: int) -> _LaidSeeker:
        spends, problem = surface.ground.reference, surface.ground.problem
        box = separable.Box(_LaidSurface.of(surface, limits), limits.least, limits.most)
        reference = float(spends.sum()), float(surface.values(spends).sum())
        return cls(box, spends.sum(axis=1), problem.paid, problem.outcome_kind, seed, reference)

    @property
    def initial(self) -> tuple[float, float]:
        """Money and response of the reference, laid as it was."""
        return self.reference


@dataclass(frozen=True, eq=False)
class _LaidSurface:
    """The plan's own response as a function of each channel's money; a ``separable.Surface``."""

    whole: ResponseSurface
    base: FloatArray  # (P,) carried in

    @classmethod
    def of(cls, surface: FlightSurface, limits: Limits) -> _LaidSurface:
        base = np.where(limits.shape > 0, 0.0, limits.lower)
        # Straight lines in the money: through what is fixed, with the slope of the shape.
        fixed = surface.adstocked(base)
        slope = surface.adstocked(limits.shape) - surface.offset
        offset = fixed - slope * base.sum(axis=1)[:, np.newaxis]
        members = tuple(
            tuple(_channel(surface, n, p, offset[n, p], slope[n, p]) for p in range(len(own)))
            for n, own in enumerate(surface.curves)
        )
        return cls(ResponseSurface(members), surface.base)

    def values(self, x: FloatArray) -> FloatArray:
        """Response of each channel, in the shape (P,) or (P, S) of the money."""
        return self.whole.values(x) - self.base.reshape(-1, *([1] * (x.ndim - 1)))

    def slopes(self, x: FloatArray) -> FloatArray:
        """What its last unit brings, in the same shape."""
        return self.whole.slopes(x)


def _channel(
    surface: FlightSurface, n: int, p: int, offset: FloatArray, slope: FloatArray
) -> ChannelResponse:
    curve, ground = surface.curves[n][p], surface.ground
    return ChannelResponse(
        channel=curve.channel,
        initial_spend=float(ground.reference[p].sum()),
        reference_spend=float(ground.unit[p]),
        offset=offset[: surface.counted],
        slope=slope[: surface.counted],
        coef=curve.coef,
        alpha=curve.alpha,
        inflexion=curve.inflexion,
        repeat=1.0,
        n_periods=surface.n_periods,
    )


# ------------------------------------------------------------------------------------------------------- what it brings


@dataclass(frozen=True, eq=False)
class Brought:
    """What spends bring by model, channel and period, and what of it no plan changes.

    Attributes:
        total: (N, P, L + D) response. carried_in: (N, P, L + D) of it from exposures that the plan does not move.
        n_periods: L.
    """

    total: FloatArray
    carried_in: FloatArray
    n_periods: int

    @classmethod
    def by(cls, surface: FlightSurface, spends: FloatArray) -> Brought:
        """Of any spends (P, L)."""
        return cls(surface.responses(spends), surface.carried_in, surface.n_periods)

    @property
    def inside(self) -> FloatArray:
        """(N, P) the plan's own response in the horizon."""
        own: FloatArray = (self.total - self.carried_in)[:, :, : self.n_periods].sum(axis=2)
        return own

    @property
    def after(self) -> FloatArray:
        """(N, P) the plan's own response after the horizon."""
        own: FloatArray = (self.total - self.carried_in)[:, :, self.n_periods :].sum(axis=2)
        return own

    @property
    def carried(self) -> FloatArray:
        """(N, P) response in the horizon that is there without any plan."""
        own: FloatArray = self.carried_in[:, :, : self.n_periods].sum(axis=2)
        return own


def mean_of_models(values: FloatArray) -> FloatArray:
    """The mean over the first axis, summed in order."""
    mean: FloatArray = values.sum(axis=0) / len(values)
    return mean
