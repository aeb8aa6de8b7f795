"""Front numbers and error scores of R Robyn 3.12.1: its 700 models of geo_main and a toy set with ties.

Made by running Robyn on R 4.2.2 over the demo data; the values never change. Fronts exact, scores to 1e-9.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmm_core.pareto import candidate_mask, error_scores, fronts, select_fronts

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference" / "golden" / "pareto"
pytestmark = pytest.mark.skipif(
    not FOLDER.exists(), reason="the numbers of R Robyn are not beside this repository"
)


@pytest.fixture(scope="module")
def models() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "geo_main_all_models.csv").rename(columns={"decomp.rssd": "decomp_rssd"})


def losses(models: pd.DataFrame, nrmse: str = "nrmse") -> list[np.ndarray]:
    return [models[name].to_numpy() for name in (nrmse, "decomp_rssd", "mape")]


def test_toy_fronts():
    # Robyn joins its answer to the points by their coordinates, so two copies come out as four rows, each front twice.
    points = pd.read_csv(FOLDER / "toy_fronts_sorted_by_x_y.csv").drop_duplicates()
    lowest = points.groupby(["x", "y"])["pareto_front"].transform("min")
    assert fronts(points["x"].to_numpy(), points["y"].to_numpy()).tolist() == lowest.tolist()


def test_candidates(models):
    assert candidate_mask(*losses(models)).tolist() == models["robynPareto"].notna().tolist()


def test_fronts(models):
    selection = select_fronts(*losses(models), wanted=1000)
    assert selection.front.tolist() == models["robynPareto"].fillna(0).astype(int).tolist()
    assert not selection.is_short


def test_auto_takes_the_smallest_number_of_fronts_with_a_hundred_models(models):
    held = models["robynPareto"].value_counts().sort_index().cumsum()
    selection = select_fronts(*losses(models))
    assert selection.n_fronts == held[held >= 100].index[0]
    assert selection.n_selected == held[held >= 100].iloc[0]


def test_error_scores(models):
    scores = error_scores(*losses(models, "nrmse_train"))
    np.testing.assert_allclose(scores, models["error_score"], rtol=1e-9)
