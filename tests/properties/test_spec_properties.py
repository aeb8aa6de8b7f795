"""A spec survives being written and read, and keeps its digest; what is not a spec never ends in a trace."""

from __future__ import annotations

from contextlib import suppress

import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from mmm_core.errors import UserError
from runner.spec import RESERVED_NAMES, ExperimentSpec, apply_override, decode
from tests.runner.small import change, small_spec

NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    lambda name: name.strip() and name not in RESERVED_NAMES
)
FILE_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_ +-]{0,20}[A-Za-z0-9]", fullmatch=True)
THETAS = st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)).map(sorted)
BOUNDS = st.tuples(st.floats(0, 2), st.floats(0, 9)).map(sorted)


@st.composite
def specs(draw) -> ExperimentSpec:
    """Legal specs that differ in everything that has a name or a number."""
    media = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    paid, organic = media[:-1], media[-1:]
    goal = draw(st.sampled_from(["max_response", "target_efficiency"]))
    tree = change(
        small_spec(),
        name=draw(FILE_NAMES),
        channels=[{"name": name, "spend": f"spend {i}"} for i, name in enumerate(paid)],
        organic=[{"name": name, "column": "mails"} for name in organic],
        context=[],
        hyperparameters={name: {"theta": draw(THETAS)} for name in media},
        validation__time_series=draw(st.booleans()),
        search={
            "trials": draw(st.integers(1, 9)),
            "iterations": draw(st.integers(1, 10**6)),
            "seed": draw(st.integers(0, 2**64)),
            "objective_weights": draw(st.none() | st.just([1, 2.5])),
        },
        scenarios=[
            {
                "name": draw(FILE_NAMES),
                "goal": goal,
                "target": draw(st.floats(0.01, 1e6)) if goal == "target_efficiency" else None,
                "bounds": draw(
                    st.none() | BOUNDS | st.fixed_dictionaries({paid[0]: BOUNDS, "default": BOUNDS})
                ),
            }
        ],
    )
    return decode(tree, "s.yaml")


@given(specs())
def test_a_spec_survives_a_round_trip(spec):
    text = yaml.safe_dump(spec.resolved(), sort_keys=False, allow_unicode=True)
    again = decode(yaml.safe_load(text), "s.yaml")
    assert again.resolved() == spec.resolved()
    assert again.digest == spec.digest


@given(specs(), st.integers(0, 2**32))
def test_the_digest_follows_the_seed(spec, seed):
    assume(seed != spec.search.seed)
    tree = spec.resolved()
    tree["search"]["seed"] = seed
    assert decode(tree, "s.yaml").digest != spec.digest


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(sorted(ExperimentSpec.model_fields))
SECTIONS = ("search", "baseline", "window", "selection", "tracking", "execution", "data", "outcome")
BELOW = sorted(
    {key for name in SECTIONS for key in ExperimentSpec.model_fields[name].annotation.model_fields} | {"x"}
)


@given(KEYS, PLAIN)
def test_anything_in_place_of_a_key_is_a_spec_or_a_sentence(key, value):
    check_sentence(lambda: decode({**small_spec(), key: value}, "s.yaml"))


@given(KEYS, st.sampled_from(BELOW), PLAIN)
def test_anything_below_a_key_is_a_spec_or_a_sentence(key, below, value):
    tree = small_spec()
    tree[key] = {**tree[key], below: value} if isinstance(tree.get(key), dict) else {below: value}
    check_sentence(lambda: decode(tree, "s.yaml"))


@given(st.text(max_size=30))
def test_any_override_is_made_or_refused(text):
    tree = small_spec()
    check_sentence(lambda: apply_override(tree, text))


def check_sentence(attempt) -> None:
    """Anything but a sentence for the user fails the test by itself."""
    with suppress(UserError):
        attempt()
