"""Spec and panel become one bundle of arrays: columns by role and name, exposures in currency, enough rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from mmm_core.types import ModelProblem, Role
from runner.baseline import check_baseline, read_holidays
from runner.dataset import panel_from_table
from runner.findings import Finding
from runner.problem import build_problem, check_panel_rows, cost_per_exposure
from runner.spec import decode
from tests.runner.small import change, small_spec, small_table


def world(table: pd.DataFrame | None = None, **changes):
    spec = decode(change(small_spec(), **changes), "s.yaml")
    return spec, panel_from_table(spec, small_table() if table is None else table, "t")


def built(table: pd.DataFrame | None = None, **changes) -> tuple[ModelProblem, list[Finding]]:
    return build_problem(*world(table, **changes))


def refusal(table: pd.DataFrame | None = None, **changes) -> str:
    spec, panel = world(table, **changes)
    with pytest.raises(UserError) as caught:
        build_problem(spec, panel)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_columns_come_by_role_and_carry_their_names():
    problem, findings = built()
    assert findings == []
    assert problem.columns == ("price", "event_fair", "event_none", "tv", "web", "mail")
    assert problem.roles == (*[Role.CONTEXT] * 3, Role.PAID, Role.PAID, Role.ORGANIC)
    assert problem.lower.tolist() == [-np.inf] * 3 + [0.0] * 3
    assert problem.upper.tolist() == [np.inf] * 6
    table = small_table()
    np.testing.assert_array_equal(problem.design[0], table["price"])
    np.testing.assert_array_equal(problem.design[1], table["event"] == "fair")
    np.testing.assert_array_equal(problem.design[3], table["tv_cost"])
    np.testing.assert_array_equal(problem.spend, table[["tv_cost", "web_cost"]].T)


def test_an_exposure_is_scaled_to_the_spend_of_the_window():
    problem, _ = built()
    table, window = small_table(), slice(5, 104)
    rate = table["web_cost"][window].sum() / table["web_clicks"][window].sum()
    assert cost_per_exposure(
        table["web_cost"].to_numpy(), table["web_clicks"].to_numpy(), window
    ) == pytest.approx(rate)
    np.testing.assert_allclose(problem.design[4], table["web_clicks"] * rate)
    assert problem.design[4, window].sum() == pytest.approx(problem.spend[1, window].sum())


def test_an_exposure_that_has_little_to_do_with_the_spend_is_told():
    table = small_table().assign(web_clicks=np.random.default_rng(3).permutation(small_table()["web_clicks"]))
    _, findings = built(table)
    assert [finding.case for finding in findings] == ["exposure-against-spend"]
    assert findings[0].details.startswith("In web the exposure explains the spend with R2 -")


def test_signs_become_bounds():
    problem, _ = built(
        channels__0__sign="free",
        channels__1__sign="negative",
        organic=[{"name": "mail", "column": "mails", "sign": "free"}],
        context=[{"name": "price", "column": "price", "sign": "negative"}],
    )
    bounds = dict(zip(problem.columns, zip(problem.lower, problem.upper, strict=True), strict=True))
    assert bounds == {
        "price": (-np.inf, 0.0),
        "tv": (-np.inf, np.inf),
        "web": (-np.inf, 0.0),
        "mail": (-np.inf, np.inf),
    }


def test_precomputed_columns_are_a_baseline():
    problem, _ = built(baseline={"precomputed": ["price"]}, context=[])
    assert (problem.columns[0], problem.roles[0]) == ("price", Role.BASELINE)
    assert (problem.lower[0], problem.upper[0]) == (0.0, 1.0)
    assert problem.trend_column == -1
    trend, _ = built(
        small_table().rename(columns={"price": "trend"}), baseline={"precomputed": ["trend"]}, context=[]
    )
    assert trend.trend_column == 0


def test_a_context_column_called_trend_is_no_trend():
    problem, _ = built(small_table().rename(columns={"price": "trend"}), context=["trend"])
    assert problem.roles[0] is Role.CONTEXT
    assert problem.trend_column == -1
    assert problem.lower[0] == -np.inf


def test_columns_of_one_factor_are_not_taken_for_those_of_another():
    # "promo" is the beginning of every name: each column must keep the sign of its own entry.
    rng = np.random.default_rng(1)
    table = small_table().assign(
        promo=rng.choice(["a", "b", "c"], 104),
        promo_x=rng.choice(["y", "z"], 104),
        promo_price=rng.normal(size=104),
    )
    context = [
        {"name": "promo", "column": "promo", "sign": "positive"},
        {"name": "promo_x", "column": "promo_x", "sign": "negative"},
        {"name": "promo_price", "column": "promo_price", "sign": "free"},
    ]
    problem, _ = built(table, context=context)
    bounds = dict(zip(problem.columns, zip(problem.lower, problem.upper, strict=True), strict=True))
    assert list(bounds)[:4] == ["promo_a", "promo_b", "promo_x_z", "promo_price"]
    assert bounds["promo_b"] == (0.0, np.inf)
    assert bounds["promo_x_z"] == (-np.inf, 0.0)
    assert bounds["promo_price"] == (-np.inf, np.inf)


def test_names_that_meet_are_refused():
    levels = ["x", "y", "z"] * 34 + ["x", "y"]
    table = small_table().assign(promo=levels)
    assert "two components would be called 'promo_x'" in refusal(
        table, context=["promo"], channels__0__name="promo_x"
    )
    both = [{"name": "promo", "column": "promo"}, {"name": "promo_x", "column": "price"}]
    assert "two context columns would be called 'promo_x'" in refusal(table, context=both)
    assert "two columns of the candidates would be called 'coef_x_alpha'; rename" in refusal(
        channels__0__name="coef_x", context=[{"name": "x_alpha", "column": "price"}]
    )


# -------------------------------------------------------------------------------------------------------------- rows


def test_few_rows_for_many_columns_are_told():
    _, findings = built(window={"start": "2022-12-26"})
    assert [finding.case for finding in findings] == ["rows-per-column"]
    assert findings[0].details.startswith("53 rows for 6 columns is fewer than 10 a column")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"window": {"start": "2023-10-02"}},
            "too few rows: the window has 13, the smallest training part 7 for 6 columns and an intercept; widen",
        ),
        (
            {"hyperparameters": {"train_size": 0.12}, "context": ["price", "wide", "event"]},
            "the smallest training part 12 for 14 columns",
        ),
        (
            {"hyperparameters": {"train_size": [0.5, 1.0]}},
            "with train_size 1 only 0 of 99 rows are left to validate on; lower hyperparameters.train_size or set",
        ),
    ],
)
def test_too_few_rows_are_refused(changes, message):
    table = small_table().assign(wide=[f"level {i % 9}" for i in range(104)])
    assert message in refusal(table, **changes)
    spec, panel = world(table, **changes)
    with pytest.raises(UserError, match=r"left to validate on|too few rows"):
        check_panel_rows(spec, panel)


def test_a_part_in_which_the_outcome_stands_still_is_refused():
    late, early = small_table(), small_table()
    late.loc[60:, "sales"] = 5000
    early.loc[:70, "sales"] = 5000
    assert "the outcome is 5000 in every validation row where train_size is 0.8" in refusal(late)
    assert "the outcome is 5000 in every training row where train_size is 0.5" in refusal(early)
    built(early, validation__time_series=False)


# ---------------------------------------------------------------------------------------------------------- holidays

DAYS = "ds,holiday,country,year\n2022-12-24,Christmas Eve,DE,2022\n2022-12-26,Boxing Day,UK,2022\n"


def own_holidays(tmp_path, content: str, country: str | None = "DE"):
    path = tmp_path / "days.csv"
    path.write_text(content)
    baseline = {"components": ["trend", "holiday"], "holidays": str(path), "country": country}
    return world(baseline=baseline)


def test_a_table_of_the_users_own_is_read_for_one_country(tmp_path):
    (found,) = read_holidays(*own_holidays(tmp_path, DAYS))
    assert (str(found.day), found.name, found.group) == ("2022-12-24", "Christmas Eve", ("2022",))
    plain = read_holidays(*own_holidays(tmp_path, "date,holiday\n2022-12-24,A\n", None))
    assert [holiday.name for holiday in plain] == ["A"]


@pytest.mark.parametrize(
    ("content", "country", "message"),
    [
        (
            "day,holiday\n2022-12-24,A\n",
            "DE",
            "expected the columns ds (or date) and holiday, found day, holiday",
        ),
        ("ds,name\n2022-12-24,A\n", "DE", "expected the columns ds (or date) and holiday, found ds, name"),
        (DAYS, None, "holidays of several countries; set baseline.country to one of them"),
        (DAYS, "FR", "no holiday of the country 'FR'; correct baseline.country"),
        (
            "ds,holiday\n24.12.2022,A\n",
            None,
            "column 'ds': row 1 is '24.12.2022', expected a date like 2024-01-29",
        ),
        ("ds,holiday\n2022-12-24, \n", None, "column 'holiday': row 1 is empty"),
        (
            "ds,holiday\n1999-12-24,A\n",
            None,
            "no holiday falls into the dates of the data; drop the component",
        ),
        ("", None, "the file is empty"),
    ],
)
def test_tables_of_holidays_that_cannot_be_used(tmp_path, content, country, message):
    if country is None and "country" not in content:
        country = "DE"  # of no meaning where the table has none
    spec, panel = own_holidays(tmp_path, content, country)
    with pytest.raises(UserError) as caught:
        check_baseline(spec, panel)
    assert message in str(caught.value)


def test_no_table_of_holidays(tmp_path):
    baseline = {"components": ["holiday"], "holidays": str(tmp_path / "absent.csv")}
    with pytest.raises(
        UserError, match=r"absent.csv: there is no such file; correct baseline.holidays in the spec"
    ):
        check_baseline(*world(baseline=baseline))


def test_weekdays_need_days():
    with pytest.raises(
        UserError, match="weekday needs daily rows, these are weekly; drop the component weekday"
    ):
        check_baseline(*world(baseline={"components": ["weekday"]}))
    daily = small_table().assign(date=pd.date_range("2022-01-03", periods=104).astype(str))
    check_baseline(*world(daily, baseline={"components": ["weekday"]}))


@pytest.mark.parametrize(
    ("baseline", "details"),
    [
        ({"country": "DE"}, "baseline.country has no effect on this baseline."),
        (
            {"country": "DE", "holidays": "days.csv", "prophet": {"growth": "flat"}},
            "baseline.country and baseline.holidays and baseline.prophet have no effect on this baseline.",
        ),
        (
            {"precomputed": ["price"], "prophet": {"growth": "flat"}},
            "baseline.prophet has no effect on this baseline.",
        ),
    ],
)
def test_settings_without_effect_are_told(baseline, details):
    _, findings = built(baseline=baseline, context=[])
    assert [(finding.case, finding.details) for finding in findings] == [("unused-baseline", details)]


def test_with_prophet_a_factor_is_one_column_and_without_it_its_dummies():
    problem, _ = built(baseline={"components": ["trend", "season"]})
    assert problem.columns == ("trend", "season", "price", "event", "tv", "web", "mail")
    assert problem.roles[:4] == (Role.BASELINE, Role.BASELINE, Role.CONTEXT, Role.CONTEXT)
    assert (problem.lower[0], problem.upper[0]) == (0.0, 1.0)
    assert problem.trend_column == 0
    event = problem.design[3]
    assert event.min() == 0.0
    levels = small_table()["event"].to_numpy()
    assert len(np.unique(event.round(6))) == len(np.unique(levels)) == 3


def test_solver_and_scale_of_the_penalty_are_those_of_the_search():
    plain, changed = (
        built(**changes)[0] for changes in ({}, {"search": {"solver": "exact", "penalty_scale": "log"}})
    )
    assert (str(plain.solver), str(plain.penalty_scale)) == ("glmnet", "linear")
    assert (str(changed.solver), str(changed.penalty_scale)) == ("exact", "log")
