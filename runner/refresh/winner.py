"""Which candidate of a refresh becomes the model: one, for two new weeks are no reason for another set of models."""

from __future__ import annotations

import numpy as np

from mmm_core.types import FloatArray
from runner.spec import RefreshSpec


def refresh_scores(refresh: RefreshSpec, n_paid: int, fit: FloatArray, distance: FloatArray) -> FloatArray:
    """(N,) what candidates are ranked by, smallest first.

        closest:   distance
        evidence:  n log(NRMSE^2) + P distance^2

    n new periods, P paid channels, distance in standard errors of each channel's ROAS. W log(NRMSE^2) is the deviance
    of a model over the W periods of the window; but W - n of them the model before knew already, so that it counts for
    as many periods as are new. P distance^2 is the deviance of a change of ROAS if the ROAS of the model before is
    normal with its standard errors. A refresh is then one step of a filter: it moves by what new rows can tell.

    Args:
        refresh: periods and winner. n_paid: P.
        fit: (N,) NRMSE over the whole window. distance: (N,) to the model before.
    """
    if refresh.winner == "closest":
        return distance
    with np.errstate(divide="ignore"):
        scores: FloatArray = 2 * refresh.periods * np.log(fit) + n_paid * distance**2
    return scores
