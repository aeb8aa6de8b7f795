"""From a run folder to a tracker: the folder is the truth, the tracker is brought to its state.

``contents`` says what a folder becomes. A run is known by its tags ``mmm.run_id``, ``mmm.kind`` and ``mmm.name`` and is
complete once ``mmm.complete`` is set, the last thing written. ``mmm.values_digest`` says what its metrics are, and is
written before the first of them; ``mmm.points`` how much of its histories has arrived. So mirroring twice changes
nothing, and after a failure it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from runner.findings import Finding, Severity
from runner.run_folder import RunFolder
from runner.tracking.base import (
    ModelTexts,
    RunStatus,
    TrackedRun,
    Tracker,
    blocks,
    is_locked,
    locked,
)
from runner.tracking.contents import (
    KINDS,
    STATUSES,
    Planned,
    RunContent,
    begun_digest,
    extras_digest,
    plan_contents,
    plan_trials,
    values_digest,
)
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store

# How long to wait for another process that mirrors the same folder. One in the background steps aside much sooner, but
# not before the store has answered it.
LOCK_SECONDS = 300.0

# The case of the finding of a run that MLflow does not show.
FAILED = "tracking-failed"

# Told how much of the work is done, and how much there is.
Tell = Callable[[int, int], None]


def _go_on() -> None:
    """The check that never objects."""


def _silently(_done: int, _total: int) -> None:
    """The ear of nobody."""


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


class Mirroring:
    """Brings one experiment of a tracker to the state of one run folder, at once or while the run goes on.

    Args:
        folder: read only. tracker: its experiment is open.
        check: called between writes; what it raises ends the mirroring there, to be taken up later.
        tell: is told how far it is.
    """

    def __init__(
        self,
        folder: RunFolder,
        tracker: Tracker,
        check: Callable[[], None] = _go_on,
        tell: Tell = _silently,
    ) -> None:
        self.folder = folder
        self.spec = folder.spec()
        self.tracker = tracker
        self.check = check
        self.tell = tell
        manifest = folder.manifest()
        self.run_id = manifest["run_id"]
        # One timestamp for everything: a metric point written twice is then the same point.
        self.created = int(datetime.fromisoformat(manifest["created"]).timestamp() * 1000)
        self.written: list[str] = []
        self.renewed: list[str] = []
        self.unchanged: list[str] = []
        self.deleted = 0
        self.points = 0
        self._done = self._total = 0
        self._parent: str | None = None
        self._open: str | None = None  # the trial that is being written
        self._begun: set[str] = set()  # trials written while the run went on

    # --------------------------------------------------------------------------------------------- while a run goes on

    def begin(self) -> None:
        """Show the run as going on, before it has results."""
        planned = plan_contents(self.folder)[0]
        found = [run for run in self._find() if _identity(run) == planned.identity]
        if found:
            self._parent = found[0].handle
            return
        content = planned.make()
        self._parent = self._start(planned, content, begun_digest(content))
        self.tracker.log(self._parent, params=content.params)

    def bring_trials(self) -> None:
        """Write the histories of trials that are on disk by now; ``bring`` finds them begun and ends them."""
        missing = [one for one in plan_trials(self.folder, self.folder.spec()) if one.name not in self._begun]
        found = self._find() if missing else []
        for planned in missing:
            self.check()
            content = planned.make()
            same = [run for run in found if _identity(run) == planned.identity]
            self._open, before = self._begin_trial(planned, content, same)
            if before.get("mmm.complete") != "true":
                self._write_values(self._open, content, before)
                self.tracker.finish(self._open, content.status, self._ended)
            self._open = None
            self._begun.add(planned.name)

    def _begin_trial(
        self, planned: Planned, content: RunContent, found: Sequence[TrackedRun]
    ) -> tuple[str, Mapping[str, str]]:
        """Handle and tags of the trial's run; a new one where there is none with the same values."""
        digest = values_digest(content)
        run = _usable(found, digest, begun_digest(content))
        if run is not None:
            return run.handle, run.tags
        self._delete(found)
        return self._start(planned, content, digest), {}

    def abandon(self) -> None:
        """The run has ended before its time: leave nothing as going on."""
        status = STATUSES.get(self.folder.manifest()["status"], RunStatus.FINISHED)
        for handle in (self._open, self._parent):
            if handle is not None:
                ended = RunStatus.KILLED if status is RunStatus.RUNNING else status
                self.tracker.finish(handle, ended, self._ended)

    # ------------------------------------------------------------------------------------------------------- the whole

    def bring(self) -> None:
        """Write what is missing, renew what is old, delete what is too much."""
        plan = plan_contents(self.folder)
        self._done, self._total = 0, sum(planned.work for planned in plan)
        same: dict[tuple[str | None, str | None], list[TrackedRun]] = {one.identity: [] for one in plan}
        for run in self._find():
            same.setdefault(_identity(run), []).append(run)
        handles = []
        for planned in plan:
            self.check()
            handles.append(self._bring_one(planned, same.pop(planned.identity)))
            self._parent = handles[0]
            self._done += planned.work
            self.tell(self._done, self._total)
        for unknown in same.values():
            self._delete(unknown)
        if self.written:
            self._delete_doubles(handles)

    def _bring_one(self, planned: Planned, found: Sequence[TrackedRun]) -> str:
        """One run; its handle."""
        content = planned.make()
        digests = {
            "mmm.values_digest": values_digest(content),
            "mmm.extras_digest": extras_digest(content, self.folder.path),
        }
        run = _usable(found, digests["mmm.values_digest"], begun_digest(content))
        self._delete(other for other in found if other is not run)
        if run is None:
            handle = self._start(planned, content, digests["mmm.values_digest"])
            self._write(handle, content, digests, {})
            return handle
        if not _is_complete(run, digests["mmm.values_digest"]):
            self._write(run.handle, content, digests, run.tags)
        elif run.tags.get("mmm.extras_digest") != digests["mmm.extras_digest"]:
            self._write_extras(run.handle, content, digests)
            self.renewed.append(content.name)
        else:
            self.unchanged.append(content.name)
        above = self._above(planned)
        if above and run.tags.get("mlflow.parentRunId") != above:
            self.tracker.log(run.handle, tags={"mlflow.parentRunId": above})
        return run.handle

    # --------------------------------------------------------------------------------------------------------- one run

    def _start(self, planned: Planned, content: RunContent, digest: str) -> str:
        tags = {"mmm.run_id": self.run_id, "mmm.kind": content.kind, "mmm.name": content.name}
        tags |= {"mmm.values_digest": digest, "mlflow.source.name": "mmm", "mlflow.source.type": "LOCAL"}
        if above := self._above(planned):
            tags["mlflow.parentRunId"] = above
        # MLflow shows the newest on top: the run itself, its trials, its models.
        return self.tracker.start(content.name, tags, self.created - planned.place)

    def _above(self, planned: Planned) -> str | None:
        """The run that a run is shown below: the folder's own, and of that, in a refresh, the run before it."""
        refresh = self.spec.refresh
        if planned.kind != "run":
            return self._parent
        if refresh is None:
            return None
        found = self.tracker.find({"mmm.run_id": refresh.run, "mmm.kind": "run"})
        return found[0].handle if found else None

    def _write(
        self, handle: str, content: RunContent, digests: Mapping[str, str], before: Mapping[str, str]
    ) -> None:
        """All of a run that is new or was begun; ``before`` are the tags that it had."""
        if before and before["mmm.values_digest"] != digests["mmm.values_digest"]:
            self.tracker.log(handle, tags={"mmm.values_digest": digests["mmm.values_digest"]})
        if content.is_small:
            self._write_small(handle, content, digests)
        else:
            self._write_values(handle, content, before)
            for dataset in content.datasets:
                self.tracker.log_dataset(handle, dataset)
            self._write_extras(handle, content, digests)
        self.points += content.n_points
        self.written.append(content.name)

    def _write_small(self, handle: str, content: RunContent, digests: Mapping[str, str]) -> None:
        """A run without histories and files, in as few calls as it can be."""
        self.tracker.finish(handle, content.status, self._ended)
        tags = {**content.tags, **digests, "mmm.complete": "true"}
        self.tracker.log(
            handle, params=content.params, metrics=content.metrics, tags=tags, timestamp=self.created
        )

    def _write_values(self, handle: str, content: RunContent, before: Mapping[str, str]) -> None:
        """Parameters, metrics and histories; of these without the points that have arrived before."""
        self.tracker.log(handle, params=content.params, metrics=content.metrics, timestamp=self.created)
        arrived = int(before.get("mmm.points", "0"))
        for block in blocks(content.series, skip=arrived):
            self.check()
            arrived += sum(len(series.steps) for series in block)
            self.tracker.log_series(handle, block, self.created, {"mmm.points": str(arrived)})
            self.tell(self._done + arrived, self._total)

    def _write_extras(self, handle: str, content: RunContent, digests: Mapping[str, str]) -> None:
        """Files, model, tags and status; the mark of completeness last."""
        self.check()
        self.tracker.log_files(handle, self.folder.path, content.files)
        self._write_model(handle, content)
        self.tracker.finish(handle, content.status, self._ended)
        self.tracker.log(handle, tags={**content.tags, **digests, "mmm.complete": "true"})

    def _write_model(self, handle: str, content: RunContent) -> None:
        """The model that can be loaded: the one there is stays if it is the same, any other goes."""
        if content.model is None:
            return
        digest = content.model.digest
        tags = {"mmm.run_id": self.run_id, "mmm.name": content.name}
        found = self.tracker.models(tags)
        good = [
            model for model in found if model.is_complete and (model.run, model.digest) == (handle, digest)
        ]
        for model in found:
            if model not in good[:1]:
                self.tracker.delete_model(model.handle)
        if not good:
            shown = ModelTexts(content.params, content.metrics, {**content.tags, **tags}, self.created)
            self.tracker.log_model(handle, content.model, shown)

    # --------------------------------------------------------------------------------------------------------- details

    @property
    def _ended(self) -> int:
        """Milliseconds since 1970 that the run ended; when it was made, before that is known."""
        path = self.folder.path / "timings.json"
        seconds = self.folder.json("timings").get("total") if path.is_file() else 0
        return self.created + int(1000 * (seconds or 0))

    def _find(self) -> list[TrackedRun]:
        return self.tracker.find({"mmm.run_id": self.run_id})

    def _delete(self, runs: Iterable[TrackedRun]) -> None:
        """Take runs away that are old, doubled, or of models that are not selected any more."""
        for run in runs:
            if run.tags.get("mmm.kind") in KINDS:
                for model in self._models_of(run):
                    self.tracker.delete_model(model)
                self.tracker.delete(run.handle)
                self.deleted += 1

    def _models_of(self, run: TrackedRun) -> list[str]:
        if run.tags["mmm.kind"] != "model":
            return []
        found = self.tracker.models({"mmm.run_id": self.run_id, "mmm.name": run.tags["mmm.name"]})
        return [model.handle for model in found if model.run == run.handle]

    def _delete_doubles(self, handles: Sequence[str]) -> None:
        """A server that made a run and answered too late was asked for it twice."""
        known = set(handles)
        self._delete(run for run in self._find() if run.handle not in known)

    def report(self) -> MirrorReport:
        """What was done."""
        return MirrorReport(
            store=self.tracker.location,
            experiment=self.spec.experiment,
            run_id=self.run_id,
            written=tuple(self.written),
            renewed=tuple(self.renewed),
            unchanged=tuple(self.unchanged),
            deleted=self.deleted,
            points=self.points,
        )


