"""All trials of a search over a backend; every finished trial is on disk before the next thing happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cluster.base import Backend, Done
from mmm_core.errors import UserError
from mmm_core.types import CandidateBatch, ModelProblem
from runner.journal import TrialWriter, finished_trials
from runner.pool import Pool
from runner.progress import Progress
from runner.run_folder import RunFolder
from runner.search.base import SearchFailed, SearchJob, run_trial
from runner.search.nevergrad_searcher import check_optimizer
from runner.space import search_space
from runner.spec import ExperimentSpec


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
    for unfinished in (folder.path / "candidates").glob(".trial-*"):  # of a driver that was killed
        unfinished.unlink()
    writers = {trial: TrialWriter(folder.path, job.problem, trial) for trial in missing}
    total, done = trials * job.iterations, (trials - len(missing)) * job.iterations
    best = dict.fromkeys(job.problem.objectives, np.inf)
    try:
        for position, block in _stream(backend, job, missing):
            writer = writers[missing[position]]
            if isinstance(block, Done):
                writer.close()
                continue
            writer.append(block)
            done += len(block)
            best = {name: float(min(best[name], np.nanmin(block.loss(name)))) for name in best}
            progress.candidates(done, total, best)
    except BaseException:
        for writer in writers.values():
            writer.abandon()
        raise
    return Pool.of_files(job.problem, folder.path, range(1, trials + 1))


def _stream(
    backend: Backend, job: SearchJob, trials: Sequence[int]
) -> Iterator[tuple[int, CandidateBatch | Done]]:
    if not trials:
        return
    for position, block in backend.stream(trial_blocks, trials, shared=backend.share(job)):
        if isinstance(block, SearchFailed):
            raise UserError(str(block))
        yield position, block


def trial_blocks(job: SearchJob, trial: int) -> Iterator[CandidateBatch | SearchFailed]:
    """``run_trial`` for a backend: a failing optimizer is the last block instead of an exception far away."""
    try:
        yield from run_trial(job, trial)
    except (SearchFailed, UserError) as error:
        yield SearchFailed(str(error))
