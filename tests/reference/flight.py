"""Responses of spends by period as a student would compute them: the weights written out, every period by itself."""

from __future__ import annotations

import math

from tests.reference.candidate import hill


def lag_weight(kind, parameters, n_table, k):
    """Weight of an exposure k periods later, in a model of a table of n_table periods."""
    if kind == "geometric":
        return parameters[0] ** k
    shape, scale = parameters
    if shape == 0 or scale == 0:
        return 1.0 if k == 0 else 0.0
    s = round(1 + (n_table - 1) * scale)
    if kind == "weibull_cdf":
        return math.prod(math.exp(-((i / s) ** shape)) for i in range(1, k + 1))

    def density(lag):
        z = (lag + 1) / s
        return shape / s * z ** (shape - 1) * math.exp(-(z**shape))

    table = [density(lag) for lag in range(n_table)]
    if max(table) == min(table):
        return 1.0 if k == 0 else 0.0
    return max(0.0, (density(k) - min(table)) / (max(table) - min(table)))


def responses(exposure, kind, parameters, n_table, alpha, inflexion, coef):
    """KPI of every period of a series of exposures, however long."""
    weights = [lag_weight(kind, parameters, n_table, k) for k in range(len(exposure))]
    brought = []
    for t in range(len(exposure)):
        carried = sum(weights[k] * exposure[t - k] for k in range(t + 1))
        brought.append(coef * hill(carried, alpha, inflexion))
    return brought
