"""A driver whose cluster is hurt while it works; reports what it computed as a digest.

    python -m tests.cluster.fault_driver search ADDRESS SPEC

Prints a JSON line ``{"steps": n}`` for every block that arrives and every task handed out, at the end
``{"digest": ..., "seconds": ...}``, or ``{"refused": ...}``, the sentence of a cluster that is lost.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from cluster import Backend, BackendUnavailable, ClusterConfig, Done, open_backend
from mmm_core.types import ModelProblem
from mmm_core.warm_up import warm_up
from runner.dataset import load_panel
from runner.journal import model_from_batch
from runner.problem import build_problem
from runner.refits import RefitJob, draw_task
from runner.search.base import run_trial
from runner.search.engine import TrialBlock, search_job, trial_blocks
from runner.spec import ExperimentSpec, load_spec

DRAWS = 20_000
TASKS_PER_MODEL = 15


def report(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def noticed(values: Iterable[Any]) -> Iterator[Any]:
    """The same values, each reported by its number."""
    for number, value in enumerate(values, start=1):
        yield value
        report(steps=number)


def digest(arrays: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def search(backend: Backend, spec: ExperimentSpec, problem: ModelProblem) -> str:
    """All trials, as ``runner.search.engine`` runs them."""
    blocks: dict[int, list[TrialBlock]] = {trial: [] for trial in range(spec.search.trials)}
    job = backend.share(search_job(spec, problem))
    stream = backend.stream(trial_blocks, range(1, spec.search.trials + 1), shared=job)
    for position, block in noticed(stream):
        if not isinstance(block, Done):
            assert isinstance(block, TrialBlock), block
            blocks[position].append(block)
    assert [sum(map(len, own)) for own in blocks.values()] == [spec.search.iterations] * spec.search.trials
    return digest(
        getattr(block, field.name) for own in blocks.values() for block in own for field in fields(block)
    )


def refits(backend: Backend, spec: ExperimentSpec, problem: ModelProblem) -> str:
    """Bootstrap draws of a few candidates, as ``runner.refits`` makes them."""
    batch = next(run_trial(search_job(spec, problem), 1))
    places = tuple((1, iteration) for iteration in range(1, 5))
    models = tuple(model_from_batch(batch, row, f"1_{row + 1}") for row in range(len(places)))
    job = backend.share(RefitJob(problem, models, places, spec.search.seed))
    tasks = [
        (model, part * DRAWS, (part + 1) * DRAWS)
        for model in range(len(models))
        for part in range(TASKS_PER_MODEL)
    ]
    draws = backend.map(draw_task, noticed(tasks), shared=job)
    return digest(getattr(part, field.name) for part in draws for field in fields(part))


def main(work: str, address: str, spec_path: str) -> None:
    spec = load_spec(spec_path)
    problem, _ = build_problem(spec, load_panel(spec), None)
    # Before the workers of this machine would each do so.
    warm_up()
    serial = address == "serial"
    try:
        with open_backend(
            "serial" if serial else "ray", None if serial else ClusterConfig(address=address)
        ) as backend:
            backend.start()
            began = time.monotonic()
            found = {"search": search, "refits": refits}[work](backend, spec, problem)
            seconds = time.monotonic() - began
            report(
                digest=found, seconds=round(seconds, 1), workers=backend.workers, **asdict(backend.incidents)
            )
    except BackendUnavailable as error:
        report(refused=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
