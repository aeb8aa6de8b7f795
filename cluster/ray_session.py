"""This process's connection to Ray: a private Ray that comes and goes with it, or somebody's cluster that is joined.

Ray is imported when a session opens, not with this module: that import and the start of a local Ray (some seconds) can
so run beside other work.
"""

from __future__ import annotations

import inspect
import logging
import os
import secrets
import signal
import socket
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from cluster.base import BackendError, BackendUnavailable
from cluster.config import ClusterConfig, usable_cpus
from cluster.tokens import check_token_file, token_file
from cluster.trust import check_trust

# A worker is one item's; BLAS and OpenMP with threads of their own would fight over the cores, and sum in another
# order on another machine.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}

# Ray asks a silent peer for a sign of life after minutes. Measured on a link cut without a word: work resumed after
# 425 s with the defaults, after 13 s with these, which every process needs, the driver too.
KEEPALIVE = {
    "RAY_grpc_keepalive_time_ms": "5000",
    "RAY_grpc_keepalive_timeout_ms": "5000",
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
}
# Beside it: report nothing home, and no error of tasks that were given up since another one failed.
RAY_VARIABLES = {**KEEPALIVE, "RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1"}

# The process of a driver is ended by Ray after a minute without the head; ``Watch`` says so earlier, and in a sentence.
DRIVER_VARIABLES = {**RAY_VARIABLES, "RAY_gcs_rpc_server_reconnect_timeout_s": "600"}

_CONNECT_SECONDS = 5.0
_SECONDS_BETWEEN_LOOKS = 2.0
_ANSWER_SECONDS = 3.0
# A signal that comes just before a wait is not noticed until the wait ends: so none is long.
_LOOK_UP_SECONDS = 0.5
# A socket's path holds 103 characters (macOS); this module and Ray add about 80 to the folder for temporary files.
_LONGEST_TEMP_DIR = 20


