"""From a run folder to a tracker: the folder is the truth, the tracker is brought to its state.

``contents`` says what a folder becomes, ``writing`` writes it so that it is there once and whole; mirroring twice
changes nothing, and after a failure it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.findings import Finding, Severity
from runner.run_folder import RunFolder
from runner.tracking.base import RunStatus, TrackedRun, Tracker, is_locked, locked
from runner.tracking.contents import (
    STATUSES,
    Planned,
    RunContent,
    begun_digest,
    plan_contents,
    plan_run,
    plan_trials,
    values_digest,
)
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from runner.tracking.views import view_tags
from runner.tracking.writing import Tell, Writing, go_on, identity, silently, usable

# How long to wait for another process that mirrors the same folder. One in the background steps aside much sooner, but
# not before the store has answered it.
LOCK_SECONDS = 300.0

# The views of an experiment are of no run: any time does, as long as it is always the same.
VIEWS_OF = 1_704_067_200_000

# The case of the finding of a run that MLflow does not show.
FAILED = "tracking-failed"


@dataclass(frozen=True)
class MirrorReport:
    """What a mirroring did; ``written`` runs are new, ``renewed`` ones got newer files or tags."""

    store: str
    experiment: str
    run_id: str
    written: tuple[str, ...]
    renewed: tuple[str, ...]
    unchanged: tuple[str, ...]
    deleted: int
    points: int

    @property
    def sentence(self) -> str:
        """For the terminal."""
        changes = (
            f"{len(self.written)} runs written, {len(self.renewed)} renewed, {len(self.unchanged)} unchanged"
        )
        return f"MLflow {self.store}, experiment {self.experiment}: {changes}"

    def as_record(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class Mirroring(Writing):
    """Brings one experiment of a tracker to the state of one run folder, at once or while the run goes on.

    Args:
        folder: read only. tracker, check, tell: as of ``Writing``.
    """

    def __init__(
        self,
        folder: RunFolder,
        tracker: Tracker,
        check: Callable[[], None] = go_on,
        tell: Tell = silently,
    ) -> None:
        manifest = folder.manifest()
        super().__init__(manifest["run_id"], manifest["created"], folder.path, tracker, check, tell)
        self.folder = folder
        self.spec = folder.spec()
        self._open: str | None = None  # the trial that is being written
        self._begun: set[str] = set()  # trials written while the run went on

    def bring(self) -> None:
        """All of the folder: write what is missing, renew what is old, delete what is too much."""
        self.bring_plan(plan_contents(self.folder))
        self.tracker.describe(view_tags(self.spec, VIEWS_OF))

    def bring_brief(self) -> None:
        """Write the run itself with its numbers, without files and runs below it, unless it is there.

        What is there of the rest is left alone, and ``bring`` adds it at any later time.
        """
        planned = plan_run(self.folder, self.spec, is_brief=True)
        found = [run for run in self.find() if identity(run) == planned.identity]
        complete = [run for run in found if run.tags.get("mmm.complete") == "true"]
        if complete:
            self.put_below(complete[0], self.above())
            self.unchanged.append(planned.name)
            return
        content = planned.make()
        self.delete(found)
        digest = values_digest(content)
        handle = self.start(planned, content, digest)
        self._write(handle, content, {"mmm.values_digest": digest, "mmm.extras_digest": ""}, {})

    @property
    def ended(self) -> int:
        """As of ``Writing``."""
        path = self.folder.path / "timings.json"
        seconds = self.folder.json("timings").get("total") if path.is_file() else 0
        return self.created + int(1000 * (seconds or 0))

    def above(self) -> str | None:
        """Of one of the models of a portfolio the portfolio, of a refresh the run before it; where it is in MLflow."""
        belongs = self.folder.manifest().get("portfolio")
        if belongs:
            return self._handle_of(belongs["run"], "portfolio")
        refresh = self.spec.refresh
        return None if refresh is None else self._handle_of(refresh.run, "run")

    def _handle_of(self, run_id: str, kind: str) -> str | None:
        found = self.tracker.find({"mmm.run_id": run_id, "mmm.kind": kind})
        return found[0].handle if found else None

    # --------------------------------------------------------------------------------------------- while a run goes on

    def begin(self) -> None:
        """Show the run as going on, before it has results."""
        planned = plan_run(self.folder, self.spec)
        found = [run for run in self.find() if identity(run) == planned.identity]
        if found:
            self._parent = found[0].handle
            return
        content = planned.make()
        self._parent = self.start(planned, content, begun_digest(content))
        self.tracker.log(self._parent, params=content.params)

    def bring_trials(self) -> None:
        """Write the histories of trials that are on disk by now; ``bring`` finds them begun and ends them."""
        trials = plan_trials(self.folder, self.folder.spec())
        missing = [one for one in trials if one.name not in self._begun]
        self._total = sum(one.work for one in trials)
        self._done = self._total - sum(one.work for one in missing)
        found = self.find() if missing else []
        for planned in missing:
            self.check()
            content = planned.make()
            same = [run for run in found if identity(run) == planned.identity]
            self._open, before = self._begin_trial(planned, content, same)
            if before.get("mmm.complete") != "true":
                self.write_values(self._open, content, before)
                self.tracker.finish(self._open, content.status, self.ended)
            self._open = None
            self._begun.add(planned.name)
            self._done += planned.work

    def _begin_trial(
        self, planned: Planned, content: RunContent, found: Sequence[TrackedRun]
    ) -> tuple[str, Mapping[str, str]]:
        """Handle and tags of the trial's run; a new one where there is none with the same values."""
        digest = values_digest(content)
        run = usable(found, digest, begun_digest(content))
        if run is not None:
            return run.handle, run.tags
        self.delete(found)
        return self.start(planned, content, digest), {}

    def abandon(self) -> None:
        """The run has ended before its time: leave nothing as going on."""
        status = STATUSES.get(self.folder.manifest()["status"], RunStatus.FINISHED)
        for handle in (self._open, self._parent):
            if handle is not None:
                ended = RunStatus.KILLED if status is RunStatus.RUNNING else status
                self.tracker.finish(handle, ended, self.ended)


