"""The record of every candidate: one Parquet table a trial, columns named as everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmm_core.types import (
    FIT_STATUSES,
    LOSS_COLUMNS,
    CandidateBatch,
    FittedModel,
    FloatArray,
    ModelProblem,
    OutcomeKind,
)
from runner.tables import read_table, write_table

if TYPE_CHECKING:
    import pyarrow as pa


def candidate_label(trial: int, iteration: int) -> str:
    """``3_120``: trial 3, iteration 120."""
    return f"{trial}_{iteration}"


def efficiencies(problem: ModelProblem, contributions: FloatArray) -> FloatArray:
    """(N, P) ROAS = contribution / spend over the window, or CPA = spend / contribution (infinite without effect).

    Args:
        problem: the data. contributions: (N, K) sums over the window.
    """
    paid = contributions[:, problem.first_media : problem.first_media + problem.n_paid]
    with np.errstate(divide="ignore"):
        if problem.outcome_kind is OutcomeKind.REVENUE:
            return paid / problem.total_spend
        return np.where(paid == 0, np.inf, problem.total_spend / np.where(paid == 0, 1.0, paid))


def candidate_columns(problem: ModelProblem) -> list[str]:
    """Names of the numeric columns of a candidates table, in their order."""
    names = [*problem.hyperparameter_names, "lambda", *LOSS_COLUMNS]
    names += [f"coef_{c}" for c in problem.columns] + [f"contribution_{c}" for c in problem.columns]
    for channel in problem.paid:
        efficiency = f"{problem.outcome_kind.efficiency}_{channel}"
        names += [f"effect_share_{channel}", f"spend_share_{channel}", efficiency]
    return names


def candidates_table(
    problem: ModelProblem, batch: CandidateBatch, trials: Sequence[int], iterations: Sequence[int]
) -> pa.Table:
    """Evaluated candidates as a table; ``trials`` and ``iterations`` name the rows."""
    import pyarrow as pa

    columns: dict[str, object] = {
        "trial": pa.array(trials, pa.int32()),
        "iteration": pa.array(iterations, pa.int32()),
        "candidate": pa.array([candidate_label(t, i) for t, i in zip(trials, iterations, strict=True)]),
        "status": pa.array([str(FIT_STATUSES[code]) for code in batch.statuses]),
    }
    efficiency = efficiencies(problem, batch.contributions)
    shares = [
        part
        for p in range(problem.n_paid)
        for part in (batch.effect_shares[:, p], np.full(len(batch), problem.spend_share[p]), efficiency[:, p])
    ]
    values = [
        *batch.hyperparameters.T,
        batch.penalty,
        *batch.losses.T,
        *batch.coefs.T,
        *batch.contributions.T,
        *shares,
    ]
    columns.update(zip(candidate_columns(problem), (pa.array(v) for v in values), strict=True))
    return pa.table(columns)


def trial_path(folder: Path, trial: int) -> Path:
    """``candidates/trial-01.parquet`` of a run folder."""
    return folder / "candidates" / f"trial-{trial:02d}.parquet"


def write_trial(folder: Path, problem: ModelProblem, trial: int, batch: CandidateBatch) -> None:
    """Write every candidate of one trial, atomically."""
    n = len(batch)
    write_table(trial_path(folder, trial), candidates_table(problem, batch, [trial] * n, range(1, n + 1)))


def finished_trials(folder: Path) -> set[int]:
    """Numbers of the trials whose table is on disk; a table appears when its trial is complete."""
    return {int(path.stem.removeprefix("trial-")) for path in (folder / "candidates").glob("trial-*.parquet")}


def read_trial(folder: Path, problem: ModelProblem, trial: int) -> CandidateBatch | None:
    """Every candidate of one trial as it was written; None where the trial was not finished."""
    path = trial_path(folder, trial)
    return batch_from_table(problem, read_table(path)) if path.is_file() else None


def batch_from_table(problem: ModelProblem, table: pa.Table) -> CandidateBatch:
    """The inverse of ``candidates_table``."""

    def matrix(names: Sequence[str]) -> FloatArray:
        return np.ascontiguousarray(np.column_stack([table[name].to_numpy() for name in names]))

    codes = {str(status): code for code, status in enumerate(FIT_STATUSES)}
    return CandidateBatch(
        hyperparameters=matrix(problem.hyperparameter_names),
        penalty=table["lambda"].to_numpy(),
        losses=matrix(LOSS_COLUMNS),
        coefs=matrix([f"coef_{c}" for c in problem.columns]),
        contributions=matrix([f"contribution_{c}" for c in problem.columns]),
        effect_shares=matrix([f"effect_share_{c}" for c in problem.paid]),
        statuses=np.array([codes[s] for s in table["status"].to_pylist()], dtype=np.int64),
    )


def read_trials(folder: Path, trials: int) -> pa.Table:
    """All candidates of a run, by trial and iteration."""
    import pyarrow as pa

    return pa.concat_tables([read_table(trial_path(folder, trial)) for trial in range(1, trials + 1)])


def model_from_batch(batch: CandidateBatch, row: int, candidate: str) -> FittedModel:
    """One candidate of a batch as a model."""
    return FittedModel(
        candidate=candidate,
        hyperparameters=batch.hyperparameters[row],
        penalty=float(batch.penalty[row]),
        intercept=float(batch.loss("intercept")[row]),
        coefs=batch.coefs[row],
    )
