"""``mmm refresh`` from a run to its refresh and on: one line of runs, each complete in itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmm_core.errors import UserError
from runner.bi.writing import star
from runner.commands.refresh import run as refresh
from runner.commands.run import run
from runner.reports import theme
from runner.reports.data import load_run
from runner.reports.moved import moved_section
from runner.reports.words import say
from runner.run_folder import RunFolder
from runner.spec import apply_override, decode
from runner.tracking.contents import read_contents
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mirror import mirror
from tests.runner.command import files_below, mmm
from tests.runner.small import small_table, write_small
from tests.runner.test_orchestrate import assert_same, results

OLD, THEN, NOW = 92, 98, 104
QUICK = ("search.iterations=60", "search.trials=1")


@pytest.fixture(scope="module", autouse=True)
def without_pictures():
    """Pictures take most of a small run's time, and have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.orchestrate.write_report", lambda folder: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run on 92 weeks, and the tables of later weeks beside it; one row of the last was restated."""
    folder = tmp_path_factory.mktemp("refresh")
    table = small_table()
    spec = write_small(folder, table.iloc[:OLD], search={"trials": 1, "iterations": 60, "seed": 7})
    table.iloc[:THEN].to_csv(folder / "then.csv", index=False)
    table.loc[70, "sales"] += 500
    table.to_csv(folder / "now.csv", index=False)
    run(spec, runs=folder / "runs")
    return folder


@pytest.fixture(scope="module")
def first(folder) -> RunFolder:
    return RunFolder(next((folder / "runs").iterdir()))


@pytest.fixture(scope="module")
def second(folder, first) -> RunFolder:
    return refresh(first.path, data=str(folder / "then.csv"), overrides=QUICK, runs=folder / "then")


@pytest.fixture(scope="module")
def third(folder, second) -> RunFolder:
    return refresh(second.path, data=str(folder / "now.csv"), overrides=QUICK, runs=folder / "now")


def test_a_refresh_of_a_refresh_knows_the_whole_line(first, second, third):
    facts = third.spec().refresh.facts
    assert facts == {
        "run": second.run_id,
        "candidate": second.selected()[0],
        "depth": 2,
        "lineage": [first.run_id, second.run_id],
        "periods": 6,
    }
    assert third.manifest()["refresh"] == third.json("summary")["refresh"] == facts
    assert "refresh" not in first.manifest()
    assert "refresh" not in first.json("summary")
    windows = [f.json(f"models/{f.selected()[0]}")["window"] for f in (first, second, third)]
    assert [w["periods"] for w in windows] == [87, 87, 87]
    assert [w["end"] for w in windows] == ["2023-10-02", "2023-11-13", "2023-12-25"]
    # Ranges are narrowed from those of the first run every time.
    bounds = third.spec().refresh.bounds
    assert bounds["tv_theta"] == (0.0, 0.8)
    low, high = third.spec().hyperparameters["tv"]["theta"]
    assert high - low <= 0.4 * 0.8 + 1e-12


def test_one_model_is_selected_and_the_model_before_is_asked_first(second):
    assert len(second.selected()) == 1
    spec = second.spec()
    asked = second.table("candidates/trial-01").to_pylist()[0]
    point = spec.search.start[0]
    for name, value in point.items():
        assert asked[name] == pytest.approx(value, rel=1e-8, abs=1e-8)


def test_the_winner_has_the_best_score_of_the_fronts(second):
    spec = second.spec()
    problem = second.problem(spec, second.panel(spec))
    assert problem.digest == second.manifest()["problem_digest"]
    clusters = {row["candidate"]: row["is_selected"] for row in second.table("clusters").to_pylist()}
    assert sum(clusters.values()) == 1
    assert clusters[second.selected()[0]]


def test_what_moved_is_beside_the_models_and_among_the_findings(first, third, second):
    rows = {(r["component"], r["quantity"]): r for r in third.table("refresh").to_pylist()}
    before, after = second.json(f"models/{second.selected()[0]}"), third.json(f"models/{third.selected()[0]}")
    for at, channel in enumerate(("tv", "web")):
        row = rows[channel, "roas"]
        assert row["previous"] == pytest.approx(before["channels"][at]["roas"], rel=1e-12)
        assert row["new"] == pytest.approx(after["channels"][at]["roas"], rel=1e-12)
        assert row["new_lower"] == after["channels"][at]["lower"]
        assert row["previous_lower"] == pytest.approx(before["channels"][at]["lower"], rel=1e-9)
    shares = {c["name"]: c["share"] for c in after["components"]}
    assert rows["intercept", "share"]["new"] == pytest.approx(shares["intercept"], rel=1e-12)
    cases = [finding["case"] for finding in third.json("findings")]
    assert cases.count("refresh-moved") + cases.count("refresh-switched") == 2
    restated = next(f for f in third.json("findings") if f["case"] == "restated-rows")
    assert restated["details"].startswith(
        "1 of the 98 rows of the run were restated, 1 of them in its window"
    )


