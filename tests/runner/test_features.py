"""Holidays folded to periods, factors as dummies, and Prophet's components on the outcome's scale."""

from __future__ import annotations

import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from mmm_core.features import (
    Holiday,
    country_holidays,
    factor_columns,
    fit_prophet,
    fold_holidays,
    prophet_columns,
)

N = 156
WEEKS = np.datetime64("2021-01-04") + 7 * np.arange(N)
T = np.arange(N)
SEASON = 10 * np.sin(2 * np.pi * T / 52.18)
NOISE = np.random.default_rng(0).normal(0, 1, N)
OUTCOME = 100 + 0.2 * T + SEASON + NOISE


def refusal(**keys) -> str:
    with pytest.raises(UserError) as caught:
        prophet_columns(WEEKS, OUTCOME, ["trend"], **keys)
    assert "\n" not in str(caught.value)
    assert "/tmp" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------- holidays


def test_holidays_of_a_country_are_built_in():
    days = {(holiday.day, holiday.name): holiday.group for holiday in country_holidays("DE", [2023, 2024])}
    assert days[date(2024, 10, 3), "German Unity Day"] == ("DE", "2024")
    assert days[date(2023, 12, 25), "Christmas Day"] == ("DE", "2023")


@pytest.mark.parametrize("country", ["XX", "de", "DE_BY", ""])
def test_other_countries_are_refused(country):
    with pytest.raises(
        UserError, match="is not a country with known holidays; give a two-letter code such as DE"
    ):
        country_holidays(country, [2024])


TABLE = [
    Holiday(date(2024, 12, 25), "Christmas", ("2024",)),
    Holiday(date(2024, 12, 26), "Boxing", ("2024",)),
    Holiday(date(2025, 1, 1), "New Year", ("2025",)),
    Holiday(date(2024, 12, 31), "Eve", ("2024",)),
]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        # Weeks begin on the weekday of the first row; a week over new year holds two groups.
        (
            "2024-01-01",
            [("2024-12-23", "Christmas, Boxing"), ("2024-12-30", "New Year"), ("2024-12-30", "Eve")],
        ),
        (
            "2024-01-04",
            [("2024-12-19", "Christmas"), ("2024-12-26", "Boxing, Eve"), ("2024-12-26", "New Year")],
        ),
    ],
)
def test_weeks_begin_on_the_weekday_of_the_first_row(first, expected):
    dates = np.datetime64(first) + 7 * np.arange(60)
    folded = fold_holidays(TABLE, dates, "weekly")
    assert [(str(h.day), h.name) for h in folded] == expected


def test_months_begin_on_their_first_day():
    dates = np.arange("2024-01", "2025-03", dtype="datetime64[M]").astype("datetime64[D]")
    folded = fold_holidays(TABLE, dates, "monthly")
    assert [(str(h.day), h.name) for h in folded] == [
        ("2024-12-01", "Christmas, Boxing, Eve"),
        ("2025-01-01", "New Year"),
    ]


def test_days_stay_as_they_are():
    assert fold_holidays(TABLE, WEEKS, "daily") == TABLE


# ----------------------------------------------------------------------------------------------------------- factors


@pytest.mark.parametrize(
    ("levels", "kept"),
    [
        ("cab", ["a", "b"]),
        ("ba", ["b"]),
        ("aB", ["B"]),
        ("bAc", ["A", "b"]),
    ],
)
def test_a_factor_of_k_levels_has_all_columns_but_the_last(levels, kept):
    columns = factor_columns("f", list(levels) * 3)
    assert list(columns) == [f"f_{level}" for level in kept]
    for level in kept:
        np.testing.assert_array_equal(columns[f"f_{level}"], [float(x == level) for x in list(levels) * 3])


def test_of_many_levels_the_ten_most_frequent_have_a_column():
    levels = [f"l{i:02d}" for i in range(13) for _ in range(2 + (i * 7) % 13)]
    counts = {level: levels.count(level) for level in levels}
    frequent = sorted(counts, key=counts.get, reverse=True)[:10]
    assert list(factor_columns("f", levels)) == [f"f_{level}" for level in sorted(frequent)]


# ----------------------------------------------------------------------------------------------------------- prophet


def test_trend_and_season_of_known_data_are_found():
    columns = prophet_columns(WEEKS, OUTCOME, ["season", "trend"])
    assert list(columns) == ["season", "trend"]
    assert np.abs(columns["season"] - SEASON).max() < 2.5
    assert np.abs(columns["trend"] - (100 + 0.2 * T)).max() < 2.5
    assert all(not values.flags.writeable for values in columns.values())


@pytest.mark.parametrize("scale", [1e6, 1e-3, -1.0])
def test_components_have_the_unit_of_the_outcome(scale):
    plain = prophet_columns(WEEKS, OUTCOME, ["trend", "season"])
    scaled = prophet_columns(WEEKS, scale * OUTCOME, ["trend", "season"])
    for name, values in plain.items():
        # Prophet looks for a steep optimum by steps of its own: the same up to its stopping rule.
        np.testing.assert_allclose(
            scaled[name], scale * values, atol=0.05 * abs(scale) * np.abs(values).max()
        )


def test_multiplicative_components_are_amounts_too():
    growing = (100 + 0.5 * T) * (1 + SEASON / 100) + NOISE
    season = prophet_columns(
        WEEKS, growing, ["trend", "season"], settings={"seasonality_mode": "multiplicative"}
    )["season"]
    expected = (100 + 0.5 * T) * SEASON / 100
    assert np.corrcoef(season, expected)[0, 1] > 0.99
    assert 0.8 < np.ptp(season) / np.ptp(expected) < 1.2


