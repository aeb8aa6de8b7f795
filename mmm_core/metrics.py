"""Measures of fit that need a whole model rather than one part of its rows."""

from __future__ import annotations

import numpy as np

from mmm_core.decomposition import decompose
from mmm_core.types import FittedModel, ModelProblem


def window_nrmse(problem: ModelProblem, model: FittedModel) -> float:
    """NRMSE over the whole window, training, validation and test rows alike.

    sqrt(mean (y - fitted)^2) / (max y - min y), over the W periods.

    Args:
        problem: the data. model: one evaluated candidate of it.
    Returns:
        Unitless, >= 0.
    """
    outcome = problem.outcome[problem.window]
    error = outcome - decompose(problem, model).fitted
    return float(np.sqrt((error**2).mean()) / np.ptp(outcome))
