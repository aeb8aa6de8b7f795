"""Families of similar models among those on the Pareto fronts, and the best model of each.

Models are alike when their hyperparameters are; k-means finds the families. N below counts the models given here.

The number of clusters k:

- "auto": the smallest k in 3..10 whose mean silhouette is within 0.05 of the best one in that range. Silhouettes
  of search results are low (0.15 to 0.25) and flat in k, so that the best k alone is chance and often the largest;
  families that are really apart differ by far more. Measured on the fronts of 4 searches of 10,000 models of
  Robyn's demo, 100 and 250 models wanted: clustering a random 80 % of the models again, 12 times, found the same k
  in 74 % of cases (adjusted Rand index against all models 0.68), the best silhouette alone in 71 % (0.65), Robyn's
  rule with its one random start per k in 36 % (0.47).
- "robyn": the largest k with (W_{k-1} - W_k) / W_1 > 0.06, at least 3 and at most 10; W_k = within sum of squares.
- a number: that many.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mmm_core.errors import RangeError, ShapeError
from mmm_core.intervals import Interval, IntervalKind, spread
from mmm_core.limits import parameter_of
from mmm_core.pareto import error_scores
from mmm_core.types import FloatArray, IntArray

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

ClusterRule = int | Literal["auto", "robyn"]

# lambda_hp and train_size say how a model was fitted, not which model it is (Robyn's choice as well).
FEATURE_PARAMETERS = ("theta", "shape", "scale", "alpha", "gamma", "penalty")
SMALLEST_K, LARGEST_K = 3, 10
INITIALISATIONS = 50
ROBYN_INITIALISATIONS = 10  # Robyn has one; its rule looks at up to 30 values of k
# "auto" takes the smallest k whose mean silhouette is within this of the best one.
SILHOUETTE_SLACK = 0.05
# "robyn": the largest k that still lowers the within sum of squares by more than this part of the total.
ROBYN_DROP = 0.06
ROBYN_LARGEST_TRIED = 30


@dataclass(frozen=True, eq=False)
class Clustering:
    """N models in clusters.

    Attributes:
        labels: (N,) cluster from 1; cluster 1 holds the best error score, cluster 2 the best of the rest, and so on.
        sizes: (N,) models in the cluster of each model.
        error_scores: (N,) scaled over these N models.
        distances: (N,) to the cluster's centre, in features scaled to [0, 1].
        is_copy: (N,) all hyperparameters equal to those of an earlier model.
        is_selected: (N,) the winners.
        features: names of the hyperparameters used (those that vary).
        silhouettes: (k, mean silhouette) of every k that "auto" compared, else empty.
    """

    labels: IntArray
    sizes: IntArray
    error_scores: FloatArray
    distances: FloatArray
    is_copy: NDArray[np.bool_]
    is_selected: NDArray[np.bool_]
    features: tuple[str, ...]
    silhouettes: tuple[tuple[int, float], ...]

    @property
    def n_clusters(self) -> int:
        """k."""
        return int(self.labels.max(initial=0))

    def members(self, label: int) -> IntArray:
        """Rows of one cluster without copies, ascending."""
        return np.flatnonzero((self.labels == label) & ~self.is_copy).astype(np.int64)


def cluster_models(
    names: Sequence[str],
    hyperparameters: FloatArray,
    nrmse: FloatArray,
    decomp_rssd: FloatArray,
    mape: FloatArray,
    *,
    clusters: ClusterRule = "auto",
    per_cluster: int = 1,
    weights: tuple[float, float, float] | None = None,
    ranking: FloatArray | None = None,
    seed: int = 0,
) -> Clustering:
    """Group models by k-means on their hyperparameters and pick the best of each group.

    Features are all thetas, shapes, scales, alphas, gammas and penalties, min-max scaled to [0, 1] over the models
    given; those with a single value are left out. Lloyd's algorithm, best of 50 k-means++ starts from ``seed`` (10 for
    "robyn"), on one thread and on sorted distinct rows, so that neither the number of cores nor the order of the models
    matters.

    Rules for the number of clusters: see the module. Never more than there are distinct models; with three or fewer
    distinct models "auto" and "robyn" give each its own.

    Args:
        names: the H hyperparameters, as ``ModelProblem.hyperparameter_names``.
        hyperparameters: shape (N, H).
        nrmse, decomp_rssd, mape: shape (N,), as for ``error_scores``.
        clusters: rule or number, see above.
        per_cluster: winners per cluster; copies do not win twice.
        weights: of the error score.
        ranking: shape (N,), what winners are chosen by, smallest first; default the error score.
        seed: of the starts.
    Returns:
        Clustering, rows as given. Models that coincide in all features share a cluster.
    Raises:
        ShapeError: shapes do not fit. RangeError: clusters or per_cluster below 1.
    Source: Robyn 3.12.1, clusters.R, robyn_clusters. Differences: Robyn drops all but the first of identical models,
    uses Hartigan-Wong with a single start, and keeps its labels in the order they fall.
    """
    values = np.asarray(hyperparameters, dtype=np.float64)
    _check(names, values, nrmse, clusters, per_cluster)
    scores = error_scores(nrmse, decomp_rssd, mape, weights)
    features, scaled = _features(names, values)
    distinct, place = _distinct(scaled)[1:]
    raw_labels, silhouettes = _fit(scaled[distinct], clusters, seed)
    labels = _renumbered(raw_labels[place], scores)
    is_copy = _distinct(values)[0]
    return Clustering(
        labels=labels,
        sizes=np.bincount(labels, minlength=1)[labels].astype(np.int64),
        error_scores=scores,
        distances=_distances(scaled, labels, is_copy),
        is_copy=is_copy,
        is_selected=_winners(labels, scores if ranking is None else ranking, is_copy, per_cluster),
        features=features,
        silhouettes=silhouettes,
    )


def cluster_intervals(
    candidates: Sequence[str],
    clustering: Clustering,
    names: Sequence[str],
    values: FloatArray,
    *,
    quantity: str,
    level: float,
) -> tuple[Interval, ...]:
    """How far the models of a cluster disagree, beside each selected model.

    Args:
        candidates: N names, rows of the clustering.
        names: P channels.
        values: shape (N, P), for example the ROAS of every channel in every model.
        quantity: "roas", "cpa", "contribution" or "coef".
        level: part of the models that the interval holds, see ``intervals.spread``.
    Returns:
        One Interval of kind "cluster" per selected model and channel, in that order; none for a cluster of fewer than
        three distinct models.
    Raises:
        ShapeError: shapes do not fit.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(candidates), len(names)) or len(candidates) != len(clustering.labels):
        raise ShapeError(f"values have shape {values.shape}, expected ({len(candidates)}, {len(names)})")
    rows: list[Interval] = []
    for chosen in np.flatnonzero(clustering.is_selected):
        members = values[clustering.members(int(clustering.labels[chosen]))]
        for p, name in enumerate(names):
            ends = spread(members[:, p], level)
            if ends is not None:
                estimate, n = float(values[chosen, p]), int((~np.isnan(members[:, p])).sum())
                kind = IntervalKind.CLUSTER
                rows.append(Interval(candidates[chosen], kind, quantity, name, estimate, *ends, level, n))
    return tuple(rows)


