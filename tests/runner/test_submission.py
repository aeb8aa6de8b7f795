"""A run as a job: what travels is what is needed, and says on the cluster what it says here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster.jobs import OUTPUT, Job
from mmm_core.errors import UserError
from runner.cli.status import line
from runner.commands import submit
from runner.portfolio import load_portfolio
from runner.spec import ExperimentSpec, load_spec
from runner.submission import job_of, portfolio_job_of
from tests.runner.command import mmm
from tests.runner.portfolio_files import market_table, write_portfolio
from tests.runner.small import write_small


def unpacked(job: Job, folder: Path) -> ExperimentSpec:
    """The spec as the cluster will read it."""
    for name, source in job.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return load_spec(folder / "spec.yaml")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    for name in ("here", "package"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_spec_and_table_travel_and_mean_the_same(scratch: Path) -> None:
    spec = load_spec(write_small(scratch / "here"), overrides=["search.iterations=77", "name=größe 1"])
    job = job_of(spec, scratch)
    assert job.command[3:6] == ("run", "spec.yaml", "--runs")
    assert OUTPUT in job.command
    assert sorted(job.files) == ["files/0-table.csv", "spec.yaml"]
    there = unpacked(job, scratch / "package")
    assert there.digest == spec.digest
    assert there.search.iterations == 77
    assert (there.execution.backend, there.execution.address) == ("ray", "auto")
    assert there.data.path == str(scratch / "package" / "files" / "0-table.csv")
    assert str(scratch / "here") not in (scratch / "package" / "spec.yaml").read_text()


def test_tables_of_every_kind_travel(scratch: Path) -> None:
    here = scratch / "here"
    parts = here / "parts"
    parts.mkdir()
    (parts / "1.parquet").touch()
    for name in ("lift.csv", "curve.csv"):
        (here / name).touch()
    run = here / "runs" / "earlier"
    for name in ("models", "report", "candidates", "inputs"):
        (run / name).mkdir(parents=True)
    for name in ("manifest.json", "spec.yaml", "clusters.parquet", "models/1_1.json", "report/index.html"):
        (run / name).touch()
    changes: dict[str, Any] = {
        "data__path": "parts",
        "calibration": "lift.csv",
        "search__warm_start": "runs/earlier",
        "curves": [{"channel": "tv", "path": "curve.csv", "spend": "a", "response": "b"}],
    }
    job = job_of(load_spec(write_small(here, **changes)), scratch)
    unpacked(job, scratch / "package")
    found = {str(p.relative_to(scratch / "package")) for p in (scratch / "package").rglob("*") if p.is_file()}
    assert found == {
        "spec.yaml",
        "files/0-parts/1.parquet",
        "files/1-lift.csv",
        "files/2-earlier/manifest.json",
        "files/2-earlier/spec.yaml",
        "files/2-earlier/clusters.parquet",
        "files/2-earlier/models/1_1.json",
        "files/3-curve.csv",
    }


def test_a_table_behind_a_uri_stays_where_it_is(scratch: Path) -> None:
    spec = load_spec(write_small(scratch / "here"), data="s3://bucket/table.parquet")
    job = job_of(spec, scratch, output="s3://bucket/runs")
    assert list(job.files) == ["spec.yaml"]
    assert job.output == "s3://bucket/runs"
    assert unpacked(job, scratch / "package").data.path == "s3://bucket/table.parquet"


@pytest.mark.parametrize(
    ("uri", "is_on"),
    [
        (None, False),
        ("sqlite:///here.db", False),
        ("http://tracking:5000", True),
        ("postgresql://db/mlflow", True),
    ],
)
def test_tracking_travels_to_a_store_that_the_cluster_can_reach(
    scratch: Path, uri: str | None, is_on: bool
) -> None:
    spec = load_spec(write_small(scratch / "here", tracking={"uri": uri}))
    assert ("tracking.enabled=false" not in job_of(spec, scratch).command) == is_on


def test_what_is_not_there_is_told_before_anything_is_sent(
    scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_small(scratch / "here")
    with pytest.raises(UserError, match="expected a URI of a folder that the cluster can write"):
        submit.run(spec, "http://127.0.0.1:1", runs="runs", warn=print)
    (scratch / "here" / "table.csv").unlink()
    with pytest.raises(UserError, match="there is no such file"):
        job_of(load_spec(spec), scratch)
    refusal = mmm(capsys, "submit", spec, "--address", "http://127.0.0.1:1").refusal
    assert "table.csv: there is no such file" in refusal


@pytest.mark.parametrize("words", [["status"], ["logs", "a-1"], ["stop", "a-1"], ["fetch", "a-1"]])
def test_no_job_server_is_one_sentence(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    refusal = mmm(capsys, *words, "--address", "http://127.0.0.1:1").refusal
    assert refusal.startswith("no job server answers at http://127.0.0.1:1")
    assert "is not one of a job server" in mmm(capsys, *words, "--address", "head:8265").refusal


def test_how_a_job_stands_is_one_line() -> None:
    from cluster.jobs import JobState

    state = JobState("small-1", "SUCCEEDED", "", 0.0, 12.4)
    assert line(JobState("small-1", "PENDING", "", None, None)) == "small-1  PENDING    -"
    assert line(JobState(state.job, state.state, "", 1.0, 13.4)) == (
        "small-1  SUCCEEDED  1970-01-01 00:00:01Z  12 s"
    )


def test_many_models_travel_whole_with_each_table_once(scratch: Path) -> None:
    dotted = {"hyperparameters": {"tv": {"theta": [0.1, 0.4]}}, "channels.tv.sign": "free"}
    models = {"by": ["market"], "overrides": {"west": dotted}}
    path = write_portfolio(scratch / "here", models)
    asked = load_portfolio(path, overrides=["search.iterations=77"])
    job = portfolio_job_of(asked, scratch)
    assert sorted(job.files) == ["files/0-table.csv", "spec.yaml"]
    for name, source in job.files.items():
        (scratch / "package" / name).parent.mkdir(exist_ok=True)
        shutil.copy(source, scratch / "package" / name)
    there = load_portfolio(scratch / "package" / "spec.yaml", overrides=["tracking.enabled=false"])
    assert there.digest == asked.digest
    assert [(m.name, m.keys, m.spec.name) for m in there.members] == [
        (m.name, m.keys, m.spec.name) for m in asked.members
    ]
    assert {m.spec.data.path for m in there.members} == {str(scratch / "package" / "files" / "0-table.csv")}
    assert str(scratch / "here") not in (scratch / "package" / "spec.yaml").read_text()


def test_models_that_cannot_be_run_are_named_before_anything_travels(scratch: Path) -> None:
    nothing = market_table("south").assign(tv_cost=0)
    path = write_portfolio(scratch / "here", tables=[market_table("north"), nothing])
    told: list[str] = []
    with pytest.raises(UserError, match="no job server"):
        submit.run(path, "http://127.0.0.1:9", warn=told.append)
    assert len(told) == 1
    assert told[0].startswith("model south cannot be run and will be left out: ")
    path = write_portfolio(scratch / "here", tables=[nothing])
    with pytest.raises(UserError, match="tv"):
        submit.run(path, "http://127.0.0.1:9", warn=told.append)


def test_a_model_brings_its_whole_spec_or_changes_and_not_both(scratch: Path) -> None:
    models = [{"name": "north", "spec": {"name": "x"}, "search.seed": 3}]
    with pytest.raises(UserError, match="spec: expected a whole spec, and no other key"):
        load_portfolio(write_portfolio(scratch / "here", models))
