"""From submit to fetch on a real cluster, by the command line alone, as a user would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.run_folder import RunFolder
from tests.cluster.nodes import ROOT, RayCluster, ray_cluster
from tests.runner.small import SCENARIOS, write_small

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(workers=2, dashboard=True) as running:
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


def tables(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.parquet"))}


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
    home = subprocess.run(
        [sys.executable, "-m", "runner.cli", "run", str(spec), "--runs", str(tmp_path / "here"), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    here = json.loads(home.stdout)["run_folder"]
    assert len(tables(Path(here))) > 10
    assert tables(Path(fetched["run_folder"])) == tables(Path(here))
    assert (Path(fetched["run_folder"]) / "report" / "index.html").is_file()
    assert RunFolder.open(fetched["run_folder"]).selected()

    again = mmm(cluster, "fetch", job, "--runs", tmp_path / "there")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_the_run_folder_may_go_to_a_uri(cluster: RayCluster, tmp_path: Path) -> None:
    spec, uri = write_small(tmp_path), (tmp_path / "bucket").as_uri()
    submitted = mmm(cluster, "submit", spec, "--runs", uri, "--json")
    assert submitted.returncode == 0, submitted.stderr
    job = json.loads(submitted.stdout.splitlines()[0])["job"]
    (kept,) = (tmp_path / "bucket" / job).iterdir()
    fetched = json.loads(mmm(cluster, "fetch", job, "--runs", tmp_path / "there", "--json").stdout)
    assert tables(Path(fetched["run_folder"])) == tables(kept)


def test_a_job_that_is_stopped_keeps_what_it_did(cluster: RayCluster, tmp_path: Path) -> None:
    spec = write_small(tmp_path, search__iterations=2_000_000)
    job = json.loads(mmm(cluster, "submit", spec, "--no-wait", "--json").stdout)["job"]
    end = time.monotonic() + 60
    while "\nsearch\n" not in mmm(cluster, "logs", job, "--no-follow").stdout and time.monotonic() < end:
        time.sleep(0.5)
    early = mmm(cluster, "fetch", job, "--runs", tmp_path / "there")
    assert "has not ended" in early.stderr
    assert mmm(cluster, "stop", job).stdout == f"stopping {job}\n"
    mmm(cluster, "logs", job)
    fetched = json.loads(mmm(cluster, "fetch", job, "--runs", tmp_path / "there", "--json").stdout)
    assert fetched["status"] != "done"


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
