"""A local Ray comes and goes with its backend; drivers run in processes of their own, as a command would."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster import BackendUnavailable, ClusterConfig, open_backend
from cluster.ray_backend import _connected
from cluster.ray_session import Session
from tests.cluster.processes import descendants, survivors

ROOT = Path(__file__).parents[2]

# A script's folder and the working directory are elsewhere: workers find the packages where the driver found them.
PREAMBLE = f"""
import json, os, signal, stat, sys, threading, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(ROOT)!r})
from cluster import BackendUnavailable, ClusterConfig, Done, TaskFailed, open_backend
from tests.cluster import work
from tests.cluster.processes import descendants, survivors
def report(**facts):
    print(json.dumps(facts), flush=True)
def session_folder():
    return Path(os.environ["RAY_AUTH_TOKEN_PATH"]).parent
"""


@contextmanager
def driver(folder: Path, body: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A running script, in a process group of its own as a terminal would start it."""
    script = folder / "driver.py"
    script.write_text(PREAMBLE + body)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        env={**environment, "HOME": str(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read(process: subprocess.Popen[str], until: str) -> dict[str, Any]:
    """Facts that the driver reports, up to the one named."""
    assert process.stdout is not None
    facts: dict[str, Any] = {}
    while until not in facts:
        line = process.stdout.readline()
        if not line.startswith("{"):
            pytest.fail(f"{line} {process.communicate()}")
        facts |= json.loads(line)
    return facts


LIFE = """
before = dict(os.environ)
try:
    with open_backend("ray", ClusterConfig(workers=2, environment={"GREETING": "hello"})) as backend:
        backend.warm_up()
        threads = [threading.Thread(target=backend.start) for _ in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        folder = session_folder()
        report(
            folder_mode=stat.S_IMODE(folder.stat().st_mode),
            token_mode=stat.S_IMODE(Path(os.environ["RAY_AUTH_TOKEN_PATH"]).stat().st_mode),
            worker=backend.map(work.surroundings, [0])[0],
            threads_of_driver=os.environ.get("OMP_NUM_THREADS"),
        )
        try:
            open_backend("ray").start()
        except BackendUnavailable as error:
            report(second=str(error))
        with open_backend("ray", ClusterConfig(address="auto")) as guest:
            report(guest=guest.map(work.add, [1, 2]))
        report(host=backend.map(work.die_once, [3], shared=backend.share(Path.cwd())))
        for position, block in backend.stream(work.busy_forever, [Path("0"), Path("1")]):
            if position == 1:
                report(sigterm=callable(signal.getsignal(signal.SIGTERM)), pids=[*descendants()])
except KeyboardInterrupt:
    report(
        left=len(descendants()),
        folder_left=folder.exists(),
        home_left=(Path.home() / ".ray").exists(),
        changed=sorted(name for name in before.keys() | os.environ if before.get(name) != os.environ.get(name)),
        sigterm_left=signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL,
    )
"""


def test_the_life_of_a_local_ray(tmp_path: Path) -> None:
    """Started from several threads at once, used, stopped by Ctrl-C: quiet, private, and nothing is left of it."""
    with driver(tmp_path, LIFE) as process:
        facts = read(process, until="pids")
        # A terminal sends it to the whole group, Ray's processes included.
        os.killpg(process.pid, signal.SIGINT)
        facts |= read(process, until="left")
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
    assert (facts["folder_mode"], facts["token_mode"]) == (0o700, 0o600)
    worker = facts["worker"]
    assert str(ROOT) in worker["path"]
    assert worker["OMP_NUM_THREADS"] == worker["OPENBLAS_NUM_THREADS"] == "1"
    assert worker["RAY_grpc_client_keepalive_time_ms"] == "5000"
    assert worker["GREETING"] == "hello"
    assert facts["threads_of_driver"] == os.environ.get("OMP_NUM_THREADS")
    assert "Ray already runs in this process" in facts["second"]
    assert facts["guest"] == [1, 2]
    assert facts["host"] == [9]
    assert facts["pids"]
    assert not survivors(set(facts["pids"]))
    assert [facts[name] for name in ("left", "folder_left", "home_left", "sigterm_left")] == [
        0,
        False,
        False,
        False,
    ]
    # Ray's own notes to itself.
    assert set(facts["changed"]) <= {"RAY_CLIENT_MODE", "RAY_USAGE_STATS_ENABLED"}
    assert facts["sigterm"]


STREAMING = """
with open_backend("ray", ClusterConfig(workers=2)) as backend:
    for position, block in backend.stream(work.busy_forever, [Path("0"), Path("1")]):
        if position == 1:
            report(pids=[*descendants()], folder=str(session_folder()))
"""

WARMING = """
with open_backend("ray", ClusterConfig(workers=2)) as backend:
    backend.warm_up()
    while not (pids := descendants()):
        pass
    report(pids=[*pids], folder="")
    while True:
        time.sleep(0.1)  # not signal.pause(), which sleeps on when the signal comes just before it
"""


# A SystemExit that is raised while Ray's compiled part waits comes out of it with status 1.
TERMINATED = (128 + signal.SIGTERM, 1)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("body", "signals", "expected"),
    [
        (STREAMING, [signal.SIGINT], [-signal.SIGINT]),
        (STREAMING, [signal.SIGINT, signal.SIGINT], [-signal.SIGINT]),
        (WARMING, [signal.SIGINT], [-signal.SIGINT]),
        (STREAMING, [signal.SIGTERM], TERMINATED),
        (WARMING, [signal.SIGTERM], TERMINATED),
    ],
    ids=["ctrl-c", "ctrl-c-twice", "ctrl-c-while-starting", "kill", "kill-while-starting"],
)
def test_signals_end_a_driver_with_all_it_started(
    tmp_path: Path, body: str, signals: list[int], expected: Sequence[int]
) -> None:
    with driver(tmp_path, body) as process:
        facts = read(process, until="pids")
        for number in signals:
            # Ctrl-C goes to the whole group, ``kill`` to one process.
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
            time.sleep(0.3)
        _, err = process.communicate(timeout=120)
    assert process.returncode in expected, err
    assert not survivors(set(facts["pids"]))
    assert not facts["folder"] or not Path(facts["folder"]).exists()


@pytest.mark.nightly
def test_a_killed_driver_takes_its_ray_along(tmp_path: Path) -> None:
    """Two agents notice after a minute; the rest goes at once."""
    with driver(tmp_path, STREAMING) as process:
        facts = read(process, until="pids")
        process.kill()
    shutil.rmtree(facts["folder"], ignore_errors=True)
    assert not survivors(set(facts["pids"]), patience=120)


def test_whatever_ray_makes_of_a_lost_raylet_is_told_as_a_lost_connection() -> None:
    """Its compiled part raises a bare OSError, of no number, where the socket of a dead raylet is written to."""
    for error in (OSError("Broken pipe"), ConnectionResetError("reset")):
        with pytest.raises(BackendUnavailable, match="the connection to Ray was lost: "), _connected():
            raise error


class PressesInItsDestructor:
    """Python drops what is raised here, as in the callbacks of which Ray has many."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_got_lost_is_heeded_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    session = Session(ClusterConfig())
    monkeypatch.setattr(session, "_keep", lambda: None)
    monkeypatch.setattr(session.watch, "check", lambda: None)
    try:
        session.launch()
        session.check()
        PressesInItsDestructor()
        with pytest.raises(KeyboardInterrupt):
            session.check()
        session.check()
        session._gone.set()
        session.close()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


# Other people's clusters. -------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_an_address_where_nobody_answers(prefix: str) -> None:
    address = f"{prefix}127.0.0.1:{free_port()}"
    with open_backend("ray", ClusterConfig(address=address)) as backend:
        backend.warm_up()
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match=f"no Ray cluster answers at {address}"):
                backend.start()


def test_the_usual_variable_says_where_auto_is(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with (
        open_backend("ray", ClusterConfig(address="auto")) as backend,
        pytest.raises(BackendUnavailable, match=f"no Ray cluster answers at {address}"),
    ):
        backend.start()


JOBS = """
from pathlib import Path
import os
def square(shared, item):
    return shared + item * item
def blocks(shared, item):
    for number in range(item):
        yield number
def refuse(shared, item):
    raise ValueError(f"refused {item}")
def die_once(shared, item):
    marker = Path(shared) / "died"
    if not marker.exists():
        marker.touch()
        os._exit(1)
    return item
def threads(shared, item):
    return [os.environ["OMP_NUM_THREADS"], os.environ["RAY_grpc_client_keepalive_time_ms"]]
"""

JOINING = """
sys.path.insert(0, str(Path.cwd()))
import jobs
config = ClusterConfig(
    address=os.environ["JOIN"],
    modules=(str(Path(open_backend.__code__.co_filename).parent), str(Path.cwd() / "jobs")),
)
with open_backend("ray", config) as backend:
    stream = list(backend.stream(jobs.blocks, [3, 0, 2]))
    report(
        workers=backend.workers,
        squares=backend.map(jobs.square, range(8), shared=backend.share(100)),
        blocks=[[b for p, b in stream if p == i and not isinstance(b, Done)] for i in range(3)],
        ends=sorted((p, b.blocks) for p, b in stream if isinstance(b, Done)),
        threads=backend.map(jobs.threads, [0])[0],
        again=backend.map(jobs.die_once, [7], shared=backend.share(str(Path.cwd()))),
    )
    try:
        backend.map(jobs.refuse, [5])
    except TaskFailed as error:
        report(refused=str(error), cause=type(error.__cause__).__name__)
"""


@pytest.fixture(scope="module")
def running_cluster() -> Iterator[dict[str, str]]:
    """Variables and ports of a cluster that somebody else started."""
    # Not pytest's folder: the path to a socket must be short.
    with tempfile.TemporaryDirectory(prefix="head-", ignore_cleanup_errors=True) as folder:
        token = Path(folder) / "token"
        token.write_text("0123456789abcdef" * 4)
        token.chmod(0o600)
        variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        ports = {"port": str(free_port()), "client_port": str(free_port())}
        with head_node(folder, ports, variables) as head:
            for port in ports.values():
                wait_for_port(int(port))
            yield {**variables, **ports, "pid": str(head.pid)}


@contextmanager
def head_node(
    folder: str, ports: dict[str, str], variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    options = ["--head", "--block", "--disable-usage-stats", "--num-cpus=2", "--include-dashboard=false"]
    process = subprocess.Popen(
        [
            *(str(Path(sys.executable).parent / "ray"), "start", *options, f"--port={ports['port']}"),
            *(f"--ray-client-server-port={ports['client_port']}", f"--temp-dir={folder}/r"),
            "--object-store-memory=100000000",
        ],
        env={**os.environ, **variables, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        pids = descendants(process.pid)
        process.terminate()
        process.wait(timeout=60)
        for pid in survivors(pids):
            os.kill(pid, signal.SIGKILL)


def wait_for_port(port: int) -> None:
    end = time.monotonic() + 90
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@pytest.mark.integration
@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:{port}", "auto", "ray://127.0.0.1:{client_port}"],
    ids=["address", "auto", "client"],
)
def test_a_joined_cluster_is_used_and_left_running(
    tmp_path: Path, running_cluster: dict[str, str], address: str
) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text(JOBS)
    where = {"JOIN": address.format_map(running_cluster)}
    if address == "auto":
        where["RAY_ADDRESS"] = f"127.0.0.1:{running_cluster['port']}"
    variables = {name: value for name, value in running_cluster.items() if name.startswith("RAY_")}
    with driver(tmp_path, JOINING, **where, **variables) as process:
        facts = read(process, until="refused")
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
    assert facts["workers"] == 2
    assert facts["squares"] == [100 + n * n for n in range(8)]
    assert facts["blocks"] == [[0, 1, 2], [], [0, 1]]
    assert facts["ends"] == [[0, 3], [1, 0], [2, 2]]
    assert facts["threads"] == ["1", "5000"]
    assert facts["again"] == [7]
    assert "refused 5" in facts["refused"]
    assert facts["cause"] == "ValueError"
    assert descendants(int(running_cluster["pid"]))


@pytest.mark.integration
def test_a_cluster_that_asks_for_a_token_is_named_as_such(
    tmp_path: Path, running_cluster: dict[str, str]
) -> None:
    body = """
try:
    open_backend("ray", ClusterConfig(address=os.environ["JOIN"])).start()
except BackendUnavailable as error:
    report(refused=str(error))
"""
    with driver(tmp_path, body, JOIN=f"127.0.0.1:{running_cluster['port']}") as process:
        facts = read(process, until="refused")
    sentence = (
        r"cannot join the Ray cluster at 127.0.0.1:\d+: it asks for a token; set RAY_AUTH_MODE=token, .*"
    )
    assert re.fullmatch(sentence, facts["refused"])
