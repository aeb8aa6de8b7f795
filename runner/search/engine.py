"""All trials of a search over a backend; every finished trial is on disk before the next thing happens.

A trial's table is encoded where the trial runs. What comes home is its bytes, which are written as they are, and the
losses, by which candidates are chosen: a driver that did more would be what a large search waits for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.base import Backend, Done
from mmm_core.errors import UserError
from mmm_core.types import LOSS_COLUMNS, FloatArray, IntArray, ModelProblem
from mmm_core.warm_up import warm_up as compile_kernels
from runner.journal import TrialEncoder, finished_trials, trial_file
from runner.pool import Pool
from runner.progress import Progress
from runner.run_folder import RunFolder
from runner.search.base import SearchFailed, SearchJob, run_trial
from runner.search.nevergrad_searcher import check_optimizer
from runner.space import search_space
from runner.spec import ExperimentSpec
from runner.tables import GrowingFile


@dataclass(frozen=True, eq=False)
class TrialBlock:
    """Candidates of a trial on their way home.

    Attributes:
        losses: (n, len(LOSS_COLUMNS)). statuses: (n,) codes, see FIT_STATUSES.
        data: bytes of the trial's table that are ready now, which need not be those of the same candidates.
    """

    losses: FloatArray
    statuses: IntArray
    data: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.statuses)

    def best(self, objectives: Sequence[str]) -> FloatArray:
        """(len(objectives),) the smallest of each, infinite where there is none."""
        own = self.losses[:, [LOSS_COLUMNS.index(name) for name in objectives]]
        smallest: FloatArray = np.where(np.isnan(own), np.inf, own).min(axis=0)
        return smallest


def search_job(spec: ExperimentSpec, problem: ModelProblem) -> SearchJob:
    """What every trial of a spec needs."""
    space = search_space(spec, problem)
    return SearchJob(
        problem=problem,
        space=space,
        engine=spec.search.engine,
        optimizer=spec.search.optimizer,
        iterations=spec.search.iterations,
        batch_size=spec.search.batch_size,
        seed=spec.search.seed,
        objective_weights=spec.search.objective_weights,
        start=space.start(spec.search.start),
    )


def load() -> None:
    """What a worker loads once, before its first trial: this module with all that it imports, and the kernels."""
    compile_kernels()


def check_search(job: SearchJob) -> None:
    """Refuse, before anything is written, an optimizer that does not work here."""
    if job.engine == "compiled":
        return
    check_optimizer(
        job.optimizer,
        job.space.dimension,
        job.batch_size,
        job.objective_weights,
        len(job.problem.objectives),
        job.start,
    )


def search(backend: Backend, job: SearchJob, trials: int, folder: RunFolder, progress: Progress) -> Pool:
    """Run the trials, and write each one's table, which appears when it is complete.

    Trials whose table is there already are read instead: a run that was stopped goes on with what is missing.

    Args:
        backend: where. job: what. trials: how many, numbered from 1.
        folder: gets ``candidates/trial-XX.parquet``. progress: is told how far the search is.
    Raises:
        UserError: the optimizer failed on this problem.
    """
    known = finished_trials(folder.path)
    missing = [trial for trial in range(1, trials + 1) if trial not in known]
    for leftover in (folder.path / "candidates").glob(".trial-*"):  # of a driver that was killed
        leftover.unlink()
    arriving: dict[int, Arriving] = {}
    found: dict[int, tuple[FloatArray, IntArray]] = {}
    total, done = trials * job.iterations, (trials - len(missing)) * job.iterations
    best = np.full(len(job.problem.objectives), np.inf)
    try:
        for position, block in _stream(backend, job, missing):
            trial = missing[position]
            if isinstance(block, Done):
                found[trial] = arriving[trial].close()
                del arriving[trial]
                continue
            if trial not in arriving:
                arriving[trial] = Arriving(trial_file(folder.path, trial))
            arriving[trial].append(block)
            done += len(block)
            best = np.minimum(best, block.best(job.problem.objectives))
            progress.candidates(done, total, dict(zip(job.problem.objectives, best.tolist(), strict=True)))
    except BaseException:
        for unfinished in arriving.values():
            unfinished.abandon()
        raise
    return Pool.of_files(job.problem, folder.path, range(1, trials + 1), found)


class Arriving:
    """A trial whose blocks are coming home."""

    def __init__(self, file: GrowingFile) -> None:
        self._file = file
        self._losses: list[FloatArray] = []
        self._statuses: list[IntArray] = []

    def append(self, block: TrialBlock) -> None:
        self._file.append(block.data.data)
        # Copies: a block is a piece of the memory that all blocks on their way share.
        self._losses.append(block.losses.copy())
        self._statuses.append(block.statuses.copy())

    def close(self) -> tuple[FloatArray, IntArray]:
        """The table appears; (losses, statuses) of all its candidates."""
        self._file.close()
        return np.concatenate(self._losses), np.concatenate(self._statuses)

    def abandon(self) -> None:
        self._file.abandon()


def _stream(
    backend: Backend, job: SearchJob, trials: Sequence[int]
) -> Iterator[tuple[int, TrialBlock | Done]]:
    if not trials:
        return
    for position, block in backend.stream(trial_blocks, trials, shared=backend.share(job)):
        if isinstance(block, SearchFailed):
            raise UserError(str(block))
        yield position, block


def trial_blocks(job: SearchJob, trial: int) -> Iterator[TrialBlock | SearchFailed]:
    """``run_trial`` for a backend: a failing optimizer is the last block instead of an exception far away."""
    encoder = TrialEncoder(job.problem, trial)
    done = 0
    try:
        for batch in run_trial(job, trial):
            done += len(batch)
            data = encoder.append(batch) + (encoder.close() if done == job.iterations else b"")
            yield TrialBlock(batch.losses, batch.statuses, np.frombuffer(data, dtype=np.uint8))
    except (SearchFailed, UserError) as error:
        yield SearchFailed(str(error))
