"""Tables of facts about the selected models, one fact a row: contributions by date, response curves, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmm_core.decomposition import decompose
from mmm_core.types import FittedModel, ModelProblem

if TYPE_CHECKING:
    import pyarrow as pa

# Multiples of the historical flighting that response curves are drawn at; 1 is today, and every curve holds it.
CURVE_MULTIPLIERS = np.round(np.linspace(0.0, 3.0, 61), 10)


def contributions_table(problem: ModelProblem, models: Sequence[FittedModel]) -> pa.Table:
    """What each component brought in each period of the window: model by model, component by component."""
    import pyarrow as pa

    components = ("intercept", *problem.columns)
    roles = ("intercept", *(str(role) for role in problem.roles))
    w, k = problem.n_window, len(components)
    dates = problem.dates[problem.window]
    parts = []
    for model in models:
        taken = decompose(problem, model)
        contribution = np.vstack([np.full(w, model.intercept), taken.contributions])
        split = np.full((2, k, w), np.nan)
        split[:, 1 + problem.first_media :] = taken.immediate, taken.carryover
        is_media = np.repeat(np.arange(k) > problem.first_media, w)
        parts.append(
            pa.table(
                {
                    "candidate": pa.array([model.candidate] * (k * w)),
                    "date": pa.array(np.tile(dates, k)),
                    "component": pa.array(np.repeat(components, w).tolist()),
                    "role": pa.array(np.repeat(roles, w).tolist()),
                    "contribution": pa.array(contribution.ravel()),
                    "immediate": pa.array(split[0].ravel(), mask=~is_media),
                    "carryover": pa.array(split[1].ravel(), mask=~is_media),
                }
            )
        )
    return pa.concat_tables(parts)
