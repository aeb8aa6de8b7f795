"""A small experiment from known parameters: two years of weeks, two channels, one organic medium, one price, events.

Small enough that a whole run takes a moment; without Prophet, whose import alone costs more than all the rest.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

N_ROWS = 104
SCENARIOS = [
    {"name": "same-budget"},
    {
        "name": "more",
        "total_budget": 120_000,
        "constraint": "at_most",
        "bounds": {"tv": [0.5, 2], "default": [0.8, 1.2]},
    },
    {"name": "out-of-reach", "goal": "target_efficiency", "target": 1000.0},
]
COLUMNS = ("date", "sales", "tv_cost", "web_cost", "web_clicks", "mails", "price", "event")


def small_table(n_rows: int = N_ROWS) -> pd.DataFrame:
    """Sales = base + season + media + price + events + noise."""
    rng = np.random.default_rng(20240129)
    t = np.arange(n_rows)
    tv = np.where(rng.random(n_rows) < 0.5, rng.gamma(2.0, 500.0, n_rows), 0.0).round()
    web = rng.gamma(4.0, 150.0, n_rows).round()
    clicks = np.round(web * 3 * rng.uniform(0.9, 1.1, n_rows))
    mails = rng.integers(0, 50, n_rows) * 10
    price = (10 + rng.normal(0, 0.5, n_rows)).round(2)
    event = np.where(t % 13 == 5, "fair", np.where(t % 17 == 3, "strike", "none"))
    sales = 9000 + 600 * np.sin(2 * np.pi * t / 52) - 200 * price
    sales += 2500 * tv / (tv + 900) + 1800 * clicks / (clicks + 1500) + 2 * mails
    sales += 500 * (event == "fair") - 400 * (event == "strike") + rng.normal(0, 150, n_rows)
    dates = np.datetime64("2022-01-03") + 7 * t
    values = (dates.astype(str), sales.round(), tv, web, clicks, mails, price, event)
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def small_spec() -> dict[str, Any]:
    """Its spec as plain data; ``data.path`` is relative to the spec file."""
    return {
        "name": "small",
        "data": {"path": "table.csv", "date": "date"},
        "outcome": {"column": "sales"},
        "window": {"start": "2022-02-07"},
        "channels": [
            {"name": "tv", "spend": "tv_cost"},
            {"name": "web", "spend": "web_cost", "exposure": "web_clicks"},
        ],
        "organic": [{"name": "mail", "column": "mails"}],
        "context": ["price", {"name": "event", "kind": "factor"}],
        "baseline": "none",
        "search": {"trials": 2, "iterations": 90, "seed": 7},
        "selection": {"min_candidates": 20},
        "bootstrap": {"refits": 20},
        "tracking": {"enabled": False},
        "execution": {"backend": "serial"},
    }


def change(tree: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with keys set; ``search__trials=1`` is ``search.trials``, numbers are positions."""
    tree = copy.deepcopy(tree)
    for path, value in changes.items():
        node: Any = tree
        *parents, last = path.split("__")
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        node[int(last) if isinstance(node, list) else last] = value
    return tree


def write_small(folder: Path, table: pd.DataFrame | str | bytes | None = None, **changes: Any) -> Path:
    """Spec and table as files in a folder, the spec changed as by ``change``; text or bytes are the CSV itself."""
    if isinstance(table, str):
        table = table.encode()
    if isinstance(table, bytes):
        (folder / "table.csv").write_bytes(table)
    else:
        (small_table() if table is None else table).to_csv(folder / "table.csv", index=False)
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(change(small_spec(), **changes), allow_unicode=True), encoding="utf-8")
    return path
