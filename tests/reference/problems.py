"""Problems built from a known truth, for tests that need many of them; everything follows from the seed."""

from __future__ import annotations

import numpy as np

from mmm_core.limits import parameter_of
from mmm_core.transforms import design_matrix
from mmm_core.types import Adstock, FloatArray, InterceptRule, ModelProblem, Role


def random_hyperparameters(problem: ModelProblem, seed: int, n: int = 1) -> FloatArray:
    """(N, H) legal points, away from the ends where models are no longer models."""
    rng = np.random.default_rng(seed)
    usual = {"alpha": (0.5, 3), "gamma": (0.3, 1), "theta": (0, 0.8), "shape": (0, 6), "scale": (0, 0.3)}
    usual |= {"train_size": (0.5, 0.8), "lambda_hp": (0, 1), "penalty": (0, 1)}
    columns = []
    for name in problem.hyperparameter_names:
        low, high = usual[parameter_of(name)]
        columns.append(rng.uniform(low, high, n))
        if name == "lambda_hp":
            columns[-1] **= 4  # good models are found near 0
    values = np.column_stack(columns)
    if not problem.time_series_validation:
        values[:, problem.hyperparameter_names.index("train_size")] = 1.0
    return values


def random_problem(
    seed: int,
    *,
    n_periods: int = 60,
    window: tuple[int, int] | None = None,
    n_paid: int = 3,
    n_organic: int = 1,
    n_context: int = 1,
    adstock: Adstock = Adstock.GEOMETRIC,
    intercept: InterceptRule = InterceptRule.NON_NEGATIVE,
    time_series_validation: bool = True,
    penalty_factors: bool = False,
    zero_penalty: bool = True,
    solver: str = "glmnet",
    level: float = 100.0,
    noise: float = 5.0,
    effect: float = 50.0,
) -> ModelProblem:
    """A panel whose outcome is level + trend + season + context + effect * saturated media + noise.

    Exposures are gamma draws, a third of them zero, as flighted media are. A negative ``effect`` makes media that only
    harm, which bounded coefficients cannot follow.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(n_periods)
    trend, season = 0.3 * t, 10 * np.sin(2 * np.pi * t / 26)
    context = rng.normal(0, 3, (n_context, n_periods))
    media = rng.gamma(1.5, 1000, (n_paid + n_organic, n_periods))
    media *= rng.random(media.shape) > 0.33
    media[:, 0] += 1.0
    names = ["trend", "season", *(f"context_{i}" for i in range(n_context))]
    roles = (
        [Role.BASELINE] * 2 + [Role.CONTEXT] * n_context + [Role.PAID] * n_paid + [Role.ORGANIC] * n_organic
    )
    names += [f"paid_{i}" for i in range(n_paid)] + [f"organic_{i}" for i in range(n_organic)]
    free, bound = [-np.inf] * n_context, [0.0] * (n_paid + n_organic)
    start, stop = window or (min(5, n_periods - 1), n_periods)
    base = dict(
        dates=np.datetime64("2021-01-04") + 7 * t,
        columns=tuple(names),
        roles=tuple(roles),
        design=np.vstack([trend, season, context, media]),
        spend=media[:n_paid] * rng.uniform(0.5, 2, (n_paid, 1)),
        lower=np.array([0, 0, *free, *bound]),
        upper=np.array([1, 1] + [np.inf] * (n_context + n_paid + n_organic)),
        adstock=adstock,
        intercept=intercept,
        time_series_validation=time_series_validation,
        penalty_factors=penalty_factors,
        zero_penalty=zero_penalty,
        solver=solver,
    )
    whole = ModelProblem(outcome=np.ones(n_periods), start=0, stop=n_periods, **base)
    x = design_matrix(whole, random_hyperparameters(whole, seed)[0])
    weights = np.array([1.0, 1.0] + [1.0] * n_context + [effect] * (n_paid + n_organic))
    # Not by BLAS, whose last bit depends on how many threads it was given.
    outcome = level + (weights * x).sum(axis=1) + noise * rng.normal(size=n_periods)
    return ModelProblem(outcome=outcome, start=start, stop=stop, **base)
