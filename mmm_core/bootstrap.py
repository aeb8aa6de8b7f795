"""How far a model's numbers would move with another draw of the noise: a block bootstrap of its residuals.

What is varied is the noise alone. Hyperparameters (adstock, saturation, lambda, penalty factors), the Prophet columns
and the exposures are taken as given, so the intervals are **sampling uncertainty given the hyperparameters**; what the
choice of hyperparameters adds shows in the spread over a cluster (``clustering.cluster_intervals``).

**The draws.** With f the fitted values and e the residuals of the n training rows,

    y* = f + n / (n - df) * e*,        e* = blocks of L consecutive residuals, drawn with replacement, end to end,

and the model is fitted again to y* with the same columns, lambda, bounds and intercept rule. L = ceil(n^(1/3)); df =
columns with a non-zero coefficient, plus 1 for an intercept. At each place in a block the mean over all blocks is
taken off, so that the noise of every period has expectation 0 (Künsch 1989).

**The intervals.** Level-quantiles of the refitted coefficients, shifted by twice the ridge's own bias and cut at the
coefficient's bounds. With shrinkage S the fit b has expectation S beta and the refits S b, so their quantiles lie
around S S beta; the first shift of (I - S) b undoes the second shrinkage, the other one, to first order, the first. S
is that of the coefficients inside their bounds. Contribution, ROAS, CPA and response curves are monotone functions of
one coefficient each and take their ends from its ends.

**Measured coverage** of the true coefficients of 5 media at level 0.9, hyperparameters known, panels of 60, 110 and 210
weeks, R2 0.86, AR(1) noise (mean; in brackets the worst medium of a panel). The fronts of Robyn's demo have lambda /
sd(y) from 0.01 to 0.3 with median 0.03:

                     these intervals                           others, AR 0
    lambda / sd(y)   AR 0          AR 0.3        AR 0.6        unshifted     basic (reflected)
    0.0005           0.90 (0.85)   0.89 (0.85)   0.89 (0.83)   0.90 (0.85)   0.85 (0.69)
    0.03             0.89 (0.83)   0.88 (0.83)   0.88 (0.81)   0.90 (0.82)   0.86 (0.71)
    0.15             0.84 (0.76)   0.84 (0.76)   0.84 (0.76)   0.72 (0.01)   0.83 (0.76)
    0.3              0.79 (0.49)   0.79 (0.56)   0.78 (0.59)   0.55 (0.00)   0.77 (0.49)

``python -m tests.benchmarks.bootstrap_coverage`` measures it again (2 minutes). Basic intervals fail where a fit lies
on its bound of 0: reflected there, they have no width. The factor n / (n - df), the mean of the jackknife's 1 / (1 -
leverage), covers 0.01 to 0.03 more than its root. Heavier shrinkage than this cannot be undone to first order: there
the intervals miss the truth, as the model does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mmm_core import _kernels
from mmm_core.errors import RangeError, ShapeError
from mmm_core.evaluate import INTERCEPT_CODES, SOLVER_CODES, penalty_factors, split_rows
from mmm_core.intervals import Interval, IntervalKind, check_level
from mmm_core.transforms import design_matrix
from mmm_core.types import FittedModel, FloatArray, IntArray, InterceptRule, ModelProblem

# Draws that share one seed. Part of the results: another number gives other draws.
DRAWS_PER_SEED = 100
SMALLEST_PIVOT = 1e-10


@dataclass(frozen=True, eq=False)
class BootstrapDraws:
    """B refits of one model.

    Attributes:
        candidate: which model.
        first: number of the first draw.
        coefs: (B, K) original units.
        intercepts: (B,).
        statuses: (B,) codes, see ``types.FIT_STATUSES``.
        block_length: L, periods.
    """

    candidate: str
    first: int
    coefs: FloatArray
    intercepts: FloatArray
    statuses: IntArray
    block_length: int

    def __len__(self) -> int:
        return len(self.intercepts)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Parts of one model's draws, in any order, as one.

        Raises:
            ShapeError: the parts are of several models, overlap or leave a gap.
        """
        ordered = sorted(parts, key=lambda part: part.first)
        if not ordered or any(part.candidate != ordered[0].candidate for part in ordered):
            raise ShapeError("draws to be joined must be of one model")
        if any(b.first != a.first + len(a) for a, b in pairwise(ordered)):
            raise ShapeError(f"draws of {ordered[0].candidate} overlap or leave a gap")
        return cls(
            candidate=ordered[0].candidate,
            first=ordered[0].first,
            coefs=np.concatenate([part.coefs for part in ordered]),
            intercepts=np.concatenate([part.intercepts for part in ordered]),
            statuses=np.concatenate([part.statuses for part in ordered]),
            block_length=ordered[0].block_length,
        )


