"""The solver on functions whose optimum is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mmm_core import separable
from mmm_core.separable import Box, Budget, Efficiency, Price, Reach, best_gain, maximise
from tests.reference import allocation as slow


@dataclass(frozen=True)
class Curves:
    """height_p * x^a_p / (x^a_p + half_p^a_p)."""

    heights: tuple[float, ...]
    halves: tuple[float, ...]
    exponents: tuple[float, ...]

    def _columns(self, x):
        shape = (-1,) + (1,) * (x.ndim - 1)
        return (np.reshape(v, shape) for v in (self.heights, self.halves, self.exponents))

    def values(self, x):
        height, half, a = self._columns(x)
        return height * x**a / (x**a + half**a)

    def slopes(self, x):
        height, half, a = self._columns(x)
        with np.errstate(divide="ignore"):
            return height * a * x ** (a - 1) * half**a / (x**a + half**a) ** 2

    def function(self, p):
        return lambda x: float(self.values(np.full(len(self.heights), x))[p])


def box_of(curves, low=0.0, high=10.0):
    p = len(curves.heights)
    return Box(curves, np.full(p, low), np.full(p, high))


CONCAVE = Curves((3.0, 2.0, 1.0), (1.0, 2.0, 0.5), (1.0, 0.6, 0.9))
S_SHAPED = Curves((3.0, 3.0, 2.0), (4.0, 4.0, 1.0), (4.0, 4.0, 3.0))


class TestConcaveFunctions:
    # height * x / (x + half): the slopes are equal where x + half is in proportion to sqrt(height * half).
    curves = Curves((3.0, 2.0, 1.0), (1.0, 2.0, 0.5), (1.0, 1.0, 1.0))

    def test_optimum_in_closed_form(self):
        root = np.sqrt(np.array(self.curves.heights) * self.curves.halves)
        expected = root / root.sum() * (6.0 + sum(self.curves.halves)) - self.curves.halves
        solution = maximise(box_of(self.curves), Budget(6.0))
        np.testing.assert_allclose(solution.x, expected, rtol=1e-6)
        assert solution.stationarity < 1e-6
        assert solution.upper_bound == pytest.approx(solution.value, rel=1e-4)

    def test_first_polish_is_seen_to_be_global(self, monkeypatch):
        polished = []

        def counted(box, constraint, start, tolerance, polish=separable.polish):
            polished.append(tolerance)
            return polish(box, constraint, start, tolerance)

        monkeypatch.setattr(separable, "polish", counted)
        maximise(box_of(self.curves), Budget(6.0))
        assert polished.count(separable.COARSE) == 1


class TestConvexParts:
    def test_two_equal_s_curves_are_not_fed_alike(self):
        # 5 each is a stationary point, and what a local solver returns from an even start.
        twins = Curves((1.0, 1.0), (4.0, 4.0), (4.0, 4.0))
        even = 2 * twins.function(0)(2.5)
        solution = maximise(box_of(twins), Budget(5.0), starts=[np.array([2.5, 2.5])])
        assert sorted(solution.x.round(6)) == [0, 5]
        assert solution.value > 2 * even

    @pytest.mark.parametrize("budget", [1.0, 3.0, 6.0, 12.0, 25.0])
    def test_no_grid_point_is_better(self, budget):
        functions = [S_SHAPED.function(p) for p in range(3)]
        _, best = slow.best_plan_on_grid(functions, [0.0] * 3, [10.0] * 3, budget, 40)
        solution = maximise(box_of(S_SHAPED), Budget(budget))
        assert best <= solution.value * (1 + 1e-12) <= solution.upper_bound * (1 + 1e-9)

    @pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
    def test_no_grid_point_is_better_at_an_efficiency(self, rate):
        functions = [S_SHAPED.function(p) for p in range(3)]
        _, best = slow.best_efficient_plan_on_grid(functions, [0.1] * 3, [10.0] * 3, rate, 16)
        solution = maximise(box_of(S_SHAPED, low=0.1), Efficiency(rate))
        assert solution.value >= best * (1 - 1e-12)
        assert solution.value >= rate * solution.x.sum() * (1 - 1e-9)


class TestReach:
    @pytest.mark.parametrize("curves", [CONCAVE, S_SHAPED])
    @pytest.mark.parametrize("part", [0.01, 0.3, 0.7, 0.999])
    def test_no_grid_point_reaches_it_with_less(self, curves, part):
        functions = [curves.function(p) for p in range(3)]
        wanted = part * sum(f(10.0) for f in functions)
        best = slow.least_spend_on_grid(functions, [0.0] * 3, [10.0] * 3, wanted, 21)
        solution = maximise(box_of(curves), Reach(wanted))
        assert solution.x.sum() <= best * (1 + 1e-12)
        assert solution.value == pytest.approx(wanted, rel=1e-9)
        assert solution.violation < 1e-9
        assert solution.stationarity < 1e-5
        assert solution.value <= solution.upper_bound

    def test_it_is_the_inverse_of_a_budget(self):
        spent = maximise(box_of(CONCAVE), Budget(6.0))
        again = maximise(box_of(CONCAVE), Reach(spent.value))
        np.testing.assert_allclose(again.x, spent.x, rtol=1e-5)

    def test_what_the_lower_end_brings_takes_no_more(self):
        solution = maximise(box_of(CONCAVE, low=1.0), Reach(0.5), starts=[np.array([5.0, 5.0, 5.0])])
        assert solution.x.tolist() == [1, 1, 1]
        assert (solution.violation, solution.stationarity) == (0, 0)

    def test_what_is_out_of_reach_is_missed_as_little_as_can_be(self):
        solution = maximise(box_of(CONCAVE), Reach(100.0))
        np.testing.assert_allclose(solution.x, [10, 10, 10])
        assert solution.violation == pytest.approx(1 - solution.value / 100)


class TestPrice:
    @pytest.mark.parametrize("curves", [CONCAVE, S_SHAPED])
    @pytest.mark.parametrize("rate", [0.01, 0.1, 0.4, 2.0])
    def test_no_grid_point_gains_more(self, curves, rate):
        functions = [curves.function(p) for p in range(3)]
        best = slow.largest_net_on_grid(functions, [0.0] * 3, [10.0] * 3, rate, 41)
        solution = maximise(box_of(curves), Price(rate))
        assert solution.value - rate * solution.x.sum() >= best - 1e-12
        assert solution.stationarity < 1e-8

    def test_the_highest_price_that_moves_anything(self):
        # x^4 / (x^4 + 4^4) has its steepest chord from 0 where x^4 = 3 * 4^4, with value 3 / 4.
        twins = Curves((1.0, 1.0), (4.0, 4.0), (4.0, 4.0))
        at = 4 * 3**0.25
        assert best_gain(box_of(twins)) == pytest.approx(0.75 / at, rel=1e-9)
        below = maximise(box_of(twins), Price(0.75 / at * (1 - 1e-6)))
        np.testing.assert_allclose(below.x, at, rtol=1e-4)
        assert maximise(box_of(twins), Price(0.75 / at * (1 + 1e-6))).x.tolist() == [0, 0]

    def test_nothing_to_decide(self):
        fixed = Box(CONCAVE, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
        assert maximise(fixed, Price(1.0)).x.tolist() == [1, 2, 3]
        assert best_gain(fixed) == -np.inf


class TestConstraints:
    def test_a_budget_may_be_left_over_where_spending_harms(self):
        harmful = Curves((3.0, -2.0), (1.0, 1.0), (1.0, 1.0))
        at_most = maximise(box_of(harmful), Budget(15.0, is_equal=False))
        np.testing.assert_allclose(at_most.x, [10, 0], atol=1e-6)
        equal = maximise(box_of(harmful), Budget(15.0))
        np.testing.assert_allclose(equal.x, [10, 5], atol=1e-6)
        assert max(at_most.stationarity, equal.stationarity) < 1e-6

    def test_an_efficiency_that_does_not_bind_leaves_everything_at_the_top(self):
        solution = maximise(box_of(CONCAVE), Efficiency(0.01))
        np.testing.assert_allclose(solution.x, [10, 10, 10])

    def test_nothing_to_decide(self):
        fixed = Box(CONCAVE, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
        solution = maximise(fixed, Budget(6.0))
        assert solution.x.tolist() == [1, 2, 3]
        assert (solution.violation, solution.stationarity) == (0, 0)

    def test_a_budget_of_nothing(self):
        assert maximise(box_of(CONCAVE), Budget(0.0)).x.tolist() == [0, 0, 0]

    def test_infinitely_steep_at_the_lower_end(self):
        steep = Curves((1.0, 1e-3), (1.0, 1.0), (0.2, 0.2))
        assert np.isinf(steep.slopes(np.zeros(2))).all()
        solution = maximise(box_of(steep), Budget(4.0), starts=[np.zeros(2)])
        _, best = slow.best_plan_on_grid([steep.function(0), steep.function(1)], [0, 0], [10, 10], 4.0, 4001)
        assert solution.value >= best
        assert np.ptp(steep.slopes(solution.x)) < 1e-6


class TestStarts:
    def test_the_hull_lies_on_and_above_the_points(self):
        x = np.linspace(0, 10, 41)
        y = S_SHAPED.values(np.vstack([x] * 3))[0]
        hull = separable.upper_hull(x, y)
        assert (hull[0], hull[-1]) == (0, 40)
        assert (np.interp(x, x[hull], y[hull]) >= y - 1e-12).all()
        assert (np.diff(np.diff(y[hull]) / np.diff(x[hull])) < 0).all()

    @pytest.mark.parametrize("curves", [CONCAVE, S_SHAPED])
    def test_the_path_bounds_every_plan(self, curves):
        path = box_of(curves).path
        rng = np.random.default_rng(0)
        for x in rng.uniform(0, 10, (200, 3)):
            assert curves.values(x).sum() <= np.interp(x.sum(), path.totals, path.values) * (1 + 1e-3)

    @pytest.mark.parametrize("budget", [3.0, 8.0, 20.0])
    def test_dynamic_programme_is_nearly_the_best_plan(self, budget):
        box = box_of(S_SHAPED)
        x = box.with_total(separable.dynamic_programme(box, Budget(budget)), budget)
        assert S_SHAPED.values(x).sum() >= maximise(box, Budget(budget)).value * 0.99

    def test_dynamic_programme_places_a_range_smaller_than_its_step(self):
        tiny = Box(Curves((1.0, 5.0), (300.0, 0.01), (1.0, 2.0)), np.zeros(2), np.array([1000.0, 0.1]))
        x = separable.dynamic_programme(tiny, Budget(500.0))
        assert x[1] > 0.05

    def test_sharing_the_difference_keeps_the_box(self):
        box = box_of(CONCAVE)
        for total in (0.0, 7.0, 30.0):
            x = box.with_total(np.array([20.0, 1.0, -3.0]), total)
            assert x.sum() == pytest.approx(total)
            assert ((x >= 0) & (x <= 10)).all()


class TestBestRatio:
    def test_of_s_curves_is_where_a_ray_touches(self):
        # x^2 / (x^2 + half^2) per x is largest at x = half: 1 / (2 half).
        ratio, x = separable.best_ratio(box_of(Curves((1.0, 1.0), (2.0, 3.7), (2.0, 2.0))))
        assert ratio == pytest.approx(1 / 4, rel=1e-9)
        np.testing.assert_allclose(x, [2, 0], atol=1e-4)

    def test_is_infinite_where_nothing_spent_brings_something(self):
        class Shifted(Curves):
            def values(self, x):
                return 1.0 + super().values(x)

        assert separable.best_ratio(box_of(Shifted((1.0,), (2.0,), (2.0,))))[0] == np.inf

    def test_without_any_spend_there_is_none(self):
        assert separable.best_ratio(box_of(CONCAVE, high=0.0))[0] == -np.inf


def test_a_stop_on_the_way_is_not_stationary(monkeypatch):
    monkeypatch.setattr(separable, "SLSQP_OPTIONS", {"maxiter": 1})
    assert maximise(box_of(CONCAVE), Budget(6.0)).stationarity > 1e-5


def test_the_same_question_has_the_same_answer():
    first, second = (maximise(box_of(S_SHAPED), Budget(8.0), seed=5) for _ in range(2))
    assert first.x.tobytes() == second.x.tobytes()
