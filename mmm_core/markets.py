"""The same channels in several simulated markets, with known truth: alike as far as their spread says.

    log roas[channel, market] = log typical[channel] + spread * z[channel, market],   z standard normal

Everything else of a market, its flightings, curves, context and noise, is drawn for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmm_core.errors import RangeError
from mmm_core.features import Holiday
from mmm_core.simulate import PROFILES, Profile, SimulatedPanel, SimulationSettings, Truth, simulate_panel
from mmm_core.types import FloatArray

WIDEST_SPREAD = 1.0
# A market's noise is this part of that of a typical one: some tell more than others.
NOISE_PARTS = (0.6, 1.6)
_LARGEST_NOISE = 0.2
# What is told of a channel, without its series.
_TOLD = (
    "roas",
    "marginal_roas",
    "total_spend",
    "contribution",
    "adstock",
    "adstock_parameters",
    "alpha",
    "gamma",
)
_STREAM = 1_000  # beside those of a panel


def typical_roas(settings: SimulationSettings) -> FloatArray:
    """(P,) the channels' typical ROAS over all markets, drawn within what is usual of each."""
    rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(_STREAM,)))
    return np.array([rng.uniform(*profile.roas) for profile in PROFILES[: settings.channels]])


def simulate_markets(
    settings: SimulationSettings, markets: Mapping[str, Sequence[Holiday]], spread: float
) -> dict[str, SimulatedPanel]:
    """One panel a market.

    Args:
        settings: of all; its noise is that of a typical market. markets: name -> its holidays, in a fixed order.
        spread: standard deviation of the logarithm of a channel's ROAS between markets, 0 to 1.
    Raises:
        RangeError: the spread is out of its range, or there is no market.
    """
    if not 0 <= spread <= WIDEST_SPREAD:
        raise RangeError(f"spread is {spread:g}, expected 0 to {WIDEST_SPREAD:g}")
    if not markets:
        raise RangeError("there is no market; name at least one")
    typical = typical_roas(settings)
    panels = {}
    for place, (name, holidays) in enumerate(markets.items()):
        own = np.random.SeedSequence(settings.seed, spawn_key=(_STREAM, place))
        rng = np.random.default_rng(own)
        roas = typical * np.exp(spread * rng.standard_normal(len(typical)))
        noise = min(settings.noise * rng.uniform(*NOISE_PARTS), _LARGEST_NOISE)
        profiles: list[Profile] = [
            replace(profile, roas=(value, value))
            for profile, value in zip(PROFILES[: settings.channels], roas.tolist(), strict=True)
        ]
        seed = int(own.generate_state(1, np.uint32)[0])
        panels[name] = simulate_panel(replace(settings, seed=seed, noise=noise), holidays, profiles)
    return panels


def markets_truth(settings: SimulationSettings, panels: Mapping[str, SimulatedPanel], spread: float) -> Truth:
    """What is known of all markets, without series: plain values that JSON can hold."""
    names = [profile.name for profile in PROFILES[: settings.channels]]
    typical = dict(zip(names, np.round(typical_roas(settings), 4).tolist(), strict=True))
    markets: dict[str, Any] = {
        name: {
            "noise": panel.truth["settings"]["noise"],
            "window": panel.truth["window"],
            "channels": {
                channel: {key: told[key] for key in _TOLD}
                for channel, told in panel.truth["channels"].items()
            },
        }
        for name, panel in panels.items()
    }
    return {
        "format": "mmm-markets-truth-1",
        "seed": settings.seed,
        "spread": spread,
        "typical_roas": typical,
        "markets": markets,
    }
