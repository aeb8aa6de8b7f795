"""The contract of a tracker, and what every tracker agrees on: names, limits, finite numbers."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import itertools
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np

from mmm_core.errors import MMMError
from mmm_core.types import FloatArray, IntArray

# Limits of MLflow's REST interface, which its databases share. Tags are kept to the 5,000 of older servers.
KEY_LENGTH = 250
PARAM_LENGTH = 6000
TAG_LENGTH = 5000
ENTITIES_PER_CALL = 1000
PAIRS_PER_CALL = 100
# A call that carries points carries the mark of how many have arrived as well.
POINTS_PER_CALL = ENTITIES_PER_CALL - 1

# MLflow tells the metrics of a machine from those of a model by this, slash and all.
SYSTEM_PREFIX = "system/"
SYSTEM_METRICS = (
    "cpu_utilization_percentage",
    "system_memory_usage_megabytes",
    "system_memory_usage_percentage",
    "disk_usage_percentage",
    "disk_usage_megabytes",
    "disk_available_megabytes",
    "network_receive_megabytes",
    "network_transmit_megabytes",
    "driver_cpu_percentage",
    "driver_memory_megabytes",
)
_SYSTEM_KEYS = frozenset(SYSTEM_PREFIX + name for name in SYSTEM_METRICS)

_ILLEGAL = re.compile(r"[^\w.\- ]|^\.|_(?=x[0-9a-f])")
_ESCAPED = re.compile(r"_x([0-9a-f]+)_")
_SHORTENED = re.compile(r"_x([0-9a-f]{16})$")


class TrackingFailed(MMMError):
    """The tracking store could not be read or written: one sentence for the user. No result depends on it."""


class RunStatus(StrEnum):
    """How a run ended, in MLflow's words."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True, eq=False)
class Series:
    """One metric by step; ``times`` in milliseconds since 1970, None: the one that the series is logged with."""

    key: str
    steps: IntArray  # (N,)
    values: FloatArray  # (N,) finite
    times: IntArray | None = None  # (N,)

    def part(self, start: int, stop: int) -> Series:
        """Some of its points."""
        times = None if self.times is None else self.times[start:stop]
        return Series(self.key, self.steps[start:stop], self.values[start:stop], times)

    def points(self, timestamp: int) -> Iterator[tuple[int, float, int]]:
        """Step, value and time of each; ``timestamp`` where they have none of their own."""
        times = itertools.repeat(timestamp, len(self.steps)) if self.times is None else self.times.tolist()
        return zip(self.steps.tolist(), self.values.tolist(), times, strict=True)


@dataclass(frozen=True)
class DatasetFacts:
    """A table of a run: enough to recognise it, nothing of its contents.

    Attributes:
        name, digest: what it is known by. n_rows: its length.
        source: where it lies; of a table that is an artifact of the run itself, its path there.
        columns: (name, type in MLflow's words: double, long, string or datetime).
        context: what it is to the run: ``training`` (the data) or ``candidates`` (an artifact).
    """

    name: str
    digest: str
    source: str
    columns: tuple[tuple[str, str], ...]
    n_rows: int
    context: str = "training"


@dataclass(frozen=True)
class ModelFacts:
    """A model to be logged: enough to score it wherever the package is installed.

    Attributes:
        name: legal as a key. files: name in the model's folder -> content.
        example: a small input, column -> values; media and dates.
        columns: what may stand in an input.
        options: what else may be asked: name -> default.
        digest: of everything above; the same model is not logged twice.
    """

    name: str
    files: Mapping[str, bytes]
    example: Mapping[str, Sequence[str] | Sequence[float]]
    columns: tuple[str, ...]
    options: Mapping[str, str]
    digest: str


@dataclass(frozen=True)
class ModelTexts:
    """What a logged model is shown with, as a run is; ``timestamp`` of the metrics in milliseconds since 1970."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    timestamp: int


@dataclass(frozen=True)
class TrackedRun:
    """A run as found in the store; ``handle`` is the store's own id."""

    handle: str
    tags: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class NewRun:
    """A run without histories and files that is to be made, written and closed in one go.

    Attributes:
        name, started: as of ``Tracker.start``. known: tags that are there from the beginning.
        params, metrics, tags, timestamp, ending: as of ``Tracker.log``; what is written last are the tags.
    """

    name: str
    known: Mapping[str, str]
    started: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    timestamp: int
    ending: tuple[RunStatus, int]


