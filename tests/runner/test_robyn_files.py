"""Models out to a file of Robyn's form and back, what is said of a file that differs, and files that are none."""

from __future__ import annotations

import json
import math
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from runner.commands.allocate import run as allocate
from runner.commands.allocate import scenario_options
from runner.commands.export_robyn import run as export_robyn
from runner.commands.refresh import run as refresh
from runner.commands.run import run as run_spec
from runner.journal import batch_from_table, read_trials
from runner.model_files import read_record
from runner.reports.data import load_run
from runner.robyn import names
from runner.robyn.compare import relative_difference
from runner.robyn.reading import number, read_model, records, unboxed
from runner.robyn.writing import pretty
from tests.runner.command import ROOT, files_below, mmm
from tests.runner.robyn_files import REMOVED, cases, exported_tree, imported, write_tree
from tests.runner.small import small_table, write_small

needs_r = pytest.mark.skipif(
    shutil.which("Rscript") is None
    or subprocess.run(["Rscript", "-e", "library(jsonlite)"], capture_output=True, check=False).returncode,
    reason="R with its package jsonlite is not on this machine",
)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)


@pytest.fixture(name="tree")
def file_of_the_small_run(small_run, tmp_path):
    return exported_tree(small_run, tmp_path)


# ---------------------------------------------------------------------------------------------------------- there, back


def numbers_of(folder, candidate):
    """All that a model file says of a model, in its order; media may have got other names on the way.

    Not lambda_hp: the penalty itself is compared, and on a log scale the two differ.
    """
    record = read_record(folder.path / "models" / f"{candidate}.json")
    del record["hyperparameters"]["lambda_hp"]
    values = [record["lambda"], record["intercept"]]
    for key in ("hyperparameters", "coefficients", "losses"):
        values += record[key].values()
    values += [part["contribution"] for part in record["components"]]
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"penalty_factors": True, "adstock": "weibull_pdf"},
        {"outcome__kind": "conversion", "validation": {"time_series": False}},
        {"intercept": "none", "search__rssd_zero_penalty": False},
        {"adstock": "weibull_cdf", "intercept": "unconstrained", "search__penalty_scale": "log"},
        {
            "hyperparameters": {"tv": {"theta": 0.4}},
            "channels__0__sign": "free",
            "context__0": {"name": "price", "sign": "negative"},
        },
    ],
    ids=["plain", "penalties", "conversion", "no-intercept", "log", "signs"],
)
def test_a_model_comes_back_as_it_left(changes, tmp_path):
    run = run_spec(write_small(tmp_path, search__trials=1, scenarios=[], **changes), runs=tmp_path / "runs")
    candidate = run.selected()[-1]
    path = write_tree(tmp_path, exported_tree(run, tmp_path, candidate))
    found = imported(path, tmp_path)
    assert found.comparison.worst.relative < 1e-9
    assert found.candidate == candidate
    np.testing.assert_allclose(
        numbers_of(found.folder, candidate), numbers_of(run, candidate), rtol=1e-9, atol=0
    )
    before, after = run.spec(), found.folder.spec()
    for key in ("adstock", "penalty_factors", "intercept", "outcome", "validation", "channels", "context"):
        assert getattr(before, key) == getattr(after, key), key
    for name in ("tv_theta", "web_alpha", "train_size"):
        if before.adstock == "geometric" or "theta" not in name:
            assert before.ranges([name]) == after.ranges([name])


def test_a_model_with_prophet_comes_back_as_it_left(tmp_path):
    overrides = ["search.trials=1", "search.iterations=60", "selection.min_candidates=5", "scenarios=[]"]
    overrides += ["bootstrap.refits=0", "tracking.enabled=false", "execution.backend=serial"]
    run = run_spec(ROOT / "experiments" / "quickstart.yaml", runs=tmp_path / "runs", overrides=overrides)
    candidate = run.selected()[0]
    path = write_tree(tmp_path, exported_tree(run, tmp_path, candidate))
    found = imported(path, tmp_path)
    assert found.comparison.worst.relative < 1e-9
    np.testing.assert_allclose(
        numbers_of(found.folder, candidate), numbers_of(run, candidate), rtol=1e-9, atol=0
    )
    spec = found.folder.spec()
    assert [c.name for c in spec.channels] == ["tv", "search", "social", "ooh", "print"]
    assert spec.baseline.components == ("trend", "season", "holiday")
    assert spec.ranges(["tv_theta"]) == {"tv_theta": (0.3, 0.8)}


