from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmm_core.decomposition import decompose
from mmm_core.errors import LabelError, RangeError, UserError
from mmm_core.response import (
    Carryover,
    Flighting,
    Horizon,
    channel_responses,
    contributions,
    historical_spends,
    mean_carryover,
    mean_response,
    outcome_without_paid,
    response_curve,
)
from mmm_core.transforms import channel_curves
from mmm_core.types import Adstock, FittedModel
from tests.reference import allocation as slow
from tests.reference.problems import random_hyperparameters, random_problem

ADSTOCKS = list(Adstock)
WHOLE, PART, LAST = Horizon(5, 60), Horizon(20, 41), Horizon(59, 60)


def model_of(problem, seed=0):
    coefs = np.random.default_rng(seed).uniform(10, 1000, len(problem.columns))
    return FittedModel("1_1", random_hyperparameters(problem, seed)[0], 1.0, 0.0, coefs)


@pytest.fixture(params=ADSTOCKS, ids=str)
def problem(request):
    return random_problem(3, adstock=request.param, time_series_validation=False)


@pytest.fixture
def model(problem):
    return model_of(problem)


def with_spend(problem, channel, rows, spend=None, exposure=None):
    """The problem with other spends and exposures of one channel in some rows."""
    spends, design = problem.spend.copy(), problem.design.copy()
    if spend is not None:
        spends[channel, rows] = spend
    if exposure is not None:
        design[problem.first_media + channel, rows] = exposure
    return replace(problem, spend=spends, design=design)


class TestPlannedResponse:
    @pytest.mark.parametrize("horizon", [WHOLE, PART, LAST])
    def test_history_is_the_decomposition(self, problem, model, horizon):
        decomposed = decompose(problem, model).contributions[problem.first_media :]
        within = decomposed[:, horizon.start - problem.start : horizon.stop - problem.start]
        for response, contribution in zip(channel_responses(problem, model, horizon), within, strict=False):
            np.testing.assert_allclose(
                response.response(response.initial_spend), contribution.sum(), rtol=1e-12
            )

    @pytest.mark.parametrize("flighting", list(Flighting))
    @pytest.mark.parametrize("horizon", [WHOLE, PART])
    def test_any_spend_is_the_whole_adstock_again(self, problem, model, horizon, flighting):
        rows = horizon.start, horizon.stop
        curves = channel_curves(problem, model)
        responses = channel_responses(problem, model, horizon, flighting=flighting)
        for p, (curve, response) in enumerate(zip(curves, responses, strict=False)):
            exposure, spend = problem.design[problem.first_media + p], problem.spend[p]
            for multiplier in (0.0, 0.3, 1.0, 2.7):
                planned = multiplier * response.initial_spend
                changed = slow.planned_exposure(exposure, spend, rows, planned, flighting)
                expected = slow.response(
                    changed,
                    rows,
                    problem.adstock,
                    curve.adstock_parameters,
                    curve.alpha,
                    curve.inflexion,
                    curve.coef,
                )
                np.testing.assert_allclose(response.response(planned), expected, rtol=1e-10, atol=1e-12)

    def test_grids_have_the_numbers_of_single_spends(self, problem, model):
        response = channel_responses(problem, model)[0]
        grid = response.initial_spend * np.linspace(0, 2, 6).reshape(2, 3)
        for of in (response.response, response.marginal):
            np.testing.assert_array_equal(of(grid).ravel(), [of(x) for x in grid.ravel()])

    def test_organic_media_have_no_spend_and_no_response_function(self, problem, model):
        assert [r.channel for r in channel_responses(problem, model)] == list(problem.paid)

    def test_a_horizon_outside_the_data_is_refused(self, problem, model):
        with pytest.raises(UserError, match="60 rows of the data"):
            channel_responses(problem, model, Horizon(50, 61))


class TestMarginal:
    @pytest.mark.parametrize("carryover", list(Carryover))
    @pytest.mark.parametrize("flighting", list(Flighting))
    def test_is_the_slope_of_the_response(self, problem, model, carryover, flighting):
        for response in channel_responses(problem, model, PART, carryover, flighting):
            x = response.initial_spend * np.array([0.2, 1.0, 3.0])
            h = 1e-5 * response.initial_spend
            slope = (response.response(x + h) - response.response(x - h)) / (2 * h)
            np.testing.assert_allclose(response.marginal(x), slope, rtol=1e-6)

    @pytest.mark.parametrize(("alpha", "at_zero"), [(0.5, np.inf), (1.0, "finite"), (2.0, 0.0)])
    def test_at_no_spend_and_nothing_carried_in(self, alpha, at_zero):
        problem = replace(random_problem(3, time_series_validation=False), start=0)
        response = replace(channel_responses(problem, model_of(problem))[0], alpha=alpha)
        marginal = float(response.marginal(0.0))
        if at_zero == "finite":
            expected = response.coef * response.slope.sum() / response.inflexion
            np.testing.assert_allclose(marginal, expected)
        else:
            assert marginal == at_zero

    def test_a_period_that_does_not_react_is_no_infinity(self):
        problem = random_problem(3, time_series_validation=False)
        response = channel_responses(problem, model_of(problem))[0]
        still = replace(
            response, alpha=0.5, offset=np.array([0.0, 4.0]), slope=np.array([0.0, 1.0]), repeat=1.0
        )
        assert np.isfinite(still.marginal(0.0))

    def test_without_effect_there_is_none(self):
        problem = random_problem(3, time_series_validation=False)
        response = replace(channel_responses(problem, model_of(problem))[0], coef=0.0)
        assert response.response(np.ones(3)).tolist() == response.marginal(np.ones(3)).tolist() == [0, 0, 0]


