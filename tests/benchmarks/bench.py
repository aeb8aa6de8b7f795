"""How long one candidate takes, beside slower ways to the same numbers.

    make bench                            a table
    make bench BENCH_JSON=bench.json      and the numbers

Each row times one way on one panel: CPU time per candidate (wall time means little on a busy machine), the median of
several repeats and their spread. Beside it stands the largest relative difference of its losses from those of the
compiled kernel, or of R Robyn, since a fast wrong number is worth nothing. Compiling is not timed; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mmm_core.evaluate import evaluate_candidates, penalty_factors, split_rows
from mmm_core.types import LOSS_COLUMNS, FloatArray, ModelProblem
from tests.golden import robyn_names
from tests.golden.golden_data import GOLDEN, golden_hyperparameters, golden_problem, golden_table
from tests.reference import candidate as slow
from tests.reference.problems import random_hyperparameters, random_problem

COMMAND = "python -m tests.benchmarks.bench"

# What every way here computes: (nrmse, decomp_rssd) of each row of hyperparameters.
Way = Callable[[ModelProblem, FloatArray], FloatArray]
OBJECTIVES = [LOSS_COLUMNS.index("nrmse"), LOSS_COLUMNS.index("decomp_rssd")]


@dataclass(frozen=True)
class Timing:
    """One row of the table; microseconds are per candidate."""

    panel: str
    way: str
    candidates: int
    median_us: float
    low_us: float
    high_us: float
    ratio: float
    difference: float


def weekly() -> ModelProblem:
    """Size of Robyn's demo: 208 weeks, 157 in the window, 12 columns of which 6 are media."""
    return random_problem(1, n_periods=208, window=(6, 163), n_paid=5, n_organic=1, n_context=4)


def daily() -> ModelProblem:
    """Three years of days, 40 columns of which 25 are media."""
    return random_problem(2, n_periods=1095, window=(0, 1095), n_paid=24, n_organic=1, n_context=13)


# ---------------------------------------------------------------------------------------------------------------- ways


def kernel_batch(problem: ModelProblem, points: FloatArray) -> FloatArray:
    """The compiled kernel, all candidates in one call."""
    return evaluate_candidates(problem, points).losses[:, OBJECTIVES]


def kernel_single(problem: ModelProblem, points: FloatArray) -> FloatArray:
    """The compiled kernel, one call a candidate, argument checks and all."""
    return np.concatenate([kernel_batch(problem, points[i : i + 1]) for i in range(len(points))])


def plain_python(problem: ModelProblem, points: FloatArray) -> FloatArray:
    """The slow twin of the tests."""
    out = []
    for values in points:
        losses = slow.candidate(
            problem, dict(zip(problem.hyperparameter_names, values.tolist(), strict=True))
        )["losses"]
        out.append([losses["nrmse"], losses["decomp_rssd"]])
    return np.array(out)


def numpy_way(problem: ModelProblem, points: FloatArray) -> FloatArray:
    """NumPy as one would write it at first: whole columns at a time, one candidate after another."""
    return np.array([_numpy_candidate(problem, point) for point in points])


def _numpy_candidate(problem: ModelProblem, point: FloatArray) -> tuple[float, float]:
    named = dict(zip(problem.hyperparameter_names, point, strict=True))
    x = problem.design[:, problem.window].T.copy()
    for m, medium in enumerate(problem.media, start=problem.first_media):
        adstocked = problem.design[m].copy()
        for t in range(1, len(adstocked)):
            adstocked[t] += named[f"{medium}_theta"] * adstocked[t - 1]
        z = adstocked[problem.window]
        inflexion, alpha = named[f"{medium}_gamma"] * z.max(), named[f"{medium}_alpha"]
        x[:, m] = z**alpha / (z**alpha + inflexion**alpha)
    y = problem.outcome[problem.window]
    (n,), (n_val,) = split_rows(problem, np.array([named["train_size"]]))
    low, high = problem.lambda_range
    factors = penalty_factors(problem, point[np.newaxis])[0]
    coefs, intercept = _numpy_ridge(problem, x[:n], y[:n], low + (high - low) * named["lambda_hp"], factors)
    part = slice(n, n + n_val)
    nrmse = np.sqrt(np.mean((y - intercept - x @ coefs)[part] ** 2)) / np.ptp(y[part])
    effects = (x.sum(axis=0) * coefs)[problem.first_media :][: problem.n_paid]
    shares = effects / effects.sum()
    rssd = np.linalg.norm(shares - problem.spend_share) * (1 + np.mean(np.round(shares, 4) == 0))
    return float(nrmse), float(rssd)


