"""What spends by period bring: past, horizon and tail of a plan on one line of time.

A plan gives every paid channel p an amount x[p, t] for each of the L periods of a horizon, which may lie in the data,
behind them, or both. Its exposures are rate[p, t] * x[p, t]; all other exposures stay as they are (history), are
assumed (periods between the data's end and the horizon, at their reference spend) or are none (periods to come after
it). Adstock is linear, so that the adstocked exposure of the horizon and of the D periods of its tail is

    z[p, t] = offset[p, t] + sum_k w[p, k] * rate[p, t - k] * x[p, t - k],        response = coef * hill(z),

with ``offset`` from the exposures that the plan does not move. What offset alone brings is **carried in**: no plan
changes it. What comes on top in the horizon and in the tail, until it has decayed, is the plan's own, and the gradient
of it goes back through the adstock in reversed time.

Axes: P paid channels, L periods of the horizon, D of the tail, N models, T periods of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from mmm_core import _kernels, adstock
from mmm_core.errors import RangeError, ShapeError
from mmm_core.response import Horizon
from mmm_core.saturation import derivative_of, hill, second_derivative_of
from mmm_core.transforms import channel_curves
from mmm_core.types import Adstock, ChannelCurve, FittedModel, FloatArray, ModelProblem, read_only

# With alpha < 1 a curve is infinitely steep at 0. A search for a plan takes the slope at this part of the inflexion
# instead: far below what any exposure leaves over, so that slopes are true wherever there is anything.
STEEPEST = 1e-12
# Its curvature is taken at no less than this part, since it is only a measure for the length of steps.
SMALLEST = 1e-6


@dataclass(frozen=True, eq=False)
class Ground:
    """What a plan stands on and does not decide; the same for every model.

    Attributes:
        problem: the data.
        horizon: rows planned for; rows from T on are to come.
        exposure: (P, max(T, stop)) exposures that no plan moves: all rows outside the horizon, and inside it those that
            came without spend.
        rate: (P, L) exposure per unit of currency spent in a period.
        reference: (P, L) what is spent if nothing is changed: history, for periods to come that of the same period one
            year before.
        shape: (P, L) how a channel's money is laid over the horizon in the kept flighting; rows sum to 1.
        unit: (P,) what multiples of a channel's spend refer to: its reference spend or, where that is 0, the mean spend
            of the modelling window over as many periods.
        notes: sentences on channels that need one.
    """

    problem: ModelProblem
    horizon: Horizon
    exposure: FloatArray
    rate: FloatArray
    reference: FloatArray
    shape: FloatArray
    unit: FloatArray
    notes: tuple[str, ...]

    @property
    def n_past(self) -> int:
        """Periods of the horizon that lie in the data."""
        return max(0, min(self.horizon.stop, self.problem.n_periods) - self.horizon.start)


def year_before(row: int, n_known: int, year: int) -> int | None:
    """The same period of the latest year in the data: row less as many years as needed; None before the first row.

    Args:
        row: of the calendar. n_known: T. year: periods that make a year (52 weeks, 364 days, 12 months).
    """
    if row < n_known:
        return row
    earlier = row - -(-(row - n_known + 1) // year) * year
    return earlier if earlier >= 0 else None


def lay_ground(problem: ModelProblem, horizon: Horizon, year: int) -> Ground:
    """Reference spends, and how spend becomes exposure, over a horizon in the data, behind them, or both.

    In the data a period's own exposure per unit of spend counts, so that history fed in as a plan is the
    decomposition; where spends and exposures do not fall into the same periods, the money counts as spent when it was
    seen. For periods to come it is the mean of the modelling window.

    Args:
        problem: the data. horizon: rows of the calendar. year: periods that make a year.
    Returns:
        Ground.
    """
    known, n = problem.n_periods, max(problem.n_periods, horizon.stop)
    media = slice(problem.first_media, problem.first_media + problem.n_paid)
    mean_rate = _window_rates(problem)
    exposure = np.zeros((problem.n_paid, n))
    exposure[:, :known] = problem.design[media]
    spends = np.zeros((problem.n_paid, n))
    spends[:, :known] = problem.spend
    notes: list[str] = []
    for row in range(known, n):
        earlier = year_before(row, known, year)
        mean = problem.spend[:, problem.window].mean(axis=1)
        spends[:, row] = mean if earlier is None else problem.spend[:, earlier]
        exposure[:, row] = mean_rate * spends[:, row]
    rate = np.repeat(mean_rate[:, np.newaxis], horizon.n_periods, axis=1)
    n_past = max(0, min(horizon.stop, known) - horizon.start)
    past = slice(horizon.start, horizon.start + n_past)
    fixed = np.zeros((problem.n_paid, horizon.n_periods))
    for p in range(problem.n_paid if n_past else 0):
        own = _past_rates(problem.paid[p], spends[p, past], exposure[p, past], float(mean_rate[p]))
        spends[p, past], rate[p, :n_past], fixed[p, :n_past] = own.spend, own.rate, own.fixed
        notes += [own.note] if own.note else []
    reference = spends[:, horizon.rows].copy()
    exposure[:, horizon.rows] = fixed
    return _with_shapes(problem, horizon, exposure, rate, reference, notes)


def _with_shapes(
    problem: ModelProblem,
    horizon: Horizon,
    exposure: FloatArray,
    rate: FloatArray,
    reference: FloatArray,
    notes: list[str],
) -> Ground:
    n = horizon.n_periods
    totals = reference.sum(axis=1)
    dark = totals == 0
    notes += [
        f"{problem.paid[p]} has no spend in these periods of the reference: money planned for it is held constant, and "
        "goes up to a multiple of the window's mean spend"
        for p in np.flatnonzero(dark)
    ]
    shape = np.where(dark[:, np.newaxis], 1.0 / n, reference / np.where(dark, 1.0, totals)[:, np.newaxis])
    mean = problem.spend[:, problem.window].mean(axis=1) * n
    return Ground(
        problem=problem,
        horizon=horizon,
        exposure=read_only(exposure),
        rate=read_only(rate),
        reference=read_only(reference),
        shape=read_only(shape),
        unit=read_only(np.where(dark, mean, totals)),
        notes=tuple(notes),
    )


def _window_rates(problem: ModelProblem) -> FloatArray:
    """(P,) exposure per unit of currency over the modelling window."""
    media = slice(problem.first_media, problem.first_media + problem.n_paid)
    exposed = problem.design[media, problem.window].sum(axis=1)
    spent = problem.total_spend
    rates: FloatArray = np.where(spent > 0, exposed / np.where(spent > 0, spent, 1.0), 0.0)
    return rates


@dataclass(frozen=True, eq=False)
class _Rates:
    spend: FloatArray
    rate: FloatArray
    fixed: FloatArray
    note: str = ""


def _past_rates(channel: str, spend: FloatArray, exposure: FloatArray, mean_rate: float) -> _Rates:
    """How one channel's money became exposure in periods of the past."""
    spent, exposed = float(spend.sum()), float(exposure.sum())
    nothing = np.zeros_like(spend)
    if spent == 0:
        # Exposures that came without spend stay, so that doing nothing stays the decomposition.
        return _Rates(spend, np.full_like(spend, mean_rate), exposure)
    if exposed == 0:
        note = f"{channel} has spend but no exposure in the horizon: its spend moves no response"
        return _Rates(spend, nothing, nothing, note)
    if ((spend > 0) == (exposure > 0)).all():
        own = np.where(spend > 0, exposure / np.where(spend > 0, spend, 1.0), exposed / spent)
        return _Rates(spend, own, nothing)
    note = (
        f"{channel} has spend and exposure in different periods: its money counts as spent when it was seen, "
        "at the horizon's mean cost"
    )
    return _Rates(spent * exposure / exposed, np.full_like(spend, exposed / spent), nothing, note)


