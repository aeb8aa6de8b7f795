"""From all candidates to the selected models: convergence, Pareto fronts, clusters, winners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.clustering import Clustering, cluster_intervals, cluster_models
from mmm_core.convergence import Convergence, ConvergenceBin, measure_convergence
from mmm_core.errors import UserError
from mmm_core.intervals import Interval
from mmm_core.metrics import window_nrmse
from mmm_core.pareto import ParetoSelection, error_scores, select_fronts
from mmm_core.types import CandidateBatch, FittedModel, FloatArray, IntArray, ModelProblem
from runner.journal import candidate_label, efficiencies, model_from_batch
from runner.pool import Pool
from runner.refresh.winner import refresh_scores
from runner.seeds import Branch, as_integer, seed_at
from runner.spec import ExperimentSpec, RefreshSpec
from runner.tables import table_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Selection:
    """What was chosen and from what.

    Attributes:
        convergence: has the search settled. pareto: fronts over all candidates.
        pooled: the candidates on the fronts kept, best front first; rows of ``scores`` and ``clustering``.
        labels: (trial, iteration) of each pooled candidate. fronts: its front. scores: its error score over all.
        clustering: groups of the pooled candidates and their winners.
        models: the winners, best error score first. batch: their results. facts: trial, iteration, cluster, score.
        spread: intervals of kind "cluster" beside the winners.
    """

    convergence: Convergence
    pareto: ParetoSelection
    pooled: CandidateBatch
    labels: list[tuple[int, int]]
    fronts: IntArray
    scores: FloatArray
    clustering: Clustering
    models: list[FittedModel]
    batch: CandidateBatch
    facts: list[dict[str, Any]]
    spread: tuple[Interval, ...]


def judged_nrmse(spec: ExperimentSpec, batch: CandidateBatch | Pool) -> FloatArray:
    """(N,) the NRMSE that models are ranked by: on rows that neither fit nor search has seen, if there are any.

    Source: Robyn 3.12.1, clusters.R, errors_scores.
    """
    return batch.loss("nrmse_test" if spec.validation.time_series else "nrmse_train")


def select(spec: ExperimentSpec, problem: ModelProblem, pool: Pool) -> Selection:
    """Choose models from the candidates of a search.

    Args:
        spec: selection and seed. problem: the data. pool: every candidate.
    Raises:
        UserError: no candidate has finite losses.
    """
    losses = {name: pool.loss(name) for name in ("nrmse", "decomp_rssd", "mape")}
    pareto = select_fronts(
        losses["nrmse"],
        losses["decomp_rssd"],
        losses["mape"],
        wanted=spec.selection.fronts,
        min_candidates=spec.selection.min_candidates,
        calibration_constraint=spec.selection.calibration_constraint,
    )
    if pareto.n_selected == 0:
        raise UserError(
            "no candidate gives any paid channel an effect; check signs, units and window, or allow a wider range"
        )
    scores = error_scores(judged_nrmse(spec, pool), losses["decomp_rssd"], losses["mape"])
    # Ordered by front, then fit, then place: the order of the tables, and what ties are broken by.
    rows = pareto.rows
    rows = rows[np.lexsort((rows, losses["nrmse"][rows], pareto.front[rows]))]
    pooled = pool.take(rows)
    labels = pool.labels(rows)
    clustering = _cluster(spec, problem, pooled)
    if spec.refresh is not None:
        clustering = _one_winner(spec.refresh, problem, pooled, clustering)
    winners = np.flatnonzero(clustering.is_selected)
    winners = winners[np.argsort(clustering.error_scores[winners], kind="stable")]
    return Selection(
        convergence=measure_convergence(pool.iterations, losses),
        pareto=pareto,
        pooled=pooled,
        labels=labels,
        fronts=pareto.front[rows],
        scores=scores[rows],
        clustering=clustering,
        models=[model_from_batch(pooled, row, candidate_label(*labels[row])) for row in winners],
        batch=pooled[winners],
        facts=[_facts(labels[row], clustering, row) for row in winners],
        spread=_spread(spec, problem, pooled, labels, clustering),
    )


def _cluster(spec: ExperimentSpec, problem: ModelProblem, pooled: CandidateBatch) -> Clustering:
    return cluster_models(
        problem.hyperparameter_names,
        pooled.hyperparameters,
        judged_nrmse(spec, pooled),
        pooled.loss("decomp_rssd"),
        pooled.loss("mape"),
        clusters=spec.selection.clusters,
        per_cluster=spec.selection.per_cluster,
        ranking=_fit(problem, pooled) if spec.selection.winners == "fit" else None,
        seed=as_integer(seed_at(spec.search.seed, Branch.SELECTION)),
    )


def _one_winner(
    refresh: RefreshSpec, problem: ModelProblem, pooled: CandidateBatch, clustering: Clustering
) -> Clustering:
    """The clusters as they are, and one selected model, see ``runner.refresh.winner``."""
    scores = refresh_scores(refresh, problem.n_paid, _fit(problem, pooled), pooled.loss("decomp_rssd"))
    return replace(clustering, is_selected=np.arange(len(pooled)) == np.argmin(scores))


def _fit(problem: ModelProblem, pooled: CandidateBatch) -> FloatArray:
    return np.array([window_nrmse(problem, model_from_batch(pooled, row, "")) for row in range(len(pooled))])


def _facts(label: tuple[int, int], clustering: Clustering, row: int) -> dict[str, Any]:
    return {
        "trial": label[0],
        "iteration": label[1],
        "cluster": int(clustering.labels[row]),
        "error_score": float(clustering.error_scores[row]),
    }


def _spread(
    spec: ExperimentSpec,
    problem: ModelProblem,
    pooled: CandidateBatch,
    labels: Sequence[tuple[int, int]],
    clustering: Clustering,
) -> tuple[Interval, ...]:
    candidates = [candidate_label(*label) for label in labels]
    paid = slice(problem.first_media, problem.first_media + problem.n_paid)
    quantities = {
        "contribution": pooled.contributions[:, paid],
        problem.outcome_kind.efficiency: efficiencies(problem, pooled.contributions),
    }
    return tuple(
        interval
        for quantity, values in quantities.items()
        for interval in cluster_intervals(
            candidates, clustering, problem.paid, values, quantity=quantity, level=spec.bootstrap.level
        )
    )


def convergence_table(selection: Selection) -> pa.Table:
    """``convergence.parquet``; without rows where nothing was searched."""
    names = [field.name for field in fields(ConvergenceBin)]
    return table_of([asdict(row) for row in selection.convergence.bins], names)


def pareto_table(selection: Selection) -> pa.Table:
    """``pareto.parquet``: the candidates on the fronts kept."""
    import pyarrow as pa

    trial, iteration = zip(*selection.labels, strict=True)
    return pa.table(
        {
            "candidate": [candidate_label(*label) for label in selection.labels],
            "trial": pa.array(trial, pa.int32()),
            "iteration": pa.array(iteration, pa.int32()),
            "front": pa.array(selection.fronts, pa.int32()),
            **{name: selection.pooled.loss(name) for name in ("nrmse", "decomp_rssd", "mape")},
            "error_score": selection.scores,
        }
    )


def clusters_table(selection: Selection) -> pa.Table:
    """``clusters.parquet``: which cluster each of them is in, and who was selected."""
    import pyarrow as pa

    found = selection.clustering
    return pa.table(
        {
            "candidate": [candidate_label(*label) for label in selection.labels],
            "cluster": pa.array(found.labels, pa.int32()),
            "size": pa.array(found.sizes, pa.int32()),
            "error_score": found.error_scores,
            "distance": found.distances,
            "is_selected": found.is_selected,
        }
    )
