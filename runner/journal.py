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
    IntArray,
    ModelProblem,
    OutcomeKind,
)
from runner.tables import GrowingFile, TableBytes, read_table, read_table_rows

if TYPE_CHECKING:
    import pyarrow as pa

# Candidates of one group of rows in a trial's table: what is in memory at once, some megabytes.
ROWS_PER_GROUP = 10_000
REPEATING = ("trial", "status")


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
    problem: ModelProblem,
    batch: CandidateBatch,
    trials: Sequence[int] | IntArray,
    iterations: Sequence[int] | IntArray,
) -> pa.Table:
    """Evaluated candidates as a table; ``trials`` and ``iterations`` name the rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = {
        "trial": pa.array(np.asarray(trials, dtype=np.int32)),
        "iteration": pa.array(np.asarray(iterations, dtype=np.int32)),
    }
    words = pa.array([str(status) for status in FIT_STATUSES])
    columns: dict[str, object] = {
        **numbers,
        # As ``candidate_label``, for all rows at once.
        "candidate": pc.binary_join_element_wise(*(n.cast(pa.string()) for n in numbers.values()), "_"),
        "status": words.take(pa.array(batch.statuses)),
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


class TrialEncoder:
    """The table of one trial as bytes, made where the trial runs and while it goes on.

    Rows are gathered to groups of ROWS_PER_GROUP, wherever the blocks end that they come in: equal candidates are
    equal bytes.
    """

    def __init__(self, problem: ModelProblem, trial: int) -> None:
        self._problem, self._trial = problem, trial
        self._waiting: list[CandidateBatch] = []
        self._encoded = 0
        self._table: TableBytes | None = None

    def append(self, block: CandidateBatch) -> bytes:
        """The next candidates of the trial; the bytes that are ready, often none."""
        self._waiting.append(block)
        ready = []
        while sum(map(len, self._waiting)) >= ROWS_PER_GROUP:
            ready.append(self._group())
        return b"".join(ready)

    def close(self) -> bytes:
        """The bytes that the table ends with."""
        rest = self._group() if self._waiting else b""
        return rest if self._table is None else rest + self._table.close()

    def _group(self) -> bytes:
        gathered = CandidateBatch.concatenate(self._waiting)
        now, later = gathered[:ROWS_PER_GROUP], gathered[ROWS_PER_GROUP:]
        self._waiting = [later] if len(later) else []
        first = self._encoded + 1
        self._encoded += len(now)
        iterations = np.arange(first, self._encoded + 1)
        table = candidates_table(self._problem, now, np.full(len(now), self._trial), iterations)
        if self._table is None:
            self._table = TableBytes(table.schema, REPEATING)
        return self._table.append(table)


def trial_file(folder: Path, trial: int) -> GrowingFile:
    """The file that the bytes of a trial's table are written to, one after another."""
    return GrowingFile(trial_path(folder, trial))


def write_trial(folder: Path, problem: ModelProblem, trial: int, batch: CandidateBatch) -> None:
    """Write every candidate of one trial, atomically."""
    encoder, file = TrialEncoder(problem, trial), trial_file(folder, trial)
    try:
        file.append(encoder.append(batch) + encoder.close())
        file.close()
    except BaseException:
        file.abandon()
        raise


def finished_trials(folder: Path) -> set[int]:
    """Numbers of the trials whose table is on disk; a table appears when its trial is complete."""
    return {int(path.stem.removeprefix("trial-")) for path in (folder / "candidates").glob("trial-*.parquet")}


def read_losses(folder: Path, trial: int) -> tuple[FloatArray, IntArray]:
    """(N, len(LOSS_COLUMNS)) losses and (N,) status codes of a trial that is on disk."""
    table = read_table(trial_path(folder, trial), ["status", *LOSS_COLUMNS], repeating=["status"])
    return _matrix(table, LOSS_COLUMNS), _status_codes(table)


def read_rows(folder: Path, problem: ModelProblem, trial: int, rows: IntArray) -> CandidateBatch:
    """Everything about some candidates of a trial, by their ascending rows."""
    return batch_from_table(problem, read_table_rows(trial_path(folder, trial), rows))


def batch_from_table(problem: ModelProblem, table: pa.Table) -> CandidateBatch:
    """The inverse of ``candidates_table``."""
    return CandidateBatch(
        hyperparameters=_matrix(table, problem.hyperparameter_names),
        penalty=table["lambda"].to_numpy(),
        losses=_matrix(table, LOSS_COLUMNS),
        coefs=_matrix(table, [f"coef_{c}" for c in problem.columns]),
        contributions=_matrix(table, [f"contribution_{c}" for c in problem.columns]),
        effect_shares=_matrix(table, [f"effect_share_{c}" for c in problem.paid]),
        statuses=_status_codes(table),
    )


def _matrix(table: pa.Table, names: Sequence[str]) -> FloatArray:
    return np.ascontiguousarray(np.column_stack([table[name].to_numpy() for name in names]))


def _status_codes(table: pa.Table) -> IntArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pa.array([str(status) for status in FIT_STATUSES])
    codes: IntArray = pc.index_in(table["status"], words).to_numpy().astype(np.int64)
    return codes


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
