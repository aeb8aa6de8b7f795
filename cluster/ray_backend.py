"""The verbs of a backend on Ray, and a private Ray that comes and goes with it.

Ray is imported when a session starts, not with this module: that import and the start of a local Ray (some seconds)
can so run beside other work, see ``RayBackend.warm_up``.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import secrets
import signal
import socket
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from cluster.base import (
    Backend,
    BackendError,
    BackendUnavailable,
    Block,
    Delivery,
    Done,
    Item,
    Result,
    Shared,
    TaskFailed,
    Value,
    WorkerLost,
)
from cluster.config import ClusterConfig, usable_cpus

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

_CONNECT_SECONDS = 5.0
# A signal that comes just before a wait is not noticed until the wait ends: so none is long.
_LOOK_UP_SECONDS = 0.5
_COLOURS = re.compile(r"\x1b\[\d+m")
# A socket's path holds 103 characters (macOS); this module and Ray add about 80 to the folder for temporary files.
_LONGEST_TEMP_DIR = 20


class RayBackend(Backend):
    """Runs items as Ray tasks of one CPU each, spread over the hosts, and again when their worker dies."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._session = _Session(config)

    @property
    def workers(self) -> int:
        """CPUs of the local Ray or of the joined cluster, at most ``config.workers``."""
        if self.config.is_local:
            return self.config.workers or usable_cpus()
        self.start()
        import ray

        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        in_cluster = max(1, int(resources.get("CPU", 1)))
        return min(in_cluster, self.config.workers or in_cluster)

    def start(self) -> None:
        """See ``Backend.start``."""
        self._session.wait()

    def warm_up(self) -> None:
        """See ``Backend.warm_up``."""
        self._session.launch()

    def share(self, value: Value) -> Shared[Value]:
        """Put the value in Ray's object store; workers on one host read one copy of its arrays."""
        self.start()
        import ray

        return Shared(ray.put(value))

    def map(
        self,
        function: Callable[[Any, Item], Result],
        items: Iterable[Item],
        *,
        shared: Shared[Any] | None = None,
    ) -> list[Result]:
        """See ``Backend.map``."""
        self.start()
        results: dict[int, Result] = {}
        with self._window(_call, function, items, shared) as window:
            while window.fill():
                for position, reference in window.ready():
                    (results[position],) = _get(position, reference)
                    window.retire(reference)
        return [results[position] for position in range(len(results))]

    def stream(
        self,
        function: Callable[[Any, Item], Iterable[Block]],
        items: Iterable[Item],
        *,
        shared: Shared[Any] | None = None,
    ) -> Iterator[tuple[int, Block | Done]]:
        """See ``Backend.stream``; under ``ray://`` an item's blocks arrive together when it ends."""
        self.start()
        if self._session.is_client:
            # Ray Client has no streaming generators.
            yield from self._stream_whole(function, items, shared)
            return
        options = {
            "num_returns": "streaming",
            "_generator_backpressure_num_objects": self.config.buffered_blocks,
        }
        deliveries: dict[int, Delivery] = {}
        with self._window(_blocks, function, items, shared, **options) as window:
            while window.fill():
                for position, generator in window.ready():
                    delivery = deliveries.setdefault(position, Delivery())
                    reference = next(generator, None)
                    if reference is None:
                        window.retire(generator)
                        yield position, Done(delivery.blocks)
                        continue
                    number, block = _get(position, reference)
                    if delivery.is_due(number):
                        yield position, block

    def _stream_whole(
        self,
        function: Callable[[Any, Item], Iterable[Block]],
        items: Iterable[Item],
        shared: Shared[Any] | None,
    ) -> Iterator[tuple[int, Block | Done]]:
        """``stream`` with one result per item, the list of its blocks."""
        with self._window(_all_blocks, function, items, shared) as window:
            while window.fill():
                for position, reference in window.ready():
                    blocks = _get(position, reference)
                    window.retire(reference)
                    for block in blocks:
                        yield position, block
                    yield position, Done(len(blocks))

    def _window(
        self,
        task: Callable[..., Any],
        function: Callable[[Any, Item], Any],
        items: Iterable[Item],
        shared: Shared[Any] | None,
        **options: Any,
    ) -> _Window:
        import ray

        if self.config.worker_memory_bytes is not None:
            options["memory"] = self.config.worker_memory_bytes
        remote = ray.remote(
            num_cpus=1, max_retries=self.config.max_retries, scheduling_strategy="SPREAD", **options
        )(task)
        value = None if shared is None else shared.handle
        sign = _StopSign(f"stop-{secrets.token_hex(16)}")
        return _Window(lambda item: remote.remote(sign, function, value, item), items, self._limit, sign)

    def _limit(self) -> int:
        """Tasks in flight: as many again as run, so that no CPU waits for the next, unless the user set a number.

        A local Ray has no more CPUs than the user set; a joined cluster is held to the number here. It is asked anew
        each time since a cluster may grow and shrink.
        """
        is_capped_here = self.config.workers is not None and not self.config.is_local
        return self.workers if is_capped_here else 2 * self.workers

    def close(self) -> None:
        """See ``Backend.close``; stops a local Ray, leaves a joined cluster running."""
        self._session.close()


# What runs on the workers. ------------------------------------------------------------------------------------------


def _call(
    sign: _StopSign, function: Callable[[Any, Item], Result], value: Any, item: Item
) -> tuple[Result] | None:
    """The result in a tuple: of a bare generator Ray would silently take the first value."""
    return None if sign.is_up() else (function(value, item),)


