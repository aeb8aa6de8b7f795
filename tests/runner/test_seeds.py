"""Seeds are a tree: a place gives a stream, neighbours give unrelated ones, and the numbers never change."""

from __future__ import annotations

import itertools

import numpy as np

from runner.seeds import Branch, as_integer, seed_at


def test_a_place_has_one_stream():
    for path in ((), (1,), (3, 120)):
        first, second = (seed_at(7, Branch.REFITS, *path) for _ in range(2))
        assert first.generate_state(8).tolist() == second.generate_state(8).tolist()


def test_places_have_different_streams():
    places = [
        (seed, branch, path)
        for seed in (0, 1, 2)
        for branch in Branch
        for path in [(), *itertools.product(range(4)), *itertools.product(range(3), repeat=2)]
    ]
    states = {tuple(seed_at(seed, branch, *path).generate_state(4)) for seed, branch, path in places}
    assert len(states) == len(places)


def test_neighbouring_seeds_are_unrelated():
    draws = [np.random.default_rng(seed_at(seed, Branch.SEARCH, 1)).normal(size=2000) for seed in range(6)]
    correlations = np.corrcoef(draws)[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 0.1


def test_the_numbers_are_part_of_the_results():
    # Renumbering the branches would change every run ever made.
    assert {branch.name: int(branch) for branch in Branch} == {
        "SEARCH": 0,
        "REFITS": 1,
        "SELECTION": 2,
        "PLANS": 3,
        "MODELS": 4,
    }
    assert as_integer(seed_at(123, Branch.SEARCH, 1)) == 1678010906
