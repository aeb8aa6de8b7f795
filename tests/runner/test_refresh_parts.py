"""The parts of a refresh, each held against numbers made by hand or against a truth that is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm_core.errors import UserError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.limits import parameter_of, within_limits
from mmm_core.transforms import design_matrix
from mmm_core.types import RefreshLoss
from runner.dataset import panel_from_table
from runner.findings import Severity
from runner.journal import model_from_batch
from runner.problem import build_problem
from runner.refits import Uncertainty
from runner.refresh.bounds import narrowed
from runner.refresh.changes import PARTS, Change, changes, changes_table
from runner.refresh.previous import describe, sampled_ends
from runner.refresh.reference import hyperparameters_now, roas_before, scales, shares_before
from runner.refresh.request import Before, Wish, nested_ranges, refreshed_spec
from runner.refresh.rows import check_rows_of, move_window, notice_rows
from runner.refresh.telling import findings_of
from runner.refresh.winner import refresh_scores
from runner.spec import decode
from tests.runner.small import change, small_spec, small_table

OLD, ALL = 96, 104
PATH = "new.csv"


# -------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("name", "bounds", "value", "freedom", "expected"),
    [
        # 4 new of 160 periods: f = 0.025, 0.025 * 0.5 = 0.0125
        ("tv_theta", (0.3, 0.8), 0.5, 4 / 160, (0.4875, 0.5125)),
        ("tv_theta", (0.3, 0.8), 0.305, 4 / 160, (0.3, 0.3175)),
        ("tv_theta", (0.3, 0.8), 0.8, 4 / 160, (0.7875, 0.8)),
        ("lambda_hp", (0.0, 1.0), 0.01, 4 / 160, (0.0, 0.035)),
        ("tv_alpha", (0.5, 3.0), 1.0, 1.0, (0.5, 3.0)),
        # of a value outside its range the nearest end counts
        ("tv_alpha", (0.5, 3.0), 4.0, 0.1, (2.75, 3.0)),
        # fixed: value * (1 -/+ f), never beyond what is legal
        ("tv_alpha", (2.0, 2.0), 2.0, 4 / 160, (1.95, 2.05)),
        ("tv_theta", (0.0, 0.0), 0.0, 0.2, (0.0, 0.0)),
        ("tv_theta", (0.9, 0.9), 0.9, 0.2, (0.72, 1 - 1e-6)),
        ("tv_gamma", (0.9, 0.9), 0.9, 0.2, (0.72, 1.0)),
        ("tv_alpha", (9.0, 9.0), 9.0, 0.2, (7.2, 10 - 1e-5)),
        ("lambda_hp", (1.0, 1.0), 1.0, 0.5, (0.5, 1.0)),
    ],
)
def test_ranges_are_narrowed_around_the_value(name, bounds, value, freedom, expected):
    np.testing.assert_allclose(narrowed(name, bounds, value, freedom), expected, rtol=1e-14, atol=1e-15)


@given(
    st.sampled_from(["tv_theta", "tv_alpha", "tv_gamma", "tv_shape", "tv_scale", "train_size", "lambda_hp"]),
    st.floats(0.11, 0.99),
    st.floats(0.11, 0.99),
    st.floats(0.01, 1),
)
def test_narrowed_ranges_are_legal_and_hold_the_value(name, one, other, freedom):
    low, high = sorted((one, other))
    value = (low + high) / 2
    for bounds in ((low, high), (value, value)):
        found = narrowed(name, bounds, value, freedom)
        assert found[0] <= value <= found[1]
        assert all(within_limits(parameter_of(name), end) for end in found)


def test_ranges_by_full_name_stand_under_their_medium():
    spec = decode(small_spec(), "spec")
    ranges = {
        "tv_theta": (0.1, 0.2),
        "tv_penalty": (0.0, 1.0),
        "train_size": (0.5, 0.6),
        "price_penalty": (0, 1),
    }
    assert nested_ranges(spec, ranges) == {
        "tv": {"theta": [0.1, 0.2], "penalty": [0.0, 1.0]},
        "train_size": [0.5, 0.6],
        "price_penalty": [0, 1],
    }


# ---------------------------------------------------------------------------------------------------------------- rows


def spec_of(table: pd.DataFrame, **keys):
    tree = change(
        small_spec(), **{"window": {"start": "2022-02-07", "end": str(table["date"].iloc[-1])}, **keys}
    )
    return decode(tree, "spec")


def panel_of(table: pd.DataFrame, **keys):
    return panel_from_table(spec_of(table, **keys), table, PATH)


def old_and_new(rows: int = ALL, window: int | None = None):
    table = small_table(rows)
    keys = {} if window is None else {"window": {"start": str(table["date"].iloc[OLD - window])}}
    return panel_of(table.iloc[:OLD], **keys), panel_of(table, **keys)


@pytest.mark.parametrize(
    ("steps", "grow", "expected"),
    [
        (None, False, ("2022-04-04", "2023-12-25", 8, 91)),
        (3, False, ("2022-02-28", "2023-11-20", 3, 91)),
        (None, True, ("2022-02-07", "2023-12-25", 8, 99)),
    ],
)
def test_the_window_moves_by_its_new_periods(steps, grow, expected):
    move = move_window(PATH, *old_and_new(), steps, grow)
    assert (str(move.start), str(move.end), move.periods, move.n_window) == expected


def test_rows_after_the_old_window_are_new_also_where_the_old_table_had_them():
    table = small_table()
    keys = {"window": {"start": "2022-02-07", "end": "2023-10-02"}}
    move = move_window(PATH, panel_of(table, **keys), panel_of(table))
    assert (move.periods, str(move.start), str(move.end)) == (12, "2022-05-02", "2023-12-25")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (range(OLD), "there is no row after 2023-10-30, where the window of the run ends; add the new ones"),
        (
            range(1, ALL),
            "the row of 2022-01-03 of the run's table is missing; give the old rows with the new ones",
        ),
        (range(3, ALL), "the row of 2022-01-03 and 2 more of the run's table"),
    ],
)
def test_a_table_without_old_or_without_new_rows_is_refused(rows, message):
    table = small_table()
    with pytest.raises(UserError, match=message):
        check_rows_of(PATH, panel_of(table.iloc[:OLD]), panel_of(table.iloc[list(rows)]))


def test_more_steps_than_rows_and_a_window_of_new_rows_only_are_refused():
    old, new = old_and_new()
    with pytest.raises(UserError, match="--steps 9, but only 8 rows follow the window of the run; lower it"):
        move_window(PATH, old, new, 9)
    with pytest.raises(UserError, match="30 new rows for a window of 30: nothing of the model before"):
        move_window(PATH, *old_and_new(OLD + 30, window=30))


def test_a_window_that_is_mostly_new_is_a_finding():
    old, new = old_and_new(OLD + 20, window=30)
    (found,) = notice_rows(old, new, move_window(PATH, old, new), spec_of(small_table()))
    assert (found.case, found.status) == ("mostly-new", Severity.WARNING)
    assert found.details.startswith("20 of the 30 periods of the window are new")


def test_restated_rows_are_told_with_how_many_and_how_much():
    table = small_table()
    restated = table.copy()
    restated.loc[[2, 50, 51], "sales"] *= 1.5
    restated.loc[60, "tv_cost"] += 250
    restated.loc[71, "event"] = "fair"
    restated.loc[80, "web_cost"], restated.loc[81, "web_cost"] = table["web_cost"][81], table["web_cost"][80]
    old, new = panel_of(table.iloc[:OLD]), panel_of(restated)
    (found,) = notice_rows(old, new, move_window(PATH, old, new), spec_of(table))
    moved = table["sales"][[2, 50, 51]].sum() * 0.5 / table["sales"][:OLD].sum()
    spent = 250 / table["tv_cost"][:OLD].sum()
    swapped = abs(table["web_cost"][80] - table["web_cost"][81])
    assert found.case == "restated-rows"
    assert found.details == (
        "7 of the 96 rows of the run were restated, 6 of them in its window: "
        f"sales in 3 (total {moved:+.1%}), tv_cost in 1 (total {spent:+.1%}), web_cost in 2 (by up to {swapped:.4g}), "
        "event in 1."
    )


def test_equal_rows_are_no_finding():
    old, new = old_and_new()
    assert notice_rows(old, new, move_window(PATH, old, new), spec_of(small_table())) == []


# ------------------------------------------------------------------------------------------- model before and reference


def fitted(table: pd.DataFrame, **keys):
    """Spec, panel, problem and one model, all hyperparameters inside their ranges; no penalty for the exact solver."""
    spec = spec_of(table, **keys)
    panel = panel_from_table(spec, table, PATH)
    problem = build_problem(spec, panel)[0]
    ranges = spec.ranges(problem.hyperparameter_names)
    point = [
        ranges[name][0] + 0.4 * (ranges[name][1] - ranges[name][0]) for name in problem.hyperparameter_names
    ]
    lambda_min, lambda_max = problem.lambda_range
    penalty = 0.0 if spec.search.solver == "exact" else lambda_min + 1e-3 * (lambda_max - lambda_min)
    batch = evaluate_candidates(problem, np.array([point]), np.array([penalty]))
    return spec, panel, problem, model_from_batch(batch, 0, "1_1")


def before_of(table: pd.DataFrame, **keys) -> Before:
    spec, panel, problem, model = fitted(table, **keys)
    ends = sampled_ends(problem, model, 1)
    return Before("run-1", spec, problem, "1_1", describe(spec, panel, problem, model, ends, 0.9))


def refreshed(table: pd.DataFrame, wish: Wish | None = None, **keys):
    """Spec and panel of a refresh from the first 96 rows to all, and what was before."""
    before = before_of(table.iloc[:OLD], **keys)
    new = panel_of(table, **keys)
    move = move_window(PATH, panel_of(table.iloc[:OLD], **keys), new)
    spec = refreshed_spec(before, PATH, len(table), move, wish or Wish())
    return spec, panel_from_table(spec, table, PATH), before


@pytest.mark.parametrize("adstock", ["geometric", "weibull_cdf", "weibull_pdf"])
def test_the_curves_before_say_of_the_old_window_what_the_model_said(adstock):
    spec, panel, before = refreshed(small_table(), adstock=adstock)
    old = slice(5, OLD)
    expected = [before.model.components[c].contribution / before.model.media[c].spend for c in ("tv", "web")]
    # A density is scaled by its least weight, which lies farther out in a longer table.
    tolerance = 2e-3 if adstock == "weibull_pdf" else 1e-9
    np.testing.assert_allclose(roas_before(spec, spec.refresh, panel, old), expected, rtol=tolerance)


def test_a_weibull_memory_stays_as_many_periods_in_a_longer_table():
    spec, panel, before = refreshed(small_table(), adstock="weibull_cdf")
    now = hyperparameters_now(spec, spec.refresh, len(panel.dates))
    assert now["tv_scale"] * (ALL - 1) == pytest.approx(before.model.hyperparameters["tv_scale"] * (OLD - 1))
    assert spec.search.start[0]["tv_scale"] == now["tv_scale"]
    robyn = refreshed(small_table(), Wish(robyn=True), adstock="weibull_cdf")[0]
    assert (
        hyperparameters_now(robyn, robyn.refresh, ALL)["tv_scale"] == before.model.hyperparameters["tv_scale"]
    )


def test_shares_before_are_those_of_the_old_window_and_new_columns_have_none():
    spec, _, before = refreshed(small_table())
    shares = shares_before(spec.refresh, [*before.problem.columns, "unknown"])
    assert shares.sum() == pytest.approx(1.0)
    assert shares[-1] == 0
    whole = sum(c.contribution for c in before.model.components.values())
    assert shares[0] == before.model.components["intercept"].contribution / whole


def test_scales_lie_between_a_tenth_and_a_quarter_of_the_roas():
    spec, _, _ = refreshed(small_table())
    tree = spec.resolved()
    media, components = tree["refresh"]["previous"]["media"], tree["refresh"]["previous"]["components"]
    for name, spend, brought, error in (("tv", 100.0, 0.0, 0.0), ("web", 300.0, 800.0, 0.5)):
        media[name] |= {"spend": spend, "standard_error": error}
        components[name]["contribution"] = brought
    # mean ROAS 800 / 400 = 2: a tenth is 0.2; web's own 800 / 300 = 2.67, its error 0.5 is between its two parts
    spec = decode(tree, "spec")
    np.testing.assert_allclose(scales(spec, spec.refresh), [0.2, 0.5])
    # Nothing but noise holds web where it is: it must not go out for that.
    for error in (None, 5.0):
        media["web"]["standard_error"] = error
        spec = decode(tree, "spec")
        np.testing.assert_allclose(scales(spec, spec.refresh), [0.2, 800 / 300 / 4])


def test_a_problem_of_a_refresh_knows_the_model_before():
    spec, panel, _ = refreshed(small_table())
    problem = build_problem(spec, panel)[0]
    assert problem.reference.loss is RefreshLoss.STABLE
    assert problem.reference.periods == 8
    rows = slice(panel.start, panel.stop)
    np.testing.assert_array_equal(problem.reference.roas, roas_before(spec, spec.refresh, panel, rows))
    robyn, panel, _ = refreshed(small_table(), Wish(robyn=True))
    assert build_problem(robyn, panel)[0].reference.loss is RefreshLoss.ROBYN


def test_a_refresh_keeps_its_channels():
    spec, panel, _ = refreshed(small_table())
    tree = spec.resolved()
    del tree["refresh"]["previous"]["media"]["web"]
    with pytest.raises(UserError, match="has no channel 'web'; a refresh keeps the channels"):
        build_problem(decode(tree, "spec"), panel)


# ------------------------------------------------------------------------------------------------------------- request


def test_the_spec_of_a_refresh_holds_all_of_it():
    spec, _, before = refreshed(small_table(), Wish(freedom=0.1, overrides=("search.trials=2",)))
    assert (str(spec.window.start), str(spec.window.end)) == ("2022-04-04", "2023-12-25")
    assert (spec.search.iterations, spec.search.trials, spec.search.objective_weights) == (1000, 2, None)
    assert spec.refresh.facts == {
        "run": "run-1", "candidate": "1_1", "depth": 1, "lineage": ["run-1"], "periods": 8
    }  # fmt: skip
    assert (spec.refresh.loss, spec.refresh.winner, spec.refresh.freedom) == ("stable", "evidence", 0.1)
    value = before.model.hyperparameters["tv_alpha"]
    np.testing.assert_allclose(spec.hyperparameters["tv"]["alpha"], [value - 0.25, value + 0.25])
    assert spec.search.start[0]["tv_alpha"] == value
    assert (before.model.start, before.model.end) == (date(2022, 2, 7), date(2023, 10, 30))
    assert decode(spec.resolved(), "again") == spec


def test_robyns_refresh_has_its_ranges_weights_and_lambda():
    spec, _, before = refreshed(small_table(), Wish(robyn=True))
    lambda_min, lambda_max = before.problem.lambda_range
    centre = before.model.penalty / (lambda_max - lambda_min)
    assert spec.hyperparameters["lambda_hp"] == pytest.approx((0.0, centre + 8 / 91))
    assert spec.refresh.freedom == 8 / 91
    assert spec.search.objective_weights == (0.0, 1.0)
    assert spec.search.start == ()
    assert (spec.refresh.loss, spec.refresh.winner) == ("robyn", "closest")


def test_train_size_is_dropped_where_nothing_is_validated():
    keys = {"validation": {"time_series": False}}
    spec, panel, _ = refreshed(small_table(), **keys)
    assert "train_size" not in spec.refresh.bounds
    assert spec.ranges(["train_size"]) == {"train_size": (1.0, 1.0)}
    build_problem(spec, panel)


def test_the_names_of_the_runs_before_are_no_part_of_the_digest():
    spec, _, before = refreshed(small_table())
    move = move_window(PATH, *old_and_new())
    renamed = refreshed_spec(replace(before, run="run-2"), PATH, ALL, move, Wish())
    assert renamed.digest == spec.digest
    assert renamed.refresh.run == "run-2"
    other = refreshed_spec(replace(before, candidate="2_2"), PATH, ALL, move, Wish())
    assert other.digest != spec.digest


# -------------------------------------------------------------------------------------------------------------- winner


def test_scores_weigh_the_evidence_of_new_periods_against_the_distance():
    spec, _, _ = refreshed(small_table())
    fit, distance = np.array([0.1, 0.08, 0.0799]), np.array([0.5, 1.0, 3.0])
    # n = 8 new periods, P = 2: 8 ln(fit^2) + 2 distance^2
    expected = [8 * np.log(0.01) + 0.5, 8 * np.log(0.0064) + 2.0, 8 * np.log(0.0799**2) + 18.0]
    found = refresh_scores(spec.refresh, 2, fit, distance)
    np.testing.assert_allclose(found, expected)
    assert np.argmin(found) == 1
    robyn, _, _ = refreshed(small_table(), Wish(robyn=True))
    np.testing.assert_array_equal(refresh_scores(robyn.refresh, 2, fit, distance), distance)


# ------------------------------------------------------------------------------------------------------------- changes

EXACT = {"validation": {"time_series": False}, "search__solver": "exact"}
EMPTY = Uncertainty((), changes_table([]))
TRUE = {"tv": 2500.0, "web": 1800.0, "mail": 700.0, "price": -200.0, "event_none": 300.0}


def known_table(
    effects: dict[str, float], later: dict[str, float] | None = None, raised: float = 1.0
) -> pd.DataFrame:
    """Sales that a model with the hyperparameters of ``fitted`` explains without error.

    ``effects`` are its coefficients, ``later`` those in the new rows; ``raised`` multiplies what tv costs there.
    """
    table = small_table().assign(event=np.where(np.arange(ALL) % 5 == 3, "fair", "none"))
    table.loc[60, ["tv_cost", "web_clicks", "mails"]] = [
        20_000.0,
        9000.0,
        900.0,
    ]  # the peak is in every window
    table.loc[OLD:, "tv_cost"] *= raised
    _, _, problem, model = fitted(table, **EXACT)
    x = design_matrix(replace(problem, start=0), model.hyperparameters)
    of = np.array([effects.get(name, 0.0) for name in problem.columns])
    then = np.array([(later or effects).get(name, 0.0) for name in problem.columns])
    return table.assign(sales=9000 + x @ of + (np.arange(ALL) >= OLD) * (x @ (then - of)))


def moved(table: pd.DataFrame, old: pd.DataFrame | None = None):
    """Changes by component and quantity, where the refreshed model keeps hyperparameters and lambda.

    ``old`` is the table that the model before saw, where that was another one.
    """
    spec, panel, before = refreshed(table if old is None else old, **EXACT)
    panel = panel_from_table(spec, table, PATH)
    problem = build_problem(spec, panel)[0]
    point = np.array([[before.model.hyperparameters[name] for name in problem.hyperparameter_names]])
    batch = evaluate_candidates(problem, point, np.array([before.model.penalty]))
    model = model_from_batch(batch, 0, "1_1")
    found = changes(spec, panel, problem, model, EMPTY)
    return {(c.component, c.quantity): c for c in found}


def test_the_parts_of_a_change_add_up_to_it():
    for row in moved(small_table()).values():
        assert (row.window is None) == (row.quantity not in ("roas", "contribution_per_period"))
        if row.window is not None:
            parts = [getattr(row, part) for part in PARTS]
            assert sum(parts) == pytest.approx(row.change, abs=1e-9 * (abs(row.previous) + abs(row.new)))
            assert row.hyperparameters == pytest.approx(0, abs=1e-12 * abs(row.new))


def test_where_only_spends_moved_all_of_the_change_is_that_of_the_window():
    found = moved(known_table(TRUE, raised=1.5))
    tv = found["tv", "roas"]
    assert tv.reason == "window"
    assert tv.window == pytest.approx(tv.change, rel=1e-6)
    assert abs(tv.change) > 0.01 * tv.previous  # more money on a curve that bends
    for row in found.values():
        if row.quantity == "coef" and row.component in TRUE:
            assert row.new == pytest.approx(TRUE[row.component], rel=1e-5)


def test_where_the_old_rows_were_restated_the_change_is_that_of_the_data():
    tv = moved(known_table(TRUE | {"tv": 3750.0}), old=known_table(TRUE))["tv", "contribution_per_period"]
    assert tv.reason == "data"
    assert tv.data == pytest.approx(0.5 * (tv.previous + tv.window), rel=1e-5)
    assert abs(tv.new_rows) + abs(tv.old_rows) < 1e-5 * tv.new


def test_where_the_new_rows_tell_otherwise_the_change_is_theirs():
    tv = moved(known_table(TRUE, later=TRUE | {"tv": 500.0}))["tv", "roas"]
    assert tv.reason == "new_rows"
    assert tv.new_rows < -0.01 * tv.previous
    assert abs(tv.data) < 1e-5 * tv.previous


def test_a_change_is_held_against_the_width_of_the_interval_before():
    spec, panel, before = refreshed(small_table())
    tree = spec.resolved()
    component = tree["refresh"]["previous"]["components"]["tv"]
    component |= {"lower": 10_000.0, "upper": 14_000.0, "contribution": 12_500.0}
    spec = decode(tree, "spec")
    problem = build_problem(spec, panel)[0]
    point = np.array([[before.model.hyperparameters[name] for name in problem.hyperparameter_names]])
    model = model_from_batch(evaluate_candidates(problem, point), 0, "1_1")
    rows = {(c.component, c.quantity): c for c in changes(spec, panel, problem, model, EMPTY)}
    row = rows["tv", "contribution_per_period"]
    assert (row.previous, row.previous_lower, row.previous_upper) == (12_500 / 91, 10_000 / 91, 14_000 / 91)
    # 1.645 standard errors reach half of the width
    assert row.standardised_change == pytest.approx(1.6448536 * row.change / (2000 / 91), rel=1e-6)
    assert row.is_beyond_uncertainty == (abs(row.change) > 2000 / 91)
    assert rows["tv", "share"].standardised_change is None
    assert rows["model", "lambda"].role == "model"


def change_of(**values) -> Change:
    known = {
        "component": "tv", "role": "paid", "quantity": "roas", "previous": 3.1, "new": 3.3, "change": 0.2,
        "previous_lower": 2.2, "previous_upper": 4.0, "new_lower": None, "new_upper": None, "level": 0.9,
        "standardised_change": 0.37, "is_beyond_uncertainty": False, "reason": "old_rows",
    }  # fmt: skip
    return Change(**{**known, **values})


@pytest.mark.parametrize(
    ("values", "status", "sentence"),
    [
        (
            {},
            "info",
            (
                "tv's ROAS rose from 3.10 to 3.30 (+6.5%), within sampling uncertainty (90%: ± 0.90); mostly because "
                "the oldest rows left the window."
            ),
        ),
        (
            {"new": 1.0, "is_beyond_uncertainty": True, "reason": "hyperparameters"},
            "warning",
            (
                "tv's ROAS fell from 3.10 to 1.00 (-67.7%), beyond sampling uncertainty (90%: ± 0.90); mostly because "
                "its hyperparameters moved."
            ),
        ),
        (
            {"standardised_change": None, "is_beyond_uncertainty": None, "reason": ""},
            "info",
            "tv's ROAS rose from 3.10 to 3.30 (+6.5%), and its sampling uncertainty is not known.",
        ),
        ({"new": 3.101}, "info", "tv's ROAS stayed at 3.10."),
        (
            {"new": 0.0, "is_beyond_uncertainty": True, "reason": "new_rows"},
            "warning",
            "tv has no effect any more; its ROAS was 3.10; mostly because of what the new rows say.",
        ),
        (
            {"previous": 0.0, "reason": "window"},
            "warning",
            "tv had no effect and now has a ROAS of 3.30; mostly because the new window has other weeks and spends.",
        ),
        (
            {"quantity": "cpa", "previous": None, "new": None, "reason": ""},
            "info",
            "tv's CPA is not known: it has no effect, before and after.",
        ),
        (
            {"quantity": "cpa", "new": None, "reason": ""},
            "warning",
            "tv has no effect any more; its CPA was 3.10.",
        ),
    ],
)
def test_what_moved_is_told_in_a_sentence(values, status, sentence):
    (found,) = findings_of([change_of(**values), change_of(quantity="coef")])
    assert (found.details, str(found.status)) == (sentence, status)
