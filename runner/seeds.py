"""One tree of seeds: every unit of work finds its own by its place, never by who runs it or when.

    experiment ── search ── trial
               ├─ refits ── trial ── iteration of the refitted model
               └─ plans

Children are ``SeedSequence`` spawn keys, so neighbouring seeds give unrelated streams (in Robyn they coincide).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Branch(IntEnum):
    """What a seed is for; the numbers are part of the results and never change."""

    SEARCH = 0
    REFITS = 1
    SELECTION = 2
    PLANS = 3


def seed_at(experiment_seed: int, branch: Branch, *path: int) -> np.random.SeedSequence:
    """The seed at one place of the tree."""
    return np.random.SeedSequence(experiment_seed, spawn_key=(int(branch), *path))


def as_integer(seed: np.random.SeedSequence) -> int:
    """A 32-bit integer for libraries that take nothing better."""
    return int(seed.generate_state(1, np.uint32)[0])