@dataclass(frozen=True)
class TrackedModel:
    """A logged model as found in the store; ``run`` is the handle of the run that it was logged from."""

    handle: str
    run: str
    digest: str
    is_complete: bool


class Tracker(Protocol):
    """Where runs are written: one experiment at a time, every run by its handle.

    Keys are legal (see ``legal_key``), values within the limits above, numbers finite: a tracker refuses others. All
    methods raise TrackingFailed, with one sentence, when the store does not do as asked.
    """

    @property
    def location(self) -> str:
        """The store in words for the user; no password in it."""
        ...

    def open(self, experiment: str) -> None:
        """Make the experiment unless it exists; everything below happens in it."""
        ...

    def describe(self, tags: Mapping[str, str]) -> None:
        """Tags of the experiment itself; those that are there already with these values are not written."""
        ...

    def find(self, tags: Mapping[str, str]) -> list[TrackedRun]:
        """Runs of the experiment that carry all these tags and are not deleted, in the order of their handles."""
        ...

    def start(self, name: str, tags: Mapping[str, str], started: int) -> str:
        """A new run, ``started`` in milliseconds since 1970; its handle."""
        ...

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
        """Write parameters, single metrics (step 0) and tags, in this order; a tag is replaced, a parameter never.

        ``ending`` closes the run as ``finish`` does, before the tags are there or with them.
        """
        ...

    def add_runs(self, runs: Sequence[NewRun]) -> list[str]:
        """Make, write and close runs; their handles. Of one that is not whole only what is known of it may be there."""
        ...

    @property
    def runs_per_call(self) -> int:
        """How many runs are best added at once."""
        ...

    def log_series(
        self, handle: str, series: Sequence[Series], timestamp: int, tags: Mapping[str, str] | None = None
    ) -> None:
        """Append to metric histories, then write tags; fastest with ``points_per_call`` points and one tag."""
        ...

    @property
    def points_per_call(self) -> int:
        """How many points of histories are best written at once."""
        ...

    def log_files(self, handle: str, root: Path, files: Sequence[str]) -> None:
        """Store files, given by their paths below ``root``, under the same paths; existing ones are replaced."""
        ...

    def log_dataset(self, handle: str, dataset: DatasetFacts) -> None:
        """Name the data that the run is about."""
        ...

    def models(self, tags: Mapping[str, str]) -> list[TrackedModel]:
        """Logged models of the experiment that carry all these tags, in the order of their handles."""
        ...

    def log_model(self, handle: str, model: ModelFacts, shown: ModelTexts) -> None:
        """Log a model that anybody can load and serve; it is complete when this returns."""
        ...

    def delete_model(self, handle: str) -> None:
        """Take a logged model away."""
        ...

    def finish(self, handle: str, status: RunStatus, ended: int) -> None:
        """Close the run, ``ended`` in milliseconds since 1970; a closed run may still be written to."""
        ...

    def delete(self, handle: str) -> None:
        """Take the run away; ``find`` does not see it any more."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def add_one_by_one(tracker: Tracker, runs: Sequence[NewRun]) -> list[str]:
    """``Tracker.add_runs`` by the other methods of the contract."""
    handles = []
    for run in runs:
        handle = tracker.start(run.name, run.known, run.started)
        tracker.log(
            handle,
            params=run.params,
            metrics=run.metrics,
            tags=run.tags,
            timestamp=run.timestamp,
            ending=run.ending,
        )
        handles.append(handle)
    return handles


# ------------------------------------------------------------------------------------------------------------- names


@functools.lru_cache(maxsize=10_000)
def legal_key(name: str) -> str:
    """A name as MLflow takes it for a key: word characters, dot, dash and space, at most KEY_LENGTH of them.

    Any other character c becomes ``_x<code point in hex>_`` (``R&D`` -> ``R_x26_D``); so does an underscore that would
    read as the begin of such an escape, and a leading dot. Slash and colon are legal in MLflow but escaped as well: a
    key with slashes must be a normal path, and a server on Windows refuses colons. A key that would be too long is cut
    and ends in ``_x<16 hex digits of the name's SHA-256>``, without the closing underscore. The names that MLflow has
    for metrics of a machine stay as they are.

    Args:
        name: any text, not empty. Different names give different keys.
    """
    if name in _SYSTEM_KEYS:
        return name
    key = _ILLEGAL.sub(lambda match: f"_x{ord(match[0]):x}_", name)
    if len(key) <= KEY_LENGTH:
        return key
    mark = f"_x{_name_hash(name)}"
    return key[: KEY_LENGTH - len(mark)] + mark


def original_name(key: str, tags: Mapping[str, str]) -> str:
    """The inverse of ``legal_key``; a key that was cut is looked up in the tags of its run (see ``name_tags``).

    Raises:
        KeyError: the key was cut and the tags do not say what it was.
    """
    cut = _SHORTENED.search(key)
    if cut:
        first = tags[_name_tag(cut[1], 1)]
        further = itertools.takewhile(tags.__contains__, (_name_tag(cut[1], i) for i in itertools.count(2)))
        return first + "".join(tags[tag] for tag in further)
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), key)


def name_tags(names: Sequence[str]) -> dict[str, str]:
    """Tags that hold the full names of keys that had to be cut; a name longer than a tag is in several of them."""
    return {
        _name_tag(_name_hash(name), 1 + start // TAG_LENGTH): name[start : start + TAG_LENGTH]
        for name in names
        if _SHORTENED.search(legal_key(name))
        for start in range(0, len(name), TAG_LENGTH)
    }


def _name_tag(code: str, part: int) -> str:
    return f"mmm.name.{code}" + (f".{part}" if part > 1 else "")


def _name_hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def shortened(text: str, limit: int) -> str:
    """The text, cut with an ellipsis where it is longer than ``limit``."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def without_password(uri: str) -> str:
    """A URI that can be shown."""
    password = urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri


def is_legal(key: str) -> bool:
    """Whether a key can be written as it is."""
    return key in _SYSTEM_KEYS or (0 < len(key) <= KEY_LENGTH and not re.search(r"[^\w.\- ]|^\.", key))


# ----------------------------------------------------------------------------------------------------------- numbers


def finite_series(key: str, steps: IntArray, values: FloatArray, times: IntArray | None = None) -> Series:
    """A series without infinities and NaN: MLflow's databases would replace or refuse them."""
    known = np.isfinite(values)
    return Series(key, steps[known], values[known], None if times is None else times[known])


def check_series(series: Sequence[Series]) -> None:
    """Refuse what no tracker may take.

    Raises:
        TrackingFailed: a key is not legal or a value is not finite.
    """
    for one in series:
        if not is_legal(one.key):
            raise TrackingFailed(
                f"the metric name {one.key!r} is not legal in MLflow; pass it through legal_key"
            )
        if not np.isfinite(one.values).all():
            raise TrackingFailed(f"the metric {one.key!r} has values that are not finite; leave them out")


def blocks(series: Sequence[Series], size: int, skip: int = 0) -> Iterator[list[Series]]:
    """The same points in the same order, ``size`` at a time, without the first ``skip``."""
    block: list[Series] = []
    room = size
    for one in series:
        start = min(skip, len(one.steps))
        skip -= start
        while start < len(one.steps):
            stop = min(start + room, len(one.steps))
            block.append(one.part(start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield block
                block, room = [], size
    if block:
        yield block


# ------------------------------------------------------------------------------------------------------------- locks


@contextmanager
def locked(path: Path, what: str, timeout: float = 60.0) -> Iterator[None]:
    """Hold the lock of a folder or file, so that two processes do not do the same at once.

    The lock is on the path itself: no file is left behind, and it ends with the process. A file system without
    locks (some network ones) gives none.

    Args:
        path: must exist, and not be replaced meanwhile. what: what is being done, for the error.
        timeout: seconds to wait.
    Raises:
        TrackingFailed: another process held the lock all the time.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _wait_for_lock(descriptor, what, timeout)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a folder or file at this moment."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _wait_for_lock(descriptor: int, what: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TrackingFailed(
                    f"another process has been {what} for {timeout:g} s; wait for it to end"
                ) from None
            time.sleep(0.05)
        except OSError:
            return
        else:
            return