def draw_ranges(refits: int, size: int = DRAWS_PER_SEED) -> tuple[tuple[int, int], ...]:
    """Draws 0..refits cut into ranges [first, last) of a size: the units of work of ``bootstrap_draws``."""
    return tuple((first, min(first + size, refits)) for first in range(0, refits, size))


def block_length(n_rows: int) -> int:
    """Periods per block: ceil(n^(1/3)), 5 or 6 weeks of 104 to 208.

    Measured against one row a block, against 2 n^(1/3) and against the length that AR(1) residuals ask for
    (Carlstein 1986): all but the single rows cover alike, from no to strong autocorrelation, so the plain rule stays.
    """
    # Rounded first: the floating cube root of 125 lies above 5.
    return math.ceil(round(math.cbrt(n_rows), 9))


def bootstrap_model(
    problem: ModelProblem, model: FittedModel, refits: int, seed: np.random.SeedSequence
) -> BootstrapDraws:
    """All draws of a model in this process: ``bootstrap_draws`` over 0..refits."""
    return bootstrap_draws(problem, model, seed, 0, refits)


def bootstrap_draws(
    problem: ModelProblem, model: FittedModel, seed: np.random.SeedSequence, first: int, last: int
) -> BootstrapDraws:
    """Draws first..last-1 of a model's block bootstrap.

    A draw is a function of problem, model, seed and its own number: however a run of draws is cut into ranges, and
    whoever computes them, each draw comes out the same.

    Args:
        problem: the data. model: one evaluated candidate of it.
        seed: the model's own place in the tree of seeds; it is read, not advanced.
        first, last: 0 <= first < last.
    Returns:
        BootstrapDraws, B = last - first.
    Raises:
        RangeError: an empty or negative range.
    """
    if not 0 <= first < last:
        raise RangeError(f"draws [{first}, {last}) are not a range of at least one draw from 0")
    x = design_matrix(problem, model.hyperparameters)
    n = n_train_rows(problem, model)
    fitted = fitted_values(x[:n], model)
    length = block_length(n)
    noise = (problem.outcome[problem.window][:n] - fitted) * inflation(model, n)
    outcomes = fitted + _noise_draws(noise, length, seed, first, last)
    b, k = outcomes.shape[0], x.shape[1]
    coefs, intercepts, statuses = np.empty((b, k)), np.empty(b), np.empty(b, dtype=np.int64)
    _kernels.refit_batch(
        x,
        outcomes,
        n,
        float(model.penalty),
        penalty_factors(problem, model.hyperparameters[np.newaxis, :])[0],
        problem.lower,
        problem.upper,
        problem.trend_column,
        SOLVER_CODES[problem.solver],
        INTERCEPT_CODES[problem.intercept],
        coefs,
        intercepts,
        statuses,
    )
    return BootstrapDraws(model.candidate, first, coefs, intercepts, statuses, length)


def n_train_rows(problem: ModelProblem, model: FittedModel) -> int:
    """Rows of the window that the model was fitted on, n."""
    column = problem.hyperparameter_names.index("train_size")
    return int(split_rows(problem, model.hyperparameters[[column]])[0][0])


def fitted_values(x: FloatArray, model: FittedModel) -> FloatArray:
    """intercept + x @ coefs, shape (n,), summed column by column so that every machine gives the same last bit."""
    fitted = np.full(len(x), float(model.intercept))
    for j, coef in enumerate(model.coefs):
        fitted += x[:, j] * coef
    return fitted


def inflation(model: FittedModel, n_rows: int) -> float:
    """n / (n - df): residuals are smaller than the noise they stand for. n - df counts as at least 1."""
    df = int(np.count_nonzero(model.coefs)) + int(model.intercept != 0)
    return n_rows / max(n_rows - df, 1)


def _noise_draws(
    residuals: FloatArray, length: int, seed: np.random.SeedSequence, first: int, last: int
) -> FloatArray:
    """(last - first, n) series made of blocks of residuals."""
    return _series_of_blocks(residuals, length, len(residuals), seed, first, last)


def resampled_blocks(
    residuals: FloatArray, n_periods: int, draws: int, seed: np.random.SeedSequence
) -> FloatArray:
    """Noise of other periods: series put together from blocks of residuals, as the bootstrap's own are.

    Args:
        residuals: (n,), expected to be of mean 0. n_periods: L, any number. draws: B. seed: of the draws.
    Returns:
        (B, L), in the unit of the residuals.
    """
    return _series_of_blocks(residuals, block_length(len(residuals)), n_periods, seed, 0, draws)


