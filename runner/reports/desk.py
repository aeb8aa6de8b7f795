"""What if: what any spends would bring, with the band of the bootstrap. The page asks the same questions of itself.

A desk stands on one **ground**: a horizon of the data, whose carryover and which flighting. For spends x over it, model
n and channel p the response is that of ``mmm_core.response.channel_responses``,

    r[n, p](x) = coef[n, p] * u[n, p](x),      u = repeat * sum_l hill(offset[l] + slope[l] * x),

and the mean over the models counts. With hyperparameters given, u is known and only coef is drawn: a draw b of model n
brings sum_p coef[n, b, p] u[n, p](x[p]). **The band** is the level-quantiles of all draws of all models asked, so for
one model it holds the noise of the data, for several also the choice among them. The draws are those behind
``intervals.parquet`` (``bootstrap.shifted_draws``) in single precision, so that the page can carry them; they are drawn
again here, since a draw is a function of problem, model, seed and its number.

Axes: N models, P paid channels, B draws of a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mmm_core.allocator import efficiency
from mmm_core.bootstrap import bootstrap_draws, shifted_draws
from mmm_core.errors import ShapeError, UserError
from mmm_core.response import Carryover, ChannelResponse, Flighting, Horizon, channel_responses
from mmm_core.types import FittedModel, FloatArray, ModelProblem, OutcomeKind
from runner.seeds import Branch, seed_at
from runner.spec import ExperimentSpec

# The page carries so many bytes of draws at most; with many models and channels it takes the first draws of each.
DRAWN_BYTES = 1_500_000
# Relative to the total asked for: what is left over is rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Ground:
    """What spends are for and how they become exposure."""

    horizon: Horizon
    carryover: Carryover = Carryover.PLAN
    flighting: Flighting = Flighting.HISTORICAL


@dataclass(frozen=True)
class Band:
    """A number with what the draws say of it; without draws both ends are NaN."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class DeskAnswer:
    """What spends bring over the horizon.

    Attributes:
        spend, response, marginal, efficiency: (P,) currency, outcome, d response / d spend, ROAS or CPA.
        response_lower, response_upper: (P,) band of each response.
        total: response of all channels. change: the same less that of today's spends, draw by draw.
        total_efficiency: ROAS or CPA of all of it.
        total_marginal: what one more unit brings, laid over the channels in proportion to these spends.
    """

    spend: FloatArray
    response: FloatArray
    marginal: FloatArray
    efficiency: FloatArray
    response_lower: FloatArray
    response_upper: FloatArray
    total: Band
    change: Band
    total_efficiency: Band
    total_marginal: float


@dataclass(frozen=True, eq=False)
class Desk:
    """Answers what-if questions on one ground.

    Attributes:
        kind: ROAS or CPA. channels: P names. level: of the bands.
        responses: N tuples of P. draws: N arrays (B, P) of coefficients, B may be 0.
    """

    kind: OutcomeKind
    channels: tuple[str, ...]
    level: float
    responses: tuple[tuple[ChannelResponse, ...], ...]
    draws: tuple[FloatArray, ...]

    @classmethod
    def of(
        cls,
        problem: ModelProblem,
        models: Sequence[FittedModel],
        draws: Sequence[FloatArray],
        level: float,
        ground: Ground | None = None,
    ) -> Desk:
        """A desk over some models; the default ground is the modelling window with the plan's own carryover.

        Raises:
            ShapeError: no model, or draws of another number of models.
        """
        if not models or len(draws) != len(models):
            raise ShapeError(f"a desk needs models and their draws, got {len(models)} and {len(draws)}")
        ground = ground or Ground(Horizon.window(problem))
        terms = ground.horizon, ground.carryover, ground.flighting
        responses = tuple(channel_responses(problem, model, *terms) for model in models)
        return cls(problem.outcome_kind, problem.paid, level, responses, tuple(draws))

    @property
    def today(self) -> FloatArray:
        """(P,) what history spent over the horizon."""
        return np.array([response.initial_spend for response in self.responses[0]])

    def ask(self, spends: Mapping[str, float] | FloatArray) -> DeskAnswer:
        """What spends bring.

        Args:
            spends: currency over the horizon, by channel or (P,); finite and >= 0.
        Raises:
            UserError: a channel is missing, unknown, negative or not a number.
        """
        x = self._checked(spends)
        response = self._mean(
            [[r.response(s) for r, s in zip(own, x, strict=True)] for own in self.responses]
        )
        marginal = self._mean(
            [[r.marginal(s) for r, s in zip(own, x, strict=True)] for own in self.responses]
        )
        total = self._band(float(response.sum()), self._drawn(x).sum(axis=1))
        before = float(self._today_response.sum())
        change = self._band(total.value - before, (self._drawn(x) - self._drawn(self.today)).sum(axis=1))
        ends = self._quantiles(self._drawn(x))
        return DeskAnswer(
            spend=x,
            response=response,
            marginal=marginal,
            efficiency=efficiency(self.kind, x, response),
            response_lower=ends[0],
            response_upper=ends[1],
            total=total,
            change=change,
            total_efficiency=self._efficiency(float(x.sum()), total),
            total_marginal=_weighted(marginal, x),
        )

    def _checked(self, spends: Mapping[str, float] | FloatArray) -> FloatArray:
        if isinstance(spends, Mapping):
            if set(spends) != set(self.channels):
                raise UserError(
                    f"spends name {', '.join(spends)}; they must name each of {', '.join(self.channels)}"
                )
            spends = np.array([spends[channel] for channel in self.channels])
        x = np.asarray(spends, dtype=np.float64)
        if x.shape != (len(self.channels),) or not (np.isfinite(x) & (x >= 0)).all():
            raise UserError(f"spends must be {len(self.channels)} numbers >= 0")
        return x

    @cached_property
    def _today_response(self) -> FloatArray:
        return self._mean([[r.response(r.initial_spend) for r in own] for own in self.responses])

    @staticmethod
    def _mean(rows: list[list[FloatArray]]) -> FloatArray:
        mean: FloatArray = np.array(rows).sum(axis=0) / len(rows)
        return mean

    def _drawn(self, x: FloatArray) -> FloatArray:
        """(N * B, P) what each draw of each model says that each channel brings."""
        parts = []
        for own, coefs in zip(self.responses, self.draws, strict=True):
            unit = [replace(r, coef=1.0).response(s) for r, s in zip(own, x, strict=True)]
            parts.append(coefs * np.array(unit))
        return np.concatenate(parts)

    def _quantiles(self, values: FloatArray) -> FloatArray:
        if len(values) == 0:
            return np.full((2, *values.shape[1:]), np.nan)
        tail = (1 - self.level) / 2
        ends: FloatArray = np.quantile(values, (tail, 1 - tail), axis=0)
        return ends

    def _band(self, value: float, drawn: FloatArray) -> Band:
        lower, upper = self._quantiles(drawn)
        return Band(value, float(lower), float(upper))

    def _efficiency(self, spend: float, total: Band) -> Band:
        """A ROAS rises with the response, a CPA falls."""
        value, lower, upper = (
            float(efficiency(self.kind, spend, r)) for r in (total.value, total.lower, total.upper)
        )
        return Band(value, *((lower, upper) if self.kind is OutcomeKind.REVENUE else (upper, lower)))


