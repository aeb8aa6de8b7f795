"""From submit to fetch on a real cluster, by the command line alone, as a user would."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.stores import below, copy_in
from runner.commands.run import run as run_command
from runner.run_folder import RunFolder
from tests.cluster.nodes import ROOT, RayCluster, ray_cluster
from tests.cluster.test_stores import ACCOUNT, s3_server
from tests.cluster.whole_runs import tables, wait_for
from tests.runner.portfolio_files import MARKETS, model_folder, results, write_portfolio
from tests.runner.small import SCENARIOS, write_small

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(workers=2, dashboard=True, variables=ACCOUNT) as running:
        yield running


def mmm(cluster: RayCluster, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """``mmm`` on a laptop that reaches the job server and nothing else of the cluster."""
    environment = {**cluster.environment(), **variables}
    del environment["RAY_ADDRESS"]
    return subprocess.run(
        [sys.executable, "-m", "runner.cli", *map(str, words)],
        env=environment | {"PYTHONPATH": str(ROOT), "MMM_JOBS_ADDRESS": cluster.jobs},
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_submitted_followed_and_fetched_it_equals_a_run_at_home(cluster: RayCluster, tmp_path: Path) -> None:
    spec = write_small(tmp_path, scenarios=SCENARIOS)
    submitted = mmm(cluster, "submit", spec)
    assert (submitted.returncode, submitted.stderr) == (0, "")
    job = submitted.stdout.splitlines()[0].removeprefix("submitted: ")
    assert "\nsearch\n180/180" in submitted.stdout
    assert f"mmm fetch {job} --address {cluster.jobs}" in submitted.stdout

    assert f"{job}  SUCCEEDED" in mmm(cluster, "status").stdout
    assert json.loads(mmm(cluster, "status", job, "--json").stdout)[0]["state"] == "SUCCEEDED"
    assert "\nsearch\n" in mmm(cluster, "logs", job).stdout
    assert mmm(cluster, "stop", job).stdout == f"{job} had ended already\n"

    fetched = json.loads(mmm(cluster, "fetch", job, "--runs", tmp_path / "there", "--json").stdout)
    assert fetched["status"] == "done"
    here = at_home(spec, tmp_path / "here")
    assert len(tables(here)) > 10
    assert tables(Path(fetched["run_folder"])) == tables(here)
    assert (Path(fetched["run_folder"]) / "report" / "index.html").is_file()
    assert RunFolder.open(fetched["run_folder"]).selected()

    again = mmm(cluster, "fetch", job, "--runs", tmp_path / "there")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_a_portfolio_submitted_and_fetched_equals_one_at_home(cluster: RayCluster, tmp_path: Path) -> None:
    spec = write_portfolio(tmp_path / "spec")
    submitted = mmm(cluster, "submit", spec, "--json")
    assert submitted.returncode == 0, submitted.stderr
    job = json.loads(submitted.stdout.splitlines()[0])["job"]
    fetched = json.loads(mmm(cluster, "fetch", job, "--runs", tmp_path / "there", "--json").stdout)
    assert fetched["status"] == "done"
    there, here = Path(fetched["run_folder"]), run_command(spec, runs=tmp_path / "here").path
    for market in MARKETS:
        assert results(model_folder(there, market)) == results(model_folder(here, market))
    for name in ("summary", "channels", "pooling"):
        assert (there / f"{name}.parquet").read_bytes() == (here / f"{name}.parquet").read_bytes()


def test_the_run_folder_may_go_to_s3_and_comes_from_there(cluster: RayCluster, tmp_path: Path) -> None:
    spec = write_small(tmp_path)
    with s3_server() as options:
        uri = f"s3://bucket/runs?{options}"
        submitted = mmm(cluster, "submit", spec, "--runs", uri, "--json")
        assert submitted.returncode == 0, submitted.stderr
        job = json.loads(submitted.stdout.splitlines()[0])["job"]
        brought = mmm(cluster, "fetch", job, "--runs", tmp_path / "there", "--json")
        assert brought.returncode == 0, brought.stderr + submitted.stdout
        fetched = json.loads(brought.stdout)
        copy_in(below(uri, job), tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    assert len(tables(kept)) > 8
    assert tables(Path(fetched["run_folder"])) == tables(kept)


def test_a_store_that_cannot_be_written_costs_no_result(cluster: RayCluster, tmp_path: Path) -> None:
    spec = write_small(tmp_path)
    (tmp_path / "file").touch()
    uri = (tmp_path / "file" / "runs").as_uri()
    submitted = mmm(cluster, "submit", spec, "--runs", uri)
    assert submitted.returncode == 1
    assert "cannot be written" in submitted.stdout
    job = submitted.stdout.splitlines()[0].removeprefix("submitted: ")
    fetched = json.loads(mmm(cluster, "fetch", job, "--runs", tmp_path / "there", "--json").stdout)
    assert fetched["status"] == "done"


def test_a_job_that_is_stopped_keeps_what_it_did_and_goes_on_at_home(
    cluster: RayCluster, tmp_path: Path
) -> None:
    search = {"trials": 6, "iterations": 6000, "seed": 7, "engine": "nevergrad"}
    spec = write_small(tmp_path, search=search)
    job = json.loads(mmm(cluster, "submit", spec, "--no-wait", "--json", "--max-workers", 1).stdout)["job"]
    wait_for(lambda: "\nsearch\n" in mmm(cluster, "logs", job, "--no-follow").stdout)
    early = mmm(cluster, "fetch", job, "--runs", tmp_path / "there")
    assert "has not ended" in early.stderr
    assert mmm(cluster, "stop", job).stdout == f"stopping {job}\n"
    mmm(cluster, "logs", job)
    fetched = json.loads(mmm(cluster, "fetch", job, "--runs", tmp_path / "there", "--json").stdout)
    assert fetched["status"] != "done"
    resumed = mmm(cluster, "resume", fetched["run_folder"], "--backend", "serial", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert tables(Path(fetched["run_folder"])) == tables(at_home(spec, tmp_path / "here"))


def at_home(spec: Path, runs: Path) -> Path:
    """The run folder of the same spec, run on this machine alone."""
    command = [sys.executable, "-m", "runner.cli", "run", str(spec), "--runs", str(runs), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Path(json.loads(done.stdout)["run_folder"])


def test_a_run_that_fails_says_why_in_the_log(cluster: RayCluster, tmp_path: Path) -> None:
    spec = write_small(tmp_path)
    remote = (tmp_path / "absent.csv").as_uri()
    failed = mmm(cluster, "submit", spec, "--data", remote)
    assert failed.returncode == 1
    assert "error: " in failed.stdout
    assert "absent.csv" in failed.stdout
    assert failed.stderr.startswith("failed: ")


def test_without_the_token_nothing_can_be_asked(cluster: RayCluster, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("f" * 64)
    wrong.chmod(0o600)
    for variables in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN_PATH": str(wrong)}):
        refused = mmm(cluster, "status", **variables)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "asks for a token, and this is not it" in refused.stderr
    wrong.chmod(0o644)
    assert "can be read by others" in mmm(cluster, "status", RAY_AUTH_TOKEN_PATH=str(wrong)).stderr
