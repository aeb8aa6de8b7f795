"""MLflow is filled beside the run, by a process of its own.

A run has hundreds of thousands of points of metric histories, which cost MLflow 9 us each in a database and 70 over
HTTP: more processor time than the search. So the mirror is a process beside the run. While a search has all processors
it does nothing; where processors are free it writes the histories of every trial as soon as its table is on disk; and
after the search it works beside the later stages. In the end the run waits for it for ten seconds, or a tenth of its
own time if that is more, and leaves it to go on alone. What the two say to each other:

    the run -> the mirror     a line of JSON with its orders, then "done" when the folder is complete, by its input;
                              an input that ends before that means that the run has ended before its time
    the mirror -> anybody     ``tracking.json`` in the run folder: how far it is, and how it ended

Whatever happens to the mirror, the run goes on; whatever happens to the run, the mirror ends soon. ``mmm track RUN``
takes over from a mirror that is still at it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from mmm_core.errors import MMMError
from runner.findings import Finding, as_records
from runner.run_folder import RunFolder
from runner.spec import ExperimentSpec
from runner.tables import write_json
from runner.tracking.base import TrackingFailed
from runner.tracking.machine import Watch
from runner.tracking.mirror import Mirroring, alone, failure, is_claimed, open_tracker, store_root
from runner.tracking.mlflow_tracker import choose_store

FILE = "tracking.json"
# What a run waits for its mirror: seconds, or this part of its own time if that is more.
WAIT_SECONDS, WAIT_PART = 10.0, 0.1
# Seconds between looks at the folder, between attempts at a store that fails, and between notes of how far it is.
LOOK, RETRY, NOTE = 0.2, 5.0, 0.5
# How long the store may take once the run is done: many times what SQLite and servers were seen to need (100,000 and
# 4,000 to 12,000 points a second, on a busy machine a fraction of that). With every candidate as a run, some hours.
PATIENCE_SECONDS, PATIENCE_POINTS = 600.0, 200.0
# A third of the run's own share of the processors. With the lowest priority, it never ends on a busy machine.
NICENESS = 5
# The variable by which a user says how long a run waits: seconds, or "all".
WAIT_VARIABLE = "MMM_TRACKING_WAIT"


class State(StrEnum):
    """Where a mirror is."""

    WAITING = "waiting"  # for something to write
    WRITING = "writing"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"  # the run ended before its time


@dataclass(frozen=True)
class Standing:
    """The content of ``tracking.json``; ``done`` of ``total`` are about points of metric histories.

    ``seconds`` is processor time of the mirror's process so far.
    """

    state: State
    store: str = ""
    experiment: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """For the terminal."""
        where = f"MLflow: {self.store}, experiment {self.experiment}"
        if self.state is State.DONE:
            return where
        if self.state is State.FAILED:
            return f"MLflow does not show all of this run: {self.message}"
        share = f"{self.done / self.total:.0%} of it is there" if self.total else "nothing is there yet"
        return f"{where}: still being filled in the background, {share}"


def read_standing(folder: RunFolder) -> Standing | None:
    """How far the mirror of a run is, or was; None where there never was one."""
    try:
        record = json.loads((folder.path / FILE).read_text(encoding="utf-8"))
        return Standing(**{**record, "state": State(record["state"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_standing(folder: RunFolder, standing: Standing) -> None:
    """Say how far a mirror is; a folder that cannot be written any more is not worth a failure."""
    with suppress(OSError):
        if folder.path.is_dir():  # a folder that was thrown away is not made again
            write_json(folder.path / FILE, asdict(standing))


# ------------------------------------------------------------------------------------------------- the run's own side


class MirrorProcess:
    """The mirror of one run, seen from the run. None of its methods raises."""

    def __init__(
        self, folder: RunFolder, tracking_uri: str | None = None, watch: Watch | None = None
    ) -> None:
        """Start it.

        Args:
            folder: the run. tracking_uri: as of ``mirror_to``.
            watch: is stopped, and so leaves its file, before the mirror is told that the folder is complete.
        """
        self._watch = watch
        self.folder = folder
        self._uri = tracking_uri
        self._process: subprocess.Popen[str] | None = None
        self._reason = ""
        self._start()

    def _start(self) -> None:
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                # A folder of the user's that is called like a module must not be imported in its place.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"},
                # Ctrl-C is for the run, which says what is to be done. Not a session of its own: Linux would take it
                # for another user of the machine, and the run's share of a busy one would not be passed on to it.
                process_group=0,
            )
        except OSError as error:
            self._reason = f"its process could not be started ({error.strerror})"
            return
        self._tell(json.dumps({"folder": str(self.folder.path.resolve()), "uri": self._uri}))

    def finish(self, seconds: float) -> list[Finding]:
        """The folder is complete: have the rest written, and wait for it so long at most.

        Returns:
            Nothing where MLflow is complete or will be; a warning where it is not.
        """
        deadline = time.monotonic() + seconds
        self._stop_watch()
        self._tell("done")
        self._wait(deadline)
        self._let_go()
        if self._process is not None and self._process.returncode is None:
            return []
        standing = read_standing(self.folder)
        if standing is not None and standing.state is State.DONE:
            return []
        reason = self._reason
        if standing is not None and standing.state is State.FAILED:
            reason = standing.message
        return [failure(self.folder, reason or "the process that writes it ended early")]

    def abandon(self) -> None:
        """The run ends before its time, or is done with: the mirror is told by the end of its input."""
        self._stop_watch()
        self._let_go()

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, ValueError):  # it has ended, or was let go
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()

    def _wait(self, deadline: float) -> None:
        if self._process is not None:
            # Ctrl-C here asks to be let go: the results are there, and MLflow is filled without us.
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                self._process.wait(max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX)))

    def _let_go(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        if process.poll() is None:
            # Somebody has to take note of its end for as long as this process lives.
            threading.Thread(target=process.wait, name="mirror of a run", daemon=True).start()


@contextmanager
def mirrored(
    folder: RunFolder, spec: ExperimentSpec, tracking_uri: str | None = None
) -> Iterator[MirrorProcess | None]:
    """The mirror of a run for as long as the run goes on; None where its spec wants none."""
    if not spec.tracking.enabled:
        yield None
        return
    watch = Watch(folder) if spec.tracking.system_metrics else None
    process = MirrorProcess(folder, tracking_uri, watch)
    try:
        yield process
    finally:
        process.abandon()


def seconds_to_wait(taken: float) -> float:
    """How long a run of so many seconds waits for its mirror.

    In a container that ends with the run, and in a job of a cluster, nothing would go on alone: there it waits for all.
    """
    asked = os.environ.get(WAIT_VARIABLE, "")
    if asked == "all" or (not asked and (os.getpid() == 1 or "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ)):
        return float("inf")
    with suppress(ValueError):
        return max(0.0, float(asked))
    return max(WAIT_SECONDS, WAIT_PART * taken)


# --------------------------------------------------------------------------------------------------- the mirror's side


class Ended(MMMError):
    """The run has ended before its time."""


class TakenOver(MMMError):
    """Another process mirrors the folder now."""


class Orders:
    """What the run says, read without waiting for it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = ""
        self.is_done = False  # the folder is complete
        self.is_over = False  # nothing more will be said

    def first(self) -> str:
        """The line with the orders."""
        while "\n" not in self._text and not self.is_over:
            self._read(60.0)
        line, _, self._text = self._text.partition("\n")
        return line

    def look(self, seconds: float = 0.0) -> None:
        """Take note of what was said; wait for it so long at most."""
        if not self.is_over:
            self._read(seconds)
            self.is_done = "done\n" in self._text

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if ready:
            piece = os.read(self._descriptor, 65_536)
            self._text += piece.decode("utf-8", "replace")
            self.is_over = not piece


