"""Spends by period over past, horizon and tail: the decomposition where nothing changes, the slow twin elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmm_core import adstock
from mmm_core.errors import RangeError, ShapeError
from mmm_core.flight import FlightSurface, lay_ground, year_before
from mmm_core.response import Horizon, channel_responses, contributions
from mmm_core.transforms import channel_curves
from mmm_core.types import Adstock, FittedModel
from tests.reference import flight as slow
from tests.reference.problems import random_hyperparameters, random_problem

YEAR = 20  # periods, so that 60 rows hold three


def model_of(problem, seed=0, zero=()):
    coefs = np.random.default_rng(seed).uniform(1e2, 1e3, len(problem.columns))
    coefs[[problem.columns.index(channel) for channel in zero]] = 0
    return FittedModel(f"1_{seed + 1}", random_hyperparameters(problem, seed)[0], 1.0, 0.0, coefs)


@pytest.fixture(params=list(Adstock), ids=str)
def problem(request):
    return random_problem(3, adstock=request.param, time_series_validation=False)


PAST, BOTH, FUTURE, LATER = Horizon(20, 41), Horizon(50, 67), Horizon(60, 75), Horizon(66, 72)
HORIZONS = [PAST, BOTH, FUTURE, LATER]


def paid_rows(problem):
    return slice(problem.first_media, problem.first_media + problem.n_paid)


class TestHistory:
    @pytest.mark.parametrize("horizon", [PAST, Horizon(0, 60), Horizon(5, 60), Horizon(59, 60)])
    def test_history_as_a_plan_is_the_decomposition(self, problem, horizon):
        model = model_of(problem)
        ground = lay_ground(problem, horizon, YEAR)
        found = FlightSurface.of(ground, model).responses(ground.reference)[0, :, : horizon.n_periods]
        expected = contributions(problem, model, horizon)[paid_rows(problem)]
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_the_data_before_a_plan_that_reaches_beyond_them_too(self, problem):
        model = model_of(problem)
        ground = lay_ground(problem, BOTH, YEAR)
        found = FlightSurface.of(ground, model).responses(ground.reference)[0, :, :10]
        expected = contributions(problem, model, Horizon(50, 60))[paid_rows(problem)]
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_reference_is_history_or_the_same_periods_a_year_before(self, problem):
        spend = problem.spend
        np.testing.assert_array_equal(lay_ground(problem, PAST, YEAR).reference, spend[:, 20:41])
        np.testing.assert_array_equal(lay_ground(problem, FUTURE, YEAR).reference, spend[:, 40:55])
        both = np.hstack([spend[:, 50:60], spend[:, 40:47]])
        np.testing.assert_array_equal(lay_ground(problem, BOTH, YEAR).reference, both)
        far = lay_ground(problem, Horizon(95, 105), YEAR).reference
        np.testing.assert_array_equal(far, np.hstack([spend[:, 55:60], spend[:, 40:45]]))
        none = lay_ground(problem, FUTURE, 500).reference
        np.testing.assert_allclose(none, np.repeat(spend[:, 5:].mean(axis=1)[:, None], 15, axis=1))

    def test_year_before(self):
        assert [year_before(row, 60, 20) for row in (0, 59, 60, 79, 80, 99, 100)] == [
            0,
            59,
            40,
            59,
            40,
            59,
            40,
        ]
        assert [year_before(row, 10, 20) for row in (9, 10, 19, 20, 29)] == [9, None, None, 0, 9]


class TestAnyPlan:
    @pytest.mark.parametrize("horizon", HORIZONS)
    def test_is_the_whole_adstock_again(self, problem, horizon):
        model = model_of(problem)
        ground = lay_ground(problem, horizon, YEAR)
        surface = FlightSurface.of(ground, model)
        plan = ground.reference * np.random.default_rng(1).uniform(0, 2, ground.reference.shape)
        found = surface.responses(plan)[0]
        end = horizon.stop + surface.n_tail
        for p, curve in enumerate(channel_curves(problem, model)[: problem.n_paid]):
            exposure = np.zeros(end)
            exposure[: min(60, end)] = problem.design[problem.first_media + p, : min(60, end)]
            rate = problem.design[problem.first_media + p, 5:].sum() / problem.spend[p, 5:].sum()
            for row in range(60, horizon.start):
                exposure[row] = rate * problem.spend[p, row - 20]
            own = problem.design[problem.first_media + p] / np.where(
                problem.spend[p] > 0, problem.spend[p], 1.0
            )
            for t, row in enumerate(range(horizon.start, horizon.stop)):
                exposure[row] = plan[p, t] * (own[row] if row < 60 else rate)
            expected = slow.responses(
                exposure,
                str(curve.adstock),
                curve.adstock_parameters,
                60,
                curve.alpha,
                curve.inflexion,
                curve.coef,
            )
            np.testing.assert_allclose(found[p], expected[horizon.start :], rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("with_tail", [True, False])
    @pytest.mark.parametrize("horizon", [PAST, FUTURE])
    def test_slopes_are_those_of_finite_differences(self, problem, horizon, with_tail):
        models = [model_of(problem, 0), model_of(problem, 1, zero=["paid_1"])]
        ground = lay_ground(problem, horizon, YEAR)
        surface = FlightSurface.of(ground, models, with_tail)
        plan = 200 + ground.reference * np.random.default_rng(1).uniform(0.5, 2, ground.reference.shape)
        values, slopes = surface.value_and_slopes(plan)
        np.testing.assert_allclose(
            values, surface.value_of(surface.responses(plan)) - surface.base, rtol=1e-12
        )
        for p in range(3):
            for t in (0, 5, horizon.n_periods - 1):
                step = np.zeros_like(plan)
                step[p, t] = 1e-3 * plan[p, t]
                ahead, behind = (surface.value_and_slopes(plan + s)[0].sum() for s in (step, -step))
                expected = (ahead - behind) / (2 * step[p, t])
                np.testing.assert_allclose(slopes[p, t], expected, rtol=1e-5, atol=1e-9 * slopes.max())

    def test_curvature_is_that_of_finite_differences_where_curves_bend_down(self):
        # With alpha = 1 all periods bend the same way, and sizes are values.
        problem = random_problem(3, time_series_validation=False)
        model = model_of(problem)
        at = [i for i, name in enumerate(problem.hyperparameter_names) if name.endswith("alpha")]
        model.hyperparameters[at] = 1.0
        ground = lay_ground(problem, FUTURE, YEAR)
        surface = FlightSurface.of(ground, model)
        plan = 500 + ground.reference
        curved = surface.curvature(plan)
        for p, t in ((0, 0), (1, 7), (2, 14)):
            step = np.zeros_like(plan)
            step[p, t] = 1.0
            ahead, behind = (surface.value_and_slopes(plan + s)[1][p, t] for s in (step, -step))
            assert curved[p, t] == pytest.approx(-(ahead - behind) / 2, rel=1e-4)

    def test_nothing_planned_is_what_is_carried_in(self, problem):
        ground = lay_ground(problem, FUTURE, YEAR)
        surface = FlightSurface.of(ground, model_of(problem))
        values, _ = surface.value_and_slopes(np.zeros_like(ground.reference))
        np.testing.assert_allclose(values, 0, atol=1e-9)
        for p, curve in enumerate(channel_curves(problem, model_of(problem))[:3]):
            past = np.concatenate([problem.design[problem.first_media + p], np.zeros(15 + surface.n_tail)])
            carried = adstock.carry(curve.adstock, past, curve.adstock_parameters, 60)[60:]
            expected = (
                curve.coef * carried**curve.alpha / (carried**curve.alpha + curve.inflexion**curve.alpha)
            )
            np.testing.assert_allclose(surface.carried_in[0, p], expected, rtol=1e-9, atol=1e-12)

    def test_the_tail_is_as_long_as_the_longest_memory(self, problem):
        models = [model_of(problem, 0), model_of(problem, 1)]
        surface = FlightSurface.of(lay_ground(problem, FUTURE, YEAR), models)
        memories = [
            adstock.memory(c.adstock, c.adstock_parameters, 60)
            for m in models
            for c in channel_curves(problem, m)[:3]
        ]
        assert surface.n_tail == max(memories)
        short = FlightSurface.of(lay_ground(problem, FUTURE, YEAR), models, with_tail=False)
        assert (short.counted, surface.counted) == (15, 15 + surface.n_tail)
        silent = FlightSurface.of(lay_ground(problem, FUTURE, YEAR), model_of(problem, 0, zero=problem.paid))
        assert silent.n_tail == 0

    def test_what_follows_in_the_data_goes_on_in_the_tail(self, problem):
        model = model_of(problem)
        ground = lay_ground(problem, PAST, YEAR)
        surface = FlightSurface.of(ground, model)
        n = min(surface.n_tail, 19)
        found = surface.responses(ground.reference)[0, :, 21 : 21 + n]
        expected = contributions(problem, model, Horizon(41, 41 + n))[paid_rows(problem)]
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_kept_flighting_is_the_response_function_of_the_allocator(self, problem):
        model = model_of(problem)
        ground = lay_ground(problem, PAST, YEAR)
        surface = FlightSurface.of(ground, model)
        for factor in (0.3, 1.7):
            found = surface.responses(factor * ground.reference)[0, :, :21].sum(axis=1)
            expected = [
                float(r.response(factor * r.initial_spend)) for r in channel_responses(problem, model, PAST)
            ]
            np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_refusals(self, problem):
        surface = FlightSurface.of(lay_ground(problem, FUTURE, YEAR), model_of(problem))
        with pytest.raises(ShapeError):
            surface.responses(np.ones(3))
        with pytest.raises(RangeError, match="numbers >= 0"):
            surface.responses(-np.ones((3, 15)))
        with pytest.raises(ShapeError, match="at least one model"):
            FlightSurface.of(surface.ground, [])


class TestAwkwardChannels:
    def changed(self, rows, spend=None, exposure=None):
        problem = random_problem(3, time_series_validation=False)
        spends, design = problem.spend.copy(), problem.design.copy()
        if spend is not None:
            spends[0, rows] = spend
        if exposure is not None:
            design[problem.first_media, rows] = exposure
        return replace(problem, spend=spends, design=design)

    def history(self, problem, horizon=PAST):
        model = model_of(problem)
        ground = lay_ground(problem, horizon, YEAR)
        found = FlightSurface.of(ground, model).responses(ground.reference)[0, :, : horizon.n_periods]
        np.testing.assert_allclose(
            found, contributions(problem, model, horizon)[paid_rows(problem)], rtol=1e-12
        )
        return ground

    def test_exposure_without_spend_stays(self):
        ground = self.history(self.changed(PAST.rows, spend=0.0))
        np.testing.assert_array_equal(ground.reference[0], 0)
        assert ground.unit[0] > 0
        np.testing.assert_allclose(ground.shape[0], 1 / 21)
        assert "paid_0 has no spend in these periods of the reference" in ground.notes[0]

    def test_spend_without_exposure_moves_nothing(self):
        problem = self.changed(PAST.rows, spend=5.0, exposure=0.0)
        ground = self.history(problem)
        assert (ground.rate[0] == 0).all()
        assert "has spend but no exposure in the horizon" in ground.notes[0]

    def test_money_booked_elsewhere_counts_as_spent_when_it_was_seen(self):
        problem = random_problem(3, time_series_validation=False)
        booked = np.zeros(21)
        booked[0] = 1e4
        problem = self.changed(PAST.rows, spend=booked)
        ground = self.history(problem)
        exposure = problem.design[problem.first_media, PAST.rows]
        np.testing.assert_allclose(ground.reference[0], 1e4 * exposure / exposure.sum())
        assert "spend and exposure in different periods" in ground.notes[0]

    def test_a_year_that_was_dark_is_planned_evenly(self):
        ground = lay_ground(self.changed(slice(40, 60), spend=0.0, exposure=0.0), FUTURE, YEAR)
        np.testing.assert_array_equal(ground.reference[0], 0)
        np.testing.assert_allclose(ground.shape[0], 1 / 15)
        assert ground.unit[0] > 0
        np.testing.assert_allclose(ground.shape.sum(axis=1), 1)
