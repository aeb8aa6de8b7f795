"""Models that are brought along instead of searched for: all of them are selected, on one front and in one cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.base import Backend
from mmm_core.clustering import Clustering
from mmm_core.convergence import Convergence
from mmm_core.errors import UserError
from mmm_core.pareto import ParetoSelection, error_scores
from mmm_core.types import CandidateBatch, FloatArray, ModelProblem
from runner.journal import candidate_label, candidates_table, model_from_batch, trial_path
from runner.pool import Pool
from runner.progress import Progress
from runner.run_folder import RunFolder
from runner.select import Selection, judged_nrmse
from runner.spec import ExperimentSpec
from runner.tables import write_table

# A place in a search that a candidate's label can hold (the tables keep 32 bits).
MOST = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Given:
    """Evaluated models and their places: ``runner.candidates.Candidates`` without a search.

    Attributes:
        batch: the N models as ``evaluate_candidates`` returned them.
        labels: (trial, iteration) of each, all different.
    """

    batch: CandidateBatch
    labels: tuple[tuple[int, int], ...]

    def check(self, spec: ExperimentSpec, problem: ModelProblem) -> None:  # noqa: ARG002 - as the protocol says
        """Refuse models that have no place of their own, or none at all."""
        if len(self.labels) != len(self.batch) or not self.labels:
            raise UserError(f"{len(self.batch)} models with {len(self.labels)} labels; give each a label")
        if len(set(self.labels)) < len(self.labels):
            raise UserError("two models have the same trial and iteration; give one another label")
        if any(not 0 <= number <= MOST for label in self.labels for number in label):
            raise UserError(f"trial and iteration of a model must be whole numbers from 0 to {MOST}")

    def make(
        self,
        spec: ExperimentSpec,  # noqa: ARG002 - as the protocol says
        problem: ModelProblem,
        backend: Backend,  # noqa: ARG002
        folder: RunFolder,
        progress: Progress,  # noqa: ARG002
    ) -> Pool:
        """Write the candidates' tables, one a trial, and hand back what was given, trial by trial."""
        trials = sorted({trial for trial, _ in self.labels})
        parts, labels = [], []
        for trial in trials:
            rows = self._rows_of(trial)
            part = self.batch[np.array(rows)]
            iterations = [self.labels[row][1] for row in rows]
            table = candidates_table(problem, part, [trial] * len(rows), iterations)
            write_table(trial_path(folder.path, trial), table)
            parts.append(part)
            labels += [(trial, iteration) for iteration in iterations]
        return Pool.of_batches(parts, labels)

    def select(self, spec: ExperimentSpec, problem: ModelProblem, pool: Pool) -> Selection:
        """All of them; see ``selection_of``."""
        rows = np.arange(len(pool))
        return selection_of(spec, problem, pool.take(rows), pool.labels(rows))

    def _rows_of(self, trial: int) -> list[int]:
        return [row for row, (own, _) in enumerate(self.labels) if own == trial]


def selection_of(
    spec: ExperimentSpec,
    problem: ModelProblem,  # noqa: ARG001 - a selection belongs to a problem
    batch: CandidateBatch,
    labels: Sequence[tuple[int, int]],
) -> Selection:
    """The selection that holds given models and nothing else.

    Convergence has no rows: nothing was searched. Every model is on front 1, in cluster 1 and selected; models are
    ordered by error score, which of a single model is that of its losses as they are (see ``error_scores``).

    Args:
        spec: which NRMSE models are judged by. problem: their data.
        batch: the N models, N >= 1. labels: (trial, iteration) of each.
    """
    n = len(batch)
    scores = error_scores(judged_nrmse(spec, batch), batch.loss("decomp_rssd"), batch.loss("mape"))
    winners = np.argsort(scores, kind="stable")
    clustering = _one_cluster(scores)
    return Selection(
        convergence=Convergence((), ()),
        pareto=ParetoSelection(
            front=np.ones(n, dtype=np.int64), n_fronts=1, n_candidates=n, n_selected=n, is_short=False
        ),
        pooled=batch,
        labels=list(labels),
        fronts=np.ones(n, dtype=np.int64),
        scores=scores,
        clustering=clustering,
        models=[model_from_batch(batch, row, candidate_label(*labels[row])) for row in winners],
        batch=batch[winners],
        facts=[
            {
                "trial": labels[row][0],
                "iteration": labels[row][1],
                "cluster": 1,
                "error_score": float(scores[row]),
            }
            for row in winners
        ],
        spread=(),
    )


def _one_cluster(scores: FloatArray) -> Clustering:
    n = len(scores)
    return Clustering(
        labels=np.ones(n, dtype=np.int64),
        sizes=np.full(n, n, dtype=np.int64),
        error_scores=scores,
        distances=np.zeros(n),
        is_copy=np.zeros(n, dtype=np.bool_),
        is_selected=np.ones(n, dtype=np.bool_),
        features=(),
        silhouettes=(),
    )
