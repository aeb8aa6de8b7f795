"""Files of Robyn, GeoLift and Meridian GeoX become the studies they are about; what is wrong names the file's column.

Truth first: a neutral table is written down, restated in each tool's own terms, and has to come back.
"""

from __future__ import annotations

import json
import math
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from mmm_core.types import Scope
from runner.problem import build_problem
from runner.run_folder import RunFolder
from runner.studies import load_studies, robyn_calibration, studies_from_table
from runner.studies.adapting import error_from_p, split_names
from tests.runner.lift import SIMULATED, panel_of, spec_of, spec_tree

PANEL = panel_of(spec_of())
Z90 = NormalDist().inv_cdf(0.95)
# Six and five weeks of the data: (channel, its spend column, first and last day, rows).
OOH = ("ooh", "ooh_spend", "2022-03-07", "2022-04-17", slice(60, 66))
SEARCH = ("search", "search_spend", "2022-05-02", "2022-06-05", slice(68, 73))


def spent(study):
    return float(SIMULATED.columns[study[1]][study[4]].sum())


def loaded(tmp_path, rows, *, name="studies.csv", **changes):
    """The studies of a file with these rows, read as the spec would."""
    path = tmp_path / name
    if name.endswith(".json"):
        path.write_text(json.dumps(rows))
    else:
        pd.DataFrame(rows).to_csv(path, index=False)
    calibration = {"path": str(path), **changes.pop("calibration", {})}
    return load_studies(spec_of(calibration=calibration, **changes), PANEL)


def cases(studies):
    return [finding.case for finding in studies.findings]


def told(studies, case):
    return next(f for f in studies.findings if f.case == case)


def refused(tmp_path, rows, **more):
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, rows, **more)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------------------------------------------- which format

NEUTRAL_ROW = {"channel": "ooh", "start": OOH[2], "end": OOH[3], "estimate": 90000, "scope": "total"}
ROBYN_ROW = {
    "channel": "ooh_spend",
    "liftStartDate": OOH[2],
    "liftEndDate": OOH[3],
    "liftAbs": 90000,
    "spend": spent(OOH),
    "confidence": 0.9,
    "metric": "revenue",
    "calibration_scope": "total",
}
GEOLIFT_ROW = {
    "channel": "ooh",
    "start": OOH[2],
    "end": OOH[3],
    "incremental": 90000.0,
    "ATT": 150.0,
    "Perc.Lift": 5.4,
    "pvalue": 0.02,
    "Lower.Conf.Int": 50.0,
    "Upper.Conf.Int": 250.0,
}
GEOX_ROW = {
    "channel": "ooh",
    "analysis_start_date": OOH[2],
    "analysis_end_date": OOH[3],
    "lift.point_estimate": 90000.0,
    "lift.lower_bound": 60000.0,
    "lift.upper_bound": 120000.0,
    "lift.standard_deviation": 18000.0,
    "lift.p_value": 0.002,
    "icpd.point_estimate": 90000.0 / spent(OOH),
    "icpd.lower_bound": 60000.0 / spent(OOH),
    "icpd.upper_bound": 120000.0 / spent(OOH),
}
ROWS = {"neutral": NEUTRAL_ROW, "robyn": ROBYN_ROW, "geolift": GEOLIFT_ROW, "meridian": GEOX_ROW}


@pytest.mark.parametrize("name", ROWS)
def test_a_file_is_known_by_its_columns(name, tmp_path):
    studies = loaded(tmp_path, [ROWS[name]])
    (record,) = studies.records
    assert (record.study.channels, record.study.estimate) == (("ooh",), 90000)
    assert (str(record.study.start), str(record.study.end)) == (OOH[2], OOH[3])
    assert record.study.scope is (Scope.TOTAL if name in ("neutral", "robyn") else Scope.IMMEDIATE)
    assert f"calibration.format: {name}" in told(studies, "study-format").details
    asked = loaded(tmp_path, [ROWS[name]], calibration={"format": name})
    assert asked.arrays.standard_error.tolist() == pytest.approx(
        studies.arrays.standard_error.tolist(), nan_ok=True
    )
    assert "study-format" not in cases(asked)


def test_a_file_of_two_tools_is_not_guessed(tmp_path):
    message = refused(tmp_path, [GEOLIFT_ROW | {"incremental_response": 1}])
    assert "results of GeoLift and results of Meridian GeoX; set calibration.format" in message