class TestWithoutSpendOrExposure:
    def test_an_unspent_channel_gets_constant_flighting_at_the_window_rate(self, problem):
        quiet = with_spend(problem, 0, PART.rows, spend=0.0, exposure=0.0)
        model = model_of(quiet)
        response = channel_responses(quiet, model, PART)[0]
        assert response.initial_spend == 0
        assert response.reference_spend == pytest.approx(
            quiet.total_spend[0] / quiet.n_window * PART.n_periods
        )
        assert "has no spend in the horizon" in response.note
        rate = quiet.design[quiet.first_media, quiet.window].sum() / quiet.total_spend[0]
        exposure = quiet.design[quiet.first_media].copy()
        exposure[PART.rows] = 100 * rate / PART.n_periods
        curve = channel_curves(quiet, model)[0]
        expected = slow.response(
            exposure,
            (PART.start, PART.stop),
            quiet.adstock,
            curve.adstock_parameters,
            curve.alpha,
            curve.inflexion,
            curve.coef,
        )
        np.testing.assert_allclose(response.response(100.0), expected, rtol=1e-10)

    def test_free_exposure_stays_so_that_doing_nothing_is_the_decomposition(self, problem):
        free = with_spend(problem, 1, PART.rows, spend=0.0)
        model = model_of(free)
        contributions = decompose(free, model).contributions[free.first_media + 1]
        within = contributions[PART.start - free.start : PART.stop - free.start]
        np.testing.assert_allclose(
            channel_responses(free, model, PART)[1].response(0.0), within.sum(), rtol=1e-12
        )

    def test_spend_without_exposure_moves_nothing_and_says_so(self, problem):
        blind = with_spend(problem, 0, PART.rows, exposure=0.0)
        response = channel_responses(blind, model_of(blind), PART)[0]
        assert "its spend moves no response" in response.note
        assert response.marginal(response.initial_spend) == 0

    def test_other_channels_have_no_note(self, problem, model):
        assert [r.note for r in channel_responses(problem, model, WHOLE)] == ["", "", ""]


class TestHistoricalCarryover:
    def test_is_the_curve_at_mean_spend_plus_mean_carryover(self, problem, model):
        responses = channel_responses(problem, model, PART, Carryover.HISTORICAL)
        window = problem.start, problem.stop
        for p, (curve, response) in enumerate(zip(channel_curves(problem, model), responses, strict=False)):
            exposure = problem.design[problem.first_media + p]
            carried = slow.mean_carryover(exposure, window, problem.adstock, curve.adstock_parameters)
            assert response.initial_spend == pytest.approx(exposure[PART.rows].sum())
            for spend in (0.0, 1000.0):
                per_period = curve.coef * slow.hill(spend / 21 + carried, curve.alpha, curve.inflexion)
                np.testing.assert_allclose(response.response(spend), 21 * per_period, rtol=1e-10)

    def test_mean_carryover_covers_organic_media(self, problem, model):
        assert mean_carryover(problem, model).shape == (len(problem.media),)

    def test_unspent_channel(self, problem):
        quiet = with_spend(problem, 0, PART.rows, spend=0.0, exposure=0.0)
        response = channel_responses(quiet, model_of(quiet), PART, Carryover.HISTORICAL)[0]
        mean = quiet.design[quiet.first_media, quiet.window].mean()
        assert (response.initial_spend, response.reference_spend) == (0, pytest.approx(21 * mean))
        assert "multiples of the window's mean spend" in response.note


def test_historical_spends_count_currency_or_the_modelled_column(problem):
    spend, reference = historical_spends(problem, PART)
    np.testing.assert_allclose(spend, problem.spend[:, PART.rows].sum(axis=1))
    np.testing.assert_array_equal(spend, reference)
    modelled, _ = historical_spends(problem, PART, Carryover.HISTORICAL)
    first = problem.first_media
    np.testing.assert_allclose(modelled, problem.design[first : first + 3, PART.rows].sum(axis=1))


