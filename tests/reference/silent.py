"""Panels whose media columns are given as they enter the ridge, to build why one of them has no effect."""

from __future__ import annotations

import numpy as np

from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import FittedModel, ModelProblem, Role

N = 120
rng = np.random.default_rng(3)
TV, SEARCH, OTHER = rng.gamma(1.5, 1, (3, N))
CONTEXT = rng.normal(0, 1, N)
NOISE = rng.normal(0, 1, N)


def curve(values):
    """Values between 0 and 1/2, and the exposures that alpha = gamma = 1 without adstock makes them of."""
    saturated = 0.5 * values / values.max()
    return saturated, saturated / (1 - saturated)


def model_on(exposures, outcome, *, context=CONTEXT, point=None, penalty=1e-9, train_size=1.0, **fields):
    """(problem, model): media as given, alpha = gamma = 1 and no adstock, fitted by ``evaluate_candidates``."""
    media = list(exposures)
    n = len(media)
    problem = ModelProblem(
        dates=np.datetime64("2021-01-04") + 7 * np.arange(N),
        outcome=outcome,
        columns=("weather", *media),
        roles=(Role.CONTEXT, *[Role.PAID] * n),
        design=np.vstack([context, *exposures.values()]),
        spend=np.array([e + 0.01 for e in exposures.values()]),
        lower=np.array([-np.inf] + [0.0] * n),
        upper=np.full(n + 1, np.inf),
        start=0,
        stop=N,
        time_series_validation=train_size < 1,
        **fields,
    )
    usual = {
        "alpha": 1.0,
        "gamma": 1.0,
        "theta": 0.0,
        "train_size": train_size,
        "lambda_hp": 0.0,
        "penalty": 1.0,
    }
    given = point or {}
    values = [
        given.get(name, usual[name if name in usual else name.rsplit("_", 1)[1]])
        for name in problem.hyperparameter_names
    ]
    points = np.array([values])
    batch = evaluate_candidates(problem, points, np.array([penalty]))
    return problem, FittedModel("1_1", points[0], penalty, float(batch.loss("intercept")[0]), batch.coefs[0])
