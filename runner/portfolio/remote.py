"""One model on a worker: all stages in one task, and its run folder home in pieces.

A worker has no disk in common with anybody. So the folder is made where the worker is and travels through the backend:
first what is the same however often the model is computed, a piece of some megabytes at a time, and last, in one piece,
what is not, such as times. A task whose worker died begins anew, and the pieces of both fit together.
"""

from __future__ import annotations

import tempfile
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from cluster import SerialBackend
from mmm_core.errors import UserError
from runner.orchestrate import fill, new_folder
from runner.portfolio.orders import Order
from runner.stages import Stages

PIECE_BYTES = 4 << 20
# What a search tells of itself: so many times, whatever its size, so that a task that is repeated says the same.
NEWS_OF_SEARCH = 10
# Differ from one computation to the next.
LATE = ("manifest.json", "timings.json", "summary.json", "report")


@dataclass(frozen=True)
class Stage:
    """A stage of the model begins."""

    name: str


@dataclass(frozen=True)
class Candidates:
    """How far its search is."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Pieces:
    """Parts of files, each to be appended under its path below the run folder."""

    parts: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Failure:
    """The model cannot be had; ``trace`` is empty where its data are at fault, and not this program."""

    message: str
    trace: str = ""


News = Stage | Candidates | Pieces | Failure


def failure_of(error: BaseException) -> Failure:
    """What an exception means for one model."""
    if isinstance(error, UserError):
        return Failure(str(error))
    told = (str(error).strip().splitlines() or [""])[0]
    trace = "".join(traceback.format_exception(error))
    return Failure(f"an error of this program, not of the data: {type(error).__name__}: {told}", trace)


class Abandoned(Exception):
    """Nobody waits for this model any more."""


class Reporter:
    """A model's progress as news for whoever waits; raises Abandoned once nobody does."""

    def __init__(self) -> None:
        self.news: SimpleQueue[News | None] = SimpleQueue()
        self._is_abandoned = threading.Event()
        self._told = 0

    def stage(self, name: str) -> None:
        """A stage begins."""
        self._check()
        self.news.put(Stage(name))

    def candidates(self, done: int, total: int, best: dict[str, float]) -> None:  # noqa: ARG002 - of the protocol
        """The search goes on."""
        self._check()
        part = NEWS_OF_SEARCH * done // total
        if part > self._told:
            self._told = part
            self.news.put(Candidates(done, total))

    def close(self) -> None:
        """No more news."""

    def abandon(self) -> None:
        """Let the model end at its next sign of life."""
        self._is_abandoned.set()

    def _check(self) -> None:
        if self._is_abandoned.is_set():
            raise Abandoned


def model_blocks(_shared: None, order: Order) -> Iterator[News]:
    """One model from its data to its run folder, as news of it and then the folder; a pure function but for times."""
    with tempfile.TemporaryDirectory(prefix="mmm-model-") as place:
        failure = None
        for news in _computed(order, Path(place)):
            failure = news if isinstance(news, Failure) else None
            yield news
        if failure is None:
            yield from pieces_of(Path(place) / order.folder)


def _computed(order: Order, place: Path) -> Iterator[News]:
    """The model is computed in a thread of its own, so that its news can be told while it is."""
    reporter = Reporter()

    def work() -> None:
        try:
            _compute(order, place, reporter)
        except Abandoned:
            pass
        except Exception as error:  # noqa: BLE001 - one model's end is not that of the others
            reporter.news.put(failure_of(error))
        finally:
            reporter.news.put(None)

    thread = threading.Thread(target=work, name="model", daemon=True)
    thread.start()
    try:
        while (news := reporter.news.get()) is not None:
            yield news
    finally:
        reporter.abandon()
        thread.join()


def _compute(order: Order, place: Path, reporter: Reporter) -> None:
    stages = Stages(reporter)
    with stages("baseline"):
        prepared = order.prepared()
    folder = new_folder(prepared, place, name=order.folder, belongs=order.belongs)
    with SerialBackend() as backend:
        fill(prepared, folder, backend, stages, has_report=order.has_report)


# --------------------------------------------------------------------------------------------------------- the way home


def pieces_of(folder: Path) -> Iterator[Pieces]:
    """A run folder in pieces; what may differ from one computation to the next comes last and together."""
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    for path in files:
        if path.parts[0] not in LATE:
            for content in _parts(folder / path):
                yield Pieces(((str(path), content),))
    late = (path for path in files if path.parts[0] in LATE)
    yield Pieces(tuple((str(path), (folder / path).read_bytes()) for path in late))


def _parts(path: Path) -> Iterator[bytes]:
    """The content of a file; an empty one is a part without bytes."""
    with path.open("rb") as file:
        content = file.read(PIECE_BYTES)
        yield content
        while content := file.read(PIECE_BYTES):
            yield content
