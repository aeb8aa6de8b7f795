"""A candidate in NumPy as one would write it at first, to measure against: geometric adstock, glmnet's descent."""

from __future__ import annotations

import numpy as np

from mmm_core.evaluate import penalty_factors, split_rows
from mmm_core.types import FloatArray, ModelProblem


def numpy_losses(problem: ModelProblem, points: FloatArray) -> FloatArray:
    """NumPy as one would write it at first: whole columns at a time, one candidate after another."""
    return np.array([_numpy_candidate(problem, point) for point in points])


def _numpy_candidate(problem: ModelProblem, point: FloatArray) -> tuple[float, float]:
    named = dict(zip(problem.hyperparameter_names, point, strict=True))
    x = problem.design[:, problem.window].T.copy()
    for m, medium in enumerate(problem.media, start=problem.first_media):
        adstocked = problem.design[m].copy()
        for t in range(1, len(adstocked)):
            adstocked[t] += named[f"{medium}_theta"] * adstocked[t - 1]
        z = adstocked[problem.window]
        inflexion, alpha = named[f"{medium}_gamma"] * z.max(), named[f"{medium}_alpha"]
        x[:, m] = z**alpha / (z**alpha + inflexion**alpha)
    y = problem.outcome[problem.window]
    (n,), (n_val,) = split_rows(problem, np.array([named["train_size"]]))
    low, high = problem.lambda_range
    factors = penalty_factors(problem, point[np.newaxis])[0]
    coefs, intercept = numpy_ridge(problem, x[:n], y[:n], low + (high - low) * named["lambda_hp"], factors)
    part = slice(n, n + n_val)
    nrmse = np.sqrt(np.mean((y - intercept - x @ coefs)[part] ** 2)) / np.ptp(y[part])
    effects = (x.sum(axis=0) * coefs)[problem.first_media :][: problem.n_paid]
    shares = effects / effects.sum()
    rssd = np.linalg.norm(shares - problem.spend_share) * (1 + np.mean(np.round(shares, 4) == 0))
    return float(nrmse), float(rssd)


def numpy_ridge(
    problem: ModelProblem, x: FloatArray, y: FloatArray, penalty: float, factors: FloatArray
) -> tuple[FloatArray, float]:
    scale, unit = x.std(axis=0), y.std()
    safe = np.where(scale > 0, scale, 1.0)
    z = (x - x.mean(axis=0)) / safe
    strength = penalty / unit * factors / factors.mean()
    low, high = problem.lower * scale / unit, problem.upper * safe / unit
    b, residual, active = np.zeros(x.shape[1]), (y - y.mean()) / unit, []

    def sweep(columns: list[int]) -> float:
        nonlocal residual
        change = 0.0
        for j in columns:
            new = np.clip((z[:, j] @ residual / len(y) + b[j]) / (1 + strength[j]), low[j], high[j])
            if step := new - b[j]:
                b[j], residual = new, residual - step * z[:, j]
                change = max(change, step * step)
                if j not in active:
                    active.append(j)
        return change

    while sweep([j for j in range(len(b)) if scale[j] > 0]) >= 1e-7:
        while sweep(active) >= 1e-7:
            pass
    coefs = b * unit / safe
    return coefs, float(y.mean() - x.mean(axis=0) @ coefs)
