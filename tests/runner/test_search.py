"""The loop of a trial: ask, evaluate, tell in a fixed order, home in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from cluster import SerialBackend
from mmm_core.errors import UserError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.evolution import TwoPointsEvolution
from mmm_core.types import LOSS_COLUMNS, CandidateBatch
from runner.dataset import panel_from_table
from runner.journal import batch_from_table, read_trials, trial_path, write_trial
from runner.problem import build_problem
from runner.progress import Silent
from runner.run_folder import RunFolder
from runner.search.base import BATCHES_PER_BLOCK, WORST_LOSS, SearchFailed, SearchJob, objectives, run_trial
from runner.search.engine import check_search, search, search_job, trial_blocks
from runner.search.nevergrad_searcher import NevergradSearcher
from runner.seeds import Branch, seed_at
from runner.spec import decode
from tests.runner.small import change, small_spec, small_table


def job_of(**changes) -> SearchJob:
    spec = decode(change(small_spec(), **changes), "s.yaml")
    problem, _ = build_problem(spec, panel_from_table(spec, small_table(), "t"))
    return search_job(spec, problem)


class Told(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.news: list[tuple[int, int, dict[str, float]]] = []

    def candidates(self, done: int, total: int, best: dict[str, float]) -> None:
        self.news.append((done, total, best))


@pytest.mark.parametrize("engine", ["compiled", "nevergrad"])
def test_a_trial_is_its_searcher_asked_evaluated_and_told_in_order(engine):
    job = job_of(search={"iterations": 47, "batch_size": 10, "seed": 5, "engine": engine})
    found = CandidateBatch.concatenate(list(run_trial(job, 3)))
    dimension, seed = job.space.dimension, seed_at(5, Branch.SEARCH, 3)
    searcher = (
        TwoPointsEvolution(dimension, batch_size=10, seed=seed)
        if engine == "compiled"
        else NevergradSearcher("TwoPointsDE", dimension=dimension, budget=47, batch_size=10, seed=seed)
    )
    first = 0
    for size in (10, 10, 10, 10, 7):
        points = searcher.ask(size)
        batch = evaluate_candidates(job.problem, job.space.hyperparameters(points))
        searcher.tell(points, np.column_stack([batch.loss("nrmse"), batch.loss("decomp_rssd")]))
        own = found[slice(first, first + size)]
        assert own.hyperparameters.tobytes() == batch.hyperparameters.tobytes()
        assert own.losses.tobytes() == batch.losses.tobytes()
        first += size
    assert len(found) == 47


def test_blocks_come_home_in_order_and_the_last_may_be_short():
    job = job_of(search={"iterations": 43, "batch_size": 2, "engine": "nevergrad"})
    assert [len(block) for block in run_trial(job, 1)] == [20, 20, 3]
    many = job_of(search={"iterations": 2 * BATCHES_PER_BLOCK["compiled"] + 1, "batch_size": 2})
    assert [len(block) for block in run_trial(many, 1)] == [200, 1]
    one = job_of(search={"iterations": 5, "batch_size": 30})
    assert [len(block) for block in run_trial(one, 1)] == [5]


def test_trials_differ_and_repeat():
    job = job_of(search={"iterations": 30})
    first, second, again = (next(iter(run_trial(job, trial))).hyperparameters for trial in (1, 2, 1))
    assert first.tobytes() == again.tobytes()
    assert not np.isclose(first, second).all(axis=0).any()


def test_with_everything_fixed_each_candidate_is_the_same():
    fixed = {m: {"alpha": 1, "gamma": 0.5, "theta": 0.3} for m in ("tv", "web", "mail")}
    job = job_of(hyperparameters={**fixed, "train_size": 0.6, "lambda_hp": 0.1}, search={"iterations": 3})
    assert job.space.dimension == 0
    (block,) = run_trial(job, 1)
    assert len(np.unique(block.losses, axis=0)) == 1


def test_infinite_losses_are_the_worst():
    batch = next(iter(run_trial(job_of(search={"iterations": 4}), 1)))
    losses = batch.losses.copy()
    losses[0, LOSS_COLUMNS.index("decomp_rssd")] = np.inf
    losses[1, LOSS_COLUMNS.index("nrmse")] = np.nan
    broken = CandidateBatch(**{**vars(batch), "losses": losses})
    told = objectives(broken, ("nrmse", "decomp_rssd"))
    assert told[0].tolist() == [batch.loss("nrmse")[0], WORST_LOSS]
    assert told[1].tolist() == [WORST_LOSS, batch.loss("decomp_rssd")[1]]
    assert np.isfinite(told).all()


def test_every_trial_is_on_disk_and_progress_is_told(tmp_path):
    job = job_of(search={"iterations": 70, "batch_size": 7})
    progress = Told()
    with SerialBackend() as backend:
        pool = search(backend, job, 2, RunFolder(tmp_path), progress)
    table = read_trials(tmp_path, 2)
    assert table["candidate"].to_pylist() == [f"{t}_{i}" for t in (1, 2) for i in range(1, 71)]
    batch = batch_from_table(job.problem, table)
    assert pool.losses.tobytes() == batch.losses.tobytes()
    assert pool.statuses.tolist() == batch.statuses.tolist()
    assert [(done, total) for done, total, _ in progress.news] == [(70, 140), (140, 140)]
    best = {name: pool.loss(name).min() for name in ("nrmse", "decomp_rssd")}
    assert progress.news[-1][2] == best


@pytest.mark.parametrize("rows_per_group", [30, 65, 10_000])
def test_the_bytes_of_a_trial_are_those_of_its_candidates(tmp_path, monkeypatch, rows_per_group):
    """Encoded piece by piece where it runs, or at once: the same file."""
    monkeypatch.setattr("runner.journal.ROWS_PER_GROUP", rows_per_group)
    monkeypatch.setitem(BATCHES_PER_BLOCK, "compiled", 5)
    job = job_of(search={"iterations": 107, "batch_size": 10})
    blocks = list(trial_blocks(job, 2))
    assert [len(block) for block in blocks] == [50, 50, 7]
    write_trial(tmp_path, job.problem, 2, CandidateBatch.concatenate(list(run_trial(job, 2))))
    assert b"".join(bytes(block.data) for block in blocks) == trial_path(tmp_path, 2).read_bytes()


def test_a_failing_optimizer_is_a_block_and_then_a_sentence(tmp_path, monkeypatch):
    def fail(self, points, losses):
        raise SearchFailed("search.optimizer: no")

    job = job_of(search={"iterations": 30, "engine": "nevergrad"})
    monkeypatch.setattr(NevergradSearcher, "tell", fail)
    (block,) = trial_blocks(job, 1)
    assert isinstance(block, SearchFailed)
    with SerialBackend() as backend, pytest.raises(UserError, match=r"search.optimizer: no"):
        search(backend, job, 2, RunFolder(tmp_path), Silent())
    assert list(tmp_path.rglob("*.parquet")) == []


def test_an_unknown_optimizer_is_no_failure_of_ours():
    (block,) = trial_blocks(job_of(search={"iterations": 3, "optimizer": "Two"}), 1)
    assert "Nevergrad has no optimizer 'Two'" in str(block)
    with pytest.raises(UserError, match="Nevergrad has no optimizer 'Two'"):
        check_search(job_of(search={"optimizer": "Two"}))


def test_a_longer_search_finds_better_models():
    job = job_of(search={"iterations": 900})
    losses = CandidateBatch.concatenate(list(run_trial(job, 1))).losses[:, LOSS_COLUMNS.index("nrmse")]
    assert np.median(losses[-150:]) < np.median(losses[:150])