def test_holidays_and_factors_may_be_called_anything():
    peaks = np.zeros(N)
    peaks[[51, 103, 155]] = 20
    strikes = (T % 12 == 5) * -15.0
    holidays = [
        Holiday(WEEKS[i].astype(object), name)
        for i, name in ((51, "trend"), (103, "x_delim_y"), (155, "trend"))
    ]
    factors = {
        "yhat": ["lower" if s else "upper" for s in strikes],
        "a": ["b_c" if i % 3 else "x" for i in range(N)],
        "a_b": ["c" if i % 4 else "_delim_" for i in range(N)],
    }
    columns = prophet_columns(
        WEEKS, OUTCOME + peaks + strikes, ["trend", "season", "holiday"], holidays, factors
    )
    assert list(columns) == ["trend", "season", "holiday", "yhat", "a", "a_b"]
    assert np.all(columns["holiday"][[51, 103, 155]] > 5)
    assert set(np.flatnonzero(columns["holiday"])) == {51, 103, 155}
    assert columns["yhat"].min() == 0.0
    assert np.ptp(columns["yhat"]) == pytest.approx(15, abs=2)


def test_components_that_prophet_does_not_find_are_zero():
    columns = prophet_columns(WEEKS, OUTCOME, ["season", "holiday"], settings={"yearly_seasonality": False})
    assert not columns["season"].any()
    assert not columns["holiday"].any()


def test_samples_are_the_same_every_time():
    settings = {"mcmc_samples": 10}
    first, second = (
        prophet_columns(WEEKS, OUTCOME, ["trend", "season"], settings=settings) for _ in range(2)
    )
    assert first["trend"].tobytes() == second["trend"].tobytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speed": 1}, "baseline.prophet: Prophet refuses these settings ("),
        ({"growth": "steep"}, 'Parameter "growth" should be "linear", "logistic" or "flat".); change them'),
        (
            {"changepoint_prior_scale": "x"},
            "Prophet refuses these settings (could not convert string to float",
        ),
        (
            {"holidays": 1},
            "baseline.prophet.holidays: holidays are given as baseline.holidays; move them there",
        ),
        (
            {"growth": "logistic"},
            "Prophet cannot fit these data (Capacities must be supplied for logistic growth",
        ),
        (
            {"changepoint_prior_scale": 0},
            "(double_exponential_lpdf: Scale parameter is 0, but must be positive",
        ),
        ({"changepoints": ["1999-01-01"]}, "(Changepoints must fall within training data.); change baseline"),
    ],
)
def test_settings_that_prophet_cannot_use(settings, message):
    assert message in refusal(settings=settings)


# ----------------------------------------------------------------------------------------------------------- to come


LATER = WEEKS[-1] + 7 * np.arange(1, 53)


def test_a_fit_goes_on_as_it_was_and_knows_what_it_has_met():
    peaks = np.where(T % 52 == 51, 20.0, 0.0)
    fairs = np.where(T % 12 == 5, 15.0, 0.0)
    table = [Holiday(WEEKS[i].astype(object), "Eve") for i in (51, 103, 155)]
    factors = {"event": ["fair" if f else "none" for f in fairs]}
    fitted = fit_prophet(WEEKS, OUTCOME + peaks + fairs, ["trend", "season", "holiday"], table, factors)
    again = prophet_columns(WEEKS, OUTCOME + peaks + fairs, ["trend", "season", "holiday"], table, factors)
    for name, values in fitted.columns(WEEKS, factors).items():
        np.testing.assert_array_equal(values, again[name])
    to_come = [Holiday(LATER[51].astype(object), "Eve"), Holiday(LATER[20].astype(object), "Jubilee")]
    levels = {"event": ["fair" if i == 3 else "none" for i in range(52)]}
    columns = fitted.columns(LATER, levels, to_come)
    weeks = np.arange(N, N + 52)
    # Its level is that of the weeks without a fair or with one, whichever level has no column.
    assert np.abs(columns["trend"] - (115 + 0.2 * weeks)).max() < 5
    assert np.abs(columns["season"] - 10 * np.sin(2 * np.pi * weeks / 52.18)).max() < 3
    assert set(np.flatnonzero(columns["holiday"])) == {51}
    assert columns["holiday"][51] == pytest.approx(20, abs=4)
    assert columns["event"][3] == pytest.approx(15, abs=3)
    assert set(np.round(np.delete(columns["event"], 3), 9)) == {0.0}
    assert fitted.unknown_holidays(to_come) == ("Jubilee",)
    # Asked again for its own periods, it has not changed.
    np.testing.assert_array_equal(fitted.columns(WEEKS, factors)["holiday"], again["holiday"])


def test_the_trend_wanders_as_prophet_says():
    bent = 100 + np.where(T < 80, 0.5 * T, 40 - 0.3 * (T - 80)) + NOISE
    fitted = fit_prophet(WEEKS, bent, ["trend"])
    noise = fitted.trend_noise(52, 4000, np.random.SeedSequence(3))
    assert noise.tobytes() == fitted.trend_noise(52, 4000, np.random.SeedSequence(3)).tobytes()
    assert noise.shape == (4000, 52)
    fitted.model.uncertainty_samples = 4000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's own, of pandas
        own = fitted.model.predictive_samples(pd.DataFrame({"ds": pd.to_datetime(LATER)}))["trend"]
    np.testing.assert_allclose(noise.std(axis=0)[[5, 20, 51]], own.std(axis=1)[[5, 20, 51]], rtol=0.15)
    flat = fit_prophet(WEEKS, bent, ["trend"], settings={"growth": "flat"})
    assert not flat.trend_noise(52, 10, np.random.SeedSequence(3)).any()