def _identity(run: TrackedRun) -> tuple[str | None, str | None]:
    return run.tags.get("mmm.kind"), run.tags.get("mmm.name")


def _is_complete(run: TrackedRun, digest: str) -> bool:
    return run.tags.get("mmm.complete") == "true" and run.tags.get("mmm.values_digest") == digest


def _usable(found: Sequence[TrackedRun], digest: str, begun: str) -> TrackedRun | None:
    """The run to keep: a complete one, else one that was begun with the same values, else one without any."""
    complete = [run for run in found if _is_complete(run, digest)]
    same = [run for run in found if run.tags.get("mmm.values_digest") == digest]
    bare = [run for run in found if run.tags.get("mmm.values_digest") == begun]
    return next(iter([*complete, *same, *bare]), None)


def mirror(
    folder: RunFolder, tracker: Tracker, check: Callable[[], None] = _go_on, tell: Tell = _silently
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
    with locked(folder.path, f"mirroring {folder.run_id}", LOCK_SECONDS):
        mirroring = Mirroring(folder, tracker, check, tell)
        tracker.open(mirroring.spec.experiment)
        mirroring.bring()
    return mirroring.report()


def mirror_to(folder: RunFolder, tracking_uri: str | None = None, tell: Tell = _silently) -> MirrorReport:
    """Bring MLflow to the state of a run folder; a process that does so in the background steps aside.

    Args:
        folder: read only. tracking_uri: wins over the spec's, that over MLFLOW_TRACKING_URI, that over an SQLite file
        beside the run folder. tell: as of ``Mirroring``.
    Raises:
        TrackingFailed: as ``mirror``.
    """
    with claimed(folder), open_tracker(folder, tracking_uri) as tracker:
        return mirror(folder, tracker, tell=tell)


@contextmanager
def open_tracker(folder: RunFolder, tracking_uri: str | None = None) -> Iterator[MlflowTracker]:
    """The tracker that a run folder is mirrored to.

    Raises:
        TrackingFailed: there is no MLflow there.
    """
    store = choose_store(folder.path.resolve().parent, tracking_uri, folder.spec().tracking.uri)
    tracker = MlflowTracker(store)
    try:
        yield tracker
    finally:
        tracker.close()


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
