"""The outcome to expect, period by period: what is not media, what history carries in, and what the plan adds.

Intervals. For every model the outcome is drawn S times:

    intercept* + sum_k coef*_k x_k(t) + coef_trend * (trend noise of Prophet) + level* + assumed*(t) + residual*(t)

with coefficients from the run's own bootstrap refits (the same seeds, so the same draws), moved so that their mean is
the model; trend noise from Prophet's fit; a level that the same forecast, made from earlier days, missed by (Student's
t, as many degrees of freedom as there are such forecasts); for columns that are taken to be as a year before, blocks of
what they differed from the year before in the data; and blocks of the model's residuals over the window, those of
training rows inflated by their degrees of freedom. An ensemble pools the draws of its models, so that what they
disagree about widens its interval. Intervals of a channel's response are those of its coefficient, as in the run's
intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmm_core import adstock
from mmm_core.bootstrap import (
    bootstrap_draws,
    coefficient_bounds,
    fitted_values,
    inflation,
    n_train_rows,
    resampled_blocks,
    ridge_bias,
)
from mmm_core.flight import FlightSurface, Ground
from mmm_core.response import Horizon, contributions
from mmm_core.saturation import hill
from mmm_core.transforms import channel_curves, design_matrix
from mmm_core.types import FittedModel, FloatArray, ModelProblem, Role
from runner.plans.to_come import ToCome
from runner.seeds import Branch, seed_at

# Draws where the run has none of its own.
FEW_DRAWS = 1_000
NOISE, TREND, LEVEL, ASSUMED = 1, 2, 3, 4  # places in the tree of seeds, below PLANS
# Differences to the year before that make a sample.
MIN_DIFFERENCES = 10


@dataclass(frozen=True, eq=False)
class Rest:
    """What one model expects without paid media, by period of the horizon.

    Attributes:
        baseline: (L,) intercept and baseline. context, organic: (L,).
        columns: (K - P, L) what the coefficients of the other columns are multiplied by, in the order of ``places``.
        places: positions of these columns among the K.
    """

    baseline: FloatArray
    context: FloatArray
    organic: FloatArray
    columns: FloatArray
    places: tuple[int, ...]

    @property
    def total(self) -> FloatArray:
        """(L,) all of it."""
        return self.baseline + self.context + self.organic


def rest_of(problem: ModelProblem, model: FittedModel, horizon: Horizon, ahead: ToCome) -> Rest:
    """Baseline, context and organic media of a model over a horizon, organic ones with what they carry over."""
    parts = {role: np.zeros(horizon.n_periods) for role in Role}
    parts[Role.BASELINE] += model.intercept
    curves = channel_curves(problem, model)
    columns, places = [], []
    for k, (name, role) in enumerate(zip(problem.columns, problem.roles, strict=True)):
        if role is Role.PAID:
            continue
        values = ahead.columns[name][: horizon.stop]
        if role is Role.ORGANIC:
            curve = curves[k - problem.first_media]
            carried = adstock.carry(curve.adstock, values, curve.adstock_parameters, problem.n_periods)
            values = hill(carried, curve.alpha, curve.inflexion)
        columns.append(values[horizon.rows])
        places.append(k)
        parts[role] += model.coefs[k] * columns[-1]
    table = np.array(columns).reshape(len(places), horizon.n_periods)
    return Rest(parts[Role.BASELINE], parts[Role.CONTEXT], parts[Role.ORGANIC], table, tuple(places))


@dataclass(frozen=True, eq=False)
class Draws:
    """One model's uncertainty, drawn.

    Attributes:
        intercepts: (S,). coefs: (S, K) around the model's own, for outcomes.
        responses: (S, P) coefficients of paid channels, ridge bias undone, for intervals of responses.
        noise: (S, L) residuals and the trend's way by period.
    """

    intercepts: FloatArray
    coefs: FloatArray
    responses: FloatArray
    noise: FloatArray

    def __len__(self) -> int:
        return len(self.intercepts)


def n_draws(refits: int) -> int:
    """S: one for every refit of the run."""
    return refits or FEW_DRAWS


def draw(
    problem: ModelProblem,
    model: FittedModel,
    place: tuple[int, int],
    horizon: Horizon,
    ahead: ToCome,
    *,
    year: int,
    refits: int,
    seed: int,
) -> Draws:
    """A model's draws.

    Args:
        problem, model: of the run. place: trial and iteration, which chose the seed of its refits.
        horizon: of the plan. ahead: what is to come, and how sure. year: periods. refits, seed: of the run.
    """
    n = n_draws(refits)
    coefs, intercepts = np.tile(model.coefs, (n, 1)), np.full(n, float(model.intercept))
    responses = coefs
    if refits:
        refitted = bootstrap_draws(problem, model, seed_at(seed, Branch.REFITS, *place), 0, refits)
        responses = _unbiased(problem, model, refitted.coefs)
        coefs = model.coefs + refitted.coefs - refitted.coefs.mean(axis=0)
        intercepts = model.intercept + refitted.intercepts - refitted.intercepts.mean()
    noise = _residual_noise(problem, model, horizon.n_periods, n, seed_at(seed, Branch.PLANS, NOISE, *place))
    later = max(0, horizon.stop - max(horizon.start, problem.n_periods))
    if later:
        level = _level_noise(problem, model, ahead, noise, seed_at(seed, Branch.PLANS, LEVEL, *place))
        told = seed_at(seed, Branch.PLANS, ASSUMED, *place)
        noise[:, -later:] += level[:, np.newaxis] + _assumed_noise(
            problem, model, ahead, year, later, n, told
        )
        if problem.trend_column >= 0:
            noise[:, -later:] += model.coefs[problem.trend_column] * ahead.trend_noise[:n, -later:]
    paid = slice(problem.first_media, problem.first_media + problem.n_paid)
    return Draws(intercepts, coefs, responses[:, paid], noise)


def _unbiased(problem: ModelProblem, model: FittedModel, coefs: FloatArray) -> FloatArray:
    """Refits as ``bootstrap.coefficient_intervals`` reads them: shifted by twice the bias, cut at their bounds."""
    bias, _ = ridge_bias(problem, model)
    x = design_matrix(problem, model.hyperparameters)[: n_train_rows(problem, model)]
    lower, upper = coefficient_bounds(problem, x)
    shifted: FloatArray = np.clip(coefs + 2 * bias, lower, upper)
    return shifted


def _residual_noise(
    problem: ModelProblem, model: FittedModel, n_periods: int, n: int, seed: np.random.SeedSequence
) -> FloatArray:
    """(S, L) blocks of the residuals of the window."""
    x = design_matrix(problem, model.hyperparameters)
    residuals = problem.outcome[problem.window] - fitted_values(x, model)
    n_train = n_train_rows(problem, model)
    residuals[:n_train] *= inflation(model, n_train)
    return resampled_blocks(residuals - residuals.mean(), n_periods, n, seed)


def _level_noise(
    problem: ModelProblem, model: FittedModel, ahead: ToCome, noise: FloatArray, seed: np.random.SeedSequence
) -> FloatArray:
    """(S,) by how much a whole forecast may be off, judged by the mean errors of earlier ones."""
    missed = []
    for miss in ahead.misses:
        rows = Horizon(miss.start, miss.stop)
        brought = contributions(problem, model, rows).sum(axis=0) + model.intercept
        for name, difference in miss.columns.items():
            brought = brought + model.coefs[problem.columns.index(name)] * difference
        missed.append(float((brought - problem.outcome[rows.rows]).mean()))
    if not missed:
        return np.zeros(len(noise))
    # What the residuals explain of such a mean is drawn with them.
    spread = max(float(np.mean(np.square(missed))) - float(noise.mean(axis=1).var()), 0.0)
    level: FloatArray = np.sqrt(spread) * np.random.default_rng(seed).standard_t(len(missed), len(noise))
    return level


def _assumed_noise(
    problem: ModelProblem,
    model: FittedModel,
    ahead: ToCome,
    year: int,
    n_periods: int,
    n: int,
    seed: np.random.SeedSequence,
) -> FloatArray:
    """(S, n_periods) what columns differ by from the year before, or from their mean where there is no such year."""
    places = [problem.columns.index(name) for name in ahead.assumed]
    if not places:
        return np.zeros((n, n_periods))
    brought = contributions(problem, model, Horizon(0, problem.n_periods))[places].sum(axis=0)
    has_years = problem.n_periods >= year + MIN_DIFFERENCES
    differences = brought[year:] - brought[:-year] if has_years else brought
    return resampled_blocks(differences - differences.mean(), n_periods, n, seed)


# ------------------------------------------------------------------------------------------------------------ outcomes


@dataclass(frozen=True, eq=False)
class Units:
    """What spends bring where every coefficient is 1, so that a channel without effect has an interval too.

    Attributes:
        total, carried_in: (N, P, L + D) as in ``planning.Brought``.
        n_periods: L.
    """

    total: FloatArray
    carried_in: FloatArray
    n_periods: int

    @classmethod
    def by(cls, ground: Ground, models: Sequence[FittedModel], spends: FloatArray) -> Units:
        """Of any spends (P, L)."""
        of_one = [replace(model, coefs=np.ones_like(model.coefs)) for model in models]
        surface = FlightSurface.of(ground, of_one)
        return cls(surface.responses(spends), surface.carried_in, surface.n_periods)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is to be expected over the horizon, by one model or the mean of several.

    Attributes:
        baseline, context, organic, media, carried_in: (L,) parts; media is the plan's own.
        reference: (L,) the outcome with the reference spends.
        lower, upper: (L,) interval of the outcome.
        total: (lower, upper) of its sum. gain: (lower, upper) of what the plan brings more than the reference, in the
            horizon and after it.
    """

    baseline: FloatArray
    context: FloatArray
    organic: FloatArray
    media: FloatArray
    carried_in: FloatArray
    reference: FloatArray
    lower: FloatArray
    upper: FloatArray
    total: tuple[float, float]
    gain: tuple[float, float]

    @property
    def outcome(self) -> FloatArray:
        """(L,) the sum of the parts."""
        return self.baseline + self.context + self.organic + self.media + self.carried_in


