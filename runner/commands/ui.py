"""``mmm ui``: MLflow's own pages on the store of these runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

import typer

from mmm_core.errors import MMMError, UserError
from runner.tracking.base import TrackingFailed
from runner.tracking.mlflow_tracker import Store, choose_store
from runner.tracking.views import FIRST, PREFIX, link

# One worker and no job runner: 2 processes and 5 s to start instead of 15 processes and 30 s. More workers answer
# slower, not faster: their sockets wait 40 ms for every request.
SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A folder of the user's that is called like a module must not be imported in its place.
    "PYTHONSAFEPATH": "1",
}
WORKERS = 1
# MLflow's start page is about chat models; this is the list of experiments in the form made for fitted ones.
PAGE = "/#/experiments?workflowType=machine_learning"
START_SECONDS = 120
MOST_LINKS = 20


def run(
    runs: str | Path = "runs",
    *,
    tracking_uri: str | None = None,
    host: str = "127.0.0.1",
    port: int = 5000,
) -> None:
    """Serve the MLflow UI until Ctrl-C.

    Args:
        runs: the folder whose store is shown. tracking_uri: another store; wins over MLFLOW_TRACKING_URI.
        host: interface to listen on; anyone who reaches it can read and change the store. port: TCP port.
    Raises:
        UserError: there is no store yet, or the port is taken.
    """
    try:
        store = choose_store(Path(runs), tracking_uri)
    except TrackingFailed as error:
        raise UserError(str(error)) from error
    if store.is_server:
        typer.echo(f"MLflow UI: {store.shown}{PAGE} (a server has its own)")
        return
    if store.database is not None and not store.database.is_file():
        raise UserError(f"{store.database}: there is no MLflow store yet; mmm run makes it, or mmm track RUN")
    _check_port(host, port)
    with _stop_on_term(), tempfile.TemporaryFile("w+") as log, _server(store, host, port, log) as process:
        url = f"http://{'localhost' if host == '127.0.0.1' else host}:{port}"
        _wait_until_up(process, host, port, log)
        typer.echo(f"MLflow UI: {url}{PAGE} (Ctrl-C stops it)")
        for name, page in views(url):
            typer.echo(f"  {name}: {url}{page}")
        process.wait()


def views(url: str) -> list[tuple[str, str]]:
    """Experiments that have views of ours: (name, the page of its runs), newest first.

    MLflow's own links to an experiment open a page about chat models.
    """
    words = json.dumps({"max_results": MOST_LINKS, "order_by": ["last_update_time DESC"]}).encode()
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/experiments/search", words, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = json.load(answer).get("experiments", [])
    except (OSError, ValueError):  # a server that shows its pages to a browser only
        return []
    return [
        (one["name"], link(one["experiment_id"]))
        for one in found
        if any(tag["key"] == PREFIX + FIRST for tag in one.get("tags", []))
    ]


def command_line(store: Store, host: str, port: int) -> list[str]:
    """How MLflow's server is called for a store."""
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri]
    if store.artifacts is not None:
        words += ["--default-artifact-root", store.artifacts.as_uri()]
    return [*words, "--workers", str(WORKERS), "--host", host, "--port", str(port)]


def _check_port(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise UserError(
            f"--port {port}: {host} cannot listen there ({error.strerror}); choose another one"
        ) from error


@contextmanager
def _server(store: Store, host: str, port: int, log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """The server in a session of its own: a Ctrl-C reaches us alone, and we stop all of its processes, quietly."""
    process = subprocess.Popen(
        command_line(store, host, port),
        env={**os.environ, **SETTINGS},
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    except KeyboardInterrupt:
        pass
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


@contextmanager
def _stop_on_term() -> Iterator[None]:
    """A polite kill stops the server as Ctrl-C does, where signals can be caught."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_until_up(process: subprocess.Popen[str], host: str, port: int, log: IO[str]) -> None:
    address = "127.0.0.1" if host == "0.0.0.0" else host
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://{address}:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    log.seek(0)
    last = (log.read().strip().splitlines() or ["it said nothing"])[-1]
    raise MMMError(f"MLflow's server did not start: {last}")
