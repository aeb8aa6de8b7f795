"""Folders behind a URI: a real S3 interface, and names that would lead elsewhere."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.archives import BadArchive
from cluster.stores import BadStore, below, check_store, copy_in, copy_out
from tests.cluster.nodes import free_ports

ACCOUNT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """A server with the interface of S3, on loopback; the options of a URI by which pyarrow finds it."""
    (port,) = free_ports(1)
    words = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            for line in server.stderr:
                if "Running on" in line:
                    break
            # A line for every request: a pipe that nobody reads fills up, and the server waits for ever.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield f"endpoint_override=127.0.0.1:{port}&scheme=http&allow_bucket_creation=true"
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/runs", "s3://bucket/runs/a-1"),
        ("s3://bucket/", "s3://bucket/a-1"),
        (
            "s3://bucket/runs?region=eu-central-1&scheme=http",
            "s3://bucket/runs/a-1?region=eu-central-1&scheme=http",
        ),
        ("file:///data/runs/", "file:///data/runs/a-1"),
    ],
)
def test_a_folder_below_keeps_the_options_of_the_uri(uri: str, expected: str) -> None:
    check_store(uri)
    assert below(uri, "a-1") == expected


@pytest.mark.parametrize("uri", ["runs", "", "s3://", "file:///", "/data/runs"])
def test_what_is_no_uri_of_a_folder(uri: str) -> None:
    with pytest.raises(BadStore, match="expected a URI of a folder that the cluster can write"):
        check_store(uri)


@pytest.mark.parametrize("uri", ["s3://key:hush@bucket/runs", "s3://bucket/runs?secret_key=hush"])
def test_a_uri_with_a_secret_is_refused_without_repeating_it(uri: str) -> None:
    with pytest.raises(BadStore, match=r"s3://bucket/runs: holds a key or a password") as caught:
        check_store(uri)
    assert "hush" not in str(caught.value)


@pytest.mark.integration
def test_out_to_s3_and_home_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "made" / "run-1" / "report").mkdir(parents=True)
    (tmp_path / "made" / "run-1" / "manifest.json").write_text("{}")
    (tmp_path / "made" / "run-1" / "report" / "größe 1.png").write_bytes(bytes(9_000_000))
    with s3_server() as options:
        uri = below(f"s3://bucket/runs?{options}", "a-1")
        copy_out(tmp_path / "made", uri)
        copy_in(uri, tmp_path / "home")
        assert {
            path.relative_to(tmp_path / "home").as_posix(): path.stat().st_size
            for path in (tmp_path / "home").rglob("*")
            if path.is_file()
        } == {"run-1/manifest.json": 2, "run-1/report/größe 1.png": 9_000_000}
        with pytest.raises(FileNotFoundError):
            copy_in(below(f"s3://bucket/runs?{options}", "b-2"), tmp_path / "absent")
        put_object(options, "runs/evil/../../stolen", b"!")
        with pytest.raises(BadArchive, match="would be written elsewhere"):
            copy_in(below(f"s3://bucket/runs?{options}", "evil"), tmp_path / "evil")
        assert not (tmp_path / "evil").exists()
        assert not (tmp_path / "stolen").exists()


def put_object(options: str, key: str, content: bytes) -> None:
    """An object of any name, as S3 takes it and a file system would not."""
    import boto3

    endpoint = options.partition("&")[0].removeprefix("endpoint_override=")
    client = boto3.client("s3", endpoint_url=f"http://{endpoint}")
    client.put_object(Bucket="bucket", Key=key, Body=content)
