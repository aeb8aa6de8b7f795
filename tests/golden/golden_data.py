"""The golden tables of Robyn 3.12.1 as problems and models of ours.

Provenance: R 4.2.2, Robyn 3.12.1 (CRAN), glmnet 4.1-6, nloptr 2.0.3, on Robyn's own demo data, window rows 7 to 163
(from 1); the numbers are described in the README beside them. They lie outside the repository, in ``../shared``
relative to its root; tests that need them are skipped where that folder is absent. The values may change only with a
new export from R, never to fit our code.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmm_core.types import FittedModel, ModelProblem
from tests.golden import robyn_names

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden"
needs_golden = pytest.mark.skipif(
    not GOLDEN.is_dir(),
    reason="the golden tables of R Robyn (../shared/reference/golden) are not on this machine",
)

BASELINE = ("trend", "season", "holiday")
CONTEXT = ("competitor_sales_B", "events")
PAID = ("tv_S", "ooh_S", "print_S", "facebook_I", "search_clicks_P")
PAID_SPENDS = ("tv_S", "ooh_S", "print_S", "facebook_S", "search_S")
ORGANIC = ("newsletter",)
COLUMNS = BASELINE + CONTEXT + PAID + ORGANIC
WINDOW = (6, 163)

# set of draws: what differs from the defaults of ``golden_problem``
SETS: dict[str, dict[str, Any]] = {
    "geo_main": {},
    "geo_ts": {"time_series_validation": True},
    "wcdf": {"time_series_validation": True, "adstock": "weibull_cdf"},
    "wpdf": {"time_series_validation": True, "adstock": "weibull_pdf"},
    "penalty": {"time_series_validation": True, "penalty_factors": True},
    "uncon": {"time_series_validation": True, "intercept": "unconstrained"},
    "calib": {"time_series_validation": True},
}


@cache
def golden_table(name: str) -> pd.DataFrame:
    """One CSV by its path below the golden folder, without the extension; do not change it in place."""
    # pandas reads doubles back exactly since 3.1, and warns when it is asked to.
    return pd.read_csv(GOLDEN / f"{name}.csv")


def golden_problem(draws: str = "geo_main", **changes: Any) -> ModelProblem:
    """The problem that a set of draws was evaluated on, with fields of ModelProblem changed at will."""
    exposure, spend = golden_table("inputs/dt_mod_exposure"), golden_table("inputs/dt_mod_spend")
    free = [-np.inf] * len(CONTEXT)
    fields: dict[str, Any] = {
        "dates": np.array(exposure["ds"].tolist(), dtype="datetime64[D]"),
        "outcome": exposure["dep_var"].to_numpy(),
        "columns": COLUMNS,
        "roles": ("baseline",) * 3 + ("context",) * 2 + ("paid",) * 5 + ("organic",),
        "design": exposure[list(COLUMNS)].to_numpy(dtype=np.float64).T,
        "spend": spend[list(PAID_SPENDS)].to_numpy(dtype=np.float64).T,
        "lower": np.array([0.0] * len(BASELINE) + free + [0.0] * len(PAID + ORGANIC)),
        "upper": np.array([1.0] * len(BASELINE) + [np.inf] * len(CONTEXT + PAID + ORGANIC)),
        "start": WINDOW[0],
        "stop": WINDOW[1],
    }
    return ModelProblem(**{**fields, **SETS[draws], **changes})


def golden_hyperparameters(problem: ModelProblem, table: pd.DataFrame) -> np.ndarray:
    """(N, H) in our order; Robyn writes tv_S_thetas where we write tv_S_theta."""
    return np.column_stack(
        [
            table[name if name in table else f"{name}s"].to_numpy(dtype=np.float64)
            for name in problem.hyperparameter_names
        ]
    )


def golden_coefs(decomposition: pd.DataFrame) -> tuple[float, np.ndarray]:
    """(intercept, (K,) coefficients) of one model from rows of Robyn's decomposition; absent ones are 0."""
    coefs = decomposition.set_index(robyn_names.PREDICTOR)[robyn_names.DECOMPOSITION["coef"]]
    return float(coefs.get(robyn_names.INTERCEPT, 0.0)), coefs.reindex(list(COLUMNS)).fillna(0.0).to_numpy()


def golden_draw_models(draws: str) -> tuple[ModelProblem, list[FittedModel]]:
    """A set's problem and its models with the coefficients that R found."""
    problem = golden_problem(draws)
    table, decomposition = (
        golden_table(f"draws/{draws}_hyper_and_errors"),
        golden_table(f"draws/{draws}_decomp"),
    )
    hyperparameters = golden_hyperparameters(problem, table)
    models = []
    for i, candidate in enumerate(table[robyn_names.CANDIDATE]):
        intercept, coefs = golden_coefs(decomposition[decomposition[robyn_names.CANDIDATE] == candidate])
        models.append(
            FittedModel(
                candidate, hyperparameters[i], float(table[robyn_names.PENALTY].iloc[i]), intercept, coefs
            )
        )
    return problem, models


def golden_model() -> tuple[ModelProblem, FittedModel]:
    """Problem and model 1_624_1, which the allocator's tables are about."""
    problem, table = golden_problem(), golden_table("allocator/geo_main_1_624_1_hyper")
    intercept, coefs = golden_coefs(golden_table("allocator/geo_main_1_624_1_aggregated"))
    row = golden_hyperparameters(problem, table)[0]
    return problem, FittedModel("1_624_1", row, float(table[robyn_names.PENALTY].iloc[0]), intercept, coefs)