def _check(
    names: Sequence[str], values: FloatArray, nrmse: FloatArray, clusters: ClusterRule, per_cluster: int
) -> None:
    if values.ndim != 2 or values.shape != (len(nrmse), len(names)):
        raise ShapeError(f"hyperparameters have shape {values.shape}, expected ({len(nrmse)}, {len(names)})")
    if not isinstance(clusters, str) and clusters < 1:
        raise RangeError(f"clusters is {clusters}, expected auto, robyn or a number of at least 1")
    if per_cluster < 1:
        raise RangeError(f"per_cluster is {per_cluster}, expected at least 1")


def _features(names: Sequence[str], values: FloatArray) -> tuple[tuple[str, ...], FloatArray]:
    columns = [j for j, name in enumerate(names) if parameter_of(name) in FEATURE_PARAMETERS]
    columns = [j for j in columns if len(values) and np.ptp(values[:, j]) > 0]
    chosen = values[:, columns]
    scaled = (chosen - chosen.min(axis=0)) / np.ptp(chosen, axis=0) if columns else chosen
    return tuple(names[j] for j in columns), scaled


def _distinct(rows: FloatArray) -> tuple[NDArray[np.bool_], IntArray, IntArray]:
    """(repeats an earlier row, first positions of the distinct rows in sorted order, place of each row among them)."""
    order = np.lexsort((np.arange(len(rows)), *rows.T[::-1]))
    sorted_rows = rows[order]
    is_new = np.ones(len(rows), dtype=np.bool_)
    is_new[1:] = (sorted_rows[1:] != sorted_rows[:-1]).any(axis=1)
    place = np.empty(len(rows), dtype=np.int64)
    place[order] = np.cumsum(is_new) - 1
    first = order[is_new].astype(np.int64)
    repeats = np.ones(len(rows), dtype=np.bool_)
    repeats[first] = False
    return repeats, first, place