class Session:
    """This process's connection to Ray, kept by a thread of its own from the start to the end.

    The thread is needed, not only convenient: on Linux the processes of a local Ray are killed when the *thread* that
    started them ends (PR_SET_PDEATHSIG), so a thread that only starts Ray takes it away again. As long as this one
    lives they live, and whatever way this process ends, they end with it.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._opened = threading.Event()
        self._error: BaseException | None = None
        self._release = threading.Event()
        self._gone = threading.Event()
        self.is_client = False
        self.watch = Watch(config)
        self._was_interrupted = False

    def launch(self) -> None:
        """Begin to connect, once."""
        with self._lock:
            if self._release.is_set():
                raise BackendError("the backend is closed")
            if self._thread is None:
                # A daemon, so that a backend that nobody closed does not keep the process alive.
                self._thread = threading.Thread(target=self._keep, name="ray-session", daemon=True)
                self._thread.start()
                _handle_sigterm()
                self._note_sigint()

    def wait(self) -> None:
        """Connected to a cluster that answers, or BackendUnavailable."""
        self.launch()
        while not self._opened.wait(_LOOK_UP_SECONDS):
            pass
        if self._error is not None:
            raise self._error
        self.watch.check()
        # Again: connecting outside the main thread leaves in place a handler of Ray's compiled part.
        _handle_sigterm()

    def close(self) -> None:
        """Disconnect, and wait until a local Ray is gone."""
        with self._lock:
            self._release.set()
        if self._thread is not None:
            _wait_out(self._gone)
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) is _exit:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if _is_main_thread() and signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        """Raise what a wait must not go on after: BackendUnavailable, or a Ctrl-C that got lost on its way here.

        Python drops an exception that a signal raises inside a destructor or a callback, and Ray has many of both.
        """
        if self._was_interrupted:
            self._was_interrupted = False
            raise KeyboardInterrupt
        self.watch.check()

    def forget_interrupt(self) -> None:
        """The Ctrl-C has arrived: it is not raised again."""
        self._was_interrupted = False

    def _note_sigint(self) -> None:
        """Take note of Ctrl-C, where the program left it at its default."""
        if _is_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._was_interrupted = True
        raise KeyboardInterrupt

    def _keep(self) -> None:
        try:
            with ExitStack() as stack:
                self._open(stack)
                self.watch.begin(self.is_client)
                stack.callback(self.watch.end)
                self._opened.set()
                self._release.wait()
        except BaseException as error:
            if self._opened.is_set():
                raise
            self._error = error
            self._opened.set()
        finally:
            self._gone.set()

    def _open(self, stack: ExitStack) -> None:
        """Connect; what is to be undone at the end goes on the stack."""
        import ray

        if ray.is_initialized():
            self._adopt()
            return
        stack.enter_context(_silence())
        # Ray points breakpoint() to its own debugger and leaves it so.
        stack.enter_context(_preserved("PYTHONBREAKPOINT"))
        if self._config.is_local:
            with _foreign_errors("Ray does not start here"):
                self._open_local(stack)
        else:
            self._join(stack)

    def _adopt(self) -> None:
        """Use the connection this process already has, which whoever made it will end."""
        import ray

        if self._config.is_local:
            raise BackendUnavailable(
                "Ray already runs in this process, which can hold one connection: close it, or use address auto"
            )
        self.is_client = ray.util.client.ray.is_connected()  # type: ignore[no-untyped-call]

    def _open_local(self, stack: ExitStack) -> None:
        import ray
        from ray.job_config import JobConfig

        config = self._config
        private = stack.enter_context(_private_folder())
        stack.callback(reread_environment)
        stack.enter_context(environment({**_unset(RAY_VARIABLES), **_token(private)}))
        reread_environment()
        # A folder inside: Ray opens the one it is given to everybody.
        folder = Path(config.temp_dir).absolute() if config.temp_dir else private / "r"
        with environment({**ONE_THREAD, **config.environment}), _lean_node():
            stack.callback(ray.shutdown, wait_for_processes=True)
            ray.init(
                address="local",
                num_cpus=config.workers or usable_cpus(),
                include_dashboard=config.dashboard,
                dashboard_host="127.0.0.1",
                object_store_memory=config.object_store_bytes,
                log_to_driver=False,
                logging_level=logging.ERROR,
                job_config=JobConfig(_py_driver_sys_path=_added_import_path()),
                _temp_dir=str(folder),
            )

    def _join(self, stack: ExitStack) -> None:
        import ray

        address = self._config.address
        if address == "auto":
            address = os.environ.get("RAY_ADDRESS", address)
        _probe(address)
        if not self._config.allow_open:
            check_trust(address)
        check_token_file(token_file())
        stack.callback(reread_environment)
        stack.enter_context(environment(_unset(DRIVER_VARIABLES)))
        reread_environment()
        runtime_env: dict[str, Any] = {"env_vars": {**ONE_THREAD, **KEEPALIVE, **self._config.environment}}
        if self._config.modules:
            runtime_env["py_modules"] = list(self._config.modules)
        with _foreign_errors(f"cannot join the Ray cluster at {address}"):
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=runtime_env
            )
        stack.callback(ray.shutdown)
        self.is_client = address.startswith("ray://")


class Watch:
    """Asks the head how the cluster is, every two seconds from a thread of its own, and judges its silence.

    Ray's own calls wait for a lost head for a minute and more, after which Ray ends the whole process.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._is_client = False
        self._ended = threading.Event()
        self._answered = self._had_places = time.monotonic()
        self.nodes: tuple[str, ...] = ()
        self.places = 0

    def begin(self, is_client: bool) -> None:
        """Look once, and from now on regularly."""
        self._is_client = is_client
        self._had_places = time.monotonic()
        self._look()
        threading.Thread(target=self._keep_looking, name="ray-watch", daemon=True).start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def check(self) -> None:
        """Raise BackendUnavailable when the head is silent, or has had no place for any work, for too long."""
        config, now = self._config, time.monotonic()
        name = "local Ray" if config.is_local else f"Ray cluster at {config.address}"
        if now - self._answered > config.head_seconds:
            raise BackendUnavailable(
                f"the head of the {name} has not answered for {now - self._answered:.0f} s; "
                "see whether it is still running, and begin again"
            )
        if now - self._had_places > config.place_seconds:
            raise BackendUnavailable(
                f"the {name} has had no node for {now - self._had_places:.0f} s that offers a CPU and "
                f"{config.memory_request >> 20} MiB of memory; add workers to it"
            )

    def _keep_looking(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            # Whatever a cluster that goes away makes Ray raise, silence is what tells.
            with suppress(Exception):
                self._look()

    def _look(self) -> None:
        import ray

        self._knock()
        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        self._answered = time.monotonic()
        places = {node["NodeID"]: self._places(node["Resources"]) for node in alive}
        self.nodes = tuple(sorted(name for name, count in places.items() if count))
        self.places = sum(places.values())
        if self.places:
            self._had_places = self._answered

    def _knock(self) -> None:
        """Raise when the head does not answer at once: other calls would wait for it."""
        import ray

        if self._is_client:
            _probe(self._config.address)
        else:
            worker: Any = ray._private.worker.global_worker
            worker.gcs_client.internal_kv_exists(b"knock", b"mmm", timeout=_ANSWER_SECONDS)

    def _places(self, resources: Mapping[str, float]) -> int:
        """How many items a node can run at the same time."""
        cpus, memory = int(resources.get("CPU", 0)), self._config.memory_request
        return min(cpus, int(resources.get("memory", 0)) // memory) if memory else cpus


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray from printing a paragraph for every worker that dies; whether work is lost, WorkerLost tells."""
    import ray

    worker: Any = ray._private.worker
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        worker._worker_logs_enabled = True


@contextmanager
def _foreign_errors(what: str) -> Iterator[None]:
    """Whatever Ray raises while it starts, as one sentence."""
    try:
        yield
    except Exception as error:
        reason = _first_line(error)
        if any("AuthenticationError" in repr(link) for link in _chain(error)):
            reason = "it asks for a token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the file that holds it"
        raise BackendUnavailable(f"{what}: {reason}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def _lean_node() -> Iterator[None]:
    """Start a local Ray without what it has no use for; ``ray.init`` does not offer these choices.

    The autoscaler's monitor and the monitor of logs are 100 MB and a second of CPU. The agent by default insists on
    port 52365 for 3.4 s, for which everything waits, when another Ray on this machine has it.
    """
    from ray._private import parameter

    usual = parameter.RayParams
    lean = {"no_monitor": True, "include_log_monitor": False, "dashboard_agent_listen_port": 0}
    known = inspect.signature(usual).parameters
    choices: Any = {name: value for name, value in lean.items() if name in known}
    parameter.RayParams = partial(usual, **choices)  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        parameter.RayParams = usual  # type: ignore[misc]


def _probe(address: str) -> None:
    """Knock at the address first: Ray itself goes on trying for a minute and more."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise BackendUnavailable(
            f"no Ray cluster answers at {address} ({error}); start it, correct the address, or use address local"
        ) from error


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder that only this user can enter, for the logs and the token of a local Ray.

    Not Ray's usual one: there it would leave its logs behind, and note the private cluster as the one that other
    programs on this machine find when they look for a cluster.
    """
    usual = tempfile.gettempdir()
    parent = usual if len(usual) <= _LONGEST_TEMP_DIR else "/tmp"
    with tempfile.TemporaryDirectory(prefix="ray-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _token(folder: Path) -> dict[str, str]:
    """Variables by which a local Ray, whose ports are open to the network, asks for a token; the user's own win.

    Ray by itself writes such a token to the user's home, readable by everybody on the machine.
    """
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return {}
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return {"RAY_AUTH_MODE": "token"}
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}


def _unset(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that the user has not set."""
    return {name: value for name, value in variables.items() if name not in os.environ}


@contextmanager
def environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Variables of this process for a while, None for unset; the processes of a local Ray inherit them.

    Handing them to Ray as a runtime environment would do the same, and delay the first task by 2 to 3 s.
    """
    with _preserved(*variables):
        _set(variables)
        yield


@contextmanager
def _preserved(*names: str) -> Iterator[None]:
    """Leave variables of this process as they are now, whoever changes them meanwhile."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def reread_environment() -> None:
    """Have Ray's compiled part read its variables again; it did so on import, and keeps the token it read."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _added_import_path() -> list[str]:
    """Folders this process imports from beyond its installation, for the workers, which know the latter.

    Ray passes on only the folder of the script and the working directory, and puts each entry before those it has:
    hence last first.
    """
    installed = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders = [Path(entry).absolute() for entry in reversed(sys.path)]
    return [
        str(folder)
        for folder in folders
        if folder.is_dir() and not any(folder.is_relative_to(root) for root in installed)
    ]


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _handle_sigterm() -> None:
    """Have SIGTERM unwind this process if the program left it at its default, else do what the program said."""
    if _is_main_thread() and (handler := signal.getsignal(signal.SIGTERM)) is not None:
        signal.signal(signal.SIGTERM, _exit if handler is signal.SIG_DFL else handler)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _wait_out(event: threading.Event) -> None:
    """Wait for the end of a clean-up: an impatient Ctrl-C is raised after it, and only the third one gives up."""
    interrupts = 0
    while not event.is_set():
        try:
            event.wait(_LOOK_UP_SECONDS)
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts == 3:
                raise
    if interrupts:
        raise KeyboardInterrupt