def test_with_given_baseline_columns_prophet_is_not_asked(small_run, tree, tmp_path, monkeypatch):
    # The price stands for a trend that Prophet would have found.
    monkeypatch.setattr("runner.problem.prophet_baseline", lambda *_: pytest.fail("Prophet was asked"))
    inputs = tree["InputCollect"]
    inputs |= {"prophet_vars": ["trend"], "prophet_country": ["DE"], "context_vars": ["event"]}
    inputs |= {"context_signs": ["default"], "all_ind_vars": REMOVED}
    table = small_table()
    baseline = pd.DataFrame(
        {"ds": table["date"], "trend": 50 * table["price"], "event": (table["event"] == "fair") * 1.0}
    )
    baseline.iloc[::-1].to_csv(tmp_path / "dt_mod.csv", index=False)
    found = imported(write_tree(tmp_path, tree), tmp_path, baseline=str(tmp_path / "dt_mod.csv"))
    design = found.folder.table("inputs/design")
    np.testing.assert_array_equal(design["trend"].to_numpy(), baseline["trend"])
    np.testing.assert_array_equal(design["event"].to_numpy(), baseline["event"])
    assert "robyn-baseline-given" in cases(found)
    assert "robyn-predictors" in cases(found)  # the file has a price and two columns of events instead


def test_the_run_has_every_table_and_can_be_planned_with(small_run, tree, tmp_path):
    found = imported(write_tree(tmp_path, tree), tmp_path, overrides=["bootstrap.refits=20"])
    made = files_below(found.folder.path)
    theirs = {
        name
        for name in files_below(small_run.path)
        if not name.startswith(("models/", "scenarios/", "candidates/"))
    }
    assert theirs - made == set()
    assert found.folder.manifest()["status"] == "done"
    scenario = scenario_options(
        name=None, bounds=None, start=None, end=None, last=None, goal="max_response", carryover="plan"
    )
    plans = allocate(found.folder.path, scenario=scenario)
    contribution = found.folder.table("contributions").to_pandas()
    paid = contribution[contribution["role"] == "paid"]["contribution"].sum()
    assert plans.plans.ensemble.initial.total_response == pytest.approx(paid, rel=1e-9)
    view = load_run(found.folder)
    assert [model.model.candidate for model in view.models] == [found.candidate]


def test_an_imported_model_is_refreshed_and_leaves_again(tmp_path):
    spec = write_small(tmp_path, search__trials=1, scenarios=[], window__end="2023-11-27")
    run = run_spec(spec, runs=tmp_path / "runs")
    found = imported(write_tree(tmp_path, exported_tree(run, tmp_path)), tmp_path)
    overrides = ["search.trials=1", "search.iterations=40", "execution.backend=serial"]
    fresh = refresh(
        found.folder.path,
        data=str(tmp_path / "table.csv"),
        steps=2,
        overrides=overrides,
        runs=tmp_path / "runs",
    )
    assert str(fresh.spec().window.end) == "2023-12-11"
    assert fresh.spec().refresh.candidate == found.candidate
    again = exported_tree(fresh, tmp_path)
    back = imported(write_tree(tmp_path, again), tmp_path)
    assert back.comparison.worst.relative < 1e-9
    assert "decomp_rssd" in [d.name for d in back.comparison.differences]


def test_raw_data_of_the_file_is_written_where_the_spec_finds_it(tree, tmp_path):
    found = imported(write_tree(tmp_path, tree), tmp_path)
    spec = found.folder.spec()
    again = pd.read_csv(spec.data.path)
    assert again["sales"].tolist() == small_table()["sales"].tolist()
    assert spec.data.path.startswith(str(tmp_path / "back"))


