"""A tracker that keeps everything in this process: for tests, and to look at what a mirror would write."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.tracking.base import (
    PARAM_LENGTH,
    POINTS_PER_CALL,
    TAG_LENGTH,
    DatasetFacts,
    ModelFacts,
    ModelTexts,
    NewRun,
    RunStatus,
    Series,
    TrackedModel,
    TrackedRun,
    TrackingFailed,
    add_one_by_one,
    check_series,
    is_legal,
)

# step, value, timestamp; the same point twice is one point, as in MLflow
Point = tuple[int, float, int]


@dataclass
class MemoryRun:
    """One run: what MLflow would show of it."""

    name: str
    tags: dict[str, str]
    started: int
    params: dict[str, str] = field(default_factory=dict)
    histories: dict[str, dict[Point, None]] = field(default_factory=dict)  # points in the order written
    files: dict[str, bytes] = field(default_factory=dict)
    datasets: list[DatasetFacts] = field(default_factory=list)
    status: RunStatus = RunStatus.RUNNING
    ended: int | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The latest value of every metric: of the last step, then the last timestamp, then the largest."""
        return {
            key: max(points, key=lambda p: (p[0], p[2], p[1]))[1] for key, points in self.histories.items()
        }


@dataclass(frozen=True)
class MemoryModel:
    """A logged model."""

    run: str
    model: ModelFacts
    shown: ModelTexts


class MemoryTracker:
    """Experiments by name, each with its runs by handle."""

    def __init__(self) -> None:
        self.experiments: dict[str, dict[str, MemoryRun]] = {}
        self.logged: dict[str, dict[str, MemoryModel]] = {}
        self.described: dict[str, dict[str, str]] = {}
        self._open: str | None = None
        self._started = 0

    @property
    def location(self) -> str:
        """Where it is."""
        return "memory"

    @property
    def runs(self) -> dict[str, MemoryRun]:
        """Runs of the open experiment."""
        if self._open is None:
            raise TrackingFailed("no experiment is open; call open first")
        return self.experiments[self._open]

    @property
    def kept(self) -> dict[str, MemoryModel]:
        """Logged models of the open experiment."""
        if self._open is None:
            raise TrackingFailed("no experiment is open; call open first")
        return self.logged[self._open]

    def open(self, experiment: str) -> None:
        """Make the experiment unless it exists."""
        self.experiments.setdefault(experiment, {})
        self.logged.setdefault(experiment, {})
        self._open = experiment

    def describe(self, tags: Mapping[str, str]) -> None:
        """Tags of the experiment itself."""
        if self._open is None:
            raise TrackingFailed("no experiment is open; call open first")
        self.described.setdefault(self._open, {}).update(tags)

    def find(self, tags: Mapping[str, str]) -> list[TrackedRun]:
        """Runs that carry all these tags."""
        found = [TrackedRun(handle, dict(run.tags)) for handle, run in sorted(self.runs.items())]
        return [run for run in found if all(run.tags.get(key) == value for key, value in tags.items())]

    def start(self, name: str, tags: Mapping[str, str], started: int) -> str:
        """A new run."""
        self._started += 1
        handle = f"{self._started:08d}"
        self.runs[handle] = MemoryRun(name, dict(tags), started)
        return handle

    def log(
        self,
        handle: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        timestamp: int = 0,
        ending: tuple[RunStatus, int] | None = None,
    ) -> None:
        """Write parameters, single metrics and tags."""
        if ending is not None:
            self.finish(handle, *ending)
        run = self._run(handle)
        for key, text in (params or {}).items():
            _check_text(key, text, PARAM_LENGTH)
            if run.params.setdefault(key, text) != text:
                raise TrackingFailed(f"the parameter {key!r} has a value already; parameters never change")
        for key, value in (metrics or {}).items():
            if not is_legal(key) or not math.isfinite(value):
                raise TrackingFailed(f"the metric {key!r} = {value} is not legal in MLflow")
            run.histories.setdefault(key, {})[0, float(value), timestamp] = None
        for key, text in (tags or {}).items():
            _check_text(key, text, TAG_LENGTH)
            run.tags[key] = text

    @property
    def points_per_call(self) -> int:
        """As a server takes them."""
        return POINTS_PER_CALL

    def add_runs(self, runs: Sequence[NewRun]) -> list[str]:
        """Make, write and close runs."""
        return add_one_by_one(self, runs)

    @property
    def runs_per_call(self) -> int:
        """Several, so that what is told of batches is true here too."""
        return 7

    def log_series(
        self, handle: str, series: Sequence[Series], timestamp: int, tags: Mapping[str, str] | None = None
    ) -> None:
        """Append to metric histories, then write tags."""
        run = self._run(handle)
        check_series(series)
        for one in series:
            for point in one.points(timestamp):
                run.histories.setdefault(one.key, {})[point] = None
        run.tags |= tags or {}

    def log_files(self, handle: str, root: Path, files: Sequence[str]) -> None:
        """Keep the contents of files."""
        try:
            self._run(handle).files.update({file: (root / file).read_bytes() for file in files})
        except OSError as error:
            raise TrackingFailed(f"{error.filename}: cannot be read ({error.strerror})") from error

    def log_dataset(self, handle: str, dataset: DatasetFacts) -> None:
        """Name the data."""
        run = self._run(handle)
        if dataset not in run.datasets:
            run.datasets.append(dataset)

    def models(self, tags: Mapping[str, str]) -> list[TrackedModel]:
        """Logged models that carry all these tags."""
        return [
            TrackedModel(handle, one.run, one.model.digest, True)
            for handle, one in sorted(self.kept.items())
            if all(one.shown.tags.get(key) == value for key, value in tags.items())
        ]

    def log_model(self, handle: str, model: ModelFacts, shown: ModelTexts) -> None:
        """Keep a model."""
        self._run(handle)
        self._started += 1
        self.kept[f"m-{self._started:08d}"] = MemoryModel(handle, model, shown)

    def delete_model(self, handle: str) -> None:
        """Take a logged model away."""
        del self.kept[handle]

    def finish(self, handle: str, status: RunStatus, ended: int) -> None:
        """Close the run."""
        run = self._run(handle)
        run.status, run.ended = status, ended

    def delete(self, handle: str) -> None:
        """Take the run away."""
        self._run(handle)
        del self.runs[handle]

    def close(self) -> None:
        """Nothing to let go of."""

    def _run(self, handle: str) -> MemoryRun:
        if handle not in self.runs:
            raise TrackingFailed(f"there is no run {handle}")
        return self.runs[handle]


def _check_text(key: str, text: str, limit: int) -> None:
    if not is_legal(key):
        raise TrackingFailed(f"the name {key!r} is not legal in MLflow; pass it through legal_key")
    if len(text) > limit:
        raise TrackingFailed(f"the value of {key!r} is longer than {limit} characters; shorten it")