def _series_of_blocks(
    residuals: FloatArray,
    length: int,
    n_periods: int,
    seed: np.random.SeedSequence,
    first: int,
    last: int,
) -> FloatArray:
    blocks = sliding_window_view(residuals, length)
    blocks = blocks - blocks.mean(axis=0)
    n_blocks = -(-n_periods // length)
    starts = _block_starts(len(blocks), n_blocks, seed, first, last)
    series: FloatArray = blocks[starts].reshape(last - first, n_blocks * length)[:, :n_periods]
    return series


def _block_starts(
    n_starts: int, n_blocks: int, seed: np.random.SeedSequence, first: int, last: int
) -> IntArray:
    """(last - first, n_blocks) first rows of the blocks; every DRAWS_PER_SEED draws have a child seed of their own."""
    parts = []
    for child in range(first // DRAWS_PER_SEED, (last - 1) // DRAWS_PER_SEED + 1):
        own = np.random.SeedSequence(
            seed.entropy, spawn_key=(*seed.spawn_key, child), pool_size=seed.pool_size
        )
        drawn = np.random.default_rng(own).integers(0, n_starts, (DRAWS_PER_SEED, n_blocks))
        begin = child * DRAWS_PER_SEED
        parts.append(drawn[max(first - begin, 0) : last - begin])
    return np.concatenate(parts)


def ridge_bias(problem: ModelProblem, model: FittedModel) -> tuple[FloatArray, float]:
    """What the ridge takes from each coefficient, to first order: (I - S) b, and the intercept's answer to it.

    On the columns whose coefficient lies strictly inside its bounds and is not 0, in standardised units,
    (I - S) b = (G + Lambda Q)^-1 Lambda Q b with G = Z'Z / n and Lambda Q the penalties of ``ridge.fit_bounded_ridge``.

    Args:
        problem: the data. model: one evaluated candidate of it.
    Returns:
        ((K,) to be added to the coefficients, what is then to be added to the intercept).
    """
    n = n_train_rows(problem, model)
    x, y = design_matrix(problem, model.hyperparameters)[:n], problem.outcome[problem.window][:n]
    centred = model.intercept != 0
    lower, upper = coefficient_bounds(problem, x)
    scale, mean = x.std(axis=0), x.mean(axis=0)
    inside = _strictly_inside(model.coefs, lower, upper) & (model.coefs != 0) & (scale > 0)
    bias = np.zeros_like(model.coefs)
    factors = penalty_factors(problem, model.hyperparameters[np.newaxis, :])[0]
    if inside.any() and factors.any():
        y_scale = y.std() if centred else math.sqrt(float((y**2).mean()))
        strength = (model.penalty / y_scale * factors * len(factors) / factors.sum())[inside]
        z = ((x - mean if centred else x) / np.where(scale > 0, scale, 1.0))[:, inside]
        pull = strength * model.coefs[inside] * scale[inside]
        gram = np.einsum("ti,tj->ij", z, z) / n
        bias[inside] = _solve(gram + np.diag(strength), pull) / scale[inside]
    return bias, -float((mean * bias).sum()) if centred else 0.0


def _solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Gauss-Jordan for a positive semidefinite matrix of diagonal >= 1, without BLAS and LAPACK, whose
    last bit depends on the number of threads. A column that repeats others and bears no penalty gets 0.
    """
    rows = np.column_stack([matrix, right])
    answered = np.zeros(len(right), dtype=np.bool_)
    for j in range(len(right)):
        if rows[j, j] > SMALLEST_PIVOT:
            rows[j] /= rows[j, j]
            others = np.arange(len(right)) != j
            rows[others] -= rows[others, j][:, np.newaxis] * rows[j]
            answered[j] = True
    return np.where(answered, rows[:, -1], 0.0)


def _strictly_inside(coefs: FloatArray, lower: FloatArray, upper: FloatArray) -> NDArray[np.bool_]:
    # Scaling to standard deviations and back can leave a coefficient a rounding error inside or outside its bound.
    on_bound = np.isclose(coefs, lower, rtol=1e-9, atol=0) | np.isclose(coefs, upper, rtol=1e-9, atol=0)
    inside: NDArray[np.bool_] = (coefs > lower) & (coefs < upper) & ~on_bound
    return inside


def coefficient_bounds(problem: ModelProblem, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The bounds that hold on training rows x (n, K): the problem's, and those that the trend's sign asks for."""
    lower, upper = problem.lower.copy(), problem.upper.copy()
    _kernels.bound_trend(np.ascontiguousarray(x), len(x), problem.trend_column, lower, upper)
    return lower, upper


def coefficient_intervals(
    problem: ModelProblem, model: FittedModel, draws: BootstrapDraws, level: float
) -> tuple[FloatArray, FloatArray, tuple[float, float]]:
    """Where the true coefficients may lie, see the top of the module.

    Args:
        problem: the data. model: one evaluated candidate of it. draws: of that model.
        level: in (0, 1).
    Returns:
        ((K,) lower, (K,) upper, (lower, upper) of the intercept).
    Raises:
        RangeError: level outside (0, 1). ShapeError: draws of another model.
    """
    tail = (1 - check_level(level)) / 2
    if draws.candidate != model.candidate:
        raise ShapeError(f"draws are of {draws.candidate}, not of {model.candidate}")
    bias, intercept_bias = ridge_bias(problem, model)
    low, high = np.quantile(draws.coefs, (tail, 1 - tail), axis=0) + 2 * bias
    x = design_matrix(problem, model.hyperparameters)[: n_train_rows(problem, model)]
    lower, upper = coefficient_bounds(problem, x)
    ends = np.quantile(draws.intercepts, (tail, 1 - tail)) + 2 * intercept_bias
    if problem.intercept is InterceptRule.NON_NEGATIVE:
        ends = np.maximum(ends, 0.0)
    return np.clip(low, lower, upper), np.clip(high, lower, upper), (float(ends[0]), float(ends[1]))


def shifted_draws(problem: ModelProblem, model: FittedModel, draws: BootstrapDraws) -> FloatArray:
    """The draws that the intervals are quantiles of, for questions about several coefficients at once.

    Shift and bounds of ``coefficient_intervals``, put on every draw: both keep the order, so the quantiles of one
    coefficient are its interval, up to the interpolation between two draws of which one lies on a bound.

    Args:
        problem: the data. model: one evaluated candidate of it. draws: of that model.
    Returns:
        (B, K) coefficients.
    Raises:
        ShapeError: draws of another model.
    """
    if draws.candidate != model.candidate:
        raise ShapeError(f"draws are of {draws.candidate}, not of {model.candidate}")
    bias, _ = ridge_bias(problem, model)
    x = design_matrix(problem, model.hyperparameters)[: n_train_rows(problem, model)]
    lower, upper = coefficient_bounds(problem, x)
    shifted: FloatArray = np.clip(draws.coefs + 2 * bias, lower, upper)
    return shifted


def intervals(
    problem: ModelProblem, model: FittedModel, draws: BootstrapDraws, level: float
) -> tuple[Interval, ...]:
    """Intervals of everything that one coefficient decides.

    Rows: coef and contribution of the intercept and of every design column, then ROAS (revenue) or CPA (conversions)
    of every paid channel. contribution = coef * sum of the column over the window; roas = contribution / spend over the
    window; cpa = spend / contribution, infinite where nothing is brought.

    Args:
        problem: the data. model: one evaluated candidate of it. draws: of that model.
        level: in (0, 1).
    Returns:
        Intervals of kind "sampling", n = number of draws.
    Raises:
        RangeError: level outside (0, 1). ShapeError: draws of another model.
    """
    low, high, intercept = coefficient_intervals(problem, model, draws, level)
    column_sums = design_matrix(problem, model.hyperparameters).sum(axis=0)

    def row(quantity: str, name: str, estimate: float, ends: tuple[float, float]) -> Interval:
        lower, upper = min(ends), max(ends)
        kind = IntervalKind.SAMPLING
        return Interval(
            model.candidate,
            kind,
            quantity,
            name,
            float(estimate),
            float(lower),
            float(upper),
            level,
            len(draws),
        )

    names = ("intercept", *problem.columns)
    estimates = np.array([model.intercept, *model.coefs])
    ends = np.array([intercept, *zip(low, high, strict=True)])
    factors = np.array([problem.n_window, *column_sums])
    rows = [row("coef", name, b, tuple(e)) for name, b, e in zip(names, estimates, ends, strict=True)]
    brought, brought_ends = estimates * factors, ends * factors[:, np.newaxis]
    rows += [
        row("contribution", n, c, tuple(e)) for n, c, e in zip(names, brought, brought_ends, strict=True)
    ]
    efficiency = problem.outcome_kind.efficiency
    for p, channel in enumerate(problem.paid):
        at, spend = 1 + problem.first_media + p, float(problem.total_spend[p])
        values = [_efficiency(efficiency, c, spend) for c in (brought[at], *brought_ends[at])]
        rows.append(row(efficiency, channel, values[0], (values[1], values[2])))
    return tuple(rows)


def _efficiency(name: str, contribution: float, spend: float) -> float:
    if name == "cpa":
        return spend / contribution if contribution > 0 else math.inf
    return contribution / spend if spend > 0 else math.nan


def response_band(interval: Interval, unit_response: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Band of a response curve: with hyperparameters given, a response is its coefficient times a known curve.

    Args:
        interval: of the channel's coefficient.
        unit_response: shape (S,), the response that a coefficient of 1 would give, >= 0.
    Returns:
        (lower, upper), shape (S,) each, unit of the response.
    Raises:
        ShapeError: an interval of something else.
    """
    if interval.quantity != "coef":
        raise ShapeError(f"a response band needs the interval of a coef, got one of {interval.quantity}")
    return interval.lower * unit_response, interval.upper * unit_response