def _numpy_ridge(
    problem: ModelProblem, x: FloatArray, y: FloatArray, penalty: float, factors: FloatArray
) -> tuple[FloatArray, float]:
    scale, unit = x.std(axis=0), y.std()
    safe = np.where(scale > 0, scale, 1.0)
    z = (x - x.mean(axis=0)) / safe
    strength = penalty / unit * factors / factors.mean()
    low, high = problem.lower * scale / unit, problem.upper * safe / unit
    b, residual, active = np.zeros(x.shape[1]), (y - y.mean()) / unit, []

    def sweep(columns: list[int]) -> float:
        nonlocal residual
        change = 0.0
        for j in columns:
            new = np.clip((z[:, j] @ residual / len(y) + b[j]) / (1 + strength[j]), low[j], high[j])
            if step := new - b[j]:
                b[j], residual = new, residual - step * z[:, j]
                change = max(change, step * step)
                if j not in active:
                    active.append(j)
        return change

    while sweep([j for j in range(len(b)) if scale[j] > 0]) >= 1e-7:
        while sweep(active) >= 1e-7:
            pass
    coefs = b * unit / safe
    return coefs, float(y.mean() - x.mean(axis=0) @ coefs)


# -------------------------------------------------------------------------------------------------------------- timing


def timed(
    way: Way, problem: ModelProblem, points: FloatArray, repeats: int
) -> tuple[list[float], FloatArray]:
    """CPU seconds per candidate of each repeat, and the losses."""
    losses = way(problem, points)  # compiles, warms caches
    seconds = []
    for _ in range(repeats):
        begin = time.thread_time()
        way(problem, points)
        seconds.append((time.thread_time() - begin) / len(points))
    return seconds, losses


def difference(losses: FloatArray, expected: FloatArray) -> float:
    """Largest relative difference; infinities must agree."""
    same = losses == expected
    return float(np.max(np.abs(losses[~same] / expected[~same] - 1), initial=0.0))


def measure(
    panel: str, problem: ModelProblem, ways: list[tuple[str, Way, int]], repeats: int, seed: int
) -> list[Timing]:
    """Time each way on the first n of the same candidates; ratios are to the first way."""
    points = random_hyperparameters(problem, seed, max(n for _, _, n in ways))
    rows: list[Timing] = []
    expected = kernel_batch(problem, points)
    for name, way, n in ways:
        seconds, losses = timed(way, problem, points[:n], repeats)
        median = statistics.median(seconds) * 1e6
        rows.append(
            Timing(
                panel,
                name,
                n,
                median,
                min(seconds) * 1e6,
                max(seconds) * 1e6,
                median / rows[0].median_us if rows else 1.0,
                difference(losses, expected[:n]),
            )
        )
    return rows


def measure_golden(repeats: int) -> list[Timing]:
    """The golden candidates, compared with the losses that R Robyn printed."""
    rows = []
    for draws in ("geo_ts", "wcdf", "wpdf"):
        problem, table = golden_problem(draws), golden_table(f"draws/{draws}_hyper_and_errors")
        points = golden_hyperparameters(problem, table)
        names = [robyn_names.LOSSES["nrmse"], robyn_names.LOSSES["decomp_rssd"]]
        expected = np.tile(table[names].to_numpy(dtype=float), (20, 1))
        seconds, losses = timed(kernel_batch, problem, np.tile(points, (20, 1)), repeats)
        low, median, high = (f(seconds) * 1e6 for f in (min, statistics.median, max))
        gap = difference(losses, expected)
        rows.append(
            Timing(f"golden {draws}", "kernel, against R", len(expected), median, low, high, 1.0, gap)
        )
    return rows


def table_of(rows: list[Timing]) -> Table:
    """The rows for people."""
    table = Table(title="CPU time of one candidate", caption=COMMAND)
    table.add_column("panel")
    table.add_column("way")
    for heading in ("candidates", "median", "spread", "ratio", "losses differ by"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.panel,
            row.way,
            f"{row.candidates:,}",
            f"{row.median_us:,.1f} µs",
            f"{row.low_us:,.1f} to {row.high_us:,.1f}",
            f"{row.ratio:,.1f}",
            f"{row.difference:.0e}" if row.difference else "0",
        )
    return table


def main() -> None:
    """Time everything, print the table and, if asked, write JSON."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    rows = measure(
        "weekly 208 x 12",
        weekly(),
        [
            ("kernel, one batch", kernel_batch, 2000),
            ("kernel, one at a time", kernel_single, 500),
            ("NumPy", numpy_way, 30),
            ("plain Python", plain_python, 10),
        ],
        options.repeats,
        seed=3,
    )
    rows += measure(
        "daily 1,095 x 40",
        daily(),
        [
            ("kernel, one batch", kernel_batch, 200),
            ("NumPy", numpy_way, 3),
        ],
        max(3, options.repeats // 3),
        seed=4,
    )
    if GOLDEN.is_dir():
        rows += measure_golden(options.repeats)
    Console().print(table_of(rows))
    if options.json:
        document: dict[str, Any] = {
            "command": COMMAND,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
            "repeats": options.repeats,
            "rows": [asdict(row) for row in rows],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