def test_any_candidate_can_be_exported(small_run, tmp_path):
    spec = small_run.spec()
    problem = small_run.problem(spec, small_run.panel(spec))
    table = read_trials(small_run.path, 2)
    batch = batch_from_table(problem, table)
    row = 40
    tree = exported_tree(small_run, tmp_path, table["candidate"][row].as_py())
    coefs = {entry["variable"]: entry["coef"] for entry in tree["ExportedModel"]["summary"]}
    assert coefs["tv_cost"] == batch.coefs[row][problem.columns.index("tv")]
    assert tree["ExportedModel"]["select_model"] == [f"{table['candidate'][row].as_py()}_1"]


# ------------------------------------------------------------------------------------------------------ what is written


def test_names_and_numbers_of_an_exported_file(small_run, tree):
    inputs, exported = tree["InputCollect"], tree["ExportedModel"]
    assert inputs["paid_media_spends"] == ["tv_cost", "web_cost"]
    assert inputs["paid_media_vars"] == inputs["paid_media_selected"] == ["tv_cost", "web_clicks"]
    assert inputs["exposure_vars"] == ["web_clicks"]
    assert inputs["organic_vars"] == ["mails"]
    assert inputs["hyperparameters"]["web_clicks_thetas"] == [0, 0.8]
    assert inputs["rollingWindowStartWhich"] == [6]
    assert sorted(exported["hyper_values"]) == list(exported["hyper_values"])
    assert {"lambda", "train_size", "mails_alphas"} <= set(exported["hyper_values"])
    rows = {row["variable"]: row for row in exported["summary"]}
    assert next(iter(rows)) == "(Intercept)"
    panel = small_table().iloc[5:]
    tv = rows["tv_cost"]
    assert tv["performance"] == pytest.approx(tv["decompAgg"] / panel["tv_cost"].sum(), rel=1e-12)
    assert tv["mean_spend"] == pytest.approx(panel["tv_cost"].mean(), rel=1e-12)
    assert sum(row["decompPer"] for row in rows.values()) == pytest.approx(1, rel=1e-12)
    total = exported["performance"][0]
    assert total["performance"] == pytest.approx(total["response"] / total["spend"], rel=1e-12)
    scalars = [value for section in ("InputCollect", "ModelsCollect") for value in tree[section].values()]
    assert all(isinstance(value, (list, dict)) for value in scalars)


def test_the_spread_of_a_cluster_is_that_of_its_models(small_run, tree):
    clusters = small_run.table("clusters").to_pandas()
    best = small_run.selected()[0]
    own = clusters[clusters["cluster"] == clusters.set_index("candidate")["cluster"][best]]["candidate"]
    models = read_trials(small_run.path, 2).to_pandas().set_index("candidate").loc[own]
    assert len(models) >= 3
    rows = {row["variable"]: row for row in tree["ExportedModel"]["summary"]}
    for variable, channel in (("tv_cost", "tv"), ("web_clicks", "web")):
        row = rows[variable]
        assert row["boot_mean"] == pytest.approx(models[f"roas_{channel}"].mean(), rel=1e-12)
        assert (
            models[f"roas_{channel}"].min()
            <= row["ci_low"]
            <= row["ci_up"]
            <= models[f"roas_{channel}"].max()
        )
    assert tree["ExportedModel"]["clusters"]["data"][0]["n"] == len(own)


