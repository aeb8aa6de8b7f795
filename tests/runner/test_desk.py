"""The what-if desk in Python: today's numbers are the run's, bands are its intervals, totals are laid within limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mmm_core.allocator import ResponseSurface
from mmm_core.errors import ShapeError, UserError
from mmm_core.response import Carryover, Flighting, Horizon
from runner.reports.data import RunData, load_run
from runner.reports.desk import Desk, Ground, desk_draws, draws_carried, spread
from runner.reports.payload import as_json, draws_of, payload, plain
from runner.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(small_run_original: RunFolder) -> RunData:
    return load_run(small_run_original)


@pytest.fixture(scope="module")
def draws(run: RunData) -> list[np.ndarray]:
    return [draws_of(run, view) for view in run.models]


def desk_of(run: RunData, draws: list[np.ndarray], ground: Ground | None = None) -> Desk:
    models = [view.model for view in run.models]
    return Desk.of(run.problem, models, draws, run.spec.bootstrap.level, ground)


def test_today_is_the_decomposition(run: RunData, draws: list[np.ndarray]) -> None:
    paid = slice(run.problem.first_media, run.problem.first_media + run.problem.n_paid)
    for view, own in zip(run.models, draws, strict=True):
        desk = Desk.of(run.problem, [view.model], [own], 0.9)
        answer = desk.ask(desk.today)
        np.testing.assert_allclose(answer.response, view.contributions[paid], rtol=1e-9)
        np.testing.assert_allclose(answer.efficiency, view.efficiencies, rtol=1e-9)
        assert (answer.change.value, answer.change.lower, answer.change.upper) == (0, 0, 0)


def test_the_bands_of_today_are_the_intervals_of_the_run(run: RunData, draws: list[np.ndarray]) -> None:
    """But for single precision, and for an end between two draws of which one lies on a bound."""
    compared = 0
    for view, own in zip(run.models, draws, strict=True):
        desk = Desk.of(run.problem, [view.model], [own], run.spec.bootstrap.level)
        answer = desk.ask(desk.today)
        for p, channel in enumerate(run.problem.paid):
            bar = view.intervals["sampling", "contribution", channel]
            for found, wanted in (
                (answer.response_lower[p], bar.lower),
                (answer.response_upper[p], bar.upper),
            ):
                if wanted > 0:
                    assert found == pytest.approx(wanted, rel=1e-5)
                    compared += 1
    assert compared > 2


def test_the_mean_of_the_models_is_what_plans_are_made_with(run: RunData, draws: list[np.ndarray]) -> None:
    shared = next(view.shared for view in run.scenarios if view.name == "same-budget")
    assert shared is not None
    answer = desk_of(run, draws).ask(shared["optimised_spend"])
    np.testing.assert_allclose(answer.response, shared["optimised_response"], rtol=1e-12)
    np.testing.assert_allclose(answer.marginal, shared["optimised_marginal"], rtol=1e-12)
    assert answer.change.value == pytest.approx(
        shared.total("optimised_response") - shared.total("initial_response")
    )


def test_draws_of_all_models_are_pooled(run: RunData, draws: list[np.ndarray]) -> None:
    desk = desk_of(run, draws)
    x = 1.3 * desk.today
    drawn = []
    for view, own in zip(run.models, draws, strict=True):
        curves = ResponseSurface.of(run.problem, view.model).channels
        unit = np.array([float(replace(r, coef=1.0).response(s)) for r, s in zip(curves, x, strict=True)])
        drawn.append(own @ unit)
    total = desk.ask(x).total
    tail = (1 - run.spec.bootstrap.level) / 2
    np.testing.assert_allclose(
        (total.lower, total.upper), np.quantile(np.concatenate(drawn), (tail, 1 - tail)), rtol=1e-12
    )


@pytest.mark.parametrize("carryover", list(Carryover))
@pytest.mark.parametrize("flighting", list(Flighting))
def test_marginals_are_slopes_on_every_ground(
    run: RunData, draws: list[np.ndarray], carryover: Carryover, flighting: Flighting
) -> None:
    desk = desk_of(run, draws, Ground(Horizon.last(run.problem, 26), carryover, flighting))
    x = 0.8 * desk.today
    answer = desk.ask(x)
    for p in range(len(x)):
        step = np.zeros_like(x)
        step[p] = 1e-4 * x[p]
        slope = (desk.ask(x + step).total.value - desk.ask(x - step).total.value) / (2 * step[p])
        assert answer.marginal[p] == pytest.approx(slope, rel=1e-4, abs=1e-9)
    grown = (desk.ask(1.0001 * x).total.value - desk.ask(0.9999 * x).total.value) / (0.0002 * x.sum())
    assert answer.total_marginal == pytest.approx(grown, rel=1e-4)


def test_a_desk_without_draws_answers_without_a_band(run: RunData) -> None:
    view = run.models[0]
    answer = Desk.of(run.problem, [view.model], [np.empty((0, run.problem.n_paid))], 0.9).ask(
        dict.fromkeys(run.problem.paid, 100.0)
    )
    assert answer.total.value >= 0
    assert math.isnan(answer.total.lower)
    assert np.isnan(answer.response_upper).all()


def test_nothing_spent_has_no_efficiency(run: RunData, draws: list[np.ndarray]) -> None:
    answer = desk_of(run, draws).ask(np.zeros(run.problem.n_paid))
    assert math.isnan(answer.total_efficiency.value)
    assert math.isnan(answer.total_marginal)
    assert answer.change.value <= 0


def test_wrong_questions_are_refused(run: RunData, draws: list[np.ndarray]) -> None:
    desk = desk_of(run, draws)
    for spends in (
        np.array([1.0]),
        np.full(run.problem.n_paid, -1.0),
        np.full(run.problem.n_paid, np.nan),
        {"tv": 1.0},
    ):
        with pytest.raises(UserError, match="spends"):
            desk.ask(spends)
    with pytest.raises(ShapeError):
        Desk.of(run.problem, [], [], 0.9)


def test_draws_are_the_runs_own_and_no_more_than_the_page_can_carry(run: RunData) -> None:
    view = run.models[0]
    place = tuple(int(part) for part in view.candidate.split("_"))
    all_of_them = desk_draws(run.spec, run.problem, view.model, place, 10_000)
    assert all_of_them.shape == (run.spec.bootstrap.refits, run.problem.n_paid)
    np.testing.assert_array_equal(desk_draws(run.spec, run.problem, view.model, place, 7), all_of_them[:7])
    assert draws_carried(1000, 5, 40) == 1000
    assert draws_carried(1000, 60, 40) * 4 * 60 * 40 <= 1_500_000


# ------------------------------------------------------------------------------------------------------ laying a total

NONE = np.array([0.0, 0.0, 0.0])
OPEN = np.full(3, np.inf)
FREE = np.zeros(3, dtype=bool)


def test_a_total_keeps_the_proportions() -> None:
    np.testing.assert_allclose(spread(12, np.array([1.0, 2, 3]), NONE, OPEN, FREE, np.ones(3)), [2, 4, 6])


def test_a_locked_channel_stays() -> None:
    locked = np.array([True, False, False])
    np.testing.assert_allclose(spread(16, np.array([1.0, 2, 3]), NONE, OPEN, locked, np.ones(3)), [1, 6, 9])


def test_limits_hold_and_the_others_make_up_for_them() -> None:
    spends, lower, upper = np.array([1.0, 2, 3]), np.array([0.5, 1, 1]), np.array([1.5, 10, 10])
    np.testing.assert_allclose(spread(12, spends, lower, upper, FREE, np.ones(3)), [1.5, 4.2, 6.3])
    np.testing.assert_allclose(spread(100, spends, lower, upper, FREE, np.ones(3)), upper)
    np.testing.assert_allclose(spread(0, spends, lower, upper, FREE, np.ones(3)), lower)


def test_from_nothing_a_total_is_laid_by_the_weights() -> None:
    np.testing.assert_allclose(spread(6, NONE, NONE, OPEN, FREE, np.array([1.0, 2, 0])), [2, 4, 0])
    np.testing.assert_allclose(spread(6, np.ones(3), NONE, OPEN, ~FREE, np.ones(3)), np.ones(3))


def test_whatever_is_asked_the_total_is_met_where_it_can_be() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        spends = rng.gamma(1.0, 10, 5) * (rng.random(5) > 0.2)
        lower = spends * rng.uniform(0, 1, 5)
        upper = spends * rng.uniform(1, 3, 5) + rng.uniform(0, 5, 5)
        locked = rng.random(5) > 0.7
        wanted = rng.uniform(0, 150)
        found = spread(wanted, spends, lower, upper, locked, np.ones(5))
        assert (found[locked] == spends[locked]).all()
        assert (found >= lower - 1e-9).all()
        assert (found <= upper + 1e-9).all()
        moved = ~locked & (spends > 0) if (spends[~locked] > 0).any() else ~locked
        still = spends[locked].sum() + np.clip(0, lower, upper)[~locked & ~moved].sum()
        nearest = np.clip(wanted, still + lower[moved].sum(), still + upper[moved].sum())
        assert found.sum() == pytest.approx(nearest)


# ------------------------------------------------------------------------------------------------------------- payload


def test_the_payload_cannot_end_its_element() -> None:
    text = as_json({"name": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)


def test_numbers_that_json_has_not_are_told() -> None:
    assert [plain(v) for v in (1.5, math.nan, math.inf, -math.inf, None)] == [1.5, None, "inf", "-inf", None]


def test_a_payload_is_small_and_says_the_same_twice(run: RunData) -> None:
    text = as_json(payload(run, "en"))
    assert text == as_json(payload(run, "en"))
    assert len(text) < 600_000
