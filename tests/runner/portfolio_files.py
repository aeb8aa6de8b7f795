"""A portfolio of small markets: the small experiment, each market with another noise, in one long table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tests.runner.small import change, small_spec, small_table

MARKETS = ("north", "south", "west")
# As little as gives a selected model with intervals.
LITTLE = {"search": {"trials": 1, "iterations": 60, "seed": 7}, "bootstrap__refits": 10, "scenarios": []}


def market_table(market: str) -> pd.DataFrame:
    """The small table with a noise of its own, and the market's name."""
    table = small_table()
    rng = np.random.default_rng(sum(map(ord, market)))
    table["sales"] = (table["sales"] + rng.normal(0, 100, len(table))).round()
    return table.assign(market=market)


def write_portfolio(
    folder: Path, models: Any = None, tables: Sequence[pd.DataFrame] | None = None, **changes: Any
) -> Path:
    """Spec and long table as files in a folder; ``models`` is that key of the spec."""
    folder.mkdir(parents=True, exist_ok=True)
    long = pd.concat(tables or [market_table(market) for market in MARKETS])
    long.to_csv(folder / "table.csv", index=False)
    models = {"by": ["market"]} if models is None else models
    together = {"name": "markets", "portfolio": {"pooling": "integrated"}, **LITTLE, **changes}
    tree = change(small_spec(), **together) | {"models": models}
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    return path


def results(run: Path) -> dict[str, bytes]:
    """Everything of a model that must not depend on where, when and beside what it was run."""
    files = [*run.rglob("*.parquet"), *run.glob("models/*.json"), run / "findings.json"]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def only_portfolio(place: Path) -> Path:
    """The one run of ``write_portfolio``'s spec below a place."""
    (found,) = (place / "runs").glob("markets-2*")
    return found


def model_folder(portfolio: Path, model: str) -> Path:
    """The run folder of a model whose name is its file name."""
    (found,) = (portfolio / "models").glob(f"*-{model}-*")
    return found