class TestContributions:
    def test_in_the_window_they_are_the_decomposition(self, problem, model):
        np.testing.assert_array_equal(contributions(problem, model), decompose(problem, model).contributions)

    def test_before_the_window_they_go_on(self, problem, model):
        whole = contributions(problem, model, Horizon(0, 60))
        np.testing.assert_array_equal(whole[:, 5:], contributions(problem, model))
        np.testing.assert_array_equal(whole[:2, 0], model.coefs[:2] * problem.design[:2, 0])
        with pytest.raises(UserError, match="outside the 60 rows"):
            contributions(problem, model, Horizon(50, 61))

    def test_what_is_not_paid_for(self, problem, model):
        with_intercept = replace(model, intercept=7.0)
        taken = decompose(problem, with_intercept)
        paid = taken.contributions[problem.first_media : problem.first_media + problem.n_paid]
        expected = taken.fitted.sum() - paid.sum()
        assert outcome_without_paid(problem, with_intercept) == pytest.approx(expected, rel=1e-12)


class TestCurve:
    def test_is_in_means_per_period(self, problem, model):
        curve = response_curve(problem, model, "paid_1", np.array([0.0, 1.0, 2.0]), PART)
        response = channel_responses(problem, model, PART)[1]
        np.testing.assert_allclose(curve.spend * 21, response.initial_spend * curve.multipliers)
        np.testing.assert_allclose(curve.response * 21, response.response(curve.spend * 21))
        np.testing.assert_array_equal(curve.marginal, response.marginal(curve.spend * 21))

    def test_an_unspent_channel_is_drawn_around_its_mean_spend(self, problem):
        quiet = with_spend(problem, 0, PART.rows, spend=0.0, exposure=0.0)
        curve = response_curve(quiet, model_of(quiet), "paid_0", np.array([1.0]), PART)
        assert curve.spend[0] == pytest.approx(quiet.total_spend[0] / quiet.n_window)

    def test_refusals(self, problem, model):
        with pytest.raises(LabelError, match="organic_0 is not a paid channel"):
            response_curve(problem, model, "organic_0", np.ones(1))
        with pytest.raises(RangeError, match="negative"):
            response_curve(problem, model, "paid_0", np.array([-1.0]))


class TestMeanResponse:
    @pytest.mark.parametrize("medium", ["paid_0", "organic_0"])
    def test_over_the_window(self, problem, model, medium):
        m = problem.media.index(medium)
        curve, exposure = channel_curves(problem, model)[m], problem.design[problem.first_media + m]
        window = problem.start, problem.stop
        mean = mean_response(problem, model, medium)
        carried = slow.mean_carryover(exposure, window, problem.adstock, curve.adstock_parameters)
        adstocked, _ = slow.adstock(problem.adstock, exposure, curve.adstock_parameters)
        total = np.mean(adstocked[slice(*window)])
        assert mean.carryover_input == pytest.approx(carried, rel=1e-10)
        assert mean.immediate_input == pytest.approx(total - carried, rel=1e-10)
        at_mean = curve.coef * slow.hill(total, curve.alpha, curve.inflexion)
        assert mean.total == pytest.approx(at_mean, rel=1e-10)
        contribution = decompose(problem, model).contributions[problem.first_media + m]
        assert mean.mean == pytest.approx(contribution.mean(), rel=1e-12)

    def test_of_another_total(self, problem, model):
        doubled = problem.design[problem.columns.index("paid_2"), PART.rows].sum() * 2
        design = problem.design.copy()
        design[problem.columns.index("paid_2"), PART.rows] *= 2
        history = channel_curves(problem, model)[2]
        mean = mean_response(problem, model, "paid_2", PART, doubled)
        adstocked, _ = slow.adstock(
            problem.adstock, design[problem.columns.index("paid_2")], history.adstock_parameters
        )
        at_mean = slow.hill(np.mean(adstocked[PART.rows]), history.alpha, history.inflexion)
        assert mean.total == pytest.approx(history.coef * at_mean, rel=1e-10)

    def test_a_total_where_there_was_nothing_is_laid_evenly(self):
        quiet = with_spend(random_problem(3, time_series_validation=False), 0, PART.rows, exposure=0.0)
        mean = mean_response(quiet, model_of(quiet), "paid_0", PART, 210.0)
        assert mean.immediate_input == pytest.approx(10.0)

    def test_refusals(self, problem, model):
        with pytest.raises(LabelError, match="radio is not a medium"):
            mean_response(problem, model, "radio")
        with pytest.raises(RangeError, match="must not be negative"):
            mean_response(problem, model, "paid_0", PART, -1.0)


class TestHorizon:
    def test_ways_to_name_it(self):
        problem = random_problem(3)
        assert Horizon.window(problem) == Horizon(5, 60)
        assert Horizon.last(problem, 10) == Horizon(50, 60)
        assert Horizon.between(problem, "2021-01-05", "2021-01-18") == Horizon(1, 3)
        assert Horizon(1, 3).n_periods == 2

    def test_refusals(self):
        problem = random_problem(3)
        with pytest.raises(RangeError, match="0 <= start < stop"):
            Horizon(3, 3)
        with pytest.raises(UserError, match="last 56 periods does not fit the 55 of the window"):
            Horizon.last(problem, 56)
        with pytest.raises(UserError, match="no period of the data"):
            Horizon.between(problem, "2021-01-05", "2021-01-08")
