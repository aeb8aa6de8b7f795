"""Which component brought what, period by period."""

from __future__ import annotations

import numpy as np

from mmm_core.saturation import hill
from mmm_core.transforms import channel_curves, transform_media
from mmm_core.types import Decomposition, FittedModel, ModelProblem


def decompose(problem: ModelProblem, model: FittedModel) -> Decomposition:
    """Take one model apart over the window.

    contribution[k, t] = coef[k] * x[k, t] (x saturated for media); carryover[m, t] = coef * hill(carried-over exposure)
    with the curve's own inflexion, immediate = contribution - carryover: the carryover is valued first, on the steep
    part of the curve, so the split is not symmetric.

    Args:
        problem: the data. model: one evaluated candidate of it.
    Returns:
        Decomposition over the W periods of the window.
    Source: Robyn 3.12.1, model.R, model_decomp; transformation.R, run_transformations.
    """
    window = problem.window
    transform = transform_media(problem, model.hyperparameters)
    x = problem.design[:, window].copy()
    x[problem.first_media :] = transform.saturated
    contributions = model.coefs[:, np.newaxis] * x
    carryover = np.empty_like(transform.saturated)
    for m, curve in enumerate(channel_curves(problem, model)):
        exposure = problem.design[problem.first_media + m, window]
        # Rounding can leave a tiny negative difference where nothing was carried over.
        carried = np.maximum(transform.adstocked[m] - transform.own_weight[m] * exposure, 0.0)
        carryover[m] = curve.coef * hill(carried, curve.alpha, curve.inflexion)
    return Decomposition(
        fitted=model.intercept + contributions.sum(axis=0),
        contributions=contributions,
        immediate=contributions[problem.first_media :] - carryover,
        carryover=carryover,
    )
