"""Families that were planted, winners that were planned."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mmm_core.clustering import cluster_intervals, cluster_models
from mmm_core.errors import RangeError, ShapeError
from mmm_core.intervals import IntervalKind

NAMES = (
    "social_alpha",
    "social_gamma",
    "social_theta",
    "tv_alpha",
    "tv_gamma",
    "tv_theta",
    "train_size",
    "lambda_hp",
)


def planted(n_families: int, per_family: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Hyperparameters (N, 8) around at most 6 family centres, all equally far apart, and the family of each."""
    rng = np.random.default_rng(seed)
    centres = np.eye(6)[:n_families]
    family = np.repeat(np.arange(n_families), per_family)
    features = 0.1 + 0.8 * centres[family] + 0.01 * rng.normal(size=(len(family), 6))
    return np.column_stack([features, rng.uniform(0.5, 0.8, (len(family), 2))]), family


def losses(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(n), rng.random(n), np.zeros(n)


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("n_families", [3, 4, 6])
def test_planted_families_are_found(n_families):
    values, family = planted(n_families, 12)
    found = cluster_models(NAMES, values, *losses(len(values)))
    assert same_partition(found.labels, family)
    assert dict(found.silhouettes)[n_families] == max(s for _, s in found.silhouettes)


def test_robyns_rule_finds_few_planted_families():
    values, family = planted(4, 12)
    found = cluster_models(NAMES, values, *losses(len(values)), clusters="robyn")
    assert same_partition(found.labels, family)
    assert found.silhouettes == ()


def test_robyns_rule_never_gives_fewer_than_three():
    values, _ = planted(2, 12)
    assert cluster_models(NAMES, values, *losses(24), clusters="robyn").n_clusters == 3


@pytest.mark.parametrize("k", [1, 2, 5, 24])
def test_a_number_of_clusters_is_kept(k):
    values, _ = planted(4, 6)
    found = cluster_models(NAMES, values, *losses(24), clusters=k)
    assert found.n_clusters == k
    assert sorted(set(found.labels)) == list(range(1, k + 1))


@pytest.mark.parametrize("rule", ["auto", "robyn", 4])
def test_order_of_the_models_and_number_of_threads_do_not_matter(rule):
    rng = np.random.default_rng(2)
    values, scores = rng.random((40, 8)), losses(40)
    order = rng.permutation(40)
    one = cluster_models(NAMES, values, *scores, clusters=rule)
    with threadpool_limits(limits=2):
        other = cluster_models(NAMES, values[order], *(loss[order] for loss in scores), clusters=rule)
    np.testing.assert_array_equal(other.labels, one.labels[order])
    np.testing.assert_array_equal(other.is_selected, one.is_selected[order])
    np.testing.assert_allclose(other.distances, one.distances[order], rtol=1e-12)


def test_clusters_are_numbered_by_their_best_score_and_won_by_it():
    values, _ = planted(5, 8)
    found = cluster_models(NAMES, values, *losses(40))
    best = [found.error_scores[found.labels == label].min() for label in range(1, 6)]
    assert best == sorted(best)
    for label in range(1, 6):
        winner = np.flatnonzero(found.is_selected & (found.labels == label))
        assert found.error_scores[winner].tolist() == [best[label - 1]]
    np.testing.assert_array_equal(found.sizes, 8)


def test_several_winners_per_cluster():
    values, family = planted(3, 8)
    found = cluster_models(NAMES, values, *losses(24), clusters=3, per_cluster=3)
    for f in range(3):
        scores = found.error_scores[family == f]
        assert set(scores[found.is_selected[family == f]]) == set(np.sort(scores)[:3])
    everyone = cluster_models(NAMES, values, *losses(24), clusters=3, per_cluster=99)
    assert everyone.is_selected.all()


def test_error_scores_are_scaled_over_the_models_given():
    values, _ = planted(3, 8)
    nrmse, rssd, mape = losses(24)
    found = cluster_models(NAMES, values, nrmse, rssd, mape)
    n, r = (nrmse - nrmse.min()) / np.ptp(nrmse), (rssd - rssd.min()) / np.ptp(rssd)
    np.testing.assert_allclose(found.error_scores, np.hypot(n, r) / 3)


def test_copies_stay_with_their_model_and_do_not_win_twice():
    values, family = planted(3, 8)
    scores = losses(24)
    best = int(np.argmin(np.hypot(*scores[:2])))
    rows = np.concatenate([np.arange(24), [best, best]])
    found = cluster_models(NAMES, values[rows], *(loss[rows] for loss in scores), clusters=3, per_cluster=2)
    assert same_partition(found.labels, family[rows])
    assert found.is_copy.tolist() == [False] * 24 + [True] * 2
    assert found.is_selected.sum() == 6
    assert not found.is_selected[24:].any()
    assert len(found.members(1)) == 8
    assert found.sizes[best] == 10


def test_models_that_differ_only_in_penalty_share_a_cluster_but_both_count():
    values, _ = planted(3, 4)
    rows = np.concatenate([np.arange(12), [0]])
    again = values[rows]
    again[-1, -1] = 0.123
    found = cluster_models(NAMES, again, *losses(13), clusters=3)
    assert found.labels[-1] == found.labels[0]
    assert not found.is_copy.any()


@pytest.mark.parametrize("rule", ["auto", "robyn", 1, 7])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5])
def test_a_handful_of_models(n, rule):
    values = np.random.default_rng(n).random((n, 8))
    found = cluster_models(NAMES, values, *losses(n), clusters=rule)
    assert found.n_clusters <= max(n, 0)
    assert found.is_selected.sum() == found.n_clusters
    if n in (1, 2, 3) and rule != 1:
        assert found.n_clusters == n
        assert (found.distances == 0).all()


