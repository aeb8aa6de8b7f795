"""One tree of seeds: every unit of work finds its own by its place, never by who runs it or when.

    experiment ── search ── trial
               ├─ refits ── trial ── iteration of the refitted model
               ├─ plans
               └─ models ── name of one of several models, whose seed is the experiment of a tree of its own

Children are ``SeedSequence`` spawn keys, so neighbouring seeds give unrelated streams (in Robyn they coincide).
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import numpy as np


class Branch(IntEnum):
    """What a seed is for; the numbers are part of the results and never change."""

    SEARCH = 0
    REFITS = 1
    SELECTION = 2
    PLANS = 3
    MODELS = 4


def seed_at(experiment_seed: int, branch: Branch, *path: int) -> np.random.SeedSequence:
    """The seed at one place of the tree."""
    return np.random.SeedSequence(experiment_seed, spawn_key=(int(branch), *path))


def seed_of_model(experiment_seed: int, name: str) -> int:
    """The seed of one of several models, from its name alone: others may come, go or change places.

    Source: the first 128 bits of the name's SHA-256 are its place in the tree.
    """
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8")).digest()[:16], dtype="<u4")
    return as_integer(seed_at(experiment_seed, Branch.MODELS, *map(int, words)))


def as_integer(seed: np.random.SeedSequence) -> int:
    """A 32-bit integer for libraries that take nothing better."""
    return int(seed.generate_state(1, np.uint32)[0])