def expected(
    problem: ModelProblem,
    models: Sequence[FittedModel],
    rests: Sequence[Rest],
    draws: Sequence[Draws],
    plan: Units,
    reference: Units,
    level: float,
) -> Outcome:
    """The outcome of a plan.

    Args:
        problem: the data. models, rests, draws: N of each. plan, reference: what both bring by the same N models.
        level: of the intervals.
    """
    n_models, n = len(models), plan.n_periods
    paid = slice(problem.first_media, problem.first_media + problem.n_paid)
    places = [*range(paid.start, paid.stop)]
    coefs = np.array([model.coefs[paid] for model in models])[:, :, np.newaxis]
    carried = (coefs * plan.carried_in[:, :, :n]).sum(axis=1)
    media = (coefs * plan.total[:, :, :n]).sum(axis=1) - carried
    drawn, gains = [], []
    for m, (rest, own) in enumerate(zip(rests, draws, strict=True)):
        table = np.vstack([rest.columns, plan.total[m, :, :n]])
        product = _product(own.coefs[:, [*rest.places, *places]], table)
        drawn.append(own.intercepts[:, np.newaxis] + product + own.noise)
        change = (plan.total[m] - reference.total[m]).sum(axis=1)
        gains.append(_product(own.responses, change[:, np.newaxis])[:, 0])
    tail = ((1 - level) / 2, (1 + level) / 2)
    pooled = np.concatenate(drawn)
    lower, upper = np.quantile(pooled, tail, axis=0)
    total, gain = np.quantile(pooled.sum(axis=1), tail), np.quantile(np.concatenate(gains), tail)

    def mean(rows: Sequence[FloatArray]) -> FloatArray:
        whole: FloatArray = np.sum(rows, axis=0) / n_models
        return whole

    unchanged = (coefs * reference.total[:, :, :n]).sum(axis=1)
    fixed = [rest.total + own for rest, own in zip(rests, unchanged, strict=True)]
    return Outcome(
        baseline=mean([rest.baseline for rest in rests]),
        context=mean([rest.context for rest in rests]),
        organic=mean([rest.organic for rest in rests]),
        media=mean(list(media)),
        carried_in=mean(list(carried)),
        reference=mean(fixed),
        lower=lower,
        upper=upper,
        total=(float(total[0]), float(total[1])),
        gain=(float(gain[0]), float(gain[1])),
    )


def response_band(draws: Sequence[Draws], units: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """(lower, upper) of responses by channel, pooled over the models.

    Args:
        draws: N. units: (N, P, L') responses of coefficients of 1. level: of the interval.
    """
    tail = ((1 - level) / 2, (1 + level) / 2)
    lower, upper = np.empty(units.shape[1:]), np.empty(units.shape[1:])
    for p in range(units.shape[1]):
        pooled = [
            np.multiply.outer(own.responses[:, p], unit[p]) for own, unit in zip(draws, units, strict=True)
        ]
        lower[p], upper[p] = np.quantile(np.concatenate(pooled), tail, axis=0)
    return lower, upper


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """A matrix product without BLAS, whose last bit depends on its threads."""
    product: FloatArray = np.einsum("sk,kt->st", left, right)
    return product
