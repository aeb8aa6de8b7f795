"""Real MLflow servers and databases for tests and measurements, and a wire between them that can be cut."""

from __future__ import annotations

import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

START_SECONDS = 120


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class MlflowServer:
    """An MLflow server with one worker, in a session of its own."""

    def __init__(self, backend: str, artifacts: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend]
        words += ["--artifacts-destination", str(artifacts), "--serve-artifacts", "--workers", "1"]
        words += ["--host", "127.0.0.1", "--port", str(self.port)]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._process = subprocess.Popen(
            words,
            env={**os.environ, **quiet},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """End it at once, as a crash does."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def mlflow_server(backend: str, artifacts: Path) -> Iterator[MlflowServer]:
    """A server for the time of a test."""
    server = MlflowServer(backend, artifacts)
    try:
        yield server
    finally:
        server.kill()


# -------------------------------------------------------------------------------------------------------------- a wire

# Asked with the number of a request, from 0, and its path: "pass"; "drop" it before the server sees it; "lose" the
# answer when the server has done its work; or seconds that the answer takes.
Rule = Callable[[int, str], str | float]


class Wire:
    """Stands between a client and a server."""

    def __init__(self, url: str, rule: Rule) -> None:
        target = urlsplit(url)
        self.rule = rule
        self.requests = 0
        lock = threading.Lock()
        wire = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_words) -> None:
                pass

            def handle_any(self) -> None:
                with lock:
                    number = wire.requests
                    wire.requests += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                told = wire.rule(number, self.path)
                if told == "drop":
                    self.cut()
                    return
                there = http.client.HTTPConnection(target.hostname, target.port, timeout=120)
                headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
                there.request(self.command, self.path, body, headers)
                answer = there.getresponse()
                content = answer.read()
                there.close()
                if told == "lose":
                    self.cut()
                    return
                if isinstance(told, float):
                    time.sleep(told)
                with suppress(OSError):  # the client has given up
                    self.send_response(answer.status)
                    for key, value in answer.getheaders():
                        if key.lower() not in ("transfer-encoding", "connection", "content-length"):
                            self.send_header(key, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def cut(self) -> None:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the names http.server asks for

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take it down."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def wire(url: str, rule: Rule) -> Iterator[Wire]:
    """A wire for the time of a test."""
    made = Wire(url, rule)
    try:
        yield made
    finally:
        made.close()


# ---------------------------------------------------------------------------------------------------------- PostgreSQL

POSTGRES_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/bin", "/opt/homebrew/bin")


def why_no_postgres() -> str:
    """Why a test with PostgreSQL cannot be run here; empty where it can."""
    if _postgres_bin() is None:
        return "PostgreSQL is not installed (on Debian: apt install postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "the driver psycopg is not installed (pip install 'psycopg[binary]')"
    if os.geteuid() == 0 and _postgres_user() is None:
        return "PostgreSQL refuses to run as root, and there is no user postgres"
    return ""


def _postgres_bin() -> Path | None:
    for pattern in POSTGRES_PLACES:
        for folder in sorted(Path("/").glob(pattern[1:]), reverse=True):
            if (folder / "initdb").is_file() and (folder / "postgres").is_file():
                return folder
    return None


def _postgres_user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """A PostgreSQL with an empty database, reached over loopback; its URI. ``directory`` must be short and new."""
    folder = _postgres_bin()
    assert folder is not None
    user = _postgres_user() if os.geteuid() == 0 else None
    who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    directory.mkdir(parents=True)
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)
    data, port = directory / "data", free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": directory}
    initdb = [folder / "initdb", "-D", data, "-U", "mlflow", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, **quiet, **who)
    words = [folder / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", directory]
    process = subprocess.Popen(words, start_new_session=True, **quiet, **who)
    try:
        _wait_for_postgres(process, port)
        yield f"postgresql://mlflow@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGQUIT)  # at once
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for_postgres(process: subprocess.Popen[bytes], port: int) -> None:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, "PostgreSQL ended"
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=mlflow dbname=postgres").close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.1)
        else:
            return
