"""Bounded ridge regression that gives glmnet's own numbers, or the exact minimum of what glmnet minimises.

By default the fit stops where glmnet's coordinate descent stops, which with its threshold of 1e-7 can be visibly before
the minimum when the penalty is small and columns are correlated. That is on purpose: results can then be compared with
R Robyn to rounding. The exact solver goes on to the minimum of the same objective. The loops are in ``_kernels``; this
module checks arguments once and calls them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmm_core import _kernels
from mmm_core.errors import RangeError, ShapeError
from mmm_core.evaluate import INTERCEPT_CODES, SOLVER_CODES
from mmm_core.types import FIT_STATUSES, FitStatus, FloatArray, InterceptRule, Solver


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """A fitted bounded ridge.

    Attributes:
        coefs: (K,) original units, within their bounds to rounding; 0 for a constant column.
        intercept: original unit of y; 0 where the fit is without one.
        status: OK, or MAX_SWEEPS if the descent gave up.
        df: degrees of freedom used, columns with a non-zero coefficient plus 1 for an intercept.
    """

    coefs: FloatArray
    intercept: float
    status: FitStatus
    df: int


def fit_bounded_ridge(
    x: FloatArray,
    y: FloatArray,
    penalty: float,
    lower: FloatArray,
    upper: FloatArray,
    penalty_factors: FloatArray | None = None,
    intercept: InterceptRule = InterceptRule.NON_NEGATIVE,
    solver: Solver = Solver.GLMNET,
) -> RidgeFit:
    """Ridge with a box for every coefficient, in glmnet's scaling.

    Minimises (1/2n) sum_i (y_i - b0 - sum_j x_ij b_j)^2 + penalty / (2 ys) sum_j q_j (s_j b_j)^2 subject to
    lower <= b <= upper, with s_j the standard deviation of column j, ys that of y (both divisor n) and q the penalty
    factors rescaled to sum to K; b0 is free and not penalised. Without an intercept x and y are not centred, s_j stays
    the centred standard deviation and ys becomes sqrt(mean(y^2)). The rule non_negative fits again without an intercept
    if it comes out negative. glmnet's coordinate descent from zero stops when no step of a sweep moves the fit by more
    than 1e-7 of the variance of y; the exact solver, an active set, leaves no slope above rounding.

    Args:
        x: shape (n, K), any numeric dtype, finite.
        y: shape (n,), finite.
        penalty: lambda, >= 0, in the unit of y.
        lower, upper: shape (K,), original units, lower <= 0 <= upper; infinite where free.
        penalty_factors: shape (K,), >= 0; default all 1. All 0: nothing is penalised.
        intercept: the intercept rule. solver: how far to go.
    Returns:
        RidgeFit. A constant column gets 0. A constant y leaves nothing to explain: all coefficients are 0.
    Raises:
        ShapeError: shapes do not fit one another. RangeError: a value is not finite or outside its range.
    Source: glmnet 4.1 (gaussian, alpha = 0, one lambda, standardize, thresh = 1e-7) as Robyn 3.12.1 calls it, model.R,
    robyn_mmm. glmnet refuses a constant y and factors that are all 0; we do not.
    """
    x, y = np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)
    _check_data(x, y)
    lower, upper = _vector("lower", lower, x.shape[1]), _vector("upper", upper, x.shape[1])
    factors = _vector(
        "penalty_factors", np.ones(x.shape[1]) if penalty_factors is None else penalty_factors, x.shape[1]
    )
    _check_box(lower, upper)
    _check_penalties(penalty, factors)
    n, k = x.shape
    mean, scale, z = np.empty(k), np.empty(k), np.empty((_kernels.rows_in_fours(n), k))
    covariance, correlation, coefs = np.empty((k, k)), np.empty(k), np.empty(k)
    y_mean, y_sd = _kernels.moments(x, y, n, mean, scale)
    _kernels.standardise(x, n, mean, scale, z)
    _kernels.gram(z, n, covariance)
    _kernels.correlations(z, y, n, y_mean, correlation)
    b0, status, df_intercept = _kernels.solve_with_intercept_rule(
        SOLVER_CODES[Solver(solver)], INTERCEPT_CODES[InterceptRule(intercept)],
        mean, scale, y_mean, y_sd, covariance, correlation, float(penalty), factors, lower, upper,
        np.empty((5, k)), np.empty((k, k)), np.empty(k, dtype=np.int64), coefs,
    )  # fmt: skip
    df = int(np.count_nonzero(coefs)) + int(df_intercept)
    return RidgeFit(coefs, float(b0), FIT_STATUSES[status], df)


def _check_data(x: FloatArray, y: FloatArray) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or len(y) == 0 or x.shape[1] == 0:
        raise ShapeError(f"x has shape {x.shape} and y {y.shape}, expected (n, K) and (n,)")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise RangeError("x and y must be finite")


def _vector(name: str, values: FloatArray, k: int) -> FloatArray:
    vector: FloatArray = np.ascontiguousarray(values, dtype=np.float64)
    if vector.shape != (k,):
        raise ShapeError(f"{name} has shape {vector.shape}, expected ({k},)")
    return vector


def _check_box(lower: FloatArray, upper: FloatArray) -> None:
    if not ((lower <= 0) & (upper >= 0)).all():
        raise RangeError("bounds must satisfy lower <= 0 <= upper")


def _check_penalties(penalty: float, factors: FloatArray) -> None:
    if not (np.isfinite(penalty) and penalty >= 0):
        raise RangeError(f"penalty is {penalty:g}, expected a finite number >= 0")
    if not np.isfinite(factors).all() or (factors < 0).any():
        raise RangeError("penalty_factors must be finite and >= 0")
