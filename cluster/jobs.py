"""A command that runs on a cluster as a Ray job: submitted with the files it needs, followed, stopped, fetched.

Knows no more of the command than that it writes to one folder, which stands for ``{output}`` among its words. When the
command ends, however it ends, that folder is kept where the job server can hand it out, or copied to a URI; ``fetch``
brings it home. All this needs is the address of the job server, the only port that a cluster need show.

    client = JobClient("http://127.0.0.1:8265")
    job = client.submit(Job(("echo", "hello"), files={}))
    for text in client.logs(job): ...
    client.fetch(job, Path("results"))
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from cluster.archives import pack, place, unpack
from cluster.base import BackendError, BackendUnavailable
from cluster.ray_session import environment, reread_environment
from cluster.stores import BadStore, below, check_store, copy_in, copy_out
from cluster.tokens import check_token_file, token_file
from cluster.trust import is_loopback_host

# Words of a command that become, on the cluster, the folder to write to and the Python of its installation.
OUTPUT, PYTHON = "{output}", "{python}"
# Ray keeps packages in the memory of the head; a spec with its tables is far below.
LARGEST_PACKAGE = 200 << 20
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_CHUNK = 1 << 20
# Longer than any answer of a job server in good health.
_SECONDS = 60.0


class JobError(BackendError):
    """What was asked of the job server cannot be done: one sentence with the remedy."""


@dataclass(frozen=True)
class Job:
    """What to run.

    Attributes:
        command: its words, run in a folder that holds ``files``; the words ``{output}`` and ``{python}`` become the
            folder to write to and the Python of the cluster.
        files: name in that folder, with slashes for folders -> file or folder here.
        environment: variables of the command and of all it starts; no secrets, they can be read on the cluster.
        name: begins the job's id.
        output: URI that the output is copied to, such as s3://bucket/runs; None = kept by the cluster.
    """

    command: tuple[str, ...]
    files: Mapping[str, Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = "job"
    output: str | None = None


@dataclass(frozen=True)
class JobState:
    """How a job stands: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED; times in seconds since 1970."""

    job: str
    state: str
    message: str
    began: float | None
    ended: float | None

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED


def check_job_id(job: str) -> str:
    """The id, which becomes part of addresses and of file names.

    Raises:
        JobError: it is none.
    """
    if not _ID.fullmatch(job):
        raise JobError(f"{job[:60]!r} is not the id of a job; mmm submit prints it, mmm status lists all")
    return job


def job_id(name: str) -> str:
    """A new id that begins with what of the name can be part of one."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40] or "job"
    return f"{plain}-{secrets.token_hex(5)}"


def is_loopback(address: str) -> bool:
    """Whether an address can only be reached from this machine."""
    return is_loopback_host(urlsplit(address).hostname or "")