def test_lift_studies_leave_in_robyns_columns_and_come_back(tmp_path):
    studies = pd.DataFrame(
        {
            "channel": ["tv", "tv+web"],
            "start": ["2022-06-06", "2022-08-01"],
            "end": ["2022-07-03", "2022-08-28"],
            "estimate": [2000.0, 3000.0],
            "scope": ["immediate", "total"],
            "standard_error": [500.0, None],
        }
    )
    studies.to_csv(tmp_path / "studies.csv", index=False)
    calibration = {"path": "studies.csv", "convention": "robyn"}
    spec = write_small(tmp_path, search__trials=1, scenarios=[], calibration=calibration)
    run = run_spec(spec, runs=tmp_path / "runs")
    tree = exported_tree(run, tmp_path)
    rows = tree["InputCollect"]["calibration_input"]
    assert [row["channel"] for row in rows] == ["tv_cost", "tv_cost+web_cost"]
    assert [row["channel_selected"] for row in rows] == ["tv_cost", "tv_cost+web_clicks"]
    assert rows[0]["confidence"] == pytest.approx(0.99993666, abs=1e-8)  # four standard errors
    found = imported(write_tree(tmp_path, tree), tmp_path)
    assert found.comparison.worst.relative < 1e-9
    again = found.folder.studies(found.folder.spec(), found.folder.panel(found.folder.spec()))
    assert [r.channel for r in again.records] == ["tv", "tv+web"]
    assert again.records[0].study.standard_error == pytest.approx(500, rel=1e-6)


def test_what_r_will_not_do_alike_is_said(tmp_path):
    changes = {"search__solver": "exact", "search__penalty_scale": "log", "search__rssd_zero_penalty": False}
    spec = write_small(tmp_path, search__trials=1, scenarios=[], **changes)
    run = run_spec(spec, runs=tmp_path / "runs")
    exported = export_robyn(run.path, candidate=run.selected()[0], out=tmp_path / "m.json")
    told = " ".join(exported.notes)
    for words in ("glmnet stops", "log scale", "rssd_zero_penalty = FALSE"):
        assert words in told


def test_jsonlites_way_of_writing():
    tree = {"a": [1.0, 2.5], "b": [{"x": math.inf, "y": "ü"}], "c": {}, "d": [], "e": [math.nan]}
    text = pretty(tree)
    assert json.loads(text) == {"a": [1, 2.5], "b": [{"x": "Inf", "y": "ü"}], "c": {}, "d": [], "e": ["NA"]}
    assert '"a": [1, 2.5]' in text


@needs_r
def test_r_reads_the_file_and_writes_one_that_we_read(tree, tmp_path):
    # As robyn_read() does, and out again as robyn_write() does, with jsonlite's ten decimals.
    source, target = write_tree(tmp_path, tree), tmp_path / "RobynModel-from-r.json"
    script = f"""
    library(jsonlite)
    json <- read_json("{source}", simplifyVector = TRUE)
    inputs <- json$InputCollect[lapply(json$InputCollect, length) > 0]
    stopifnot(is.data.frame(json$ExportedModel$summary), is.data.frame(json$Extras$raw_data))
    stopifnot(identical(inputs$paid_media_vars, c("tv_cost", "web_clicks")))
    stopifnot(all(vapply(json$ExportedModel$hyper_values, is.numeric, TRUE)))
    stopifnot(all(inputs$all_media %in% sub("_[a-z]+$", "", names(inputs$hyperparameters))))
    stopifnot(length(inputs$hyperparameters$tv_cost_thetas) == 2)
    write_json(json, "{target}", pretty = TRUE, digits = 10)
    """
    done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = imported(target, tmp_path)
    assert found.comparison.worst.relative < 1e-7
    assert "robyn-agrees" in cases(found)


# ---------------------------------------------------------------------------------------------------- files that differ


def test_other_versions_lack_keys_and_lay_tables_out_otherwise(tree, tmp_path):
    exported = tree["ExportedModel"]
    rows = exported["summary"]
    by_column = {
        key: [row.get(key, "NA") for row in rows] for key in ("variable", "coef", "decompAgg", "decompPer")
    }
    models = tree.pop("ModelsCollect")
    for key in ("ts_validation", "intercept_sign"):  # where Robyn kept them before
        exported[key] = models[key][0]
    exported |= {"summary": by_column, "errors": exported["errors"][0], "hyper_updated": REMOVED}
    for key in (
        "paid_media_selected",
        "paid_media_signs",
        "exposure_vars",
        "all_media",
        "rollingWindowLength",
    ):
        tree["InputCollect"][key] = REMOVED
    tree["InputCollect"]["context_signs"] = REMOVED
    found = imported(write_tree(tmp_path, tree), tmp_path)
    assert found.comparison.worst.relative < 1e-9
    assert found.folder.spec().validation.time_series


