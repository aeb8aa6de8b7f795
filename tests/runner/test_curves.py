"""Curve calibration from a table: bounds that hold the truth, and sentences that name file and row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmm_core.curve_fit import ALPHA, GAMMA
from mmm_core.errors import UserError
from mmm_core.limits import within_limits
from mmm_core.types import Adstock
from runner.curves import CurveCalibration, calibrate_curves
from runner.dataset import load_panel, panel_from_table
from runner.spec import decode, load_spec
from tests.benchmarks.search_options import write_curves
from tests.reference.candidate import hill
from tests.runner.small import change, small_spec, small_table

SHIPPED = Path(__file__).resolve().parents[3] / "shared" / "data" / "df_curve_reach_freq.csv"
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
# The curves that small_table was made with: no carryover, tv in spend, web in clicks.
TV, WEB = (1.0, 900.0), (1.0, 1500.0)


def points(alpha, inflexion, last, n=12, coef=1e5):
    spend = np.linspace(0, last, n)
    return pd.DataFrame({"spend": spend, "reach": [coef * hill(s, alpha, inflexion) for s in spend]})


def calibrated(tmp_path, *tables, spec=(), **entry) -> CurveCalibration:
    """Bounds from tables, each an entry for tv unless the keys say otherwise."""
    entries = []
    for i, table in enumerate(tables):
        path = tmp_path / f"curve{i}.csv"
        table.to_csv(path, index=False)
        usual = {"channel": "tv", "path": str(path), "spend": "spend", "response": "reach"}
        entries.append(usual | entry)
    decoded = decode(change(small_spec(), curves=entries, **dict(spec)), "s.yaml")
    return calibrate_curves(decoded, panel_from_table(decoded, small_table(), "t"))


def refusal(tmp_path, table, **entry) -> str:
    with pytest.raises(UserError) as caught:
        calibrated(tmp_path, table, **entry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def largest(column: str, theta: float = 0.0) -> float:
    from mmm_core.adstock import apply

    return float(apply(Adstock.GEOMETRIC, small_table()[column].to_numpy(dtype=float), (theta,))[5:].max())


def test_bounds_hold_the_curve_that_made_the_data(tmp_path):
    found = calibrated(tmp_path, points(*TV, last=3000.0))
    (low, high), (least, most) = found.bounds["tv"]["alpha"], found.bounds["tv"]["gamma"]
    assert low < TV[0] < high
    for theta in (0.0, 0.4, 0.8):  # the range searched when the spec says nothing
        assert least < TV[1] / largest("tv_cost", theta) < most
    assert [finding.case for finding in found.findings] == ["curve-calibration"]
    assert "tv: alpha 0.833 to 1.2 and gamma 0." in found.findings[0].details


def test_gamma_follows_the_adstock_that_is_searched(tmp_path):
    narrow = {"hyperparameters": {"tv": {"theta": [0.3, 0.3]}}}
    found = calibrated(tmp_path, points(*TV, last=3000.0), spec=narrow).bounds["tv"]["gamma"]
    wide = calibrated(tmp_path, points(*TV, last=3000.0)).bounds["tv"]["gamma"]
    assert wide[0] < found[0] < TV[1] / largest("tv_cost", 0.3) < found[1] < wide[1]


def test_an_exposure_is_met_in_currency(tmp_path):
    # Clicks are scaled to the spend of the window, so the curve of web is one of spend.
    table, fixed = small_table(), {"hyperparameters": {"web": {"theta": 0.0}}}
    rate = table["web_cost"][5:].sum() / table["web_clicks"][5:].sum()
    found = calibrated(tmp_path, points(WEB[0], WEB[1] * rate, last=1500.0), spec=fixed, channel="web")
    least, most = found.bounds["web"]["gamma"]
    assert least < WEB[1] / largest("web_clicks") < most < 1.5 * least


def test_a_flight_of_several_periods(tmp_path):
    fixed = {"hyperparameters": {"tv": {"theta": 0.0}}}
    four = points(TV[0], 4 * TV[1], last=12_000.0)
    told = calibrated(tmp_path, four, spec=fixed, periods=4).bounds["tv"]["gamma"]
    plain = calibrated(tmp_path, points(*TV, last=3000.0), spec=fixed).bounds["tv"]["gamma"]
    assert told == plain
    silent = calibrated(tmp_path, four, spec=fixed).findings
    assert [finding.case for finding in silent] == ["curve-calibration", "curve-beyond"]
    assert silent[1].recommendation
    assert str(tmp_path) not in silent[0].details  # where a table lies must not change the bytes of a run


def test_robyns_reading_is_a_share_of_the_last_spend(tmp_path):
    found = calibrated(tmp_path, points(1.5, 30.0, last=100.0), periods="robyn").bounds["tv"]
    assert found["gamma"][0] < 0.3 < found["gamma"][1]
    assert found["alpha"][0] < 1.5 < found["alpha"][1]


@pytest.mark.parametrize(("shape", "low", "high"), [("concave", ALPHA[0], 1.0), ("s", 1.0, ALPHA[1])])
def test_a_shape_limits_alpha(tmp_path, shape, low, high):
    found = calibrated(tmp_path, points(1.0, 900.0, last=3000.0), shape=shape).bounds["tv"]["alpha"]
    assert low <= found[0] < found[1] <= high


def test_several_curves_of_a_channel_give_the_widest_bounds(tmp_path):
    shallow, steep = points(0.8, 700.0, last=3000.0), points(1.8, 1200.0, last=3000.0)
    both = calibrated(tmp_path, shallow, steep).bounds["tv"]
    one, other = (calibrated(tmp_path, table).bounds["tv"] for table in (shallow, steep))
    for parameter in ("alpha", "gamma"):
        assert both[parameter] == (one[parameter][0], other[parameter][1])


def test_rows_are_chosen_by_their_values_and_keep_their_numbers(tmp_path):
    table = pd.concat(
        [
            points(2.0, 500.0, 3000.0).assign(bucket="reach 1+", market=1),
            points(*TV, 3000.0).assign(bucket="reach 2+", market=1),
        ]
    )
    chosen = calibrated(tmp_path, table, where={"bucket": "reach 2+", "market": "1.0"})
    assert chosen.bounds == calibrated(tmp_path, points(*TV, 3000.0)).bounds
    assert "no row is 'reach 3+' (curves[0].where); there are reach 1+, reach 2+" in refusal(
        tmp_path, table, where={"bucket": "reach 3+"}
    )
    assert "row 13 is 0 after 3000, expected cumulative spend that rises" in refusal(tmp_path, table)
    table.iloc[15, 1] = -4
    assert "column 'reach': row 16 is -4" in refusal(tmp_path, table, where={"bucket": "reach 2+"})
    other = table.assign(market=np.where(table["bucket"] == "reach 1+", 1, 2))
    assert "no row has all values of curves[0].where" in refusal(
        tmp_path, other, where={"bucket": "reach 2+", "market": "1"}
    )


def test_the_table_has_every_point_and_its_fit(tmp_path):
    found = calibrated(tmp_path, points(*TV, last=3000.0), points(1.2, 800.0, last=3000.0, n=7))
    table = found.table.to_pandas()
    assert table["curve"].tolist() == [1] * 12 + [2] * 7
    np.testing.assert_allclose(table["fitted"], table["response"], rtol=1e-4, atol=1)
    assert (table["alpha_lower"] < table["alpha"]).all()
    assert (table["gamma"] < table["gamma_upper"]).all()
    assert table.columns[0] == "channel"


def test_bounds_are_what_a_spec_takes(tmp_path):
    found = calibrated(tmp_path, points(*TV, last=3000.0)).bounds
    ranges = {p: list(bounds) for p, bounds in found["tv"].items()}
    spec = decode(change(small_spec(), hyperparameters={"tv": ranges}), "s.yaml")
    assert spec.ranges(["tv_alpha", "tv_gamma"]) == {f"tv_{p}": tuple(r) for p, r in ranges.items()}


def test_without_curves_there_is_nothing():
    spec = decode(small_spec(), "s.yaml")
    found = calibrate_curves(spec, panel_from_table(spec, small_table(), "t"))
    assert (found.bounds, found.findings, len(found.table)) == ({}, [], 0)


def test_a_curve_that_is_none_is_told(tmp_path):
    table = points(*TV, last=3000.0)
    table["reach"] = np.where(np.arange(12) % 2 == 1, 1000.0, 10.0)
    cases = [finding.case for finding in calibrated(tmp_path, table).findings]
    assert "curve-fit" in cases


@pytest.mark.parametrize("alpha", [0.3, 4.0])
@pytest.mark.parametrize("inflexion", [50.0, 2500.0])
def test_bounds_are_always_legal(tmp_path, alpha, inflexion):
    found = calibrated(tmp_path, points(alpha, inflexion, last=3000.0)).bounds["tv"]
    for parameter, bounds in found.items():
        assert bounds[0] < bounds[1]
        assert all(within_limits(parameter, bound) for bound in bounds)
    assert found["gamma"][0] >= GAMMA[0]


# ------------------------------------------------------------------------------------------------------ what is refused


def edited(column: str, row: int, value) -> pd.DataFrame:
    table = points(*TV, last=3000.0).astype(object)
    table.loc[row - 1, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            edited("spend", 5, 800.0),
            "curve0.csv: column 'spend': row 5 is 800 after 818.182, expected cumulative",
        ),
        (edited("spend", 2, -1), "column 'spend': row 2 is -1, expected a total that is not negative"),
        (edited("reach", 3, -0.5), "column 'reach': row 3 is -0.5, expected a total that is not negative"),
        (edited("reach", 4, "many"), "column 'reach': row 4 is 'many', expected a number"),
        (edited("reach", 4, ""), "column 'reach': row 4 is missing; fill it or delete the row"),
        (points(*TV, last=3000.0, n=4), "the curve has 3 rows with spend above 0, at least 4 are needed"),
        (points(*TV, last=3000.0, coef=0.0), "column 'reach': is 0 in every row"),
        (
            points(*TV, last=3000.0).rename(columns={"spend": "spent"}),
            "there is no column 'spend' (curves[0].spend); did you mean 'spent'?",
        ),
    ],
)
def test_names_file_and_row_of_what_is_no_curve(tmp_path, table, message):
    found = refusal(tmp_path, table)
    assert message in found
    assert str(tmp_path / "curve0.csv") in found


def test_names_what_does_not_belong_to_the_channel(tmp_path):
    cents = points(1.0, 90_000.0, last=300_000.0)
    found = refusal(tmp_path, cents)
    assert "times the largest adstocked exposure of tv, above what it was ever seen at" in found
    assert "periods" in found
    found = refusal(tmp_path, points(1.0, 0.009, last=0.03))
    assert "far below what it was ever seen at" in found
    assert "curves[0].periods: 300 periods of spend, but the data have 104 rows" in refusal(
        tmp_path, points(*TV, last=3000.0), periods=300
    )
    assert "there is no such file; correct curves[0].path" in refusal(
        tmp_path, points(*TV, last=3000.0), path=str(tmp_path / "none.csv")
    )


# ------------------------------------------------------------------------------------------------- the shipped examples


def test_the_curves_of_the_quickstart_hold_its_truth(tmp_path):
    spec = load_spec(EXPERIMENTS / "quickstart_curves.yaml")
    found = calibrate_curves(spec, load_panel(spec))
    truth = json.loads((EXPERIMENTS / "data" / "quickstart_truth.json").read_text())["channels"]
    assert sorted(found.bounds) == ["social", "tv"]
    for channel, bounds in found.bounds.items():
        for parameter, (low, high) in bounds.items():
            assert low <= truth[channel][parameter] <= high
    write_curves(tmp_path / "again.csv")
    shipped = EXPERIMENTS / "data" / "quickstart_curves.csv"
    assert (tmp_path / "again.csv").read_bytes() == shipped.read_bytes()


@pytest.mark.skipif(
    not SHIPPED.is_file(), reason="Robyn's example curves (../shared/data) are not on this machine"
)
def test_the_ten_curves_of_robyns_example(tmp_path):
    table = pd.read_csv(SHIPPED)
    each = [
        {"channel": "tv", "path": str(SHIPPED), "periods": "robyn", "where": {"freq_bucket": bucket}}
        for bucket in dict.fromkeys(table["freq_bucket"])
    ]
    assert len(each) == 10
    panel_spec = decode(change(small_spec(), curves=each), "s.yaml")
    found = calibrate_curves(panel_spec, panel_from_table(panel_spec, small_table(), "t"))
    assert found.bounds["tv"]["alpha"] == pytest.approx((0.41, 0.63), abs=0.03)
    assert found.bounds["tv"]["gamma"] == pytest.approx((0.23, 1.0), abs=0.03)
    assert (found.table.to_pandas()["r2"] > 0.999).all()
    assert "row 31 is 0 after 100000" in refusal_of_all(tmp_path)


def refusal_of_all(tmp_path) -> str:
    spec = decode(change(small_spec(), curves=[{"channel": "tv", "path": str(SHIPPED)}]), "s.yaml")
    with pytest.raises(UserError) as caught:
        calibrate_curves(spec, panel_from_table(spec, small_table(), "t"))
    return str(caught.value)
