"""The convergence table of R Robyn 3.12.1 for geo_main (700 iterations, one trial), to 1e-12.

Made by running Robyn on R 4.2.2 over the demo data; the values never change.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmm_core.convergence import measure_convergence

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference" / "golden" / "pareto"
pytestmark = pytest.mark.skipif(
    not FOLDER.exists(), reason="the numbers of R Robyn are not beside this repository"
)

# Robyn's column: ours.
COLUMNS = {
    "cuts": "last_iteration",
    "n": "n",
    "median": "median",
    "std": "sd",
    "first_med": "first_median",
    "first_sd_avg": "first_sd_mean",
    "last_med": "last_median",
    "last_sd": "last_sd",
    "med_thres": "median_threshold",
    "flag_med": "is_median_below",
    "flag_sd": "is_sd_below",
}


@pytest.fixture(scope="module")
def found():
    models = pd.read_csv(FOLDER / "geo_main_all_models.csv")
    losses = {"decomp_rssd": "decomp.rssd", "nrmse": "nrmse", "mape": "mape"}
    return measure_convergence(
        models["iterations"].to_numpy(), {ours: models[robyns].to_numpy() for ours, robyns in losses.items()}
    )


def test_table(found):
    expected = pd.read_csv(FOLDER / "geo_main_convergence_errors.csv")
    assert [b.loss for b in found.bins] == [
        {"DECOMP.RSSD": "decomp_rssd", "NRMSE": "nrmse"}[name] for name in expected["error_type"]
    ]
    for robyns, ours in COLUMNS.items():
        values = np.array([float(getattr(b, ours)) for b in found.bins])
        np.testing.assert_allclose(values, expected[robyns].astype(float), rtol=1e-12, err_msg=robyns)


def test_verdicts(found):
    said = (FOLDER / "geo_main_convergence_messages.txt").read_text(encoding="utf-8").splitlines()
    expected = {line.split()[0].lower().replace(".", "_"): "NOT converged" not in line for line in said}
    assert {v.loss: v.is_converged for v in found.verdicts} == expected