# ------------------------------------------------------------------------------------------------------------- models


@dataclass(frozen=True, eq=False)
class FlightSurface:
    """Response of spends by channel and period, mean of the models of an ensemble.

    Attributes:
        ground: what the plan stands on.
        candidates: N names of the models.
        curves: (N, P) curves.
        offset: (N, P, L + D) adstocked exposure without the plan.
        weights: (N, P, L + D) of the adstock by lag.
        n_tail: D, periods after the horizon in which any exposure of it still works.
        counted: periods, from the horizon's first on, whose response counts as the plan's value: L + D, or L.
    """

    ground: Ground
    candidates: tuple[str, ...]
    curves: tuple[tuple[ChannelCurve, ...], ...]
    offset: FloatArray
    weights: FloatArray
    n_tail: int
    counted: int

    @classmethod
    def of(cls, ground: Ground, models: FittedModel | Sequence[FittedModel], with_tail: bool = True) -> Self:
        """The surface of one model or of several; without tail its periods are there, but do not count."""
        listed = (models,) if isinstance(models, FittedModel) else tuple(models)
        if not listed:
            raise ShapeError("a plan needs at least one model")
        problem, n = ground.problem, ground.horizon.n_periods
        curves = tuple(channel_curves(problem, model)[: problem.n_paid] for model in listed)
        memories = [
            adstock.memory(c.adstock, c.adstock_parameters, problem.n_periods)
            for own in curves
            for c in own
            if c.coef != 0
        ]
        tail = max(memories, default=0)
        offset = np.array([[_offset(ground, p, c, n + tail) for p, c in enumerate(own)] for own in curves])
        weights = np.array(
            [
                [
                    adstock.lag_weights(c.adstock, c.adstock_parameters, problem.n_periods, n + tail)
                    for c in own
                ]
                for own in curves
            ]
        )
        candidates = tuple(model.candidate for model in listed)
        return cls(ground, candidates, curves, offset, weights, tail, n + tail if with_tail else n)

    @property
    def n_periods(self) -> int:
        """L."""
        return self.ground.horizon.n_periods

    def responses(self, spends: FloatArray) -> FloatArray:
        """(N, P, L + D) response by model, channel and period, what is carried in included.

        Args:
            spends: (P, L) currency per period, >= 0.
        Raises:
            ShapeError, RangeError: not that.
        """
        values = np.asarray(spends, dtype=np.float64)
        if values.shape != self.ground.rate.shape:
            raise ShapeError(f"spends have shape {values.shape}, expected {self.ground.rate.shape}")
        if not (np.isfinite(values) & (values >= 0)).all():
            raise RangeError("planned spends must be numbers >= 0")
        return self._numbers.coef * self._saturated(self.adstocked(values))

    def adstocked(self, spends: FloatArray) -> FloatArray:
        """(N, P, L + D) adstocked exposure at spends."""
        exposure = np.zeros((len(spends), self.n_periods + self.n_tail))
        exposure[:, : self.n_periods] = self.ground.rate * spends
        return self.offset + self._carried(np.broadcast_to(exposure, self.offset.shape))

    @cached_property
    def carried_in(self) -> FloatArray:
        """(N, P, L + D) response that is there without any plan."""
        return self.responses(np.zeros_like(self.ground.rate))

    @cached_property
    def base(self) -> FloatArray:
        """(P,) what of the value is there without any plan, mean of the models."""
        return self.value_of(self.carried_in)

    def value_of(self, responses: FloatArray) -> FloatArray:
        """(P,) sum of (N, P, L + D) responses over the periods that count, mean of the models."""
        value: FloatArray = responses[:, :, : self.counted].sum(axis=2).sum(axis=0) / len(self.candidates)
        return value

    def values(self, spends: FloatArray) -> FloatArray:
        """(P,) the value alone, as in ``value_and_slopes``."""
        return self.value_of(self._numbers.coef * self._saturated(self.adstocked(spends))) - self.base

    def value_and_slopes(self, spends: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value by channel, and its gradient.

        Args:
            spends: (P, L) currency per period, >= 0; trusted.
        Returns:
            ((P,) response over the periods that count, less ``base``; (P, L) its derivative by every spend, where a
            curve is infinitely steep that of a point close by).
        """
        numbers, adstocked = self._numbers, self.adstocked(spends)
        saturated = self._saturated(adstocked)
        values = self.value_of(numbers.coef * saturated) - self.base
        floored = np.maximum(adstocked, numbers.floor)
        steepness = numbers.coef * derivative_of(
            np.maximum(saturated, numbers.at_floor), floored, numbers.alpha, numbers.inflexion
        )
        steepness[:, :, self.counted :] = 0.0
        back = self._carried(np.ascontiguousarray(steepness[:, :, ::-1]))[:, :, ::-1]
        slopes = back[:, :, : self.n_periods].sum(axis=0) / len(self.candidates)
        return values, slopes * self.ground.rate

    def curvature(self, spends: FloatArray) -> FloatArray:
        """(P, L) about how fast the slope by every spend changes with that spend: |d2 value / d spend2|, >= 0.

        Of every period of response its size counts, whatever its sign, so that this is a measure for the length of
        steps also where curves turn.
        """
        numbers = self._numbers
        adstocked = np.maximum(self.adstocked(spends), SMALLEST * numbers.inflexion)
        bent = numbers.coef * second_derivative_of(self._saturated(adstocked), adstocked, numbers.alpha)
        bent[:, :, self.counted :] = 0.0
        back = self._carried(np.ascontiguousarray(np.abs(bent)[:, :, ::-1]), squared=True)[:, :, ::-1]
        curved: FloatArray = (
            back[:, :, : self.n_periods].sum(axis=0) / len(self.candidates) * self.ground.rate**2
        )
        return curved

    def marginal(self, spends: FloatArray) -> FloatArray:
        """(P, L) what one more unit of money in each period brings, tail included where it counts."""
        return self.value_and_slopes(np.asarray(spends, dtype=np.float64))[1]

    @cached_property
    def _numbers(self) -> _Numbers:
        return _Numbers.of(self.curves)

    def _saturated(self, adstocked: FloatArray) -> FloatArray:
        out = np.zeros_like(adstocked)
        for z, saturated, own in zip(adstocked, out, self.curves, strict=True):
            for p, curve in enumerate(own):
                if curve.coef != 0:
                    saturated[p] = hill(z[p], curve.alpha, curve.inflexion)
        return out

    def _carried(self, exposure: FloatArray, squared: bool = False) -> FloatArray:
        """(N, P, L + D) adstock of as many series that begin with the horizon, maybe with the weights' squares."""
        power = 2 if squared else 1
        out = np.zeros(exposure.shape)
        for n, own in enumerate(self.curves):
            for p, curve in enumerate(own):
                if curve.coef == 0:
                    continue
                series = exposure[n, p]
                if curve.adstock is Adstock.GEOMETRIC:
                    _kernels.geometric(series, curve.adstock_parameters[0] ** power, out[n, p])
                else:
                    _kernels.convolve(series, self.weights[n, p] ** power, out[n, p])
        return out


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Parameters of all curves, (N, P, 1) each."""

    coef: FloatArray
    alpha: FloatArray
    inflexion: FloatArray
    floor: FloatArray  # adstocked exposure below which a curve counts as no steeper
    at_floor: FloatArray  # its saturation there

    @classmethod
    def of(cls, curves: Sequence[Sequence[ChannelCurve]]) -> Self:
        def table(values: list[list[float]]) -> FloatArray:
            return np.array(values)[:, :, np.newaxis]

        coef, alpha, inflexion = (
            table([[getattr(c, name) for c in own] for own in curves])
            for name in ("coef", "alpha", "inflexion")
        )
        floor = np.where(alpha < 1, STEEPEST * inflexion, 0.0)
        at_floor = table(
            [
                [
                    float(hill(np.array([z]), c.alpha, c.inflexion)[0])
                    for z, c in zip(floors, own, strict=True)
                ]
                for floors, own in zip(floor[:, :, 0], curves, strict=True)
            ]
        )
        return cls(coef, alpha, inflexion, floor, at_floor)


def _offset(ground: Ground, p: int, curve: ChannelCurve, n_periods: int) -> FloatArray:
    """(n_periods,) adstocked exposure of one channel from the horizon's first period on, without the plan."""
    exposure = np.zeros(ground.horizon.start + n_periods)
    # Periods of the data behind the horizon keep their exposures; behind the data there are none.
    known = ground.exposure[p, : len(exposure)]
    exposure[: len(known)] = known
    carried = adstock.carry(curve.adstock, exposure, curve.adstock_parameters, ground.problem.n_periods)
    return carried[ground.horizon.start :]