class JobClient:
    """Talks to the job server of one cluster."""

    def __init__(self, address: str, *, allow_open: bool = False) -> None:
        """Connect.

        Args:
            address: such as http://127.0.0.1:8265. allow_open: also when it is elsewhere and asks nobody for a token.
        Raises:
            JobError: not an address. BackendUnavailable: nobody answers, or the token is missing, wrong, or readable
                by others.
        """
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            raise JobError(
                f"address {address!r} is not one of a job server; expected http://host:8265 or https://..."
            )
        self.address = address.rstrip("/")
        check_token_file(token_file())
        with _plain_errors(self.address):
            self._client = _connect(self.address)
            mode = self._request("/api/authentication_mode").json().get("authentication_mode")
        self.asks_for_token = mode not in (None, "disabled")
        if not (self.asks_for_token or allow_open or is_loopback(self.address)):
            raise JobError(
                f"{self.address} asks nobody for a token: whoever reaches it can run anything there, and could read "
                "what is submitted; start the cluster with RAY_AUTH_MODE=token, or insist with --insecure"
            )

    @property
    def sends_token_in_clear(self) -> bool:
        """Whether the token can be read on the way."""
        return self.asks_for_token and self.address.startswith("http:") and not is_loopback(self.address)

    def submit(self, job: Job) -> str:
        """Send the files and start the command; returns the job's id.

        Raises:
            JobError: the files are missing or too large. BadStore: the output's URI is none.
        """
        if job.output is not None:
            check_store(job.output)
        with tempfile.TemporaryDirectory(prefix="job-") as folder:
            package = Path(folder)
            _stage(job.files, package)
            words = ["python", "-m", "cluster.jobs", job.output or "", "--", *job.command]
            with _plain_errors(self.address):
                submitted: str = self._client.submit_job(
                    entrypoint=shlex.join(words),
                    submission_id=job_id(job.name),
                    runtime_env={"working_dir": folder, "env_vars": dict(job.environment)},
                    metadata={"output": job.output or ""},
                )
        return submitted

    def state(self, job: str) -> JobState:
        """How a job stands; JobError when there is none of this id."""
        return _state(job, self._info(job))

    def jobs(self) -> list[JobState]:
        """All submitted jobs that the cluster knows of, newest first."""
        with _plain_errors(self.address):
            found = self._client.list_jobs()
        states = [_state(info.submission_id, info) for info in found if info.submission_id]
        return sorted(states, key=lambda state: state.began or 0.0, reverse=True)

    def logs(self, job: str, *, follow: bool = True) -> Iterator[str]:
        """What the command printed so far, and, followed, what it prints until it ends."""
        self._info(job)
        with _plain_errors(self.address):
            if not follow:
                yield str(self._client.get_job_logs(job))
                return
            with asyncio.Runner() as runner:
                tail = self._client.tail_job_logs(job)
                while (text := runner.run(_next(tail))) is not None:
                    yield text

    def stop(self, job: str) -> bool:
        """Have a job end, as by Ctrl-C; False when it had ended already."""
        self._info(job)
        with _plain_errors(self.address):
            return bool(self._client.stop_job(job))

    def fetch(self, job: str, folder: Path) -> list[Path]:
        """Bring home what a job that has ended wrote: its folders, into ``folder``.

        Raises:
            JobError: it still runs, or kept nothing. BadArchive: one of that name is here already, or it is damaged.
        """
        info = self._info(job)
        if not _state(job, info).has_ended:
            raise JobError(
                f"job {job} has not ended; follow it with mmm logs {job}, or end it with mmm stop {job}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is a rename.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            unpacked = Path(scratch) / "unpacked"
            self._bring(job, info, unpacked)
            return [place(path, folder) for path in sorted(unpacked.iterdir())]

    def _bring(self, job: str, info: Any, unpacked: Path) -> None:
        """From the store, or, where the job could not write that, from the cluster."""
        unread: BadStore | None = None
        if uri := (info.metadata or {}).get("output"):
            try:
                copy_in(below(uri, job), unpacked)
                return
            except FileNotFoundError:
                pass
            except BadStore as error:
                unread = error
            shutil.rmtree(unpacked, ignore_errors=True)
        archive = unpacked.with_name(_kept_name(job))
        try:
            self._download(job, info, archive, uri)
        except JobError as error:
            raise unread or error from error
        unpack(archive, unpacked)

    def _info(self, job: str) -> Any:
        check_job_id(job)
        with _plain_errors(self.address):
            try:
                return self._client.get_job_info(job)
            except RuntimeError as error:
                if "404" not in str(error):
                    raise
                raise JobError(f"{self.address} knows no job {job}; mmm status lists all") from error

    def _download(self, job: str, info: Any, archive: Path, uri: str | None) -> None:
        where = {"node_id": info.driver_node_id, "filename": _kept_name(job), "lines": -1}
        with _plain_errors(self.address):
            answer = self._request(f"/api/v0/logs/file?{urlencode(where)}", stream=True)
            if answer.status_code != 200:
                also = f", nor is it at {uri}" if uri else ""
                raise JobError(
                    f"the cluster keeps no output of job {job}{also}: it wrote none, or the node that it ran on is gone"
                )
            with answer, archive.open("wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)

    def _request(self, path: str, **options: Any) -> Any:
        return self._client._do_request("GET", path, timeout=_SECONDS, **options)


def _connect(address: str) -> Any:
    """Ray's own client; it would let variables of the environment replace the address that was asked for."""
    from ray.job_submission import JobSubmissionClient

    # It tells of every package that it sends.
    for handler in logging.getLogger("ray").handlers:
        handler.setLevel(logging.ERROR)
    hidden: dict[str, str | None] = dict.fromkeys(("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"))
    with environment(hidden):
        reread_environment()
        return JobSubmissionClient(address)


@contextmanager
def _plain_errors(address: str) -> Iterator[None]:
    """What Ray's client and the network raise, as one sentence."""
    from ray.exceptions import AuthenticationError
    from requests.exceptions import RequestException

    try:
        yield
    except AuthenticationError as error:
        raise BackendUnavailable(
            f"{address} asks for a token, and this is not it; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the "
            "file that holds it"
        ) from error
    except (ConnectionError, RequestException) as error:
        raise BackendUnavailable(
            f"no job server answers at {address}; see whether the cluster runs with its dashboard, and whether a "
            "tunnel to it is open"
        ) from error
    except RuntimeError as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise JobError(f"{address} refuses: {reason[:300]}") from error


async def _next(tail: Any) -> str | None:
    return await anext(tail, None)


def _state(job: str, info: Any) -> JobState:
    def seconds(milliseconds: int | None) -> float | None:
        return None if milliseconds is None else milliseconds / 1000

    return JobState(
        job, str(info.status), info.message or "", seconds(info.start_time), seconds(info.end_time)
    )


def _stage(files: Mapping[str, Path], package: Path) -> None:
    """Copy what is needed, and nothing else, into the folder that travels."""
    for name, source in files.items():
        target = package / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target)
        except OSError as error:
            raise JobError(f"{source}: cannot be sent along ({error.strerror or error})") from error
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    if size > LARGEST_PACKAGE:
        raise JobError(
            f"the files of the job are {size / 2**20:.0f} MiB, more than the {LARGEST_PACKAGE >> 20} MiB that travel "
            "with one; put the data where the cluster can read them, such as s3://bucket/table.parquet, and name that"
        )


def _kept_name(job: str) -> str:
    return f"output-{job}.zip"


# On the cluster. ----------------------------------------------------------------------------------------------------


def run(output: str, command: Sequence[str]) -> int:
    """Run the command of a job with a folder to write to, and keep what it wrote, however it ends.

    Args:
        output: URI to copy the folder to, below the job's id; empty = keep it with the logs of this node.
        command: its words; ``{output}`` and ``{python}`` are replaced.
    Returns:
        The command's exit status.
    """
    # Ray stops a job by SIGTERM to the whole group: the command ends, this process keeps what there is.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with tempfile.TemporaryDirectory(prefix="job-") as folder:
        words = [{OUTPUT: folder, PYTHON: sys.executable}.get(word, word) for word in command]
        status = subprocess.run(words, check=False).returncode
        job, logs = _identity()
        if any(Path(folder).iterdir()) and not _keep(Path(folder), output, job, logs):
            status = status or 1
    return status if status >= 0 else 128 - status


def _identity() -> tuple[str, Path]:
    """The id of the job that this process belongs to, and the folder of logs that the job server hands out."""
    import ray

    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")).get("metadata", {})[
        "job_submission_id"
    ]
    ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
    worker: Any = ray._private.worker.global_worker
    logs = Path(worker.node.get_logs_dir_path())
    ray.shutdown()
    return check_job_id(job), logs


def _keep(folder: Path, output: str, job: str, logs: Path) -> bool:
    """Copy a folder to where the job was told to, or keep it with the logs; False when the former does not work."""
    if output:
        try:
            copy_out(folder, below(output, job))
        except Exception as error:  # noqa: BLE001 - whatever a store raises, hours of work are not thrown away for it
            sys.stderr.write(
                f"{output}: cannot be written ({error}); kept by the cluster for mmm fetch {job}\n"
            )
        else:
            return True
    pack(folder, logs / _kept_name(job))
    return not output


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[sys.argv.index("--") + 1 :]))