def _fit(
    distinct: FloatArray, clusters: ClusterRule, seed: int
) -> tuple[IntArray, tuple[tuple[int, float], ...]]:
    """Labels of the distinct rows, in k-means' own numbering, and the silhouettes compared."""
    n = len(distinct)
    k = min(n, SMALLEST_K if isinstance(clusters, str) else clusters)
    if k == n or k == 1:
        return np.arange(n, dtype=np.int64) if k == n else np.zeros(n, dtype=np.int64), ()
    from threadpoolctl import threadpool_limits

    # One thread: with several, sums are taken in another order and a tie can fall the other way.
    with threadpool_limits(limits=1):
        if clusters == "auto":
            return _by_silhouette(distinct, seed)
        if clusters == "robyn":
            return _by_elbow(distinct, seed), ()
        return _labels(_k_means(distinct, k, seed)), ()


def _k_means(distinct: FloatArray, k: int, seed: int, starts: int = INITIALISATIONS) -> KMeans:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Points that differ only by rounding can leave a cluster empty; labels are renumbered anyhow.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(n_clusters=k, n_init=starts, random_state=seed).fit(distinct)


def _labels(fit: KMeans) -> IntArray:
    labels: IntArray = fit.labels_.astype(np.int64)
    return labels


def _by_silhouette(distinct: FloatArray, seed: int) -> tuple[IntArray, tuple[tuple[int, float], ...]]:
    from sklearn.metrics import silhouette_score

    tried: dict[int, IntArray] = {}
    scores: dict[int, float] = {}
    for k in range(SMALLEST_K, min(LARGEST_K, len(distinct) - 1) + 1):
        tried[k] = _labels(_k_means(distinct, k, seed))
        scores[k] = float(silhouette_score(distinct, tried[k]))
    enough = [k for k, score in scores.items() if score >= max(scores.values()) - SILHOUETTE_SLACK]
    return tried[min(enough)], tuple(scores.items())


def _by_elbow(distinct: FloatArray, seed: int) -> IntArray:
    largest = min(len(distinct) - 1, ROBYN_LARGEST_TRIED)
    fits = {k: _k_means(distinct, k, seed, ROBYN_INITIALISATIONS) for k in range(1, largest + 1)}
    within = {k: float(fit.inertia_) for k, fit in fits.items()}
    passing = [k for k in within if k > 1 and (within[k - 1] - within[k]) / within[1] > ROBYN_DROP]
    k = min(max([SMALLEST_K, *passing]), LARGEST_K)
    return _labels(fits[min(k, len(fits))])


def _renumbered(labels: IntArray, scores: FloatArray) -> IntArray:
    """Labels 1..k in the order of each cluster's best error score."""
    out = np.zeros(len(labels), dtype=np.int64)
    for row in np.argsort(scores, kind="stable"):
        if out[row] == 0:
            out[labels == labels[row]] = out.max() + 1
    return out


def _distances(scaled: FloatArray, labels: IntArray, is_copy: NDArray[np.bool_]) -> FloatArray:
    out = np.zeros(len(labels))
    for label in range(1, int(labels.max(initial=0)) + 1):
        members = labels == label
        centre = scaled[members & ~is_copy].mean(axis=0)
        out[members] = np.sqrt(((scaled[members] - centre) ** 2).sum(axis=1))
    return out


def _winners(
    labels: IntArray, ranking: FloatArray, is_copy: NDArray[np.bool_], per_cluster: int
) -> NDArray[np.bool_]:
    won = np.zeros(len(labels), dtype=np.bool_)
    for label in range(1, int(labels.max(initial=0)) + 1):
        rows = np.flatnonzero((labels == label) & ~is_copy)
        won[rows[np.argsort(ranking[rows], kind="stable")[:per_cluster]]] = True
    return won
