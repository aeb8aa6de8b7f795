"""The sentences about media without effect: one a medium and reason, with its numbers and what to do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mmm_core.zero_effect import zero_effects
from runner.findings import Severity
from runner.no_effect import explain_no_effect
from tests.reference.silent import CONTEXT, NOISE, SEARCH, TV, N, curve, model_on

(TV_CURVE, TV_IN), (SEARCH_CURVE, SEARCH_IN) = curve(TV), curve(SEARCH)
HARMFUL = 200 + 80 * TV_CURVE - 30 * SEARCH_CURVE + 3 * CONTEXT + 0.1 * NOISE


def named(model, candidate, **changes):
    return dataclasses.replace(model, candidate=candidate, **changes)


def only(findings):
    (finding,) = findings
    return finding


def test_the_bound():
    problem, model = model_on({"tv": TV_IN, "search": SEARCH_IN}, HARMFUL)
    finding = only(explain_no_effect(problem, [model]))
    zero = only(zero_effects(problem, model))
    assert (finding.case, finding.status) == ("no-effect-bound", Severity.PROBLEM)
    assert finding.details == (
        "search has no effect in the selected model: its sign bound (positive) stops it; without the bound it would "
        f"bring {zero.free_effect:,.0f}, and any positive effect makes the fit worse (slope {zero.slope:.2g})."
    )
    assert "bring it as context" in finding.recommendation


def test_models_that_share_a_reason_share_a_finding():
    problem, model = model_on({"tv": TV_IN, "search": SEARCH_IN}, HARMFUL)
    works = named(model, "1_9", coefs=np.array([0.0, 80.0, 5.0]))
    silent = [named(model, f"1_{i}") for i in range(1, 8)]
    finding = only(explain_no_effect(problem, [*silent, works]))
    assert finding.details.startswith(
        "search has no effect in 7 of 8 selected models (1_1, 1_2, 1_3, 1_4, 1_5 and 2 more): "
    )
    assert finding.status is Severity.WARNING
    assert only(explain_no_effect(problem, [silent[0], works, works])).status is Severity.INFO
    everywhere = only(explain_no_effect(problem, silent))
    assert everywhere.status is Severity.PROBLEM
    assert "in any of the 7 selected models" in everywhere.details
    assert list(explain_no_effect(problem, [works])) == []
    assert list(explain_no_effect(problem, [])) == []


def test_numbers_of_several_models_are_a_range():
    problem, model = model_on({"tv": TV_IN, "search": SEARCH_IN}, HARMFUL)
    shrunk = named(model, "1_2", penalty=20.0)
    low, high = sorted(zero_effects(problem, m)[0].free_effect for m in (model, shrunk))
    finding = only(explain_no_effect(problem, [model, shrunk]))
    assert f"would bring {low:,.0f} to {high:.3g}," in finding.details


def test_another_column():
    copied, copied_in = curve(TV + 0.05 * TV.mean() * np.random.default_rng(1).random(N))
    own = copied - np.polyval(np.polyfit(TV_CURVE, copied, 1), TV_CURVE)
    problem, model = model_on({"tv": TV_IN, "copy": copied_in}, 200 + 80 * TV_CURVE - 20 * own)
    finding = only(explain_no_effect(problem, [model]))
    zero = only(zero_effects(problem, model))
    assert finding.case == "no-effect-collinear"
    assert "tv explains 100 % of what varies in its column" in finding.details
    assert f"Together they bring {zero.joint_effect:,.0f}, which the model gives to tv" in finding.details
    assert f"without that column copy would bring {zero.alone_effect:,.0f}." in finding.details
    assert "merge them into one channel" in finding.recommendation


def test_a_column_of_the_context():
    weather = TV_CURVE + 0.005 * CONTEXT * TV_CURVE.std()
    problem, model = model_on(
        {"tv": TV_IN, "search": SEARCH_IN}, 200 + 80 * weather + 9 * SEARCH_CURVE, context=weather
    )
    finding = only(explain_no_effect(problem, [model]))
    assert finding.case in ("no-effect-collinear", "no-effect-early-stop")
    assert "weather" in finding.details


def test_the_penalty():
    weather = (SEARCH_CURVE - SEARCH_CURVE.mean()) / SEARCH_CURVE.std() + 0.9 * CONTEXT
    outcome = 200 + 80 * TV_CURVE + 25 * SEARCH_CURVE - 12 * weather + 0.1 * NOISE
    problem, model = model_on({"tv": TV_IN, "search": SEARCH_IN}, outcome, context=weather, penalty=100.0)
    finding = only(explain_no_effect(problem, [model]))
    effect = only(zero_effects(problem, model)).unpenalised_effect
    assert finding.case == "no-effect-penalty"
    assert f"without the penalty it would bring {effect:,.0f}, of which 100 % are taken" in finding.details
    assert "search.penalty_scale: log" in finding.recommendation


@pytest.mark.parametrize(
    ("exposure", "words", "advice"),
    [
        (np.where(np.arange(N) < 80, 0.0, SEARCH), "have no exposure of it", "Train on rows where it ran"),
        (np.where(np.arange(N) < 80, 2.0, SEARCH), "is the same in every row", "vary its spend on purpose"),
    ],
)
def test_no_variation(exposure, words, advice):
    problem, model = model_on(
        {"tv": TV_IN, "search": exposure}, 200 + 80 * TV_CURVE + 0.1 * NOISE, train_size=0.6
    )
    finding = only(explain_no_effect(problem, [model]))
    assert finding.case == "no-effect-no-variation"
    assert words in finding.details
    assert advice in finding.recommendation


def test_a_flat_curve():
    point = {"search_alpha": 9.9, "search_gamma": 0.01}
    problem, model = model_on({"tv": TV_IN, "search": 50 + SEARCH}, 200 + 80 * TV_CURVE, point=point)
    finding = only(explain_no_effect(problem, [model]))
    assert "its curve is flat where its exposures lie" in finding.details
    assert "upper bound of its alpha" in finding.recommendation


def test_next_to_nothing():
    problem, model = model_on({"tv": TV_IN, "search": SEARCH_IN}, 200 + 80 * TV_CURVE + 0.002 * SEARCH_CURVE)
    finding = only(explain_no_effect(problem, [model]))
    assert finding.case == "no-effect-small"
    assert "even without the penalty" in finding.details


def test_every_finding_says_what_to_do_and_is_one_sentence():
    problem, model = model_on({"tv": TV_IN, "search": SEARCH_IN}, HARMFUL)
    for finding in explain_no_effect(problem, [model]):
        assert finding.recommendation.endswith(".")
        assert finding.details.endswith(".")
        assert "nan" not in finding.details
