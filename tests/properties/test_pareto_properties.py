"""What holds for any cloud of points."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmm_core.pareto import error_scores, fronts, select_fronts
from tests.reference import pareto as slow

coarse = st.integers(0, 9).map(lambda v: v / 8)
point = st.tuples(coarse, coarse)
clouds = st.lists(point, min_size=1, max_size=40)
distinct_clouds = st.lists(point, min_size=1, max_size=40, unique=True)


def columns(cloud):
    return tuple(np.array(cloud).T)


@given(clouds)
def test_equals_the_slow_twin(cloud):
    x, y = columns(cloud)
    assert fronts(x, y).tolist() == slow.fronts(x.tolist(), y.tolist())


@given(clouds, st.randoms(use_true_random=False))
def test_a_front_does_not_change_with_the_order_of_its_points(cloud, random):
    order = list(range(len(cloud)))
    random.shuffle(order)
    np.testing.assert_array_equal(fronts(*columns([cloud[i] for i in order])), fronts(*columns(cloud))[order])


@given(distinct_clouds)
def test_front_one_is_what_nothing_dominates_and_every_other_front_hangs_below_the_one_before(cloud):
    found = fronts(*columns(cloud))
    for i, here in enumerate(cloud):
        above = {found[j] for j, other in enumerate(cloud) if slow.dominates(other, here)}
        assert found[i] == 1 + max(above, default=0)


@given(clouds, st.floats(0.01, 100))
def test_units_of_a_loss_do_not_matter(cloud, unit):
    x, y = columns(cloud)
    np.testing.assert_array_equal(fronts(unit * x, y), fronts(x, y))
    if np.ptp(x) > 0:  # a constant loss stays as it is, unit and all
        np.testing.assert_allclose(error_scores(unit * x, y, x), error_scores(x, y, x), atol=1e-12)


@given(clouds, st.integers(1, 30))
def test_auto_holds_enough_with_as_few_fronts_as_can_be_or_says_that_it_is_short(cloud, wanted):
    x, y = columns(cloud)
    selection = select_fronts(x, y, np.zeros(len(x)), min_candidates=wanted)
    held = np.bincount(selection.front)
    if selection.is_short:
        assert selection.n_selected == selection.n_candidates < wanted
    else:
        assert selection.n_selected >= wanted > held[1 : selection.n_fronts].sum()


@given(clouds)
def test_scores_lie_between_the_best_and_the_norm_of_the_weights(cloud):
    x, y = columns(cloud)
    scores = error_scores(x, y, np.zeros(len(x)))
    assert ((scores >= 0) & (scores <= np.sqrt(2) * max(1, x.max(), y.max()) / 3 + 1e-12)).all()
