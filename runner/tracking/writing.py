"""Writing runs so that they are there once and whole, whatever happened before.

A run is known by its tags ``mmm.run_id``, ``mmm.kind`` and ``mmm.name`` and is complete once ``mmm.complete`` is set,
the last thing written. ``mmm.values_digest`` says what its metrics are, and is written before the first of them;
``mmm.points`` how much of its histories has arrived. So writing twice changes nothing, and after a failure it goes on
where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from runner.tracking.base import ModelTexts, NewRun, TrackedRun, Tracker, blocks
from runner.tracking.contents import KINDS, Planned, RunContent, begun_digest, extras_digest, values_digest

# Told how much of the work is done, and how much there is.
Tell = Callable[[int, int], None]


def go_on() -> None:
    """The check that never objects."""


def silently(_done: int, _total: int) -> None:
    """The ear of nobody."""


class Writing:
    """Brings the runs of one run id to the state of a plan; the first of the plan is shown above the others.

    Args:
        run_id: what all of them are of. created: when that was, in ISO 8601. root: folder that their files lie in.
        tracker: its experiment is open.
        check: called between writes; what it raises ends the writing there, to be taken up later.
        tell: is told how far it is.
    """

    def __init__(
        self,
        run_id: str,
        created: str,
        root: Path,
        tracker: Tracker,
        check: Callable[[], None] = go_on,
        tell: Tell = silently,
    ) -> None:
        self.run_id = run_id
        self.root = root
        self.tracker = tracker
        self.check = check
        self.tell = tell
        # One timestamp for everything: a metric point written twice is then the same point.
        self.created = int(datetime.fromisoformat(created).timestamp() * 1000)
        self.written: list[str] = []
        self.renewed: list[str] = []
        self.unchanged: list[str] = []
        self.deleted = 0
        self.points = 0
        self._done = self._total = 0
        self._parent: str | None = None
        self._waiting: list[tuple[Planned, RunContent]] = []  # small new runs, to be added together

    @property
    def ended(self) -> int:
        """Milliseconds since 1970 that the runs ended; when they were made, before that is known."""
        return self.created

    def above(self) -> str | None:
        """The run that the first one is shown below, if any."""
        return None

    def bring_plan(self, plan: Sequence[Planned]) -> None:
        """Write what is missing, renew what is old, delete what is too much."""
        self._done, self._total = 0, sum(planned.work for planned in plan)
        same: dict[tuple[str | None, str | None], list[TrackedRun]] = {one.identity: [] for one in plan}
        for run in self.find():
            same.setdefault(identity(run), []).append(run)
        handles: list[str] = []
        for planned in plan:
            self.check()
            found, content = same.pop(planned.identity), planned.make()
            if not found and content.is_small and handles:
                self._waiting.append((planned, content))
                if len(self._waiting) >= self.tracker.runs_per_call:
                    handles += self._add_waiting()
                continue
            handles.append(self._bring_one(planned, content, found))
            self._parent = handles[0]
            self._has_done(planned)
        handles += self._add_waiting()
        for unknown in same.values():
            self.delete(unknown)
        if self.written:
            self._delete_doubles(handles)

    def _has_done(self, planned: Planned) -> None:
        self._done += planned.work
        self.tell(self._done, self._total)

    def _add_waiting(self) -> list[str]:
        """New runs without histories and files, many at once; their handles."""
        waiting, self._waiting = self._waiting, []
        ended = self.ended
        runs = [self._new_run(planned, content, ended) for planned, content in waiting]
        handles = self.tracker.add_runs(runs) if runs else []
        for planned, content in waiting:
            self.points += content.n_points
            self.written.append(content.name)
            self._has_done(planned)
        return handles

    def _new_run(self, planned: Planned, content: RunContent, ended: int) -> NewRun:
        digests = self._digests(content)
        return NewRun(
            name=content.name,
            known=self._known(planned, content, digests["mmm.values_digest"]),
            started=self._started(planned),
            params=content.params,
            metrics=content.metrics,
            tags={**content.tags, **digests, "mmm.complete": "true"},
            timestamp=self.created,
            ending=(content.status, ended),
        )

    def _digests(self, content: RunContent) -> dict[str, str]:
        return {
            "mmm.values_digest": values_digest(content),
            "mmm.extras_digest": extras_digest(content, self.root),
        }

    def _bring_one(self, planned: Planned, content: RunContent, found: Sequence[TrackedRun]) -> str:
        """One run; its handle."""
        digests = self._digests(content)
        run = usable(found, digests["mmm.values_digest"], begun_digest(content))
        self.delete(other for other in found if other is not run)
        if run is None:
            handle = self.start(planned, content, digests["mmm.values_digest"])
            self._write(handle, content, digests, {})
            return handle
        if not _is_complete(run, digests["mmm.values_digest"]):
            self._write(run.handle, content, digests, run.tags)
        elif run.tags.get("mmm.extras_digest") != digests["mmm.extras_digest"]:
            self._write_extras(run.handle, content, digests)
            self.renewed.append(content.name)
        else:
            self.unchanged.append(content.name)
        self.put_below(run, self._above(planned))
        return run.handle

    def put_below(self, run: TrackedRun, above: str | None) -> None:
        """Show a run that is there below another one."""
        if above and run.tags.get("mlflow.parentRunId") != above:
            self.tracker.log(run.handle, tags={"mlflow.parentRunId": above})

    # --------------------------------------------------------------------------------------------------------- one run

    def start(self, planned: Planned, content: RunContent, digest: str) -> str:
        """A new run with the tags that it is known by; its handle."""
        known = self._known(planned, content, digest)
        return self.tracker.start(content.name, known, self._started(planned))

    def _known(self, planned: Planned, content: RunContent, digest: str) -> dict[str, str]:
        tags = {"mmm.run_id": self.run_id, "mmm.kind": content.kind, "mmm.name": content.name}
        tags |= {"mmm.values_digest": digest, "mlflow.source.name": "mmm", "mlflow.source.type": "LOCAL"}
        if above := self._above(planned):
            tags["mlflow.parentRunId"] = above
        return tags

    def _started(self, planned: Planned) -> int:
        """MLflow shows the newest on top: the run itself, its trials, its models."""
        return self.created - planned.place

    def _above(self, planned: Planned) -> str | None:
        """The run that a run is shown below."""
        return self.above() if planned.place == 0 else self._parent

    def _write(
        self, handle: str, content: RunContent, digests: Mapping[str, str], before: Mapping[str, str]
    ) -> None:
        """All of a run that is new or was begun; ``before`` are the tags that it had."""
        if before and before["mmm.values_digest"] != digests["mmm.values_digest"]:
            self.tracker.log(handle, tags={"mmm.values_digest": digests["mmm.values_digest"]})
        if content.is_small:
            self._write_small(handle, content, digests)
        else:
            self.write_values(handle, content, before)
            for dataset in content.datasets:
                self.tracker.log_dataset(handle, dataset)
            self._write_extras(handle, content, digests)
        self.points += content.n_points
        self.written.append(content.name)

    def _write_small(self, handle: str, content: RunContent, digests: Mapping[str, str]) -> None:
        """A run without histories and files, in as few calls as it can be."""
        self.tracker.log(
            handle,
            params=content.params,
            metrics=content.metrics,
            tags={**content.tags, **digests, "mmm.complete": "true"},
            timestamp=self.created,
            ending=(content.status, self.ended),
        )

    def write_values(self, handle: str, content: RunContent, before: Mapping[str, str]) -> None:
        """Parameters, metrics and histories; of these without the points that have arrived before."""
        self.tracker.log(handle, params=content.params, metrics=content.metrics, timestamp=self.created)
        arrived = int(before.get("mmm.points", "0"))
        for block in blocks(content.series, self.tracker.points_per_call, skip=arrived):
            self.check()
            arrived += sum(len(series.steps) for series in block)
            self.tracker.log_series(handle, block, self.created, {"mmm.points": str(arrived)})
            self.tell(self._done + arrived, self._total)

    def _write_extras(self, handle: str, content: RunContent, digests: Mapping[str, str]) -> None:
        """Files, model, tags and status; the mark of completeness last."""
        self.check()
        self.tracker.log_files(handle, self.root, content.files)
        self._write_model(handle, content)
        self.tracker.finish(handle, content.status, self.ended)
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

    def find(self) -> list[TrackedRun]:
        """All runs of the run id."""
        return self.tracker.find({"mmm.run_id": self.run_id})

    def delete(self, runs: Iterable[TrackedRun]) -> None:
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
        self.delete(run for run in self.find() if run.handle not in known)


def identity(run: TrackedRun) -> tuple[str | None, str | None]:
    """Kind and name: what a run is known by among those of one run id."""
    return run.tags.get("mmm.kind"), run.tags.get("mmm.name")


def _is_complete(run: TrackedRun, digest: str) -> bool:
    return run.tags.get("mmm.complete") == "true" and run.tags.get("mmm.values_digest") == digest


def usable(found: Sequence[TrackedRun], digest: str, begun: str) -> TrackedRun | None:
    """The run to keep: a complete one, else one that was begun with the same values, else one without any."""
    complete = [run for run in found if _is_complete(run, digest)]
    same = [run for run in found if run.tags.get("mmm.values_digest") == digest]
    bare = [run for run in found if run.tags.get("mmm.values_digest") == begun]
    return next(iter([*complete, *same, *bare]), None)
