"""The job client against a server that says what a test wants; a real one is in test_jobs_on_a_cluster.py."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster import BackendUnavailable, jobs
from cluster.archives import BadArchive, pack
from cluster.jobs import Job, JobClient, JobError, check_job_id, is_loopback, job_id
from cluster.stores import BadStore

Serve = Callable[..., str]
INFO = {"type": "SUBMISSION", "submission_id": "a-1", "status": "SUCCEEDED", "entrypoint": "x", "message": "",
        "start_time": 1000, "end_time": 3500, "metadata": {}, "driver_node_id": "n1", "runtime_env": {}}  # fmt: skip


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server with answers by path: JSON, bytes, or a status; returns its address."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    servers = []

    def start(mode: str = "token", **answers: Any) -> str:
        usual = {"/api/version": {"version": "4", "ray_version": "2.60.0", "ray_commit": "x", "session_name": "s"},
                 "/api/authentication_mode": {"authentication_mode": mode}}  # fmt: skip

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = {**usual, **answers}.get(self.path.partition("?")[0], 404)
                self.send_response(answer if isinstance(answer, int) else 200)
                self.end_headers()
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.wfile.write(b"" if isinstance(answer, int) else body)

            def log_message(self, *args: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# Whom we talk to. ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:8265", True),
        ("http://127.8.9.1:1", True),
        ("http://localhost:8265", True),
        ("https://[::1]:8265", True),
        ("http://10.0.0.1:8265", False),
        ("http://0.0.0.0:8265", False),
        ("http://localhost.example.org:8265", False),
        ("http://head:8265", False),
    ],
)
def test_what_only_this_machine_can_reach(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize("address", ["head:8265", "ray://head:10001", "http://", "auto", ""])
def test_what_is_no_address_of_a_job_server(address: str) -> None:
    with pytest.raises(JobError, match="is not one of a job server"):
        JobClient(address)


def test_a_cluster_elsewhere_that_asks_for_no_token_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = serve(mode="disabled")
    assert not JobClient(address).asks_for_token
    monkeypatch.setattr(jobs, "is_loopback", lambda address: False)
    with pytest.raises(JobError, match=r"asks nobody for a token.*RAY_AUTH_MODE=token.*--insecure"):
        JobClient(address)
    assert not JobClient(address, allow_open=True).sends_token_in_clear


def test_a_token_in_clear_is_known(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    address = serve(mode="token")
    assert not JobClient(address).sends_token_in_clear
    monkeypatch.setattr(jobs, "is_loopback", lambda address: False)
    assert JobClient(address).sends_token_in_clear


def test_the_address_asked_for_is_used_whatever_the_environment_says(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    assert JobClient(serve()).asks_for_token


def test_a_token_file_that_others_can_read_is_not_used(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("0" * 64)
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    with pytest.raises(BackendUnavailable, match="can be read by others"):
        JobClient(serve())


def test_nobody_there_and_the_wrong_token_are_one_sentence(serve: Serve) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(BackendUnavailable, match=f"no job server answers at {address}"):
        JobClient(address)
    for status in (401, 403):
        with pytest.raises(BackendUnavailable, match="asks for a token, and this is not it"):
            JobClient(serve(**{"/api/version": status}))


# Ids. ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x", "a/b", "x" * 300, "🙂", "<script>", "", "a b", ".hidden", "x\n"])
def test_a_name_becomes_an_id_and_is_none(name: str) -> None:
    if name != "x" * 300:
        with pytest.raises(JobError, match="is not the id of a job"):
            check_job_id(name)
    made = job_id(name)
    assert check_job_id(made) == made
    assert len(made) < 60
    assert job_id(name) != made


def test_ids_reach_no_address_unchecked(serve: Serve) -> None:
    client = JobClient(serve())
    for verb in (client.state, client.stop, lambda job: list(client.logs(job))):
        with pytest.raises(JobError, match="is not the id of a job"):
            verb("../packages")
        with pytest.raises(JobError, match="knows no job nope"):
            verb("nope")


# Files. -------------------------------------------------------------------------------------------------------------


def test_files_that_are_missing_or_too_large_are_not_sent(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = JobClient(serve())
    with pytest.raises(JobError, match=r"absent\.csv: cannot be sent along \(No such file"):
        client.submit(Job(("x",), {"a.csv": tmp_path / "absent.csv"}))
    monkeypatch.setattr(jobs, "LARGEST_PACKAGE", 1 << 20)
    (tmp_path / "big.csv").write_bytes(bytes(3 << 20))
    with pytest.raises(JobError, match=r"are 3 MiB, more than the 1 MiB that travel.*s3://"):
        client.submit(Job(("x",), {"a.csv": tmp_path / "big.csv"}))


def archived(tmp_path: Path) -> bytes:
    (tmp_path / "made" / "run-1").mkdir(parents=True)
    (tmp_path / "made" / "run-1" / "manifest.json").write_text("{}")
    pack(tmp_path / "made", tmp_path / "made.zip")
    return (tmp_path / "made.zip").read_bytes()


def test_output_is_fetched_from_where_the_job_ran(serve: Serve, tmp_path: Path) -> None:
    client = JobClient(serve(**{"/api/jobs/a-1": INFO, "/api/v0/logs/file": archived(tmp_path)}))
    assert client.fetch("a-1", tmp_path / "runs") == [tmp_path / "runs" / "run-1"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run-1"]
    with pytest.raises(BadArchive, match="is there already"):
        client.fetch("a-1", tmp_path / "runs")
    state = client.state("a-1")
    assert (state.state, state.has_ended, state.began, state.ended) == ("SUCCEEDED", True, 1.0, 3.5)


def test_output_is_fetched_from_a_uri(serve: Serve, tmp_path: Path) -> None:
    archived(tmp_path)
    (tmp_path / "made").rename(tmp_path / "a-1")
    client = JobClient(serve(**{"/api/jobs/a-1": {**INFO, "metadata": {"output": tmp_path.as_uri()}}}))
    assert client.fetch("a-1", tmp_path / "runs") == [tmp_path / "runs" / "run-1"]
    assert (tmp_path / "runs" / "run-1" / "manifest.json").read_text() == "{}"


def test_output_that_could_not_be_written_to_its_uri_is_fetched_from_the_cluster(
    serve: Serve, tmp_path: Path
) -> None:
    info = {**INFO, "metadata": {"output": (tmp_path / "absent").as_uri()}}
    client = JobClient(serve(**{"/api/jobs/a-1": info, "/api/v0/logs/file": archived(tmp_path)}))
    assert client.fetch("a-1", tmp_path / "runs") == [tmp_path / "runs" / "run-1"]


def test_a_store_that_cannot_be_read_is_named_only_where_the_cluster_keeps_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    info = {**INFO, "metadata": {"output": (tmp_path / "file" / "x").as_uri()}}
    kept = JobClient(serve(**{"/api/jobs/a-1": info, "/api/v0/logs/file": archived(tmp_path)}))
    assert kept.fetch("a-1", tmp_path / "runs") == [tmp_path / "runs" / "run-1"]
    lost = JobClient(serve(**{"/api/jobs/a-1": info, "/api/v0/logs/file": 500}))
    with pytest.raises(BadStore, match="cannot be read from here"):
        lost.fetch("a-1", tmp_path / "other")


def test_output_that_is_not_there_is_told(serve: Serve, tmp_path: Path) -> None:
    running = JobClient(serve(**{"/api/jobs/a-1": {**INFO, "status": "RUNNING"}}))
    with pytest.raises(JobError, match="job a-1 has not ended"):
        running.fetch("a-1", tmp_path)
    gone = JobClient(serve(**{"/api/jobs/a-1": INFO, "/api/v0/logs/file": 500}))
    with pytest.raises(JobError, match="keeps no output of job a-1"):
        gone.fetch("a-1", tmp_path)
    uri = (tmp_path / "absent").as_uri()
    elsewhere = {**INFO, "metadata": {"output": uri}}
    with pytest.raises(JobError, match=f"keeps no output of job a-1, nor is it at {uri}"):
        JobClient(serve(**{"/api/jobs/a-1": elsewhere})).fetch("a-1", tmp_path)
    assert list(tmp_path.iterdir()) == []