def test_words_for_nothing_and_bare_values_are_read_alike(tree, tmp_path):
    inputs, exported = tree["InputCollect"], tree["ExportedModel"]
    inputs |= {"refreshChain": ["NA"], "refreshAddedStart": ["NA"], "refreshSourceID": {}, "unused_vars": {}}
    inputs |= {
        "custom_params": {},
        "calibration_input": ["NA"],
        "adstock": "Geometric",
        "organic_signs": "positive",
    }
    tree["ModelsCollect"] |= {"seed": ["NA"], "trials": [0], "iterations": "many", "ts_validation": ["TRUE"]}
    exported |= {
        "clusters": "NA",
        "hyper_values": [{k: str(v[0]) for k, v in exported["hyper_values"].items()}],
    }
    found = imported(write_tree(tmp_path, tree), tmp_path)
    assert found.comparison.worst.relative < 1e-9
    assert not {"robyn-refreshed", "robyn-studies-unused"} & set(cases(found))


def test_hyperparameters_under_the_name_of_the_spend_are_those_of_the_exposure(tree, tmp_path):
    exported = tree["ExportedModel"]
    for key in ("hyper_values", "hyper_updated"):
        exported[key] = {k.replace("web_clicks_", "web_cost_"): v for k, v in exported[key].items()}
    hyperparameters = tree["InputCollect"]["hyperparameters"]
    tree["InputCollect"]["hyperparameters"] = {
        k.replace("web_clicks_", "web_cost_"): v for k, v in hyperparameters.items()
    }
    found = imported(write_tree(tmp_path, tree), tmp_path)
    assert found.comparison.worst.relative < 1e-9
    assert not found.comparison.unmatched
    assert found.folder.spec().channels[1].exposure == "web_clicks"


def test_the_selected_column_of_a_channel_is_known_by_its_own_key(tree, tmp_path):
    path = write_tree(tmp_path, tree, InputCollect__paid_media_vars=["tv_cost", "web_cost"])
    found = imported(path, tmp_path)
    assert found.comparison.worst.relative < 1e-9
    assert not found.comparison.unmatched


def test_a_refreshed_model_is_compared_where_it_can_be(tree, tmp_path):
    inputs, exported = tree["InputCollect"], tree["ExportedModel"]
    run = imported(write_tree(tmp_path, tree), tmp_path)
    contributions = run.folder.table("contributions").to_pandas()
    start = pd.Timestamp("2023-11-06").date()
    fresh = contributions[contributions["date"] >= start].groupby("component")["contribution"].sum()
    inputs |= {"refreshAddedStart": ["2023-11-06"], "refreshSourceID": ["1_2_3"], "refreshChain": ["1_2_3"]}
    ours = {"tv_cost": "tv", "web_clicks": "web", "(Intercept)": "intercept"}
    for row in exported["summary"]:
        row["decompAgg"] = float(fresh[ours.get(row["variable"], row["variable"])])
    exported["errors"][0]["decomp.rssd"] = 0.001
    found = imported(write_tree(tmp_path, tree), tmp_path)
    assert found.comparison.worst.relative < 1e-9
    assert "decomp_rssd" not in [d.name for d in found.comparison.differences]
    assert "robyn-refreshed" in cases(found)


def test_numbers_that_do_not_belong_to_the_data_are_a_problem(tree, tmp_path):
    rows = tree["ExportedModel"]["summary"]
    tv = next(row for row in rows if row["variable"] == "tv_cost")
    tv["coef"] *= 1.001
    found = imported(write_tree(tmp_path, tree), tmp_path)
    finding = next(f for f in found.findings if f.case == "robyn-disagrees")
    assert finding.status == "problem"
    assert "coef of tv" in finding.details
    assert found.comparison.worst.relative == pytest.approx(0.001, rel=0.01)