def test_a_refresh_gives_the_same_bytes_again(folder, first, second, tmp_path):
    again = refresh(first.path, data=str(folder / "then.csv"), overrides=QUICK, runs=tmp_path)
    assert_same(results(again), results(second))


def test_its_folder_alone_makes_the_run_again(third, tmp_path):
    moved = tmp_path / "elsewhere" / third.run_id
    shutil.copytree(third.path, moved)
    shutil.copy(third.spec().data.path, tmp_path / "data.csv")
    again = run(moved / "spec.yaml", data=str(tmp_path / "data.csv"), runs=tmp_path / "again")
    found, expected = results(again), results(third)
    # That rows were restated only the table before could tell.
    for files in (found, expected):
        findings = json.loads(files.pop("findings.json"))
        files["findings"] = json.dumps([f for f in findings if f["case"] != "restated-rows"]).encode()
    assert_same(found, expected)
    assert again.spec().digest == third.spec().digest


def test_a_model_can_be_chosen_and_its_window_left_to_grow(folder, first):
    candidate = first.selected()[-1]
    flags = {"candidate": candidate, "grow": True, "steps": 2, "robyn": True, "runs": folder / "other"}
    found = refresh(first.path, data=str(folder / "now.csv"), overrides=QUICK, **flags)
    spec = found.spec()
    assert (spec.refresh.candidate, spec.refresh.periods, spec.refresh.winner) == (candidate, 2, "closest")
    assert (str(spec.window.start), str(spec.window.end)) == ("2022-02-07", "2023-10-16")
    assert spec.refresh.freedom == pytest.approx(2 / 89)
    losses = found.table("pareto")["decomp_rssd"].to_numpy()
    chosen = found.selected()[0]
    assert found.json(f"models/{chosen}")["losses"]["decomp_rssd"] == losses.min()


def test_a_run_without_intervals_is_refreshed_by_errors_of_its_own(folder, tmp_path):
    table = small_table()
    spec = write_small(
        tmp_path, table.iloc[:OLD], search={"trials": 1, "iterations": 60}, bootstrap={"refits": 0}
    )
    before = run(spec, runs=tmp_path / "runs")
    found = refresh(before.path, data=str(folder / "then.csv"), overrides=QUICK, runs=tmp_path / "runs")
    known = found.spec().refresh.previous
    assert all(known.media[name].standard_error > 0 for name in ("tv", "web"))
    row = next(r for r in found.table("refresh").to_pylist() if r["quantity"] == "roas")
    assert row["previous_upper"] > row["previous_lower"]
    assert row["new_lower"] is None


def test_the_page_shows_what_moved(third):
    data = load_run(third)
    section = moved_section(data)
    assert "The line of runs:" in section
    assert third.spec().refresh.run in section
    row = next(r for r in third.table("refresh").to_pylist() if r["quantity"] == "roas")
    assert theme.number(row["previous"]) in section
    table = dict(star(data))["refresh"]
    assert table.column_names[1:5] == ["component", "role", "quantity", "previous"]
    assert say("table.refresh")


# ------------------------------------------------------------------------------------------------------------- tracking


def test_a_refresh_is_shown_below_the_run_before_it(first, second, third):
    tracker = MemoryTracker()
    for run_folder in (first, second, third):
        mirror(run_folder, tracker)
    of = {run.tags["mmm.run_id"]: run for run in tracker.find({"mmm.kind": "run"})}
    assert of[third.run_id].tags["mlflow.parentRunId"] == of[second.run_id].handle
    assert of[second.run_id].tags["mlflow.parentRunId"] == of[first.run_id].handle
    assert "mlflow.parentRunId" not in of[first.run_id].tags
    assert of[third.run_id].tags["lineage"] == f"{first.run_id} > {second.run_id}"
    assert [run.tags["depth"] for run in tracker.find({"parent_run": second.run_id})] == ["2"]
    again = mirror(third, tracker)
    assert (again.written, again.renewed, again.deleted) == ((), (), 0)


def test_a_run_that_is_tracked_after_its_refresh_is_found_the_next_time(first, second):
    tracker = MemoryTracker()
    mirror(second, tracker)
    assert "mlflow.parentRunId" not in tracker.find({"mmm.run_id": second.run_id, "mmm.kind": "run"})[0].tags
    mirror(first, tracker)
    assert mirror(second, tracker).written == ()
    child, parent = (tracker.find({"mmm.run_id": f.run_id, "mmm.kind": "run"})[0] for f in (second, first))
    assert child.tags["mlflow.parentRunId"] == parent.handle


