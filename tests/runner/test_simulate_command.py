"""``mmm simulate`` writes what was simulated, refuses what cannot be, and made the quickstart data."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from mmm_core.simulate import SimulationSettings, score_plan, simulate_panel
from runner.commands.simulate import SimulationPaths, load_truth, run, run_markets
from runner.dataset import load_panel
from runner.spec import load_spec

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
QUICKSTART_SEED = 2024


def test_writes_table_and_truth(tmp_path):
    paths = run(tmp_path / "new" / "sales.csv", seed=3, country=None)
    assert paths == SimulationPaths(tmp_path / "new" / "sales.csv", tmp_path / "new" / "sales_truth.json")
    panel = simulate_panel(SimulationSettings(seed=3))
    table = pd.read_csv(paths.table)
    assert list(table.columns) == ["date", *panel.columns]
    assert list(table["date"]) == panel.truth["dates"]
    for name, values in panel.columns.items():
        np.testing.assert_array_equal(table[name], values)
    truth = load_truth(paths.truth)
    assert truth.pop("settings") == {**panel.truth.pop("settings"), "country": None}
    assert truth == panel.truth


def test_csv_and_parquet_hold_the_same_values(tmp_path):
    csv, parquet = run(tmp_path / "a.csv", seed=4), run(tmp_path / "b.parquet", seed=4)
    left, right = pd.read_csv(csv.table, parse_dates=["date"]), pd.read_parquet(parquet.table)
    right["date"] = pd.to_datetime(right["date"])
    pd.testing.assert_frame_equal(left, right, check_dtype=False, check_exact=True)
    assert csv.truth.read_bytes() == parquet.truth.read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_same_arguments_same_bytes(tmp_path, suffix):
    first = run(tmp_path / f"a{suffix}", seed=5, frequency="daily", periods=500, adstock="weibull_cdf")
    second = run(tmp_path / f"b{suffix}", seed=5, frequency="daily", periods=500, adstock="weibull_cdf")
    assert first.table.read_bytes() == second.table.read_bytes()
    assert first.truth.read_bytes() == second.truth.read_bytes()


def test_arguments_reach_the_simulation(tmp_path):
    paths = run(
        tmp_path / "x.csv",
        seed=6,
        periods=400,
        frequency="daily",
        channels=7,
        country="US",
        start="2022-03-01",
        window_start="2022-06-01",
        window_end=date(2023, 2, 28),
        noise=0.02,
        correlation=0.3,
        adstock="weibull_pdf",
        media_share=0.25,
    )
    truth = load_truth(paths.truth)
    assert truth["settings"] == {
        "seed": 6,
        "periods": 400,
        "frequency": "daily",
        "channels": 7,
        "start": "2022-03-01",
        "window_start": "2022-06-01",
        "window_end": "2023-02-28",
        "noise": 0.02,
        "correlation": 0.3,
        "adstock": "weibull_pdf",
        "media_share": 0.25,
        "country": "US",
    }
    assert (truth["window"]["start"], truth["window"]["end"]) == ("2022-06-01", "2023-02-28")
    assert len(truth["channels"]) == 7
    assert {"date": "2022-07-04", "period": "2022-07-04"}.items() <= _holiday(
        truth, "Independence Day"
    ).items()


def _holiday(truth, name):
    return next(entry for entry in truth["holidays"] if entry["name"] == name)


def test_daily_default_is_three_years(tmp_path):
    truth = load_truth(run(tmp_path / "d.csv", frequency="daily").truth)
    assert (truth["dates"][0], len(truth["dates"])) == ("2022-01-01", 1095)


def test_holidays_of_the_country_land_in_their_weeks(tmp_path):
    truth = load_truth(run(tmp_path / "w.csv").truth)
    unity = _holiday(truth, "German Unity Day")
    assert (unity["date"], unity["period"]) == ("2021-10-03", "2021-09-27")
    row = truth["dates"].index("2021-09-27")
    assert truth["components"]["holiday"][row] == pytest.approx(unity["effect"])


@pytest.mark.parametrize("country", [None, "none", ""])
def test_no_country_no_holidays(tmp_path, country):
    truth = load_truth(run(tmp_path / "w.csv", country=country).truth)
    assert truth["holidays"] == []
    assert not any(truth["components"]["holiday"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"periods": 52}, "simulate: periods is 52, expected 104"),
        ({"channels": 2}, "channels is 2, expected 3 to 12"),
        ({"frequency": "monthly"}, "frequency is 'monthly', expected one of weekly, daily"),
        ({"adstock": "hill"}, "adstock is 'hill', expected one of geometric, weibull_cdf, weibull_pdf"),
        ({"country": "Atlantis"}, "country is 'Atlantis', expected a two-letter code"),
        ({"start": "yesterday"}, "start is 'yesterday', expected a date such as 2021-01-11"),
        ({"window_start": "2031-01-01"}, "the window has 0 periods"),
        ({"noise": 2}, "noise is 2, expected 0 to 0.2"),
        ({"correlation": 0.9}, "correlation is 0.9, expected 0 to 0.6"),
        ({"seed": -3}, "seed is -3"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_written(tmp_path, wrong, words):
    with pytest.raises(UserError, match=words) as caught:
        run(tmp_path / "x.csv", **wrong)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"writes .csv or .parquet"):
        run(tmp_path / "x.xlsx")


@pytest.mark.parametrize("name", ["x.csv", "x_truth.json"])
def test_files_in_the_way_are_kept_unless_forced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name}: is already there.*--force"):
        run(tmp_path / "x.csv")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    run(tmp_path / "x.csv", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x_truth.json"]
    assert (tmp_path / name).read_text() != "mine"


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        run(tmp_path / "file" / "x.csv")
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        run(tmp_path / "x.csv", force=True)


def test_only_a_truth_is_read_as_one(tmp_path):
    with pytest.raises(UserError, match="cannot be read as JSON"):
        load_truth(tmp_path / "absent.json")
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"format": "something else"}))
    with pytest.raises(UserError, match="is not a truth of mmm simulate"):
        load_truth(other)


# ---------------------------------------------------------------------------------------------------- quickstart


@pytest.mark.parametrize("name", ["quickstart.csv", "quickstart_truth.json"])
def test_the_shipped_data_are_those_of_the_stated_command(tmp_path, name):
    run(tmp_path / "quickstart.csv", seed=QUICKSTART_SEED)
    assert (tmp_path / name).read_bytes() == (EXPERIMENTS / "data" / name).read_bytes()
    readme = (EXPERIMENTS / "data" / "README.md").read_text()
    assert f"mmm simulate experiments/data/quickstart.csv --seed {QUICKSTART_SEED} --force" in readme


def test_the_quickstart_spec_reads_its_data_and_holds_the_truth_within_its_bounds():
    spec = load_spec(EXPERIMENTS / "quickstart.yaml")
    truth = load_truth(EXPERIMENTS / "data" / "quickstart_truth.json")
    panel = load_panel(spec)
    window = truth["window"]
    assert (panel.start, panel.stop) == (window["start_row"], window["stop_row"])
    media = {**truth["channels"], **truth["organic"]}
    assert list(spec.media_names) == list(media)
    for channel in spec.channels:
        assert channel.spend == media[channel.name]["spend_column"]
        assert channel.exposure == media[channel.name]["exposure_column"]
    for name, medium in media.items():
        values = {**medium["adstock_parameters"], "alpha": medium["alpha"], "gamma": medium["gamma"]}
        bounds = spec.hyperparameters[name]
        assert all(bounds[key][0] <= value <= bounds[key][1] for key, value in values.items())


def test_the_quickstart_truth_is_worth_finding():
    truth = load_truth(EXPERIMENTS / "data" / "quickstart_truth.json")
    shares = truth["window_contributions"]
    media = sum(shares[name] for name in truth["channels"])
    assert 0.25 < media / sum(shares.values()) < 0.4
    assert truth["r_squared"] > 0.9
    best = truth["optimal_plans"][0]
    assert score_plan(truth, best["multipliers"]).lift > 0.03


@pytest.mark.integration
def test_the_shipped_markets_are_made_by_the_command_that_the_readme_gives(tmp_path):
    names = ["AT", "BE", "CH", "DE", "DK", "FR", "NL", "SE"]
    made = run_markets(tmp_path / "markets.csv", names, seed=2025, spread=0.25, window_start="2022-01-03")
    for path in (made.table, made.truth):
        assert path.read_bytes() == (EXPERIMENTS / "data" / path.name).read_bytes()


def test_markets_are_one_long_table_with_the_truth_of_each(tmp_path):
    made = run_markets(tmp_path / "m.csv", ["DE", "FR"], seed=3, spread=0.0, periods=104, channels=3)
    table = pd.read_csv(made.table)
    assert table.groupby("market", sort=False).size().to_dict() == {"DE": 104, "FR": 104}
    truth = json.loads(made.truth.read_text())
    for market in truth["markets"].values():  # without a spread all markets are typical
        found = {name: channel["roas"] for name, channel in market["channels"].items()}
        assert found == pytest.approx(truth["typical_roas"], rel=0.01)
    rows = table[table["market"] == "FR"]
    assert rows["tv_spend"].tolist() != table[table["market"] == "DE"]["tv_spend"].tolist()
    with pytest.raises(UserError, match="a market is named twice"):
        run_markets(tmp_path / "n.csv", ["DE", "DE"])
    with pytest.raises(UserError, match="spread is 2, expected 0 to 1"):
        run_markets(tmp_path / "n.csv", ["DE"], spread=2.0)