def test_a_file_of_no_tool_is_held_against_the_neutral_table(tmp_path):
    message = refused(tmp_path, [{"channel": "ooh", "lift": 3}])
    assert "there is no column 'start'; a table of lift studies needs channel, start, end" in message


def test_the_format_that_is_asked_for_counts(tmp_path):
    message = refused(tmp_path, [NEUTRAL_ROW], calibration={"format": "robyn"})
    assert "no column 'liftStartDate'; Robyn's calibration_input needs channel, liftStartDate" in message
    message = refused(tmp_path, [NEUTRAL_ROW], calibration={"format": "geolift"})
    assert "no column for the incremental effect of a study, such as 'incremental'" in message
    assert "GeoTest$incremental in R" in message
    message = refused(tmp_path, [{**NEUTRAL_ROW, "start": ""}], calibration={"format": "meridian"})
    assert "column 'start': row 1 has no date" in message


def test_a_run_folder_keeps_them_neutral(tmp_path):
    """Resolved specs still say robyn; what lies in the run folder is read as what it is."""
    path = tmp_path / "robyn.csv"
    pd.DataFrame([ROBYN_ROW]).to_csv(path, index=False)
    spec = spec_of(calibration={"path": str(path), "format": "robyn"})
    studies = load_studies(spec, PANEL)
    problem, findings = build_problem(spec, PANEL, studies)
    folder = RunFolder.open(RunFolder.create(tmp_path / "runs", spec, PANEL, problem, studies).path)
    path.unlink()
    assert folder.problem(folder.spec(), PANEL).digest == problem.digest
    assert [f.case for f in findings if f.case.startswith("study")] == cases(studies)


# --------------------------------------------------------------------------------------------------------------- robyn


def test_robyns_studies_round_trip(tmp_path):
    rows = [
        ROBYN_ROW,
        ROBYN_ROW | {"channel": "search_clicks", "calibration_scope": "Immediate", "confidence": 0.99,
                     "spend": ""},
        ROBYN_ROW | {"channel": "tv_spend+search_spend", "confidence": "", "spend": ""},
        ROBYN_ROW | {"channel": "newsletter", "confidence": 1, "spend": 0},
    ]  # fmt: skip
    studies = loaded(tmp_path, rows)
    found = [record.study for record in studies.records]
    assert [s.channels for s in found] == [("ooh",), ("search",), ("tv", "search"), ("newsletter",)]
    assert [str(s.scope) for s in found] == ["total", "immediate", "total", "total"]
    expected = [90000 / Z90, 90000 / 2.5758293, math.nan, math.nan]
    assert [s.standard_error for s in found] == pytest.approx(expected, nan_ok=True)
    assert studies.records[0].spend == pytest.approx(spent(OOH))
    assert cases(studies) == ["study-format"]


@pytest.mark.parametrize(
    "cell", ["tv_spend+ooh", "tv,ooh_spend", "tv_spend ; ooh_spend", "tv_spend ooh_spend", " tv  +ooh_spend"]
)
def test_robyns_separators(cell, tmp_path):
    (record,) = loaded(tmp_path, [ROBYN_ROW | {"channel": cell, "spend": ""}]).records
    assert record.study.channels == ("tv", "ooh")


def test_names_that_hold_a_separator():
    known = ["paid search", "tv+radio", "tv", "b,c"]
    for text, names in (
        ("paid search", ["paid search"]),
        ("paid search+tv", ["paid search", "tv"]),
        ("tv+radio;paid search", ["tv+radio", "paid search"]),
        ("tv , b,c tv+radio", ["tv", "b,c", "tv+radio"]),
        ("tv+", ["tv"]),
        ("radio+tv", ["radio", "tv"]),
    ):
        assert split_names(text, known, r"\s*[+,;]\s*|\s+") == names, text


def test_a_column_of_two_channels_is_not_guessed(tmp_path):
    channels = spec_tree()["channels"]
    channels[0]["name"] = "ooh_spend"  # tv, called like the column of ooh
    message = refused(tmp_path, [ROBYN_ROW], channels=channels)
    assert "row 1 names 'ooh_spend', which could be ooh_spend or ooh; write the channel's own name" in message


