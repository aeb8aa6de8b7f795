"""Exposure to saturated exposure, for one candidate: adstock on all rows, cut to the window, Hill."""

from __future__ import annotations

import numpy as np

from mmm_core import _kernels
from mmm_core.adstock import KIND_CODES
from mmm_core.evaluate import adstock_parameters, media_parameters
from mmm_core.types import ChannelCurve, FittedModel, FloatArray, MediaTransform, ModelProblem


def transform_media(problem: ModelProblem, hyperparameters: FloatArray) -> MediaTransform:
    """Adstock and saturation of every medium over the window.

    Args:
        problem: the data.
        hyperparameters: shape (H,), one candidate, in the order of ``problem.hyperparameter_names``.
    Returns:
        MediaTransform, the very numbers that ``evaluate_candidates`` regresses on.
    """
    m, w = len(problem.media), problem.n_window
    parameters = media_parameters(problem, hyperparameters[np.newaxis, :])[0]
    adstocked, inflexion, own_weight = np.empty((m, w)), np.empty(m), np.empty(m)
    x = np.zeros((w, len(problem.columns)))
    _kernels.transform_media(
        KIND_CODES[problem.adstock],
        problem.design,
        problem.first_media,
        problem.start,
        problem.stop,
        parameters,
        np.empty((4, problem.n_periods)),
        np.empty(problem.n_periods),
        np.empty((2, w)),
        np.empty(w),
        x,
        inflexion,
        adstocked,
        own_weight,
    )
    saturated = np.ascontiguousarray(x[:, problem.first_media :].T)
    return MediaTransform(adstocked, own_weight, inflexion, saturated)


def design_matrix(problem: ModelProblem, hyperparameters: FloatArray) -> FloatArray:
    """(W, K) columns that the ridge sees with one candidate's hyperparameters: raw, media adstocked and saturated."""
    x = problem.design[:, problem.window].copy()
    x[problem.first_media :] = transform_media(problem, hyperparameters).saturated
    return np.ascontiguousarray(x.T)


def channel_curves(problem: ModelProblem, model: FittedModel) -> tuple[ChannelCurve, ...]:
    """The M response curves of a model, in the order of ``problem.media``."""
    parameters = media_parameters(problem, model.hyperparameters[np.newaxis, :])[0]
    inflexion = transform_media(problem, model.hyperparameters).inflexion
    return tuple(
        ChannelCurve(
            channel=channel,
            coef=float(model.coefs[problem.first_media + m]),
            alpha=float(parameters[m, 0]),
            gamma=float(parameters[m, 1]),
            inflexion=float(inflexion[m]),
            adstock=problem.adstock,
            adstock_parameters=adstock_parameters(problem.adstock, parameters[m]),
        )
        for m, channel in enumerate(problem.media)
    )