def report_of(writing: Writing, experiment: str) -> MirrorReport:
    """What was done."""
    return MirrorReport(
        store=writing.tracker.location,
        experiment=experiment,
        run_id=writing.run_id,
        written=tuple(writing.written),
        renewed=tuple(writing.renewed),
        unchanged=tuple(writing.unchanged),
        deleted=writing.deleted,
        points=writing.points,
    )


def mirror(
    folder: RunFolder, tracker: Tracker, check: Callable[[], None] = go_on, tell: Tell = silently
) -> MirrorReport:
    """Bring a tracker to the state of a run folder.

    Args:
        folder: read only. tracker: where to. check, tell: as of ``Mirroring``.
    Returns:
        What was done.
    Raises:
        TrackingFailed: the tracker failed, or another process is mirroring this folder. What was written stays, and
            the next mirroring goes on from there.
    """
    with alone(folder):
        mirroring = Mirroring(folder, tracker, check, tell)
        tracker.open(mirroring.spec.experiment)
        mirroring.bring()
    return report_of(mirroring, mirroring.spec.experiment)


def mirror_to(folder: RunFolder, tracking_uri: str | None = None, tell: Tell = silently) -> MirrorReport:
    """Bring MLflow to the state of a run folder; a process that does so in the background steps aside.

    Args:
        folder: read only. tracking_uri: wins over the spec's, that over MLFLOW_TRACKING_URI, that over an SQLite file
        beside the run folder. tell: as of ``Mirroring``.
    Raises:
        TrackingFailed: as ``mirror``.
    """
    with claimed(folder), open_tracker(folder, tracking_uri) as tracker:
        return mirror(folder, tracker, tell=tell)


def store_root(folder: RunFolder) -> Path:
    """Where the tracking store of a run lies by default: beside its folder, or beside the portfolio that it is in."""
    path = folder.path.resolve()
    is_member = path.parent.name == "models" and "portfolio" in folder.manifest()
    return path.parents[2] if is_member else path.parent


@contextmanager
def open_tracker(folder: RunFolder, tracking_uri: str | None = None) -> Iterator[MlflowTracker]:
    """The tracker that a run folder is mirrored to.

    Raises:
        TrackingFailed: there is no MLflow there.
    """
    tracker = MlflowTracker(choose_store(store_root(folder), tracking_uri, folder.spec().tracking.uri))
    try:
        yield tracker
    finally:
        tracker.close()


@contextmanager
def alone(folder: RunFolder) -> Iterator[None]:
    """Be the one process that mirrors the folder.

    The lock is on its spec, which is never replaced: that on the folder itself belongs to whoever fills it, which goes
    on meanwhile (``RunFolder.held``), and that on its inputs to a process that claims it.
    """
    with locked(folder.path / "spec.yaml", f"mirroring {folder.run_id}", LOCK_SECONDS):
        yield


@contextmanager
def claimed(folder: RunFolder) -> Iterator[None]:
    """Ask a process in the background to leave the folder to this one; see ``is_claimed``."""
    with locked(folder.path / "inputs", f"mirroring {folder.run_id}", LOCK_SECONDS):
        yield


def is_claimed(folder: RunFolder) -> bool:
    """Whether a process has asked for the folder."""
    return is_locked(folder.path / "inputs")


def failure(folder: RunFolder, reason: str) -> Finding:
    """What a run says when MLflow does not show it."""
    return Finding(
        FAILED,
        Severity.WARNING,
        f"MLflow does not show this run, or not all of it: {reason}.",
        f"Run `mmm track {folder.run_id}` later; it brings MLflow to the state of the run folder.",
    )