def test_robyns_own_warnings(tmp_path):
    studies = loaded(tmp_path, [ROBYN_ROW | {"confidence": 0.79, "spend": 2 * spent(OOH)}])
    low = told(studies, "study-confidence-low")
    assert low.details == f"Lift studies with a confidence below 0.8: ooh from {OOH[2]} (0.79)."
    differs = told(studies, "study-spend-differs")
    assert "By its table the study of ooh" in differs.details
    assert "give what it means for all of them: 45,000." in differs.recommendation


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": "oh_spend"}, "'channel': row 2 names 'oh_spend', which is no channel of the spec and no column"),
        ({"channel": "oh_spend"}, "did you mean 'ooh_spend'?"),
        ({"channel": ""}, "'channel': row 2 is empty"),
        ({"channel": "ooh+ooh_spend"}, "row 2 names 'ooh' twice"),
        ({"liftAbs": "much"}, "'liftAbs': row 2 is 'much', expected a number"),
        ({"liftAbs": 0}, "'liftAbs': row 2 is 0, and an error in percent"),
        ({"liftStartDate": "soon"}, "'liftStartDate': row 2 is 'soon', expected a date"),
        ({"liftStartDate": "2020-01-01"}, "'liftStartDate': row 2 is 2020-01-01, outside the window"),
        ({"liftEndDate": "2022-01-09"}, "'liftEndDate': row 2 is 2022-01-09, before the start"),
        ({"confidence": 85}, "'confidence': row 2 is 85, expected a share between 0 and 1 (1 - p)"),
        ({"metric": "orders"}, "'metric': row 2 is 'orders', but the outcome"),
        ({"calibration_scope": "all"}, "'calibration_scope': row 2 is 'all', expected total or immediate"),
        ({"spend": "x"}, "'spend': row 2 is 'x', expected a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_robyns_terms(change, message, tmp_path):
    assert message in refused(tmp_path, [ROBYN_ROW, ROBYN_ROW | change])


def test_one_row_under_robyns_convention_names_robyns_column(tmp_path):
    row = ROBYN_ROW | {"liftEndDate": "2022-03-13", "spend": ""}
    message = refused(tmp_path, [row], calibration={"convention": "robyn"})
    assert "column 'liftStartDate': row 1" in message


COLUMNS = {name: [cell, cell] for name, cell in ROBYN_ROW.items()}


@pytest.mark.parametrize(
    "tree",
    [
        [ROBYN_ROW, ROBYN_ROW],
        COLUMNS,
        {"InputCollect": {"calibration_input": COLUMNS, "dep_var": "revenue"}, "ModelsCollect": {}},
        {"InputCollect": {"calibration_input": [ROBYN_ROW, ROBYN_ROW]}},
    ],
    ids=["rows", "columns", "model file", "model file by rows"],
)
def test_robyns_studies_in_json(tree, tmp_path):
    studies = loaded(tmp_path, tree, name="robyn.json")
    assert [r.study.estimate for r in studies.records] == [90000, 90000]
    assert studies.records[0].study.standard_error == pytest.approx(90000 / Z90)


def test_a_single_study_that_json_has_unboxed(tmp_path):
    (record,) = loaded(tmp_path, ROBYN_ROW, name="robyn.json").records
    assert record.study.channels == ("ooh",)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([], "the list of studies is empty"),
        ({}, "there are no lift studies in it"),
        ({"channel": []}, "there are no lift studies in it"),
        ([1, 2], "expected a list of studies"),
        ("x", "expected a list of studies"),
        ({"cell_1": {"lift": 3}}, "expected a list of studies"),
        (COLUMNS | {"liftAbs": [1]}, "column 'liftAbs' has 1 entries and 'channel' 2; give as many"),
        (COLUMNS | {"liftAbs": [1, None]}, "'liftAbs': row 2 is missing"),
        (COLUMNS | {"liftAbs": [1, [2]]}, "'liftAbs': row 2 is [2], expected a number"),
    ],
)
def test_json_that_is_no_table(tree, message, tmp_path):
    assert message in refused(tmp_path, tree, name="studies.json")


def test_json_that_is_not_json(tmp_path):
    path = tmp_path / "studies.json"
    path.write_text("{")
    with pytest.raises(UserError, match="not well-formed JSON"):
        load_studies(spec_of(calibration=str(path)), PANEL)
    with pytest.raises(UserError, match=r"no such file; set calibration\.path"):
        load_studies(spec_of(calibration=str(tmp_path / "none.json")), PANEL)


def test_robyns_columns_as_a_neutral_table():
    spec = spec_of()
    table = robyn_calibration(COLUMNS, spec, "model.json")
    assert table["channel"].tolist() == ["ooh", "ooh"]
    studies = studies_from_table(spec, PANEL, table, "model.json")
    assert [r.study.estimate for r in studies.records] == [90000, 90000]
    with pytest.raises(UserError, match=r"model\.json: column 'confidence': row 1 is 2"):
        robyn_calibration(COLUMNS | {"confidence": [2, 2]}, spec, "model.json")