def test_roas_over_all_rows_is_told_from_one_that_is_wrong_otherwise(tree, tmp_path):
    rows = {row["variable"]: row for row in tree["ExportedModel"]["summary"]}
    rows["tv_cost"]["performance"] = rows["tv_cost"]["decompAgg"] / small_table()["tv_cost"].sum()
    rows["web_clicks"]["performance"] *= 2
    found = imported(write_tree(tmp_path, tree), tmp_path)
    details = {f.case: f.details for f in found.findings}
    assert "tv" in details["robyn-performance-all-rows"]
    assert "web" in details["robyn-performance"]
    assert "robyn-agrees" in details


def test_more_rows_than_the_model_was_made_on_are_mentioned(tree, tmp_path):
    small_table().to_csv(tmp_path / "more.csv", index=False)
    path = write_tree(tmp_path, tree, InputCollect__totalObservations=[100])
    assert "robyn-other-rows" in cases(imported(path, tmp_path, data=str(tmp_path / "more.csv")))


def test_an_old_version_is_mentioned(tree, tmp_path):
    path = write_tree(tmp_path, tree, InputCollect__version=["Robyn (stable) v3.6.0 [R-4.1.0]"])
    assert "robyn-version" in cases(imported(path, tmp_path))


def test_an_end_between_two_dates_is_the_period_that_holds_it(tree, tmp_path):
    # Robyn writes the last day of the last period where no end was asked for; the next row came later.
    path = write_tree(
        tmp_path, tree, InputCollect__window_end=["2023-12-24"], InputCollect__rollingWindowLength=[98]
    )
    table = small_table()
    assert table["date"].iloc[-1] == "2023-12-25"
    table.iloc[:-1].to_csv(tmp_path / "shorter.csv", index=False)
    for data in (None, str(tmp_path / "shorter.csv")):
        window = imported(path, tmp_path, data=data).folder.spec().window
        assert (str(window.start), str(window.end)) == ("2022-02-07", "2023-12-18")


def test_studies_that_cannot_be_used_are_left_out(tree, tmp_path):
    one_week = {"liftStartDate": "2022-06-06", "liftEndDate": "2022-06-12", "liftAbs": 900, "spend": 1000}
    study = {
        "channel": "tv_cost",
        **one_week,
        "confidence": 0.9,
        "metric": "sales",
        "calibration_scope": "total",
    }
    path = write_tree(tmp_path, tree, InputCollect__calibration_input=[study])
    found = imported(path, tmp_path)
    assert found.folder.spec().calibration is None
    told = next(f for f in found.findings if f.case == "robyn-studies-unused")
    assert "calibration_input" in told.details


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ExportedModel": REMOVED}, ["ExportedModel", "robyn_write"]),
        ({"InputCollect": REMOVED}, ["not a model file of Robyn", "InputCollect"]),
        ({"InputCollect__adstock": ["hill"]}, ["InputCollect.adstock", "'hill'", "geometric"]),
        ({"InputCollect__dep_var": REMOVED}, ["InputCollect.dep_var", "missing"]),
        ({"InputCollect__dep_var_type": ["sales"]}, ["InputCollect.dep_var_type", "'sales'"]),
        ({"InputCollect__paid_media_spends": []}, ["paid_media_spends"]),
        ({"InputCollect__paid_media_vars": ["tv_cost"]}, ["paid_media_vars", "1 variables for 2 spends"]),
        ({"InputCollect__context_signs": ["odd", "default"]}, ["context_signs", "'odd'"]),
        ({"InputCollect__window_start": ["2020-01-06"]}, ["window_start", "2020-01-06", "2022-01-03"]),
        ({"InputCollect__window_end": ["2027-01-04"]}, ["window_end", "do not cover"]),
        ({"InputCollect__window_end": ["soon"]}, ["InputCollect.window_end", "'soon'"]),
        ({"InputCollect__rollingWindowLength": [50]}, ["50", "window of the model"]),
        ({"InputCollect__date_var": ["week"]}, ["'week'", "'ds'", "date"]),
        ({"InputCollect__paid_media_spends": ["tv_cost", "net_cost"]}, ["net_cost"]),
        ({"InputCollect__organic_vars": ["letters"]}, ["letters_alphas", "missing"]),
        ({"InputCollect__prophet_vars": ["holiday"], "InputCollect__prophet_country": ["XX"]}, ["'XX'", "--holidays"]),
        ({"InputCollect__prophet_vars": ["tide"]}, ["baseline.components"]),
        ({"ExportedModel__hyper_values__tv_cost_thetas": REMOVED}, ["tv_cost_thetas", "missing"]),
        ({"ExportedModel__hyper_values__tv_cost_thetas": [1.5]}, ["tv", "theta", "1.5"]),
        ({"ExportedModel__hyper_values__tv_cost_thetas": ["much"]}, ["tv_cost_thetas", "'much'"]),
        ({"ExportedModel__hyper_values__lambda": REMOVED}, ["hyper_values.lambda", "missing"]),
        ({"ExportedModel__hyper_values": REMOVED}, ["hyper_values", "missing"]),
        ({"ExportedModel__summary": []}, ["ExportedModel.summary", "missing"]),
        ({"ModelsCollect__intercept_sign": ["sometimes"]}, ["intercept_sign", "'sometimes'"]),
        ({"Extras": REMOVED}, ["Extras.raw_data", "--data"]),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused(changes, words, tree, tmp_path):
    path = write_tree(tmp_path, tree, **changes)
    before = files_below(tmp_path)
    with pytest.raises(UserError) as refusal:
        imported(path, tmp_path)
    for word in (path.name, *words):
        assert word in str(refusal.value)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "not valid JSON"),
        ("[1, 2]", "not a model file of Robyn"),
        ('{"name": "x"}', "InputCollect"),
        ('{"InputCollect": {}, "ModelsCollect": {}}', "models, but the numbers of none"),
        ('{"InputCollect": {}}', "inputs only"),
    ],
)
def test_other_files_are_told_apart(text, words, tmp_path, capsys):
    path = tmp_path / "RobynModel-inputs.json"
    path.write_text(text, encoding="utf-8")
    ended = mmm(capsys, "import-robyn", path, "--runs", tmp_path / "runs")
    assert words in ended.refusal
    assert str(path) in ended.refusal
    assert not (tmp_path / "runs").exists()


