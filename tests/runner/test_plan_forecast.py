"""What a plan expects beside its money: columns to come, and how sure they are."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from mmm_core.errors import UserError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.flight import lay_ground
from mmm_core.response import Horizon, contributions
from mmm_core.types import FittedModel
from runner.dataset import panel_from_table
from runner.plans.calendar import calendar_of
from runner.plans.outcome import Units, draw, expected, rest_of
from runner.plans.to_come import Miss, ToCome, look_ahead
from runner.problem import build_problem
from runner.spec import decode
from tests.reference.problems import random_hyperparameters, random_problem
from tests.runner.small import change, small_spec, small_table

SEED = np.random.SeedSequence(5)


def ahead_of(spec_changes, context=None, table=None, draws=50, problem_of=lambda problem: problem):
    spec = decode(change(small_spec(), **spec_changes), "s.yaml")
    panel = panel_from_table(spec, small_table() if table is None else table, "t")
    problem = problem_of(build_problem(spec, panel)[0])
    calendar = calendar_of(panel, date(2024, 1, 1), date(2024, 3, 25))
    return problem, look_ahead(spec, panel, problem, calendar, context, draws, SEED)


def test_prophet_goes_on_from_the_run_and_is_tried_on_earlier_days():
    problem, ahead = ahead_of({"baseline": {"components": ["trend", "season"]}})
    names = ("trend", "season", "price", "event", "mail")
    assert tuple(ahead.columns) == names
    for name in names:
        known = problem.design[problem.columns.index(name)]
        np.testing.assert_array_equal(ahead.columns[name][:104], known)
        assert len(ahead.columns[name]) == 117
    # The same weeks of the year are about as they were, and the trend goes on.
    season = ahead.columns["season"]
    assert np.corrcoef(season[104:], season[52:65])[0, 1] > 0.95
    steps = np.diff(ahead.columns["trend"])
    np.testing.assert_allclose(steps[103:], steps[-1])
    assert ahead.assumed == ("price", "event", "mail")
    assert [(m.start, m.stop) for m in ahead.misses] == [(52, 65), (65, 78), (78, 91), (91, 104)]
    assert all(set(m.columns) == {"trend", "season", "event"} for m in ahead.misses)
    assert ahead.trend_noise.shape == (50, 13)
    assert ahead.trend_noise.any()
    assert "plan-baseline-differs" not in [f.case for f in ahead.findings]


@pytest.mark.parametrize(("last", "is_told"), [("2023-12-25", True), ("2024-05-01", False)])
def test_a_table_of_holidays_that_ends_before_the_plan_is_told(last, is_told, tmp_path):
    path = tmp_path / "holidays.csv"
    days = ["2022-12-25", "2023-04-09", "2023-12-25", last]
    path.write_text("ds,holiday\n" + "".join(f"{day},feast\n" for day in dict.fromkeys(days)))
    _, ahead = ahead_of({"baseline": {"components": ["trend", "holiday"], "holidays": {"path": str(path)}}})
    told = [f.details for f in ahead.findings if f.case == "plan-no-holidays"]
    expected = ["The table of holidays ends on 2023-12-25: the plan's last 13 periods have none."]
    assert told == (expected if is_told else [])


def test_another_fit_than_the_runs_is_said():
    def moved(problem):
        design = problem.design.copy()
        design[0] += 0.01 * problem.outcome.std()
        return type(problem)(
            **{**{f: getattr(problem, f) for f in problem.__dataclass_fields__}, "design": design}
        )

    _, ahead = ahead_of({"baseline": {"components": ["trend"]}}, problem_of=moved)
    (found,) = [f for f in ahead.findings if f.case == "plan-baseline-differs"]
    assert "0.01 standard deviations of the outcome" in found.details


def test_columns_of_a_baseline_of_ones_own_must_be_told(tmp_path):
    table = small_table()
    table["own"] = np.linspace(0, 500, 104)
    changes = {"baseline": {"precomputed": ["own"]}}
    with pytest.raises(UserError, match="the baseline column 'own' comes from the data"):
        ahead_of(changes, table=table)
    path = tmp_path / "c.csv"
    rows = [f"{np.datetime64('2024-01-01') + 7 * i},{500 + i}" for i in range(13)]
    path.write_text("date,own\n" + "\n".join(rows) + "\n")
    _, ahead = ahead_of(changes, str(path), table)
    np.testing.assert_array_equal(ahead.columns["own"][104:], 500 + np.arange(13))
    assert not ahead.trend_noise.any()
    assert ahead.misses == ()


# ------------------------------------------------------------------------------------------------------- uncertainty


def fitted(problem):
    values = random_hyperparameters(problem, 4)  # the true ones, see random_problem
    penalty = 0.01 * problem.outcome.std()
    batch = evaluate_candidates(problem, values, penalty=np.array([penalty]))
    return FittedModel("1_1", values[0], penalty, float(batch.loss("intercept")[0]), batch.coefs[0])


def a_year_on(problem, n_later=20, misses=(), assumed=()):
    """Everything as in the last rows of the data."""
    columns = {
        name: np.concatenate([column, column[-n_later:]])
        for name, role, column in zip(problem.columns, problem.roles, problem.design, strict=True)
        if role != "paid"
    }
    return ToCome(columns, np.zeros((1000, n_later)), assumed, misses)


@pytest.fixture
def world():
    problem = random_problem(4, n_periods=120, noise=8.0, time_series_validation=False)
    return problem, fitted(problem)


HORIZON = Horizon(120, 140)


def drawn(problem, model, ahead, refits=400):
    return draw(problem, model, (1, 1), HORIZON, ahead, year=52, refits=refits, seed=3)


def test_intervals_hold_new_noise_as_often_as_they_say(world):
    problem, model = world
    ahead = a_year_on(problem)
    own = drawn(problem, model, ahead)
    ground = lay_ground(problem, HORIZON, 52)
    units = Units.by(ground, [model], ground.reference)
    found = expected(problem, [model], [rest_of(problem, model, HORIZON, ahead)], [own], units, units, 0.9)
    rng = np.random.default_rng(0)
    came = found.outcome + rng.normal(0, 8.0, (500, 20))
    assert 0.85 < ((found.lower <= came) & (came <= found.upper)).mean() < 0.97
    np.testing.assert_allclose(found.outcome, found.reference)
    assert found.gain == (0.0, 0.0)
    assert own.coefs.mean(axis=0) == pytest.approx(model.coefs)


def test_parts_are_the_decompositions_where_the_data_tell(world):
    problem, model = world
    ahead = a_year_on(problem)
    rest = rest_of(problem, model, Horizon(100, 120), ahead)
    own = contributions(problem, model, Horizon(100, 120))
    np.testing.assert_allclose(rest.baseline, model.intercept + own[:2].sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(rest.context, own[2], rtol=1e-12)
    np.testing.assert_allclose(rest.organic, own[6], rtol=1e-12)


def test_forecasts_that_went_wrong_widen_the_level(world):
    problem, model = world
    coef = model.coefs[0]
    off = [Miss(s, s + 20, {"trend": np.full(20, 40.0 / coef)}) for s in (60, 75, 90, 100)]
    own, plain = (
        drawn(problem, model, a_year_on(problem, misses=off)),
        drawn(problem, model, a_year_on(problem)),
    )
    level = (own.noise - plain.noise).mean(axis=1)
    # Student's t with 4 degrees of freedom around errors of about 40.
    assert np.abs(np.quantile(level, 0.95)) == pytest.approx(40 * 2.13, rel=0.25)
    np.testing.assert_allclose(own.noise - plain.noise, level[:, np.newaxis] * np.ones(20), atol=1e-9)


def test_what_is_assumed_is_as_unsure_as_it_was_from_year_to_year(world):
    problem, model = world
    own = drawn(problem, model, a_year_on(problem, assumed=("context_0",)))
    plain = drawn(problem, model, a_year_on(problem))
    column = model.coefs[2] * problem.design[2]
    differences = column[52:] - column[:-52]
    assert (own.noise - plain.noise).std() == pytest.approx(differences.std(), rel=0.15)


def test_without_refits_coefficients_are_as_they_are(world):
    problem, model = world
    own = drawn(problem, model, a_year_on(problem), refits=0)
    assert len(own) == 1000
    assert (own.coefs == model.coefs).all()