@pytest.mark.parametrize("z", [0.1, 1.0, 1.959964, 3.5])
def test_a_p_value_holds_the_standard_error(z):
    error = 250.0
    for sign in (1, -1):
        p = 2 * (1 - NormalDist().cdf(z))
        assert error_from_p(sign * z * error, p) == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("p", [0.0, 1e-7, 1.0, 1.2, -0.1, math.nan])
def test_nothing_follows_from_a_p_value_that_was_rounded_away(p):
    assert math.isnan(error_from_p(100.0, p))


# ------------------------------------------------------------------------------------------------------------- geolift


def test_geolifts_interval_of_an_att(tmp_path):
    # 90,000 in 2 locations and 300 periods: an ATT of 150.
    studies = loaded(tmp_path, [GEOLIFT_ROW])
    (record,) = studies.records
    assert (record.lower, record.upper, record.level) == pytest.approx((30_000, 150_000, 0.9))
    assert record.study.standard_error == pytest.approx(120_000 / (2 * Z90))
    assert record.source == "GeoLift"
    assert "multiplied by 600" in told(studies, "study-interval-rescaled").details
    assert "incremental effect from 'incremental'" in told(studies, "study-columns").details
    assert "Perc.Lift" in told(studies, "study-columns-unused").details


def test_geolifts_interval_of_the_whole_effect(tmp_path):
    row = GEOLIFT_ROW | {"lower_bound": 40_000, "upper_bound": 130_000, "alpha": 0.05}
    studies = loaded(tmp_path, [row])
    (record,) = studies.records
    assert (record.lower, record.upper, record.level) == (40_000, 130_000, 0.95)
    assert record.study.standard_error == pytest.approx(90_000 / (2 * 1.959964), rel=1e-6)
    assert "study-interval-rescaled" not in cases(studies)


def test_geolifts_bounds_before_2_5_are_those_of_an_att(tmp_path):
    row = {k: v for k, v in GEOLIFT_ROW.items() if "Conf" not in k} | {"lower_bound": 50, "upper_bound": 250}
    studies = loaded(tmp_path, [row])
    assert (studies.records[0].lower, studies.records[0].upper) == (30_000, 150_000)
    assert "study-interval-rescaled" in cases(studies)


def test_geolifts_interval_that_misses_its_own_estimate(tmp_path):
    studies = loaded(tmp_path, [GEOLIFT_ROW | {"lower_bound": -1280.7, "upper_bound": -46.2}])
    (record,) = studies.records
    # The p-value is left: 90,000 / z of 0.02.
    assert record.study.standard_error == pytest.approx(90_000 / NormalDist().inv_cdf(0.99))
    assert record.lower == pytest.approx(90_000 - 1.644854 * record.study.standard_error, rel=1e-6)
    assert "does not hold its own estimate 90,000" in told(studies, "study-interval-unusable").details


def test_geolifts_att_interval_without_the_att_is_not_used(tmp_path):
    row = {k: v for k, v in GEOLIFT_ROW.items() if k not in ("ATT", "pvalue")}
    (record,) = loaded(tmp_path, [row]).records
    assert np.isnan([record.lower, record.upper, record.study.standard_error]).all()


def test_geolifts_spellings(tmp_path):
    row = {
        "Channel": "ooh_spend",
        "Test.Start": OOH[2],
        "test end": OOH[3],
        "Incremental Y": 90000,
        "Average ATT": 150,
        "P-value": 0.3,
        "scope": "total",
        "spend": spent(OOH),
    }
    (record,) = loaded(tmp_path, [row]).records
    assert record.study.scope is Scope.TOTAL
    assert record.study.standard_error == pytest.approx(90000 / NormalDist().inv_cdf(0.85))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 91}, "column 'start': row 1 is 91, the number of a period as GeoLift counts them"),
        ({"alpha": 5}, "column 'alpha': row 1 is 5, expected a share"),
        ({"level": 90}, "column 'level': row 1 is 90, expected a share"),
        ({"incremental": ""}, "column 'incremental': row 1 is missing"),
        ({"incremental": 0}, "column 'incremental': row 1 is 0"),
        ({"channel": "radio"}, "names 'radio', which is no channel of the spec"),
        ({"pvalue": "n.s."}, "column 'pvalue': row 1 is 'n.s.', expected a number"),
        (
            {"incremental Y": 3},
            "the columns 'incremental' and 'incremental Y' both give the incremental effect",
        ),
    ],
)
def test_what_is_wrong_in_geolifts_terms(change, message, tmp_path):
    assert message in refused(tmp_path, [GEOLIFT_ROW | change])


