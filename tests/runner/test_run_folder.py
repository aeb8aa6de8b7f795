"""A run folder is complete, reads back to the same numbers, and says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from mmm_core.decomposition import decompose
from mmm_core.errors import UserError
from runner.commands.resume import run as resume
from runner.commands.run import run
from runner.dataset import load_panel
from runner.journal import batch_from_table, read_trials
from runner.latest import find_run
from runner.problem import build_problem
from runner.run_folder import RunFolder, check_runs
from runner.spec import load_spec
from runner.tables import read_table, to_plain, write_atomically, write_json, write_table
from tests.runner.small import write_small


def test_everything_a_run_leaves_stands_in_its_place(small_run):
    names = {str(path.relative_to(small_run.path)) for path in small_run.path.rglob("*") if path.is_file()}
    models = {f"models/{candidate}.json" for candidate in small_run.selected()}
    plans = {
        f"scenarios/{scenario}/{name}.parquet"
        for scenario in ("same-budget", "more", "out-of-reach")
        for name in (*small_run.selected(), "ensemble")
    }
    tables = "clusters contributions convergence intervals pareto response_curves"
    expected = {
        *(f"{name}.parquet" for name in tables.split()),
        *(f"{name}.json" for name in ("findings", "manifest", "summary", "timings")),
        *("spec.yaml", "inputs/panel.parquet", "inputs/design.parquet", "inputs/findings.json"),
        *("candidates/trial-01.parquet", "candidates/trial-02.parquet"),
    }
    assert names == expected | models | plans


def test_the_name_of_a_run_tells_experiment_time_and_digest(small_run):
    spec = small_run.spec()
    name, stamp, digest = small_run.run_id.rsplit("-", 2)
    assert (name, digest) == ("small", spec.digest[:8])
    assert len(stamp) == len("20240129T093000Z")
    assert small_run.manifest()["run_id"] == small_run.run_id


def test_manifest_and_timings_tell_the_stages(small_run):
    manifest = small_run.manifest()
    stages = ["read", "baseline", "search", "select", "refits", "plans", "report"]
    assert {stage: entry["status"] for stage, entry in manifest["stages"].items()} == dict.fromkeys(
        stages, "done"
    )
    assert manifest["status"] == "done"
    assert manifest["seed"] == 7
    assert manifest["versions"]["numpy"] == np.__version__
    timings = small_run.json("timings")
    assert sorted(timings["stages"]) == sorted(stages)
    assert timings["total"] >= max(timings["stages"].values())


def test_no_table_tells_when_where_or_by_whom_it_was_made(small_run):
    words = (small_run.run_id.encode(), str(small_run.path.parent).encode())
    for path in small_run.path.rglob("*.parquet"):
        content = path.read_bytes()
        assert not any(word in content for word in words), path
        assert read_table(path).schema.metadata is None, path


def test_the_run_rebuilds_its_problem_without_the_original_table(small_run):
    spec = load_spec(small_run.path.parents[1] / "spec.yaml")
    problem, _ = build_problem(spec, load_panel(spec))
    (small_run.path.parents[1] / "table.csv").unlink()
    own = small_run.spec()
    rebuilt = small_run.problem(own, small_run.panel(own))
    assert rebuilt.digest == problem.digest == small_run.manifest()["problem_digest"]
    assert small_run.panel(own).digest == small_run.manifest()["data_digest"]


def test_models_are_their_candidates_to_the_last_bit(small_run):
    spec = small_run.spec()
    problem = small_run.problem(spec, small_run.panel(spec))
    table = read_trials(small_run.path, spec.search.trials)
    batch = batch_from_table(problem, table)
    labels = table["candidate"].to_pylist()
    for model in small_run.models():
        row = labels.index(model.candidate)
        assert model.hyperparameters.tobytes() == batch.hyperparameters[row].tobytes()
        assert model.coefs.tobytes() == batch.coefs[row].tobytes()
        contributions = decompose(problem, model).contributions.sum(axis=1)
        np.testing.assert_allclose(contributions, batch.contributions[row], rtol=1e-12)


def test_the_summary_is_made_of_the_tables(small_run):
    summary = small_run.json("summary")
    pareto = {row["candidate"]: row for row in small_run.table("pareto").to_pylist()}
    assert [model["candidate"] for model in summary["selected"]] == small_run.selected()
    for model in summary["selected"]:
        assert model["nrmse"] == pareto[model["candidate"]]["nrmse"]
        assert sorted(model["roas"]) == ["tv", "web"]
    scores = [model["error_score"] for model in summary["selected"]]
    assert scores == sorted(scores)
    plan = summary["plans"]["same-budget"]["ensemble"]
    rows = small_run.table("scenarios/same-budget/ensemble").to_pylist()
    assert plan["status"] == "solved"
    assert plan["optimised_response"] == pytest.approx(
        sum(row["optimised_response"] for row in rows), rel=1e-12
    )
    assert summary["plans"]["out-of-reach"]["ensemble"]["status"] == "infeasible"
    assert summary["candidates"] == 180


def test_an_infeasible_scenario_is_one_finding(small_run):
    plans = [f for f in small_run.json("findings") if f["case"] == "plan-infeasible"]
    assert len(plans) == 1
    assert plans[0]["details"].startswith(
        "Scenario out-of-reach, the ensemble and every model: infeasible: a ROAS of 1,000 is out of reach"
    )


def test_the_spec_of_the_run_says_everything(small_run):
    tree = yaml.safe_load((small_run.path / "spec.yaml").read_text())
    assert tree == small_run.spec().resolved()
    assert tree["search"]["batch_size"] == 30


# ------------------------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    "name", ["manifest.json", "spec.yaml", "inputs/panel.parquet", "inputs/design.parquet"]
)
def test_a_folder_without_its_essentials_is_no_run(small_run, name):
    (small_run.path / name).unlink()
    with pytest.raises(UserError, match=f"not a run folder, {name} is missing"):
        RunFolder.open(small_run.path)


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_a_damaged_manifest_is_told(small_run, content):
    (small_run.path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest.json is damaged; run the experiment again"):
        RunFolder.open(small_run.path)


def test_a_run_of_another_format_is_told(small_run):
    small_run.write_manifest({**small_run.manifest(), "format": 99})
    with pytest.raises(UserError, match="made in format 99, this version reads format 1"):
        RunFolder.open(small_run.path)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("inputs/panel.parquet", lambda run: run.panel(run.spec())),
        ("clusters.parquet", lambda run: run.models()),
        ("spec.yaml", lambda run: run.spec()),
    ],
)
def test_damaged_files_are_told(small_run, name, use):
    (small_run.path / name).write_bytes(b"PAR1\x80broken")
    with pytest.raises(UserError, match=name):
        use(small_run)


def test_missing_tables_and_models_are_told(small_run):
    candidate = small_run.selected()[0]
    (small_run.path / "models" / f"{candidate}.json").unlink()
    with pytest.raises(
        UserError, match=f"{candidate}.json: the run has no such model; its stage did not finish"
    ):
        small_run.models()
    (small_run.path / "clusters.parquet").unlink()
    with pytest.raises(UserError, match=r"the run has no clusters.parquet; its stage did not finish"):
        small_run.models()


# --------------------------------------------------------------------------------------------------------- find, make


def later(small_run: RunFolder, stamp: str, **manifest) -> Path:
    """A copy of a run under another time."""
    name, _, digest = small_run.run_id.rsplit("-", 2)
    path = small_run.path.with_name(f"{name}-{stamp}-{manifest.pop('digest', digest)}")
    path.mkdir()
    write_json(path / "manifest.json", {**small_run.manifest(), **manifest})
    for name in ("spec.yaml", "inputs/panel.parquet", "inputs/design.parquet"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes((small_run.path / name).read_bytes())
    return path


def test_a_spec_means_its_newest_finished_run(small_run):
    spec, runs = small_run.path.parents[1] / "spec.yaml", small_run.path.parent
    assert find_run(spec, runs).path == small_run.path
    newer = later(small_run, "29990101T000000Z")
    later(small_run, "29990102T000000Z", status="failed")
    later(small_run, "29990103T000000Z", digest="00000000")
    (runs / "small-notes").mkdir()
    assert find_run(spec, runs).path == newer
    assert find_run(small_run.path).path == small_run.path


def test_a_spec_whose_curves_became_ranges_means_its_runs_too(tmp_path, monkeypatch):
    spend = np.linspace(0, 3000, 12)
    write_table(
        tmp_path / "curves.parquet", pa.table({"spend": spend, "response": 1e5 * spend / (spend + 900)})
    )
    entry = {"path": "curves.parquet", "channel": "tv", "spend": "spend", "response": "response"}
    spec = write_small(tmp_path, curves=[entry], search={"trials": 1, "iterations": 60}, bootstrap__refits=0)
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)
    folder = run(spec, runs=tmp_path / "runs")
    assert find_run(spec, tmp_path / "runs").path == folder.path
    folder.write_manifest({**folder.manifest(), "status": "interrupted"})
    assert resume(spec, runs=tmp_path / "runs").path == folder.path


def test_a_spec_without_a_finished_run_is_told_what_there_is(small_run, tmp_path):
    spec, runs = small_run.path.parents[1] / "spec.yaml", small_run.path.parent
    with pytest.raises(
        UserError, match=f"no run of exactly this spec in {tmp_path / 'none'}; start one with: mmm run"
    ):
        find_run(spec, tmp_path / "none")
    spec.write_text(spec.read_text().replace("seed: 7", "seed: 8"))
    with pytest.raises(
        UserError, match=f"the newest with other settings is {small_run.path}, give that folder"
    ):
        find_run(spec, runs)
    spec.write_text(spec.read_text().replace("seed: 8", "seed: 7"))
    small_run.set_status("running")
    with pytest.raises(
        UserError, match=r"the run of .*spec.yaml did not finish; go on with it first: mmm resume"
    ):
        find_run(spec, runs)


def test_a_place_for_runs_is_checked_before_anything_else(tmp_path):
    check_runs(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    for runs in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(UserError, match=f"{tmp_path / 'file'} is not a directory; choose another --runs"):
            check_runs(runs)


# ------------------------------------------------------------------------------------------------------------- tables


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "table.txt"
    write_atomically(path, lambda p: p.write_text("first") and None)

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o044 == 0o044  # readable for the team


def test_equal_tables_are_equal_files(tmp_path, small_run):
    table = small_run.table("pareto")
    write_table(tmp_path / "a.parquet", table)
    write_table(tmp_path / "b.parquet", table.replace_schema_metadata({"made": "today"}))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_json_has_no_numbers_that_json_lacks(tmp_path):
    value = {
        "a": np.float64("nan"),
        "b": [np.inf, np.int64(3)],
        "c": np.array([1.5]),
        "d": np.datetime64("2024-01-29"),
    }
    write_json(tmp_path / "x.json", value)
    read = json.loads((tmp_path / "x.json").read_text())
    assert read == {"a": None, "b": [None, 3], "c": [1.5], "d": "2024-01-29"}
    assert to_plain({1: True, "none": None}) == {"1": True, "none": None}
