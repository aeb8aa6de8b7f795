"""What a channel brings at any spend, within one fitted model.

Adstock is linear: when the exposures of the horizon are multiplied by m, the adstocked series is c + m u, with c from
the exposures outside the horizon and u from the horizon's own. So every question about a channel's spend, be it the
response curve, the marginal response, a planned budget or Robyn's convention, is one function of one number,

    response(x) = repeat * coef * sum_l hill(offset[l] + slope[l] * x),      x = spend over the horizon,

and one structure, ``ChannelResponse``, answers them all, with the exact derivative.

Axes: L = periods of the horizon (1 in Robyn's convention), S = spends asked about; others as in ``mmm_core``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

import numpy as np

from mmm_core import adstock
from mmm_core.errors import LabelError, RangeError, UserError
from mmm_core.saturation import hill, hill_derivative
from mmm_core.transforms import channel_curves, transform_media
from mmm_core.types import ChannelCurve, FittedModel, FloatArray, ModelProblem, Role


class Carryover(StrEnum):
    """Whose adstock a planned spend has."""

    PLAN = (
        "plan"  # that of the planned exposures themselves, behind what history carried in before the horizon
    )
    HISTORICAL = "historical"  # Robyn's: the mean carryover of the past window, whatever is spent


class Flighting(StrEnum):
    """How a planned spend is laid over the periods of the horizon."""

    HISTORICAL = "historical"  # in proportion to the exposures of these periods in the past
    CONSTANT = "constant"  # the same every period


@dataclass(frozen=True)
class Horizon:
    """Rows [start, stop) of the data that a plan is about."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise RangeError(f"a horizon needs 0 <= start < stop, got [{self.start}, {self.stop})")

    @property
    def n_periods(self) -> int:
        """L."""
        return self.stop - self.start

    @property
    def rows(self) -> slice:
        """The rows, to index with."""
        return slice(self.start, self.stop)

    @classmethod
    def window(cls, problem: ModelProblem) -> Self:
        """The whole modelling window."""
        return cls(problem.start, problem.stop)

    @classmethod
    def last(cls, problem: ModelProblem, n_periods: int) -> Self:
        """The last periods of the modelling window."""
        if not 1 <= n_periods <= problem.n_window:
            raise UserError(
                f"a horizon of the last {n_periods} periods does not fit the {problem.n_window} of the window"
            )
        return cls(problem.stop - n_periods, problem.stop)

    @classmethod
    def between(cls, problem: ModelProblem, start: str, end: str) -> Self:
        """The periods of the data whose first day lies in [start, end], ISO dates."""
        first, last = np.datetime64(start, "D"), np.datetime64(end, "D")
        rows = np.flatnonzero((problem.dates >= first) & (problem.dates <= last))
        if len(rows) == 0:
            raise UserError(
                f"no period of the data ({problem.dates[0]} to {problem.dates[-1]}) starts between {first} and {last}"
            )
        return cls(int(rows[0]), int(rows[-1]) + 1)

    def check(self, problem: ModelProblem) -> None:
        """UserError if a row lies outside the data."""
        if self.stop > problem.n_periods:
            raise UserError(
                f"horizon rows [{self.start}, {self.stop}) lie outside the {problem.n_periods} rows of the data"
            )