def test_a_loss_is_asked_about(tmp_path):
    negative = {k: v for k, v in GEOLIFT_ROW.items() if "Conf" not in k} | {
        "incremental": -90000,
        "ATT": -150,
    }
    studies = loaded(tmp_path, [negative])
    finding = told(studies, "study-negative")
    assert "lost 90,000" in finding.details
    assert "switched the channel off" in finding.recommendation


# ------------------------------------------------------------------------------------------------------------ meridian


def test_geox_lift(tmp_path):
    studies = loaded(tmp_path, [GEOX_ROW])
    (record,) = studies.records
    assert (record.lower, record.upper, record.level) == pytest.approx((60_000, 120_000, 0.9))
    assert record.study.standard_error == pytest.approx(60_000 / (2 * Z90))
    assert record.spend == pytest.approx(spent(OOH))  # lift / icpd
    assert "effect from 'lift.point_estimate'" in told(studies, "study-columns").details
    assert told(studies, "study-columns-unused").details.endswith("not used: lift.p_value.")
    assert cases(studies) == ["study-format", "study-columns", "study-columns-unused"]


def test_geox_result_objects_flatten_to_these_columns(tmp_path):
    """dataclasses.asdict of meridian_geox 1.0's AnalysisMetrics, nested in JSON."""
    estimate = {
        "point_estimate": 9e4,
        "lower_bound": 6e4,
        "upper_bound": 1.2e5,
        "standard_deviation": 1.8e4,
        "p_value": 0.01,
    }
    tree = [
        {
            "channel": "ooh",
            "analysis_start_date": OOH[2],
            "analysis_end_date": OOH[3],
            "alpha": None,
            "lift": estimate,
            "percent_lift": estimate,
            "icpd": None,
        }
    ]  # fmt: skip
    (record,) = loaded(tmp_path, tree, name="geox.json").records
    assert (record.lower, record.upper, record.level) == (60_000, 120_000, 0.9)
    assert math.isnan(record.spend)


def test_an_efficiency_with_its_cost(tmp_path):
    row = {"channel": "ooh", "start": OOH[2], "end": OOH[3], "iroas": 2.0, "iroas_lower": 1.0,
           "iroas_upper": 3.0, "cost": spent(OOH), "level": 0.8}  # fmt: skip
    studies = loaded(tmp_path, [row])
    (record,) = studies.records
    assert record.study.estimate == pytest.approx(2 * spent(OOH))
    assert (record.lower, record.upper) == pytest.approx((spent(OOH), 3 * spent(OOH)))
    assert record.study.standard_error == pytest.approx(spent(OOH) / NormalDist().inv_cdf(0.9))
    assert "study-stated-for-market" not in cases(studies)


def test_an_efficiency_alone_is_stated_for_the_data(tmp_path):
    row = {"channel": "ooh+tv", "start": OOH[2], "end": OOH[3], "iroas": 2.0, "standard_error": 0.5}
    studies = loaded(tmp_path, [row])
    known = spent(OOH) + float(SIMULATED.columns["tv_spend"][OOH[4]].sum())
    (record,) = studies.records
    assert record.study.estimate == pytest.approx(2 * known)
    assert record.study.standard_error == pytest.approx(0.5 * known)
    assert f"stated for the {known:,.0f}" in told(studies, "study-stated-for-market").details
    assert "study-spend-differs" not in cases(studies)


def test_half_a_week_counts_by_its_days(tmp_path):
    row = {"channel": "search", "start": SEARCH[2], "end": "2022-05-04", "iroas": 1.0}
    (record,) = loaded(tmp_path, [row]).records
    assert record.study.estimate == pytest.approx(SIMULATED.columns["search_spend"][68] * 3 / 7)


def test_meridians_own_registration_of_experiments(tmp_path):
    row = {"channel_name": "search", "point_estimate": 1.5, "standard_error": 0.3,
           "experiment_total_spend": spent(SEARCH), "experiment_start_date": SEARCH[2],
           "experiment_end_date": SEARCH[3]}  # fmt: skip
    (record,) = loaded(tmp_path, [row]).records
    assert record.study.estimate == pytest.approx(1.5 * spent(SEARCH))
    assert record.study.standard_error == pytest.approx(0.3 * spent(SEARCH))