def _blocks(
    sign: _StopSign, function: Callable[[Any, Item], Iterable[Block]], value: Any, item: Item
) -> Iterator[tuple[int, Block]]:
    """Blocks with their numbers, by which the driver knows a repeated one."""
    if sign.is_up():
        return
    for number, block in enumerate(function(value, item)):
        yield number, block
        if sign.is_up():
            return


def _all_blocks(
    sign: _StopSign, function: Callable[[Any, Item], Iterable[Block]], value: Any, item: Item
) -> list[Block]:
    return [block for _, block in _blocks(sign, function, value, item)]


class _StopSign:
    """Tells tasks that nobody waits for them any more: a key in the table that Ray keeps for all its processes.

    Not ``ray.cancel``: cancelling a task at the moment it ends aborts the whole driver with "Tried to complete task
    that was not pending" (Ray 2.60; a sibling of that race was mended in ray-project/ray pull request 54798). Items
    that fail together, as they do when the function has a mistake, meet that moment within seconds.
    """

    # Looking takes about 1 ms.
    _seconds_between_looks = 0.2

    def __init__(self, key: str) -> None:
        self._key = key
        self._next_look = 0.0

    def is_up(self) -> bool:
        """Whether it was raised, known with a short delay."""
        from ray.experimental.internal_kv import _internal_kv_exists

        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + self._seconds_between_looks
        return bool(_internal_kv_exists(self._key))

    def put_up(self) -> None:
        """Have the tasks end at their next block, those that have not begun at once."""
        from ray.exceptions import RayError
        from ray.experimental.internal_kv import _internal_kv_put

        # A cluster that has gone stops its tasks by itself, and what it went with is already on its way up.
        with suppress(RayError):
            _internal_kv_put(self._key, b"")


# What runs in the driver. -------------------------------------------------------------------------------------------


class _Window:
    """The tasks in flight: at most ``limit()``, refilled in the order of the items, stopped when left early."""

    def __init__(
        self,
        submit: Callable[[Any], Any],
        items: Iterable[Any],
        limit: Callable[[], int],
        sign: _StopSign,
    ) -> None:
        self._submit = submit
        self._items = enumerate(items)
        self._limit = limit
        self._sign = sign
        self._running: dict[Any, int] = {}

    def fill(self) -> bool:
        """Submit items while there is room; False when nothing is left in flight."""
        room = self._limit() - len(self._running)
        for position, item in islice(self._items, max(0, room)):
            self._running[self._submit(item)] = position
        return bool(self._running)

    def ready(self) -> list[tuple[int, Any]]:
        """Position and handle of every task that has something to read; waits until there is one."""
        import ray

        running = list(self._running)
        ray.wait(running, num_returns=1)
        # All that are ready, not the first of them alone: the next in line would starve.
        ready, _ = ray.wait(running, num_returns=len(running), timeout=0)
        return [(self._running[handle], handle) for handle in ready]

    def retire(self, handle: Any) -> None:
        """Forget a task that has ended."""
        del self._running[handle]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running:
            self._sign.put_up()
            self._running.clear()


def _get(position: int, reference: Any) -> Any:
    """The value of a reference, with Ray's errors as ours."""
    import ray
    from ray.exceptions import RayError, RayTaskError, UnserializableException

    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise TaskFailed(position, _plain(error)) from error.cause
    except UnserializableException as error:
        # The function's own exception cannot be read back; its text came along.
        raise TaskFailed(position, _plain(error).partition("Original exception:\n")[2]) from error
    except RayError as error:
        # What follows names a file that may be on another host, or gone.
        raise WorkerLost(position, _first_line(error).partition(" Check ")[0]) from error


def _plain(error: BaseException) -> str:
    """An error's text without terminal colours."""
    return _COLOURS.sub("", str(error))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class _Session:
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

    def wait(self) -> None:
        """Connected, or BackendUnavailable."""
        self.launch()
        while not self._opened.wait(_LOOK_UP_SECONDS):
            pass
        if self._error is not None:
            raise self._error
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

    def _keep(self) -> None:
        try:
            with ExitStack() as stack:
                self._open(stack)
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
        stack.callback(_reread_environment)
        stack.enter_context(_environment({**_unset(RAY_VARIABLES), **_token(private)}))
        _reread_environment()
        # A folder inside: Ray opens the one it is given to everybody.
        folder = Path(config.temp_dir).absolute() if config.temp_dir else private / "r"
        with _environment({**ONE_THREAD, **config.environment}), _lean_node():
            stack.callback(ray.shutdown, wait_for_processes=True)
            ray.init(
                address="local",
                num_cpus=config.workers or usable_cpus(),
                include_dashboard=config.dashboard,
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
        stack.callback(_reread_environment)
        stack.enter_context(_environment(_unset(RAY_VARIABLES)))
        _reread_environment()
        runtime_env: dict[str, Any] = {"env_vars": {**ONE_THREAD, **KEEPALIVE, **self._config.environment}}
        if self._config.modules:
            runtime_env["py_modules"] = list(self._config.modules)
        with _foreign_errors(f"cannot join the Ray cluster at {address}"):
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=runtime_env
            )
        stack.callback(ray.shutdown)
        self.is_client = address.startswith("ray://")


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
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process for a while; the processes of a local Ray inherit them.

    Handing them to Ray as a runtime environment would do the same, and delay the first task by 2 to 3 s.
    """
    with _preserved(*variables):
        os.environ.update(variables)
        yield


@contextmanager
def _preserved(*names: str) -> Iterator[None]:
    """Leave variables of this process as they are now, whoever changes them meanwhile."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _reread_environment() -> None:
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
