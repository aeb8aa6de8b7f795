"""All models over one backend, many at a time.

Where there are as many models as workers, or more, a model is a task: a worker takes it from its data to its run folder
and sends that home. Nothing waits for anything then: while one market is in Prophet another searches, and this process
reads tables and writes files. Where there are fewer, each model is driven from here, in a thread, and its baseline, its
trials and its refits are tasks, so that no worker stands idle. Both give the same bytes, as does a model run alone.

Memory here is bounded however many models there are: a model's data are read when a worker has room for it, what comes
home is written as it arrives, and nothing of a finished model is kept but its name.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cluster.base import Backend, BackendUnavailable, Done, TaskFailed, WorkerLost
from mmm_core.errors import UserError
from runner.orchestrate import Prepared, fill, new_folder, note_end
from runner.portfolio.folder import PortfolioFolder
from runner.portfolio.orders import Order, order_of
from runner.portfolio.progress import PortfolioProgress
from runner.portfolio.remote import Candidates, Failure, News, Pieces, Stage, failure_of, model_blocks
from runner.portfolio.spec import Member, PortfolioSpec
from runner.resuming import prepared_of
from runner.run_folder import RunFolder
from runner.stages import Stages

ARRIVING = ".arriving-"


class Drive:
    """Takes models to their end; ``failures`` says of which there is none."""

    def __init__(
        self,
        portfolio: PortfolioSpec,
        folder: PortfolioFolder,
        backend: Backend,
        progress: PortfolioProgress,
    ) -> None:
        self.portfolio = portfolio
        self.folder = folder
        self.backend = backend
        self.progress = progress
        self.failures: dict[str, Failure] = {}

    def run(self, members: Sequence[Member]) -> None:
        """Run these models; those that were begun and not finished are gone on with.

        Raises:
            BackendUnavailable: there is no place to run. OSError: the disk is full, or gone.
        """
        for rest in self.folder.models.glob(f"{ARRIVING}*"):  # of a driver that was killed
            shutil.rmtree(rest)
        begun = [member for member in members if self.folder.begun(member) is not None]
        new = [member for member in members if member not in begun]
        if len(new) < self.backend.workers:
            begun, new = [*begun, *new], []
        if begun:
            self._spread(begun)
        if new:
            self._as_tasks(new)

    def _fail(self, member: Member, failure: Failure) -> None:
        self.failures[member.name] = failure
        self.progress.end(member.name, failure.message)

    def _order(self, member: Member) -> Order:
        """Read a model's data; the name of its run folder follows from its spec with all that files say."""
        order = order_of(member, self.portfolio, "", self.folder.belongs(member))
        return replace(order, folder=self.folder.name_of(member, order.spec.digest))

    # ------------------------------------------------------------------------------------------------ a model is a task

    def _as_tasks(self, members: Sequence[Member]) -> None:
        """A worker that died too often, and with it the stream of all, costs its own model alone."""
        left = list(members)
        while left:
            ended: set[str] = set()
            sent: list[Member] = []
            try:
                self._stream(left, sent, ended)
            except (WorkerLost, TaskFailed) as error:
                member = sent[error.item]
                ended.add(member.name)
                self._fail(member, failure_of(error))
            left = [
                member for member in left if member.name not in ended and member.name not in self.failures
            ]

    def _stream(self, members: Sequence[Member], sent: list[Member], ended: set[str]) -> None:
        arriving: dict[int, _Arriving] = {}

        def orders() -> Iterator[Order]:
            for member in members:
                try:
                    order = self._order(member)
                except UserError as error:
                    self._fail(member, failure_of(error))
                    continue
                arriving[len(sent)] = _Arriving(self.folder.models, order.folder)
                sent.append(member)
                yield order

        for position, news in self.backend.stream(model_blocks, orders()):
            member = sent[position]
            if isinstance(news, Done):
                ended.add(member.name)
                arriving.pop(position).close(is_whole=member.name not in self.failures)
                if member.name not in self.failures:
                    self.progress.end(member.name)
            else:
                self._heed(member, news, arriving[position])

    def _heed(self, member: Member, news: News, arriving: _Arriving) -> None:
        if isinstance(news, Stage):
            self.progress.stage(member.name, news.name)
        elif isinstance(news, Candidates):
            self.progress.candidates(member.name, news.done, news.total)
        elif isinstance(news, Pieces):
            arriving.append(news)
        else:
            self._fail(member, news)

    # ------------------------------------------------------------------------------------ a model's parts are the tasks

    def _spread(self, members: Sequence[Member]) -> None:
        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=max(1, min(len(members), self.backend.workers))) as threads:
            futures = {threads.submit(self._here, member, stop): member for member in members}
            try:
                for future in as_completed(futures):
                    self._end(futures[future], future.exception())
            except BaseException:
                stop.set()
                threads.shutdown(wait=True, cancel_futures=True)
                raise

    def _end(self, member: Member, error: BaseException | None) -> None:
        if error is None:
            self.progress.end(member.name)
        elif isinstance(error, (BackendUnavailable, OSError, KeyboardInterrupt)):
            raise error
        else:
            self._fail(member, failure_of(error))

    def _here(self, member: Member, stop: threading.Event) -> None:
        """One model, driven from this process, in its place from the beginning: it can be gone on with."""
        news = _Heard(member.name, self.progress, stop)
        stages = Stages(news)
        begun = self.folder.begun(member)
        if begun is None:
            with stages("read"):
                order = self._order(member)
            with stages("baseline"):
                prepared = self._prepared(order)
            begun = new_folder(prepared, self.folder.models, name=order.folder, belongs=order.belongs)
        else:
            prepared = prepared_of(begun)
            begun.set_status("running")
        with _noting_the_end(begun):
            fill(prepared, begun, self.backend, stages, has_report=self.portfolio.settings.reports == "all")

    def _prepared(self, order: Order) -> Prepared:
        try:
            (prepared,) = self.backend.map(prepare, [order])
        except TaskFailed as error:
            if isinstance(error.__cause__, UserError):
                raise UserError(str(error.__cause__)) from error
            raise
        return prepared


def prepare(_shared: None, order: Order) -> Prepared:
    """``Order.prepared`` for a backend."""
    return order.prepared()


@contextmanager
def _noting_the_end(folder: RunFolder) -> Iterator[None]:
    with folder.held():
        try:
            yield
        except BaseException as error:
            note_end(folder, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise


class _Arriving:
    """A run folder on its way home: it appears under its name when all of it is there."""

    def __init__(self, models: Path, name: str) -> None:
        self._path, self._final = models / f"{ARRIVING}{name}", models / name
        shutil.rmtree(self._path, ignore_errors=True)

    def append(self, pieces: Pieces) -> None:
        for name, content in pieces.parts:
            path = self._path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(content)

    def close(self, *, is_whole: bool) -> None:
        if is_whole:
            self._path.replace(self._final)
        else:
            shutil.rmtree(self._path, ignore_errors=True)


class _Heard:
    """Progress of one model, passed on; stops it where all are to stop."""

    def __init__(self, model: str, progress: PortfolioProgress, stop: threading.Event) -> None:
        self._model, self._progress, self._stop = model, progress, stop

    def stage(self, name: str) -> None:
        self._check()
        self._progress.stage(self._model, name)

    def candidates(self, done: int, total: int, best: dict[str, float]) -> None:  # noqa: ARG002 - of the protocol
        self._check()
        self._progress.candidates(self._model, done, total)

    def close(self) -> None:
        pass

    def _check(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