MATCHED = {
    "channel": "ooh", "start": OOH[2], "end": OOH[3], "estimate": 2.0, "precision": 1.0, "lower": 1.0,
    "upper": "inf", "probability": 0.99, "level": 0.9, "posterior_threshold": 0.0, "incremental_cost": 40_000.0,
    "incremental_response": 80_000.0, "incremental_response_lower": 40_000.0, "incremental_response_upper": "inf",
    "relative_lift": 0.1, "scenario": "fixed",
}  # fmt: skip


def test_matched_markets_one_sided_by_default(tmp_path):
    """TBRiROAS.summary(): the lower end is the quantile of 1 - level, there is no upper one."""
    (record,) = loaded(tmp_path, [MATCHED]).records
    assert record.study.estimate == 80_000
    assert record.study.standard_error == pytest.approx(40_000 / NormalDist().inv_cdf(0.9))
    assert record.spend == 40_000
    assert (record.lower, record.upper) == pytest.approx(
        (80_000 - 40_000 * Z90 / 1.2815516, 80_000 + 40_000 * Z90 / 1.2815516)
    )


def test_matched_markets_two_sided(tmp_path):
    ends = {"upper": 3.0, "incremental_response_upper": 120_000.0}
    (record,) = loaded(tmp_path, [MATCHED | ends]).records
    assert (record.lower, record.upper) == (40_000, 120_000)
    assert record.study.standard_error == pytest.approx(80_000 / (2 * Z90))


def test_trimmed_match(tmp_path):
    row = {"channel": "ooh", "start": OOH[2], "end": OOH[3], "estimate": 2.0, "conf_interval_low": 1.0,
           "conf_interval_up": 3.5, "confidence": 0.8, "incremental_cost": 40_000,
           "incremental_response": 80_000}  # fmt: skip
    (record,) = loaded(tmp_path, [row]).records
    assert (record.study.estimate, record.lower, record.upper) == (80_000, 40_000, 140_000)


def test_money_that_was_taken_away(tmp_path):
    row = MATCHED | {"incremental_cost": -40_000, "incremental_response": -80_000,
                     "incremental_response_lower": -120_000, "incremental_response_upper": -40_000}  # fmt: skip
    studies = loaded(tmp_path, [row])
    (record,) = studies.records
    assert (record.study.estimate, record.lower, record.upper, record.spend) == (
        80_000,
        40_000,
        120_000,
        40_000,
    )
    assert "took 40,000 of spend away and lost 80,000" in told(studies, "study-went-dark").details
    assert "study-negative" not in cases(studies)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lift.point_estimate": "", "icpd.point_estimate": ""}, "'lift.point_estimate': row 1 is missing, and so"),
        ({"lift.point_estimate": "x"}, "column 'lift.point_estimate': row 1 is 'x', expected a number"),
        ({"analysis_end_date": "2022-03-01"}, "column 'analysis_end_date': row 1 is 2022-03-01, before the start"),
        ({"analysis_start_date": "2021-03-01"}, "'analysis_start_date': row 1 is 2021-03-01, outside the window"),
        ({"channel": "cell_1"}, "column 'channel': row 1 names 'cell_1', which is no channel"),
        ({"alpha": 90}, "column 'alpha': row 1 is 90"),
        ({"spend": 1, "cost": 2}, "the columns 'spend' and 'cost' both give the cost"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_geox_terms(change, message, tmp_path):
    assert message in refused(tmp_path, [GEOX_ROW | change])


def test_an_efficiency_needs_money(tmp_path):
    row = {"channel": "newsletter", "start": OOH[2], "end": OOH[3], "iroas": 2.0}
    message = refused(tmp_path, [row])
    assert "column 'iroas': row 1 has no cost beside it, and the data have no spend" in message
    row = {"channel": "ooh", "start": OOH[2], "end": OOH[3]}
    message = refused(tmp_path, [row], calibration={"format": "meridian"})
    assert "no column for the efficiency of a study, such as 'icpd_point_estimate'" in message


@pytest.mark.parametrize("text", ["", "channel,start,end,lift\n"])
def test_a_table_without_rows_is_told_what_a_row_would_be(text, tmp_path):
    path = tmp_path / "studies.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"expected (a header and )?one row per study"):
        load_studies(spec_of(calibration=str(path)), PANEL)