@dataclass(frozen=True, eq=False)
class ChannelResponse:
    """Response of one paid channel to its spend over a horizon, in one model.

    Attributes:
        channel: its name.
        initial_spend: what history spent over the horizon, currency.
        reference_spend: what multiples of spend refer to: the initial spend or, where that is 0, the mean spend of the
            modelling window over as many periods.
        offset: (L,) adstocked exposure at no spend.
        slope: (L,) adstocked exposure per unit of currency spent over the horizon.
        coef, alpha, inflexion: of the model's curve.
        repeat: periods that one entry of ``offset`` stands for (1, or L in Robyn's convention).
        n_periods: of the horizon.
        note: a sentence where the data do not say how this channel's spend becomes exposure, else empty.
    """

    channel: str
    initial_spend: float
    reference_spend: float
    offset: FloatArray
    slope: FloatArray
    coef: float
    alpha: float
    inflexion: float
    repeat: float
    n_periods: int
    note: str = ""

    def adstocked(self, spend: FloatArray | float) -> FloatArray:
        """offset + slope * spend, shape (..., L) for spends of shape (...)."""
        z: FloatArray = self.offset + np.multiply.outer(np.asarray(spend, dtype=np.float64), self.slope)
        return z

    def response(self, spend: FloatArray | float) -> FloatArray:
        """KPI over the horizon at each spend.

        Args:
            spend: any shape, currency over the horizon, >= 0.
        Returns:
            repeat * coef * sum_l hill(offset[l] + slope[l] * spend), same shape, unit of the outcome.
        """
        if self.coef == 0:
            return np.zeros(np.shape(spend))
        total: FloatArray = hill(self.adstocked(spend), self.alpha, self.inflexion).sum(axis=-1)
        return self.repeat * self.coef * total

    def marginal(self, spend: FloatArray | float) -> FloatArray:
        """d response / d spend, exact: repeat * coef * sum_l hill'(offset[l] + slope[l] * spend) * slope[l].

        Args:
            spend: as in response.
        Returns:
            KPI per unit of currency, same shape. With alpha < 1 it is infinite at a spend of 0 where nothing is
            carried in.
        """
        if self.coef == 0:
            return np.zeros(np.shape(spend))
        steepness = hill_derivative(self.adstocked(spend), self.alpha, self.inflexion)
        if self.alpha < 1:
            # A period without own exposure does not react, even where the curve itself is infinitely steep.
            steepness = np.where(self.slope > 0, steepness, 0.0)
        total: FloatArray = (steepness * self.slope).sum(axis=-1)
        return self.repeat * self.coef * total


def channel_responses(
    problem: ModelProblem,
    model: FittedModel,
    horizon: Horizon | None = None,
    carryover: Carryover = Carryover.PLAN,
    flighting: Flighting = Flighting.HISTORICAL,
) -> tuple[ChannelResponse, ...]:
    """Responses of the paid channels of one model to their spend over a horizon.

    With carryover ``plan`` and historical flighting the response at ``initial_spend`` is the sum of the channel's
    decomposed contribution over the horizon. Exposure scales in proportion to spend. What the planned exposures bring
    after the horizon is not counted, nor in the decomposition of these periods; what earlier exposures carry into it
    is.

    With carryover ``historical`` every period brings coef * hill(x + C), x = the mean modelled column (for an exposure:
    exposure in currency), C = the mean carryover input over the whole window; flighting plays no part.

    Args:
        problem: the data. model: one evaluated candidate of it.
        horizon: rows planned for; default the modelling window.
        carryover, flighting: see the enumerations.
    Returns:
        P responses in the order of ``problem.paid``.
    Raises:
        UserError: the horizon lies outside the data.
    Source: "historical" is Robyn 3.12.1, allocator.R, fx_objective.
    """
    horizon = horizon or Horizon.window(problem)
    curves = channel_curves(problem, model)[: problem.n_paid]
    initial, reference = historical_spends(problem, horizon, carryover)
    n = horizon.n_periods
    if Carryover(carryover) is Carryover.HISTORICAL:
        carried = mean_carryover(problem, model)
        parts = [_historical(problem, p, n, initial[p], carried[p]) for p in range(problem.n_paid)]
    else:
        parts = [_planned(problem, curve, p, horizon, Flighting(flighting)) for p, curve in enumerate(curves)]
    return tuple(
        ChannelResponse(
            channel=curve.channel,
            initial_spend=float(initial[p]),
            reference_spend=float(reference[p]),
            offset=part.offset,
            slope=part.slope,
            coef=curve.coef,
            alpha=curve.alpha,
            inflexion=curve.inflexion,
            repeat=n / len(part.offset),
            n_periods=n,
            note=part.note,
        )
        for p, (curve, part) in enumerate(zip(curves, parts, strict=True))
    )


def historical_spends(
    problem: ModelProblem, horizon: Horizon, carryover: Carryover = Carryover.PLAN
) -> tuple[FloatArray, FloatArray]:
    """What history spent, and what multiples of spend refer to.

    Args:
        problem: the data. horizon: rows of them.
        carryover: ``historical`` counts the modelled column (Robyn: exposure in currency), ``plan`` the spend itself.
    Returns:
        (P,) spend over the horizon, and the same with 0 replaced by the mean of the modelling window over as many
        periods.
    Source: the replacement is Robyn 3.12.1, allocator.R.
    """
    horizon.check(problem)
    media = slice(problem.first_media, problem.first_media + problem.n_paid)
    spend = problem.design[media] if Carryover(carryover) is Carryover.HISTORICAL else problem.spend
    initial = spend[:, horizon.rows].sum(axis=1)
    reference = np.where(initial > 0, initial, spend[:, problem.window].mean(axis=1) * horizon.n_periods)
    return initial, reference


