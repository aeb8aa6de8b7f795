"""All candidates of a run, as far as choosing among them needs: losses in memory, the rest where it lies.

A million candidates with all their coefficients and contributions would fill a gigabyte; a hundred of them are chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmm_core.types import LOSS_COLUMNS, CandidateBatch, FloatArray, IntArray, ModelProblem
from runner.journal import read_losses, read_rows


@dataclass(frozen=True, eq=False)
class Pool:
    """N candidates in the order of trials and iterations.

    Attributes:
        trials, iterations: (N,) which candidate a row is.
        losses: (N, len(LOSS_COLUMNS)). statuses: (N,) codes, see FIT_STATUSES.
        take: everything about some rows, in the order of the rows given.
    """

    trials: IntArray
    iterations: IntArray
    losses: FloatArray
    statuses: IntArray
    take: Callable[[IntArray], CandidateBatch]

    def __len__(self) -> int:
        return len(self.trials)

    def loss(self, name: str) -> FloatArray:
        """(N,) one of LOSS_COLUMNS."""
        return self.losses[:, LOSS_COLUMNS.index(name)]

    def labels(self, rows: IntArray) -> list[tuple[int, int]]:
        """(trial, iteration) of some rows."""
        return list(zip(self.trials[rows].tolist(), self.iterations[rows].tolist(), strict=True))

    @classmethod
    def of_batches(
        cls, batches: Sequence[CandidateBatch], labels: Sequence[tuple[int, int]] | None = None
    ) -> Pool:
        """Trials that are in memory, one a batch; labels name them where they are not 1, 2, 3 ..."""
        batch = CandidateBatch.concatenate(batches)
        if labels is None:
            labels = [(t, i) for t, own in enumerate(batches, start=1) for i in range(1, len(own) + 1)]
        trials, iterations = np.array(labels, dtype=np.int64).reshape(-1, 2).T
        return cls(trials, iterations, batch.losses, batch.statuses, lambda rows: batch[rows])

    @classmethod
    def of_files(
        cls,
        problem: ModelProblem,
        folder: Path,
        trials: Sequence[int],
        held: Mapping[int, tuple[FloatArray, IntArray]] | None = None,
    ) -> Pool:
        """Trials of a run folder, whose tables are read again where everything about a row is wanted.

        Args:
            problem: of the run. folder: the run's. trials: their numbers, ascending.
            held: (losses, statuses) of trials that need not be read for them.
        """
        held = held or {}
        parts = [held[trial] if trial in held else read_losses(folder, trial) for trial in trials]
        sizes = [len(statuses) for _, statuses in parts]
        starts = np.concatenate([[0], np.cumsum(sizes)])

        def take(rows: IntArray) -> CandidateBatch:
            order = np.argsort(rows, kind="stable")
            found = [
                read_rows(folder, problem, trial, own - start)
                for trial, start, stop in zip(trials, starts[:-1], starts[1:], strict=True)
                if len(own := rows[order][(rows[order] >= start) & (rows[order] < stop)])
            ]
            return CandidateBatch.concatenate(found)[np.argsort(order, kind="stable")]

        return cls(
            np.repeat(np.array(trials, dtype=np.int64), sizes),
            np.concatenate([np.arange(1, size + 1) for size in sizes]),
            np.concatenate([losses for losses, _ in parts]),
            np.concatenate([statuses for _, statuses in parts]),
            take,
        )