class Mirror:
    """The mirror of one run: waits for trials, writes them, and the rest when it is told."""

    def __init__(self, folder: RunFolder, tracking_uri: str | None, orders: Orders) -> None:
        self.folder = folder
        self.uri = tracking_uri
        self.orders = orders
        spec = folder.spec()
        self._standing = Standing(State.WAITING, experiment=spec.experiment)
        with suppress(TrackingFailed):  # told when it is tried
            store = choose_store(store_root(folder), tracking_uri, spec.tracking.uri)
            self._standing = replace(self._standing, store=store.shown)
        self._noted = 0.0
        self._done_since: float | None = None

    def run(self) -> None:
        """All of it; how it ended is in ``tracking.json``."""
        self._note(State.WAITING)
        try:
            self._wait_for_work()
            while not self._has_mirrored():
                self._step_aside()
        except Ended:
            self._note(State.STOPPED)
        except TrackingFailed as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - nobody reads a trace here
            self._fail(f"{type(error).__name__}: {error}")
        else:
            self._note(State.DONE)

    def _wait_for_work(self) -> None:
        """Nothing is loaded before there is something to write, and somewhere to do so."""
        is_free = has_free_processor(self.folder.spec())
        while not self.orders.is_done:
            if is_free and any(self.folder.path.glob("candidates/trial-*.parquet")):
                return
            if self.folder.manifest()["stages"].get("search", {}).get("status") == "done":
                return
            self.orders.look(LOOK)
            self._check_run()

    def _has_mirrored(self) -> bool:
        """Whether MLflow is complete; if not, because another process asks for the folder."""
        with alone(self.folder):
            while True:
                self.orders.look()
                was_done = self.orders.is_done
                try:
                    self._attempt()
                except TakenOver:
                    return False
                except TrackingFailed:
                    if was_done:
                        raise
                    self._pause(RETRY)  # the store may be there by the time that the run is done
                else:
                    return True

    def _step_aside(self) -> None:
        while is_claimed(self.folder):
            self.orders.look(LOOK)
            time.sleep(LOOK)
            self._check_run()

    def _attempt(self) -> None:
        with open_tracker(self.folder, self.uri) as tracker:
            self._note(State.WRITING, store=tracker.location)
            mirroring = Mirroring(self.folder, tracker, self._check, self._tell)
            tracker.open(self._standing.experiment)
            try:
                if not self.orders.is_done:
                    mirroring.begin()
                while not self.orders.is_done:
                    mirroring.bring_trials()
                    self._pause(LOOK)
                mirroring.bring()
            except Ended:
                self._wait_for_status()
                mirroring.abandon()
                raise

    def _wait_for_status(self) -> None:
        """A run that ends says how it stands; one that was killed never does."""
        for _ in range(10):
            if self.folder.manifest()["status"] != "running":
                break
            time.sleep(LOOK)

    def _pause(self, seconds: float) -> None:
        self.orders.look(seconds)
        self._check()

    def _check(self) -> None:
        """Between writes: is there a reason to stop?"""
        self.orders.look()
        self._check_run()
        if is_claimed(self.folder):
            raise TakenOver("another process mirrors the folder now")
        if self._done_since is None and self.orders.is_done:
            self._done_since = time.monotonic()
        taken = 0.0 if self._done_since is None else time.monotonic() - self._done_since
        if taken > PATIENCE_SECONDS + self._standing.total / PATIENCE_POINTS:
            raise TrackingFailed(f"the tracking store is too slow: not done after {taken:.0f} s")

    def _check_run(self) -> None:
        if self.orders.is_over and not self.orders.is_done:
            raise Ended("the run has ended before its time")

    def _tell(self, done: int, total: int) -> None:
        if time.monotonic() - self._noted > NOTE:
            self._note(State.WRITING, done=done, total=total)

    def _note(self, state: State, **facts: str | int) -> None:
        self._noted = time.monotonic()
        now = round(time.process_time(), 2)
        self._standing = replace(self._standing, state=state, seconds=now, **facts)  # type: ignore[arg-type]
        write_standing(self.folder, self._standing)

    def _fail(self, reason: str) -> None:
        self._note(State.FAILED, message=reason)
        self.orders.look()
        if self.orders.is_done and self.orders.is_over:  # the run has gone; nobody else can say so
            with suppress(OSError, ValueError):
                add_finding(self.folder, failure(self.folder, reason))


def add_finding(folder: RunFolder, finding: Finding) -> None:
    """One more finding of a run that has ended, instead of an older one of the same case."""
    found = [record for record in folder.json("findings") if record["case"] != finding.case]
    write_json(folder.path / "findings.json", [*found, *as_records([finding])])


def has_free_processor(spec: ExperimentSpec) -> bool:
    """Whether the search leaves a processor of this machine alone."""
    execution = spec.execution
    if execution.backend == "serial":
        workers = 1
    elif execution.address != "local":
        workers = 0
    elif execution.workers is None:
        return False
    else:
        workers = execution.workers
    return workers < (os.cpu_count() or 1)


def be_humble() -> None:
    """Let the run go first, and outlive its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(NICENESS)


def main() -> None:
    """The mirror's process."""
    orders = Orders(sys.stdin.fileno())
    be_humble()
    told = orders.first()
    if told:
        order = json.loads(told)
        Mirror(RunFolder(Path(order["folder"])), order["uri"], orders).run()


if __name__ == "__main__":
    main()
