"""The tracking server of compose.yaml, its login and its database, as they stand there, less the containers.

Names of hosts become ports of loopback, folders of the containers become those of the test; nothing else is changed.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from tests.cluster.nodes import ROOT, free_ports
from tests.cluster.whole_runs import wait_for
from tests.runner.servers import postgres, why_no_postgres

COMPOSE = yaml.safe_load((ROOT / "cluster" / "deploy" / "compose" / "compose.yaml").read_text())
LOGIN = b"analyst:correct horse"
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=5"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not shutil.which("nginx"), reason="nginx is not installed (on Debian: apt install nginx-light)"
    ),
    pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres()),
]


@contextmanager
def running(words: list[str], folder: Path, log: str) -> Iterator[None]:
    """A server for the time of a test, with all that it starts."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / log).open("wb") as output:
        process = subprocess.Popen(
            words, env=environment | quiet, stdout=output, stderr=output, cwd=folder, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def status(url: str, login: bytes | None = None, host: str | None = None) -> int:
    """What a server answers; 0 when nobody does."""
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login).decode()}")
    if host:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.fixture
def door(tmp_path: Path) -> Iterator[str]:
    """The address behind which the login stands."""
    tracking, login = free_ports(2)
    with ExitStack() as stack:
        database = stack.enter_context(postgres(Path(f"/tmp/pg-{tracking}")))
        command = COMPOSE["services"]["tracking"]["command"]
        script = (
            command[2]
            .replace("$$", "$")
            .replace("postgresql://mlflow:$(cat /run/secrets/postgres_password)@postgres/mlflow", database)
            .replace("--host 0.0.0.0 --port 5000", f"--host 127.0.0.1 --port {tracking}")
            .replace(":5000", f":{login}")
            .replace("/artifacts", str(tmp_path / "artifacts"))
        )
        assert "/run/secrets" not in script
        stack.enter_context(running([*command[:2], script], tmp_path, "tracking.log"))
        hashed = subprocess.run(
            ["openssl", "passwd", "-apr1", LOGIN.decode().partition(":")[2]],
            capture_output=True,
            text=True,
            check=True,
        )
        (tmp_path / "htpasswd").write_text(f"analyst:{hashed.stdout}")
        (tmp_path / "nginx.conf").write_text(
            COMPOSE["configs"]["login"]["content"]
            .replace("$$", "$")
            .replace("listen 5000", f"listen 127.0.0.1:{login}")
            .replace("http://tracking:5000", f"http://127.0.0.1:{tracking}")
            .replace("/tmp/", f"{tmp_path}/")
            .replace("/run/secrets/htpasswd", str(tmp_path / "htpasswd"))
        )
        words = ["nginx", "-c", str(tmp_path / "nginx.conf"), "-g", "daemon off; error_log stderr;"]
        if os.geteuid() == 0:  # the files of the test are root's then
            words[-1] += " user root;"
        stack.enter_context(running(words, tmp_path, "nginx.log"))
        wait_for(lambda: status(f"http://127.0.0.1:{tracking}/health") == 200)
        wait_for(lambda: status(f"http://127.0.0.1:{login}/") == 401)
        yield f"http://127.0.0.1:{login}"


def test_nobody_comes_in_without_the_login_or_under_another_name(
    door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(door + SEARCH) == 401
    assert status(door + SEARCH, b"analyst:wrong") == 401
    assert status(door + SEARCH, LOGIN) == 200
    assert status(door + SEARCH, LOGIN, host="evil.example.com") == 403

    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", LOGIN.decode().partition(":")[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", LOGIN.decode().partition(":")[2])
    client = MlflowClient(door)
    run = client.create_run(client.create_experiment("of-compose"))
    client.log_text(run.info.run_id, "kept", "note.txt")
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["note.txt"]
