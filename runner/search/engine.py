"""All trials of a search over a backend; every finished trial is on disk before the next thing happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cluster.base import Backend, Done
from mmm_core.errors import UserError
from mmm_core.types import CandidateBatch, ModelProblem
from runner.journal import read_trial, write_trial
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


def search(
    backend: Backend, job: SearchJob, trials: int, folder: RunFolder, progress: Progress
) -> list[CandidateBatch]:
    """Run the trials, write each one's table when it is complete, and return them in order.

    Trials whose table is there already are read instead: a run that was stopped goes on with what is missing.

    Args:
        backend: where. job: what. trials: how many, numbered from 1.
        folder: gets ``candidates/trial-XX.parquet``. progress: is told how far the search is.
    Raises:
        UserError: the optimizer failed on this problem.
    """
    blocks = {trial: _finished(folder, job, trial) for trial in range(1, trials + 1)}
    missing = [trial for trial, parts in blocks.items() if not parts]
    total, done = trials * job.iterations, (trials - len(missing)) * job.iterations
    best = dict.fromkeys(job.problem.objectives, np.inf)
    for position, block in _stream(backend, job, missing):
        trial = missing[position]
        if isinstance(block, Done):
            blocks[trial] = [CandidateBatch.concatenate(blocks[trial])]
            write_trial(folder.path, job.problem, trial, blocks[trial][0])
            continue
        blocks[trial].append(block)
        done += len(block)
        best = {name: float(min(best[name], np.nanmin(block.loss(name)))) for name in best}
        progress.candidates(done, total, best)
    return [parts[0] for parts in blocks.values()]


def _finished(folder: RunFolder, job: SearchJob, trial: int) -> list[CandidateBatch]:
    batch = read_trial(folder.path, job.problem, trial)
    return [] if batch is None else [batch]


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