def test_a_missing_file_and_a_missing_table(tree, tmp_path):
    with pytest.raises(UserError, match="no such file"):
        imported(tmp_path / "none.json", tmp_path)
    with pytest.raises(UserError, match="no such file"):
        imported(write_tree(tmp_path, tree), tmp_path, data=str(tmp_path / "none.csv"))


def test_a_baseline_must_have_the_columns_and_all_dates(tree, tmp_path):
    tree["InputCollect"] |= {"prophet_vars": ["trend"], "prophet_country": ["DE"]}
    path = write_tree(tmp_path, tree)
    table = small_table()
    for columns, words in (
        ({"ds": table["date"], "season": 1.0}, "'trend'"),
        ({"ds": table["date"][:-1], "trend": 1.0, "event": 0.0}, "2023-12-25"),
        ({"day": table["date"], "trend": 1.0}, "'ds'"),
    ):
        pd.DataFrame(columns).to_csv(tmp_path / "base.csv", index=False)
        with pytest.raises(UserError, match=words):
            imported(path, tmp_path, baseline=str(tmp_path / "base.csv"))


def test_a_baseline_for_a_model_without_one_is_refused(tree, tmp_path):
    small_table().to_csv(tmp_path / "base.csv", index=False)
    with pytest.raises(UserError, match="leave --baseline out"):
        imported(write_tree(tmp_path, tree), tmp_path, baseline=str(tmp_path / "base.csv"))


def test_an_unknown_candidate_and_a_wrong_ending(small_run, tmp_path):
    with pytest.raises(UserError, match="no candidate '9_9' among its 180"):
        export_robyn(small_run.path, candidate="9_9", out=tmp_path / "x.json")
    with pytest.raises(UserError, match=r"end in \.json"):
        export_robyn(small_run.path, candidate=small_run.selected()[0], out=tmp_path / "x.txt")
    assert not (tmp_path / "x.json").exists()


