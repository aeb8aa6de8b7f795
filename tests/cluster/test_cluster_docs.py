"""The walk-through of docs/cluster.md, typed as it stands there, on a cluster of the test's."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.ray_session import KEEPALIVE
from tests.cluster.nodes import ROOT, RayCluster, free_ports, ray_cluster
from tests.cluster.whole_runs import wait_for

TEXT = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
WALK = TEXT.partition("## Walk-through")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"^    (.+)$", WALK, re.MULTILINE)
SHELL = [line for line in COMMANDS if line.startswith(("(umask", "export RAY"))]
RAY = [line for line in COMMANDS if line.startswith("ray ")]
MMM = [line for line in COMMANDS if line.startswith("mmm ")]


def test_the_walk_through_is_made_of_these_commands() -> None:
    assert len(SHELL) + len(RAY) + len(MMM) + 1 == len(COMMANDS)
    assert [line.split()[1] for line in MMM] == ["submit", "status", "logs", "fetch", "track", "ui"]


def test_the_shell_makes_a_token_of_ones_own_and_sets_what_every_process_needs(tmp_path: Path) -> None:
    script = "\n".join(
        [*SHELL, f"{sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'"]
    )
    done = subprocess.run(
        ["bash", "-ec", script],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert KEEPALIVE.items() <= found.items()
    assert found["RAY_AUTH_MODE"] == "token"
    token = Path(found["RAY_AUTH_TOKEN_PATH"])
    assert token.parent == tmp_path
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert re.fullmatch(r"[0-9a-f]{64}\n", token.read_text())


@pytest.mark.parametrize("line", RAY)
def test_ray_understands_its_commands(line: str) -> None:
    from ray.scripts import scripts

    verb, *words = shlex.split(line)[1:]
    scripts.cli.commands[verb].make_context(verb, words)
    if "--head" in words:
        assert "--dashboard-host=127.0.0.1" in words


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(workers=2, dashboard=True) as running:
        yield running


@pytest.mark.cluster
def test_from_submit_to_mlflow(cluster: RayCluster, tmp_path: Path) -> None:
    """Every command after the other, in a folder with the experiments."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    environment = cluster.environment() | {"PYTHONPATH": str(ROOT), "MMM_JOBS_ADDRESS": cluster.jobs}
    del environment["RAY_ADDRESS"]
    names: dict[str, str] = {}

    def words(line: str) -> list[str]:
        typed = [names.get(word, word) for word in shlex.split(line)]
        return [sys.executable, "-m", "runner.cli", *typed[1:]]

    def mmm(line: str) -> str:
        done = subprocess.run(
            words(line),
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    submit, status, logs, fetch, track, ui = MMM
    names["JOB"] = mmm(submit).splitlines()[0].removeprefix("submitted: ")
    assert f"{names['JOB']}  SUCCEEDED" in mmm(status)
    assert "\nsearch\n" in mmm(logs)
    names["RUN"] = re.findall(r"run folder: (\S+) \(done\)", mmm(fetch))[0]
    assert (tmp_path / names["RUN"] / "report" / "index.html").is_file()
    mmm(track)
    (port,) = free_ports(1)
    with subprocess.Popen(
        [*words(ui), "--port", str(port)], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as page:
        try:
            assert page.stdout is not None
            assert f"http://localhost:{port}" in page.stdout.readline()
            assert runs_shown(port) > 5
        finally:
            page.send_signal(signal.SIGINT)


def runs_shown(port: int) -> int:
    """How many runs the MLflow of a port knows."""
    body = json.dumps({"experiment_ids": ["1"], "max_results": 1000}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"}
    )

    def ask() -> int:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return len(json.loads(answer.read()).get("runs", []))

    return int(wait_for(ask))
