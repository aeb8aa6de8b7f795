"""Taking a model apart: known parts come back, and every split adds up to what it split."""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core.adstock import apply
from mmm_core.decomposition import decompose
from mmm_core.evaluate import evaluate_candidates
from mmm_core.saturation import hill
from mmm_core.transforms import channel_curves, design_matrix, transform_media
from mmm_core.types import Adstock, FittedModel
from tests.reference import candidate as slow
from tests.reference.problems import random_hyperparameters, random_problem


def fitted_model(problem, seed):
    points = random_hyperparameters(problem, seed)
    batch = evaluate_candidates(problem, points)
    model = FittedModel(
        "1_1", points[0], float(batch.penalty[0]), float(batch.loss("intercept")[0]), batch.coefs[0]
    )
    return model, batch


@pytest.mark.parametrize("adstock", Adstock)
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_slow_twin(adstock, seed):
    problem = random_problem(seed, adstock=adstock)
    model, _ = fitted_model(problem, seed + 100)
    parts = decompose(problem, model)
    twin = slow.candidate(
        problem, dict(zip(problem.hyperparameter_names, model.hyperparameters.tolist(), strict=True))
    )
    close = dict(rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(parts.fitted, twin["fitted"], **close)
    np.testing.assert_allclose(parts.contributions, twin["by_period"], **close)
    np.testing.assert_allclose(parts.carryover, [twin["carryover"][name] for name in problem.media], **close)


@pytest.mark.parametrize("adstock", Adstock)
def test_adds_up(adstock):
    problem = random_problem(5, adstock=adstock)
    model, batch = fitted_model(problem, 6)
    parts = decompose(problem, model)
    np.testing.assert_allclose(parts.contributions.sum(axis=0) + model.intercept, parts.fitted, rtol=1e-13)
    np.testing.assert_allclose(
        parts.immediate + parts.carryover, parts.contributions[problem.first_media :], rtol=1e-12, atol=1e-10
    )
    np.testing.assert_allclose(
        parts.contributions.sum(axis=1), batch.contributions[0], rtol=1e-12, atol=1e-10
    )


def test_gives_back_the_parts_a_model_was_made_of():
    problem = random_problem(7)
    points = random_hyperparameters(problem, 8)
    coefs = np.array([0.5, 0.25, -2.0, 10.0, 20.0, 0.0, 40.0])
    model = FittedModel("1_1", points[0], 0.0, 100.0, coefs)
    parts = decompose(problem, model)
    np.testing.assert_array_equal(parts.contributions[:3], coefs[:3, None] * problem.design[:3, 5:])
    for m, curve in enumerate(channel_curves(problem, model)):
        exposure = apply(curve.adstock, problem.design[3 + m], curve.adstock_parameters)[problem.window]
        np.testing.assert_array_equal(
            parts.contributions[3 + m], coefs[3 + m] * hill(exposure, curve.alpha, curve.inflexion)
        )
    assert (parts.contributions[5] == 0).all()
    assert (parts.carryover[2] == 0).all()


def test_without_adstock_nothing_is_carried_over():
    problem = random_problem(9)
    points = random_hyperparameters(problem, 10)
    points[:, [name.endswith("_theta") for name in problem.hyperparameter_names]] = 0.0
    parts = decompose(problem, FittedModel("1_1", points[0], 0.0, 0.0, np.ones(7)))
    assert (parts.carryover == 0).all()
    np.testing.assert_array_equal(parts.immediate, parts.contributions[3:])


def test_a_period_without_spend_has_only_carryover():
    problem = random_problem(11)
    model, _ = fitted_model(problem, 12)
    parts = decompose(problem, model)
    off = problem.design[problem.first_media :, problem.window] == 0
    assert off.any()
    np.testing.assert_allclose(parts.immediate[off], 0, atol=1e-10)


def test_carryover_of_a_delayed_peak_is_everything():
    # Weight 0 for the exposure's own period: all of its effect comes later.
    problem = random_problem(13, adstock=Adstock.WEIBULL_PDF)
    points = random_hyperparameters(problem, 14)
    for j, name in enumerate(problem.hyperparameter_names):
        if name.endswith("_shape"):
            points[0, j] = 9.0
        if name.endswith("_scale"):
            points[0, j] = 0.2
    transform = transform_media(problem, points[0])
    assert (transform.own_weight < 1e-8).all()
    parts = decompose(problem, FittedModel("1_1", points[0], 0.0, 0.0, np.ones(7)))
    np.testing.assert_allclose(parts.immediate, 0, atol=1e-6)


def test_the_design_matrix_is_what_the_ridge_sees():
    problem = random_problem(15)
    model, batch = fitted_model(problem, 16)
    x = design_matrix(problem, model.hyperparameters)
    assert x.shape == (problem.n_window, len(problem.columns))
    np.testing.assert_allclose(x.sum(axis=0) * model.coefs, batch.contributions[0], rtol=1e-12, atol=1e-10)
    columns, media = slow.transform(
        problem, dict(zip(problem.hyperparameter_names, model.hyperparameters.tolist(), strict=True))
    )
    np.testing.assert_allclose(x.T, columns, rtol=1e-12)
    transform = transform_media(problem, model.hyperparameters)
    np.testing.assert_allclose(transform.inflexion, [media[name][2] for name in problem.media], rtol=1e-12)
    np.testing.assert_allclose(transform.adstocked, [media[name][0] for name in problem.media], rtol=1e-12)