def _weighted(marginal: FloatArray, spend: FloatArray) -> float:
    counted = spend > 0
    total = float(spend[counted].sum())
    return float((marginal[counted] * spend[counted]).sum() / total) if total > 0 else float("nan")


def desk_draws(
    spec: ExperimentSpec, problem: ModelProblem, model: FittedModel, place: tuple[int, int], draws: int
) -> FloatArray:
    """The first draws of a model's paid coefficients, as the run drew them; none where it was not asked for any.

    Args:
        spec: seed and refits. problem: the data. model: one selected model. place: its (trial, iteration).
        draws: at most so many.
    Returns:
        (B, P), float64 values that single precision holds.
    """
    n = min(draws, spec.bootstrap.refits)
    if n == 0:
        return np.empty((0, problem.n_paid))
    drawn = bootstrap_draws(problem, model, seed_at(spec.search.seed, Branch.REFITS, *place), 0, n)
    paid = slice(problem.first_media, problem.first_media + problem.n_paid)
    return shifted_draws(problem, model, drawn)[:, paid].astype(np.float32).astype(np.float64)


def draws_carried(refits: int, n_models: int, n_paid: int) -> int:
    """How many draws of each model the page carries."""
    return min(refits, DRAWN_BYTES // max(4 * n_models * n_paid, 1))


def spread(
    total: float,
    spends: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    is_locked: FloatArray,
    weights: FloatArray,
) -> FloatArray:
    """Lay a total over the channels: those not locked grow or shrink by one factor, each within its limits.

    With f such that sum_p clip(f * base[p], lower[p], upper[p]) = total less what is locked; base is the spends, or the
    weights where all open spends are 0. Where the limits cannot hold it, the nearest that they can.

    Args:
        total: wanted. spends, lower, upper: (P,), 0 <= lower <= upper; upper may be infinite.
        is_locked: (P,) true where the spend stays. weights: (P,) >= 0.
    Returns:
        (P,) spends.
    """
    is_open = ~np.asarray(is_locked, dtype=np.bool_)
    base = np.where(is_open, spends, 0.0)
    if base.sum() == 0:
        base = np.where(is_open, weights, 0.0)
    wanted = total - float(np.where(is_open, 0.0, spends).sum())

    def laid(factor: float) -> FloatArray:
        return np.clip(factor * base, lower, upper)

    moved = is_open & (base > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        knots = np.concatenate([[0.0], lower[moved] / base[moved], upper[moved] / base[moved]])
    knots = np.unique(knots[np.isfinite(knots)])
    sums = np.array([float(laid(knot)[is_open].sum()) for knot in knots])
    at = int(np.searchsorted(sums, wanted))
    if at == 0:
        factor = float(knots[0])
    else:
        # Between two knots the sum is a straight line, of the bases that no limit holds.
        factor = float(knots[at - 1])
        free = moved & (factor * base >= lower * (1 - ROUNDING)) & (factor * base < upper * (1 - ROUNDING))
        slope = float(base[free].sum())
        if slope > 0:
            factor += (wanted - float(sums[at - 1])) / slope
    return np.where(is_open, laid(max(factor, 0.0)), spends)
