"""The calibrated candidates of R Robyn 3.12.1, to 1e-9 relative: MAPE of each, and every study of each.

Measured: 2e-15 on the MAPE, 3e-15 on a study. Provenance of the numbers: ``golden_data``.
"""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core.calibration import LiftStudy, lift_studies, predict
from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import Convention, Scope
from tests.golden import robyn_names
from tests.golden.golden_data import (
    golden_draw_models,
    golden_hyperparameters,
    golden_problem,
    golden_table,
    needs_golden,
)

pytestmark = needs_golden
CLOSE = dict(rtol=1e-9, atol=0)
WEEK = np.timedelta64(6, "D")


def robyns_studies():
    """Robyn's calibration input as studies of ours; its channels by the name they are modelled under."""
    return [
        LiftStudy(
            channels=tuple(row[robyn_names.STUDY["channel"]].split("+")),
            start=np.datetime64(row[robyn_names.STUDY["start"]], "D"),
            end=np.datetime64(row[robyn_names.STUDY["end"]], "D"),
            estimate=float(row[robyn_names.STUDY["estimate"]]),
            scope=Scope(row[robyn_names.STUDY["scope"]]),
        )
        for _, row in golden_table("inputs/calib_calibration_input").iterrows()
    ]


def calibrated(convention):
    dates = golden_problem("calib").dates
    return golden_problem("calib", studies=lift_studies(robyns_studies(), dates, dates + WEEK, convention))


@pytest.fixture(name="robyn")
def robyns_candidates():
    return golden_table("draws/calib_hyper_and_errors")


def test_mape_of_every_candidate(robyn):
    problem = calibrated(Convention.ROBYN)
    batch = evaluate_candidates(problem, golden_hyperparameters(problem, robyn))
    np.testing.assert_allclose(batch.loss("mape"), robyn[robyn_names.LOSSES["mape"]], **CLOSE)


def test_every_study_of_every_candidate():
    problem, lift = calibrated(Convention.ROBYN), golden_table("draws/calib_lift")
    order = ["+".join(study.channels) for study in robyns_studies()]
    for model in golden_draw_models("calib")[1]:
        rows = lift[lift[robyn_names.CANDIDATE] == model.candidate]
        rows = rows.set_index(robyn_names.STUDY["media"]).loc[order]
        found = predict(problem, model)
        for name in ("predicted", "total", "error"):
            expected = rows[robyn_names.STUDY[name]]
            np.testing.assert_allclose(getattr(found, name), expected, **CLOSE, err_msg=model.candidate)


def test_the_correct_convention_counts_the_last_day():
    # 41 days are six rows less a day; Robyn counts 40 days of study against 35 of decomposition.
    facebook, tv = calibrated(Convention.CORRECT).studies.row_weights[:2]
    assert facebook.sum() == pytest.approx(41 / 7)
    assert tv.sum() == pytest.approx(62 / 7)
    assert calibrated(Convention.ROBYN).studies.row_weights[0].sum() == pytest.approx(6 * 40 / 35)