def mean_carryover(problem: ModelProblem, model: FittedModel) -> FloatArray:
    """(M,) mean over the window of adstock less the immediate part, in the unit of the exposure."""
    transform = transform_media(problem, model.hyperparameters)
    exposure = problem.design[problem.first_media :, problem.window]
    carried = np.maximum(transform.adstocked - transform.own_weight[:, np.newaxis] * exposure, 0.0)
    mean: FloatArray = carried.mean(axis=1)
    return mean


def contributions(problem: ModelProblem, model: FittedModel, horizon: Horizon | None = None) -> FloatArray:
    """What every design column brought in any periods of the data, in the window as ``decompose`` has it.

    Args:
        problem: the data. model: one evaluated candidate of it. horizon: default the modelling window.
    Returns:
        (K, L) coef * column, media adstocked and saturated; the intercept, the same every period, is not among them.
    Raises:
        UserError: the horizon lies outside the data.
    """
    horizon = horizon or Horizon.window(problem)
    horizon.check(problem)
    brought = model.coefs[:, np.newaxis] * problem.design[:, horizon.rows]
    for m, curve in enumerate(channel_curves(problem, model)):
        exposure = problem.design[problem.first_media + m]
        carried = adstock.apply(curve.adstock, exposure, curve.adstock_parameters)[horizon.rows]
        brought[problem.first_media + m] = curve.coef * hill(carried, curve.alpha, curve.inflexion)
    return brought


def outcome_without_paid(problem: ModelProblem, model: FittedModel, horizon: Horizon | None = None) -> float:
    """Outcome over a horizon of the data that a model does not owe to its paid channels: baseline, context, organic."""
    horizon = horizon or Horizon.window(problem)
    is_paid = np.array([role is Role.PAID for role in problem.roles])
    rest = contributions(problem, model, horizon)[~is_paid].sum()
    return float(model.intercept * horizon.n_periods + rest)


class _Line(NamedTuple):
    """Adstocked exposure as a function of spend: offset + slope * spend."""

    offset: FloatArray
    slope: FloatArray
    note: str


def _historical(problem: ModelProblem, p: int, n_periods: int, initial: float, carried: float) -> _Line:
    note = (
        ""
        if initial > 0
        else _unspent_note(problem.paid[p], "its bounds are multiples of the window's mean spend")
    )
    return _Line(np.array([carried]), np.array([1.0 / n_periods]), note)


def _planned(
    problem: ModelProblem, curve: ChannelCurve, p: int, horizon: Horizon, flighting: Flighting
) -> _Line:
    fixed, per_spend, note = _flighted(problem, p, horizon, flighting)
    offset = adstock.apply(curve.adstock, fixed, curve.adstock_parameters)[horizon.rows]
    slope = adstock.apply(curve.adstock, per_spend, curve.adstock_parameters)[horizon.rows]
    return _Line(offset, slope, note)


def _flighted(
    problem: ModelProblem, p: int, horizon: Horizon, flighting: Flighting
) -> tuple[FloatArray, FloatArray, str]:
    """(T,) exposure that spend does not move, (T,) exposure per unit of spend over the horizon, and a note or ""."""
    exposure = problem.design[problem.first_media + p]
    rows, channel = horizon.rows, problem.paid[p]
    fixed, per_spend = exposure.copy(), np.zeros_like(exposure)
    spent, exposed = float(problem.spend[p, rows].sum()), float(exposure[rows].sum())
    if spent == 0:
        # Nothing to scale. Exposures that came without spend stay, so that doing nothing stays the decomposition.
        window_spend = float(problem.total_spend[p])
        rate = float(exposure[problem.window].sum()) / window_spend if window_spend > 0 else 0.0
        per_spend[rows] = rate / horizon.n_periods
        laid = "spend planned for it is held constant at the window's mean exposure per unit of spend, and its bounds"
        return fixed, per_spend, _unspent_note(channel, f"{laid} are multiples of the window's mean spend")
    fixed[rows] = 0.0
    constant = flighting is Flighting.CONSTANT
    per_spend[rows] = (exposed / horizon.n_periods if constant else exposure[rows]) / spent
    note = (
        ""
        if exposed > 0
        else f"{channel} has spend but no exposure in the horizon: its spend moves no response"
    )
    return fixed, per_spend, note