def test_the_hundred_numbers_of_the_model_before_are_no_parameters(second):
    params = read_contents(second)[0].params
    assert params["refresh.run"] == second.spec().refresh.run
    assert not [name for name in params if name.startswith(("refresh.previous", "refresh.bounds"))]


@pytest.mark.integration
def test_the_line_of_runs_stands_in_a_real_store(first, second, tmp_path):
    from runner.tracking.mirror import mirror_to

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for run_folder in (first, second, second):
        told = mirror_to(run_folder, store)
    assert (told.written, told.renewed) == ((), ())
    from mlflow import MlflowClient

    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("small").experiment_id
    found = client.search_runs([experiment], f"tags.parent_run = '{first.run_id}'")
    assert [(r.data.tags["depth"], r.data.tags["lineage"]) for r in found] == [("1", first.run_id)]
    parent = client.get_run(found[0].data.tags["mlflow.parentRunId"])
    assert parent.data.tags["mmm.run_id"] == first.run_id


# --------------------------------------------------------------------------------------------------------- command line


def test_the_command_prints_what_moved(folder, first, capsys):
    words = ["refresh", first.path, "--data", folder / "then.csv", "--runs", folder / "command", "--quiet"]
    words += ["--set", QUICK[0], "--set", QUICK[1]]
    ended = mmm(capsys, *words)
    assert ended.status == 0, ended.err
    assert f"Refresh 1 with 6 new periods, model {first.selected()[0]} of {first.run_id}" in ended.out
    told = json.loads(mmm(capsys, *words, "--json").out)
    assert told["refresh"]["run"] == first.run_id
    assert {row["component"] for row in told["moved"] if row["quantity"] == "roas"} == {"tv", "web"}


def gap(table):
    return table.drop(index=95)


def renamed(table):
    return table.rename(columns={"web_cost": "web_spend"})


@pytest.mark.parametrize(
    ("make", "flags", "message"),
    [
        (lambda t: t.iloc[:OLD], (), "there is no row after 2023-10-02, where the window of the run ends"),
        (lambda t: t.iloc[2:], (), "the row of 2022-01-03 and 1 more of the run's table is missing"),
        (gap, (), "a gap: 2023-10-23 is followed by 2023-11-06"),
        (renamed, (), "there is no column 'web_cost'"),
        (lambda t: small_table(OLD + 87), (), "87 new rows for a window of 87"),
        (lambda t: t, ("--steps", "13"), "--steps 13, but only 12 rows follow the window of the run"),
        (lambda t: t, ("--candidate", "9_9"), "'9_9' is not a selected model"),
        (lambda t: t, ("--bounds-freedom", "0"), "--bounds-freedom 0: expected a part of the first ranges"),
        (lambda t: t, ("--set", "search.iterations=0"), "search.iterations"),
    ],
)
def test_what_cannot_be_refreshed_is_refused_in_a_sentence(make, flags, message, first, tmp_path, capsys):
    make(small_table()).to_csv(tmp_path / "new.csv", index=False)
    words = ["refresh", first.path, "--data", tmp_path / "new.csv", "--runs", tmp_path / "runs", *flags]
    assert message in mmm(capsys, *words).refusal
    assert files_below(tmp_path) == {"new.csv"}


def test_a_run_that_did_not_finish_is_not_refreshed(first, folder, tmp_path):
    broken = RunFolder(tmp_path / first.run_id)
    shutil.copytree(first.path, broken.path)
    broken.set_status("interrupted")
    with pytest.raises(UserError, match=r"the run did not finish; go on with it first: mmm resume"):
        refresh(broken.path, data=str(folder / "then.csv"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("refresh.lineage=[other]", "the last run is 'other'"),
        ("refresh.previous.components={}", "refresh.previous: components: the intercept is missing"),
        ("refresh.freedom=2", "refresh.freedom: "),
        ("refresh.previous.end=2001-01-01", "swap them"),
    ],
)
def test_a_damaged_section_is_refused(override, message, second):
    tree = second.spec().resolved()
    apply_override(tree, override)
    with pytest.raises(UserError, match=message):
        decode(tree, "spec.yaml")


def test_all_numbers_of_the_model_before_survive_the_file(second, first):
    known = second.spec().refresh.previous
    record = first.json(f"models/{first.selected()[0]}")
    assert known.hyperparameters == record["hyperparameters"]
    assert known.penalty == record["lambda"]
    assert {name: c.coef for name, c in known.components.items() if name != "intercept"} == record[
        "coefficients"
    ]
    brought = [known.components[c["name"]].contribution for c in record["components"]]
    np.testing.assert_allclose(brought, [c["contribution"] for c in record["components"]], rtol=1e-12)