def test_identical_models_are_one_cluster():
    values = np.tile(np.random.default_rng(0).random(8), (6, 1))
    found = cluster_models(NAMES, values, *losses(6))
    assert found.labels.tolist() == [1] * 6
    assert found.features == ()
    assert found.is_selected.sum() == 1


def test_features_leave_out_constants_lambda_and_train_size():
    values, _ = planted(3, 5)
    values[:, 2] = 0.3
    found = cluster_models(NAMES, values, *losses(15))
    assert found.features == ("social_alpha", "social_gamma", "tv_alpha", "tv_gamma", "tv_theta")
    moved = values.copy()
    moved[:, 6:] = np.random.default_rng(1).random((15, 2))
    np.testing.assert_array_equal(cluster_models(NAMES, moved, *losses(15)).labels, found.labels)


def test_distances_are_to_the_mean_of_the_scaled_features():
    values, _ = planted(3, 5)
    found = cluster_models(NAMES, values, *losses(15))
    scaled = values[:, :6] - values[:, :6].min(axis=0)
    scaled /= np.ptp(values[:, :6], axis=0)
    members = found.labels == 2
    expected = np.linalg.norm(scaled[members] - scaled[members].mean(axis=0), axis=1)
    np.testing.assert_allclose(found.distances[members], expected)


def test_intervals_of_a_cluster_are_the_spread_of_its_models():
    values, family = planted(3, 25)
    names = [f"1_{i}" for i in range(75)]
    found = cluster_models(NAMES, values, *losses(75), clusters=3)
    roas = np.random.default_rng(3).gamma(2, 1, (75, 2))
    rows = cluster_intervals(names, found, ("tv", "social"), roas, quantity="roas", level=0.9)
    assert len(rows) == 6
    for row in rows:
        model, channel = names.index(row.candidate), ("tv", "social").index(row.name)
        members = roas[family == family[model], channel]
        assert (row.lower, row.upper) == pytest.approx(tuple(np.quantile(members, [0.05, 0.95])))
        assert (row.kind, row.n, row.level) == (IntervalKind.CLUSTER, 25, 0.9)
        assert row.estimate == roas[model, channel]


def test_a_cluster_of_two_has_no_spread():
    values, _ = planted(3, 2)
    found = cluster_models(NAMES, values, *losses(6), clusters=3)
    assert (
        cluster_intervals(list("abcdef"), found, ("tv",), np.ones((6, 1)), quantity="roas", level=0.9) == ()
    )


def test_arguments_are_checked():
    values, _ = planted(3, 2)
    with pytest.raises(ShapeError):
        cluster_models(NAMES[:-1], values, *losses(6))
    with pytest.raises(ShapeError):
        cluster_models(NAMES, values, *losses(5))
    with pytest.raises(RangeError, match="clusters"):
        cluster_models(NAMES, values, *losses(6), clusters=0)
    with pytest.raises(RangeError, match="per_cluster"):
        cluster_models(NAMES, values, *losses(6), per_cluster=0)
    found = cluster_models(NAMES, values, *losses(6))
    with pytest.raises(ShapeError):
        cluster_intervals(list("abc"), found, ("tv",), np.ones((3, 1)), quantity="roas", level=0.9)
