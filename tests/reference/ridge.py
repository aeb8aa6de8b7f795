"""glmnet's coordinate descent as a student would write it: plain Python loops over lists, nothing precomputed.

And the same objective as a bounded least-squares problem for scipy, which goes to its minimum.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import lsq_linear


def bounded_ridge(x, y, penalty, lower, upper, penalty_factors=None, rule="non_negative"):
    """(coefs, intercept) as ``fit_bounded_ridge`` has them. x is a list of n rows, everything else lists."""
    factors = penalty_factors if penalty_factors is not None else [1.0] * len(x[0])
    if rule != "none":
        coefs, intercept = _solve(x, y, penalty, lower, upper, factors, with_intercept=True)
        if rule == "unconstrained" or intercept >= 0:
            return coefs, intercept
    return _solve(x, y, penalty, lower, upper, factors, with_intercept=False)


def _solve(x, y, penalty, lower, upper, factors, with_intercept):
    n, k = len(x), len(x[0])
    columns = [[row[j] for row in x] for j in range(k)]
    means = [sum(c) / n for c in columns]
    scales = [math.sqrt(sum((v - m) ** 2 for v in c) / n) for c, m in zip(columns, means, strict=True)]
    constant = [max(c) == min(c) for c in columns]
    y_mean = sum(y) / n if with_intercept else 0.0
    y_scale = math.sqrt(sum((v - y_mean) ** 2 for v in y) / n)
    z = [
        [0.0] * n
        if constant[j]
        else [(v - (means[j] if with_intercept else 0.0)) / scales[j] for v in columns[j]]
        for j in range(k)
    ]
    r = [(v - y_mean) / y_scale for v in y]
    strength = [penalty / y_scale * f * k / sum(factors) for f in factors]
    low = [b * s / y_scale if s else 0.0 for b, s in zip(lower, scales, strict=True)]
    high = [b * s / y_scale if s else 0.0 for b, s in zip(upper, scales, strict=True)]
    b = _descend(z, r, strength, low, high, constant)
    coefs = [0.0 if constant[j] else b[j] * y_scale / scales[j] for j in range(k)]
    intercept = y_mean - sum(m * c for m, c in zip(means, coefs, strict=True)) if with_intercept else 0.0
    return coefs, intercept


def _descend(z, r, strength, low, high, constant, threshold=1e-7, limit=100_000):
    """Sweeps over all columns, then over those that ever moved, until no step changes the fit by ``threshold``."""
    n, k = len(r), len(z)
    b, active = [0.0] * k, []
    square = [sum(v * v for v in column) / n for column in z]
    residual = list(r)

    def sweep(order):
        change = 0.0
        for j in order:
            gradient = sum(v * e for v, e in zip(z[j], residual, strict=True)) / n
            new = min(max((gradient + square[j] * b[j]) / (square[j] + strength[j]), low[j]), high[j])
            step = new - b[j]
            if step != 0.0:
                b[j] = new
                for i in range(n):
                    residual[i] -= step * z[j][i]
                if j not in active:
                    active.append(j)
                change = max(change, square[j] * step * step)
        return change

    sweeps = 0
    while sweeps < limit:
        sweeps += 1
        if sweep([j for j in range(k) if not constant[j]]) < threshold:
            break
        while sweeps < limit:
            sweeps += 1
            if sweep(list(active)) < threshold:
                break
    return b


def exact_bounded_ridge(x, y, penalty, lower, upper, penalty_factors=None, rule="non_negative"):
    """(coefs, intercept) at the minimum: the penalty as K more rows of a bounded least-squares problem."""
    if rule != "none":
        coefs, intercept = _least_squares(x, y, penalty, lower, upper, penalty_factors, with_intercept=True)
        if rule == "unconstrained" or intercept >= 0:
            return coefs, intercept
    return _least_squares(x, y, penalty, lower, upper, penalty_factors, with_intercept=False)


def _least_squares(x, y, penalty, lower, upper, factors, with_intercept):
    n, k = x.shape
    factors = np.ones(k) if factors is None else np.asarray(factors)
    s, constant = x.std(axis=0), np.ptp(x, axis=0) == 0
    x_mean, y_mean = (x.mean(axis=0), y.mean()) if with_intercept else (np.zeros(k), 0.0)
    y_scale = np.sqrt(((y - y_mean) ** 2).mean())
    z = np.where(constant, 0.0, (x - x_mean) / np.where(constant, 1.0, s))
    strength = np.where(constant, 1.0, penalty / y_scale * factors * k / factors.sum())
    rows = np.vstack([z / math.sqrt(n), np.diag(np.sqrt(strength))])
    right = np.append((y - y_mean) / y_scale / math.sqrt(n), np.zeros(k))
    width = np.where(constant, 1.0, s / y_scale)
    found = lsq_linear(rows, right, (lower * width, upper * width), method="bvls", tol=1e-15, max_iter=1000)
    coefs = np.where(constant, 0.0, found.x / width)
    return coefs, y_mean - x_mean @ coefs if with_intercept else 0.0
