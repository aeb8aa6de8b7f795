"""Responses of R Robyn 3.12.1 for model 1_630_1, whose hyperparameters and coefficients are not among the tables.

Four numbers of a medium determine its four unknowns: mean carryover the theta, inflexion the gamma, and the two
responses at the means alpha and coefficient. The other numbers, sums and simulations, are then ours to predict.
Measured 2e-12; checked to 1e-9. Provenance: ``golden_data``.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from mmm_core import adstock
from mmm_core.decomposition import decompose
from mmm_core.response import Horizon, channel_responses, mean_response
from mmm_core.types import FittedModel
from tests.golden.golden_data import ORGANIC, PAID, golden_problem, golden_table, needs_golden

pytestmark = needs_golden
CLOSE = dict(rel=1e-9)


def identified(problem, medium, row):
    """(alpha, gamma, theta, coefficient) from Robyn's summary of one medium."""
    exposure = problem.design[problem.columns.index(medium)]

    def carried(theta):
        return (adstock.geometric(exposure, theta) - exposure)[problem.window].mean()

    theta = brentq(lambda t: carried(t) - row["mean_input_carryover"], 0, 0.95, xtol=1e-15, rtol=1e-14)
    gamma = row["inflexion"] / adstock.geometric(exposure, theta)[problem.window].max()
    all_input = row["mean_input_immediate"] + row["mean_input_carryover"]
    ratios = row["inflexion"] / all_input, row["inflexion"] / row["mean_input_carryover"]
    wanted = row["mean_response_total"] / row["mean_response_carryover"]
    alpha = brentq(
        lambda a: (1 + ratios[1] ** a) / (1 + ratios[0] ** a) - wanted, 0.3, 5, xtol=1e-15, rtol=1e-14
    )
    return alpha, gamma, theta, row["mean_response_total"] * (1 + ratios[0] ** alpha)


@pytest.fixture(name="responses", scope="module")
def table_of_responses():
    return golden_table("response/geo_main_responses")


@pytest.fixture(name="model", scope="module")
def identified_model(responses):
    problem = golden_problem()
    coefs = np.zeros(len(problem.columns))
    values = {"train_size": 1.0, "lambda_hp": 0.0}
    for _, row in responses[responses["case"] == 1].iterrows():
        medium = row["metric"]
        found = identified(problem, medium, row)
        values |= {f"{medium}_{k}": v for k, v in zip(("alpha", "gamma", "theta"), found, strict=False)}
        coefs[problem.columns.index(medium)] = found[-1]
    row = np.array([values[name] for name in problem.hyperparameter_names])
    return problem, FittedModel("1_630_1", row, 0.0, 0.0, coefs)


@pytest.mark.parametrize("medium", PAID + ORGANIC)
def test_window(model, responses, medium):
    problem, fitted = model
    robyn = responses[(responses["metric"] == medium) & (responses["case"] == 1)].iloc[0]
    ours = mean_response(problem, fitted, medium)
    taken_apart = decompose(problem, fitted)
    column = problem.columns.index(medium)
    assert ours.mean == pytest.approx(robyn["mean_response"], **CLOSE)
    assert ours.total == pytest.approx(robyn["mean_response_total"], **CLOSE)
    assert ours.carryover == pytest.approx(robyn["mean_response_carryover"], **CLOSE)
    assert taken_apart.contributions[column].sum() == pytest.approx(robyn["sum_response"], **CLOSE)
    carried = taken_apart.carryover[column - problem.first_media].sum()
    assert carried == pytest.approx(robyn["sum_carry"], **CLOSE)


@pytest.mark.parametrize("medium", PAID)
def test_spend_of_the_window_brings_the_sum(model, responses, medium):
    problem, fitted = model
    robyn = responses[(responses["metric"] == medium) & (responses["case"] == 1)].iloc[0]
    response = channel_responses(problem, fitted)[problem.paid.index(medium)]
    assert float(response.response(response.initial_spend)) == pytest.approx(robyn["sum_response"], **CLOSE)


@pytest.mark.parametrize(("case", "n_periods", "total"), [(3, 10, 100_000.0), (4, 1, 20_000.0)])
@pytest.mark.parametrize("medium", PAID + ORGANIC)
def test_another_spend_in_the_last_periods(model, responses, medium, case, n_periods, total):
    problem, fitted = model
    robyn = responses[(responses["metric"] == medium) & (responses["case"] == case)].iloc[0]
    ours = mean_response(problem, fitted, medium, Horizon.last(problem, n_periods), total)
    assert ours.immediate_input == pytest.approx(robyn["sim_mean_spend"], **CLOSE)
    assert ours.carryover_input == pytest.approx(robyn["sim_mean_carryover"], **CLOSE)
    assert ours.total == pytest.approx(robyn["sim_mean_response"], **CLOSE)