def _unspent_note(channel: str, consequence: str) -> str:
    return f"{channel} has no spend in the horizon: {consequence}"


@dataclass(frozen=True, eq=False)
class ResponseCurve:
    """Points of one channel's response curve, in means per period."""

    channel: str
    multipliers: FloatArray  # (S,) of the historical spend
    spend: FloatArray  # (S,) currency per period
    response: FloatArray  # (S,) outcome per period
    marginal: FloatArray  # (S,) d response / d spend


def response_curve(
    problem: ModelProblem,
    model: FittedModel,
    channel: str,
    multipliers: FloatArray,
    horizon: Horizon | None = None,
    carryover: Carryover = Carryover.PLAN,
    flighting: Flighting = Flighting.HISTORICAL,
) -> ResponseCurve:
    """A paid channel's response when its historical spend is multiplied.

    Args:
        problem, model, horizon, carryover, flighting: as in channel_responses.
        channel: name of a paid channel.
        multipliers: shape (S,), >= 0; 1 is history.
    Returns:
        ResponseCurve; the response is proportional to the model's coefficient.
    Raises:
        LabelError: no such paid channel. RangeError: a negative multiplier.
    """
    if channel not in problem.paid:
        raise LabelError(f"{channel} is not a paid channel; there are {', '.join(problem.paid)}")
    factors = np.asarray(multipliers, dtype=np.float64)
    if (factors < 0).any():
        raise RangeError("multipliers of spend must not be negative")
    responses = channel_responses(problem, model, horizon, carryover, flighting)
    curve = responses[problem.paid.index(channel)]
    spend = factors * curve.reference_spend
    n = curve.n_periods
    return ResponseCurve(channel, factors, spend / n, curve.response(spend) / n, curve.marginal(spend))


@dataclass(frozen=True)
class MeanResponse:
    """One medium at its mean input, Robyn's summary of a curve, beside the true mean (they differ: Jensen)."""

    immediate_input: float  # mean exposure of the own period that enters the curve
    carryover_input: float  # mean exposure carried over from earlier periods
    total: float  # coef * hill(immediate_input + carryover_input)
    carryover: float  # coef * hill(carryover_input)
    mean: float  # mean of coef * hill(adstocked)


def mean_response(
    problem: ModelProblem,
    model: FittedModel,
    medium: str,
    horizon: Horizon | None = None,
    total_exposure: float | None = None,
) -> MeanResponse:
    """Response of a medium at the mean of its inputs.

    Args:
        problem, model: data and one candidate.
        medium: a paid channel or an organic medium.
        horizon: periods the means are taken over; default the modelling window.
        total_exposure: exposure (a paid channel: in currency) that these periods have instead of theirs, laid out in
            their proportions (evenly if they have none); other periods keep theirs, and the inflexion is history's.
    Returns:
        MeanResponse, per period, in the unit of the outcome.
    Raises:
        LabelError: no such medium. RangeError: a negative total.
    Source: Robyn 3.12.1, response.R, robyn_response and transform_decomp.
    """
    if medium not in problem.media:
        raise LabelError(f"{medium} is not a medium; there are {', '.join(problem.media)}")
    horizon = horizon or Horizon.window(problem)
    horizon.check(problem)
    curve = channel_curves(problem, model)[problem.media.index(medium)]
    exposure = problem.design[problem.columns.index(medium)].copy()
    if total_exposure is not None:
        exposure[horizon.rows] = _laid_out(exposure[horizon.rows], total_exposure)
    weight = float(adstock.weights(curve.adstock, curve.adstock_parameters, problem.n_periods)[0])
    adstocked = adstock.apply(curve.adstock, exposure, curve.adstock_parameters)[horizon.rows]
    own = weight * exposure[horizon.rows]
    immediate, carried = float(own.mean()), float(np.maximum(adstocked - own, 0.0).mean())
    at = curve.coef * hill(np.array([immediate + carried, carried]), curve.alpha, curve.inflexion)
    mean = float((curve.coef * hill(adstocked, curve.alpha, curve.inflexion)).mean())
    return MeanResponse(immediate, carried, float(at[0]), float(at[1]), mean)


def _laid_out(exposure: FloatArray, total: float) -> FloatArray:
    if total < 0:
        raise RangeError(f"an exposure must not be negative, is {total:g}")
    present = float(exposure.sum())
    if present == 0:
        return np.full_like(exposure, total / len(exposure))
    return exposure * (total / present)
