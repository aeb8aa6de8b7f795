"""Raw and pooled ROAS of simulated markets, judged by the truth, also where markets truly differ.

    python -m tests.benchmarks.pooling

simulates eight markets for each seed and spread, runs `experiments/portfolio.yaml` on them (about a minute a portfolio
on two cores) and prints, in Markdown, errors in per cent (root mean square of the logarithm of estimate over truth) and
how often the 90 % intervals hold the truth. `--given` judges the formula alone: normal estimates with known errors.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import runner
from mmm_core.pooling import pool
from runner.commands.simulate import run_markets
from runner.portfolio import PortfolioFolder

SPEC = Path(__file__).parents[2] / "experiments" / "portfolio.yaml"
MARKETS = ("AT", "BE", "CH", "DE", "DK", "FR", "NL", "SE")
SEEDS = (41, 42, 43)
SPREADS = (0.0, 0.25, 0.6)
LEVEL = 0.9


def judged(rows: list[Mapping[str, Any]], truth: Mapping[str, Any]) -> Iterator[tuple[float, ...]]:
    """(raw error, pooled error, raw interval holds it, pooled one does, shrinkage) of channels that were pooled."""
    for row in rows:
        if row["pooled"] is None:
            continue
        true = truth["markets"][row["model"]]["channels"][row["channel"]]["roas"]
        yield (
            np.log(row["estimate"] / true),
            np.log(row["pooled"] / true),
            row["lower"] <= true <= row["upper"],
            row["pooled_lower"] <= true <= row["pooled_upper"],
            row["shrinkage"],
        )


def study(
    seed: int, spread: float, folder: Path, overrides: list[str]
) -> tuple[list[tuple[float, ...]], int]:
    """Rows of ``judged`` of one portfolio, and how many channels of markets had no effect and were left out."""
    paths = run_markets(
        folder / f"{seed}-{spread}.csv", MARKETS, seed=seed, spread=spread, window_start="2022-01-03"
    )
    settings = ["tracking.enabled=false", "scenarios=[]", *overrides]
    done = runner.run(SPEC, data=str(paths.table), runs=folder / "runs", overrides=settings)
    assert isinstance(done, PortfolioFolder)
    rows = done.table("channels").to_pylist()
    truth = json.loads(paths.truth.read_text(encoding="utf-8"))
    return list(judged(rows, truth)), sum(row["pooled"] is None for row in rows)


def given(spread: float, method: str, markets: int = 8, panels: int = 2000) -> tuple[float, ...]:
    """As a row of the table, from normal estimates whose errors are known: the formula, without any model."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(panels):
        errors = rng.uniform(0.1, 0.5, markets)
        true = 1 + spread * rng.standard_normal(markets)
        values = true + errors * rng.standard_normal(markets)
        pooled = pool(values, errors, method)  # type: ignore[arg-type]
        low, high = pooled.interval(LEVEL)
        raw_holds = np.abs(values - true) < 1.6449 * errors
        found.append(
            [
                values - true,
                pooled.estimates - true,
                raw_holds,
                (low <= true) & (true <= high),
                pooled.weights,
            ]
        )
    return _row(np.concatenate([np.array(one).T for one in found]))


def _row(values: np.ndarray) -> tuple[float, ...]:
    raw, pooled = (float(np.sqrt((values[:, i] ** 2).mean())) for i in (0, 1))
    return raw, pooled, *(float(values[:, i].mean()) for i in (2, 3, 4))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--spreads", type=float, nargs="+", default=list(SPREADS))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--given", action="store_true")
    asked = parser.parse_args()
    print("| true spread | | raw error | pooled error | raw holds | pooled holds | shrinkage | left out |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for spread in asked.spreads:
        if asked.given:
            for method in ("integrated", "reml", "dl"):
                _print(spread, method, given(spread, method), 0)
            continue
        with tempfile.TemporaryDirectory() as place:
            parts = [study(seed, spread, Path(place), asked.overrides) for seed in asked.seeds]
        rows = np.array([row for own, _ in parts for row in own], dtype=np.float64)
        _print(spread, f"{len(asked.seeds)} portfolios", _row(rows), sum(left for _, left in parts))


def _print(spread: float, what: str, row: tuple[float, ...], left_out: int) -> None:
    raw, pooled, raw_holds, pooled_holds, shrinkage = row
    print(
        f"| {spread:.0%} | {what} | {raw:.0%} | {pooled:.0%} | {raw_holds:.0%} | {pooled_holds:.0%} "
        f"| {shrinkage:.0%} | {left_out} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