# --------------------------------------------------------------------------------------------------------- command line


def test_the_commands_say_what_they_made(small_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    candidate = small_run.selected()[0]
    done = mmm(capsys, "export-robyn", small_run.path)
    assert done.status == 0
    assert done.out.endswith(f"model: RobynModel-{candidate}_1.json\n")
    quick = ["--set", "bootstrap.refits=0", "--set", "tracking.enabled=false"]
    file = f"RobynModel-{candidate}_1.json"
    shown = mmm(capsys, "import-robyn", file, "--runs", "back", "-q", *quick)
    assert shown.status == 0
    assert f"model {candidate}_1: the same here" in shown.out
    told = mmm(capsys, "import-robyn", file, "--runs", "back", "--json", *quick)
    record = json.loads(told.out)
    assert record["agrees"] is True
    assert record["largest_relative_difference"] < 1e-9
    assert (tmp_path / record["run_folder"] / "robyn.json").is_file()
    assert {"quantity", "name", "theirs", "ours", "relative"} == set(record["differences"][0])


# --------------------------------------------------------------------------------------------------------------- pieces


@pytest.mark.parametrize(
    ("spends", "taken", "expected"),
    [
        (["tv_S", "search_S"], [], ["tv", "search"]),
        (["tv_spend", "web_cost", "radio"], [], ["tv", "web", "radio"]),
        (["tv_S", "tv_spend"], [], ["tv_S", "tv_spend"]),
        (["tv_S", "tv"], [], ["tv_S", "tv"]),
        (["trend_S", "events_S"], ["trend", "events"], ["trend_S", "events_S"]),
        (["date_S", "intercept_S"], [], ["date_S", "intercept_S"]),
        (["_S"], [], ["_S"]),
    ],
)
def test_channels_are_named_without_what_only_says_money(spends, taken, expected):
    assert names.channel_names(spends, taken) == expected


def test_versions_places_and_names():
    assert names.version_of("Robyn (stable) v3.11.1 [R-4.4.0]") == (3, 11, 1)
    assert names.version_of("Robyn (dev) v3.11.1.9007 [R-4.4.0]") == (3, 11, 1, 9007)
    assert names.version_of("unknown") is None
    assert names.place_of("3_165_9") == (3, 165)
    assert names.place_of("mine") == (1, 1)
    assert names.solution_of("3_120") == "3_120_1"
    assert names.prophet_setting("changepoint.prior.scale") == "changepoint_prior_scale"
    assert names.prophet_argument("n_changepoints") == "n.changepoints"
    assert names.prophet_setting("fit") is None


def test_values_as_r_writes_them():
    assert unboxed([1]) == unboxed(1) == 1
    assert unboxed([]) is None
    assert unboxed({}) is None
    assert math.isnan(number(["NA"]))
    assert number("Inf") == math.inf
    assert number(["1e5"]) == 1e5
    with pytest.raises(ValueError, match="not a number"):
        number(True)
    assert records({"a": [1, 2], "b": "x"}) == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]
    assert records([{"a": 1}]) == [{"a": 1}]
    assert records({}) == records(None) == []


def test_what_ten_decimals_leave_open_is_no_difference():
    assert relative_difference(0.1234567891, 0.12345678914) == 0
    assert relative_difference(0.0, 1e-12) == 0
    assert relative_difference(2.0, 1.0) == pytest.approx(0.5)
    assert relative_difference(0.0, 3.0) == pytest.approx(1.0)
    assert relative_difference(math.nan, math.nan) == 0
    assert relative_difference(math.nan, 1.0) == math.inf


def test_custom_params_become_settings_of_prophet(tree, tmp_path):
    settings = {"changepoint.prior.scale": [0.1], "yearly_seasonality": [True], "robyn_only": [1]}
    tree["InputCollect"] |= {"prophet_vars": ["trend"], "custom_params": settings}
    model = read_model(write_tree(tmp_path, tree))
    assert model.inputs.settings == {
        "changepoint.prior.scale": 0.1,
        "yearly_seasonality": True,
        "robyn_only": 1,
    }
