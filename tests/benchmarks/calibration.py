"""How much closer to the truth lift studies bring the models, on simulated panels.

    python -m tests.benchmarks.calibration

simulates panels like the quickstart's with other seeds, takes six weeks of some channels as geo tests (what the channel
truly brought by switching it on there, with a standard error of 15 %), runs the quickstart's search with and without
them and prints, in Markdown, the error of ROAS of the selected models' mean: of the channels that were tested, of the
others, and what the plan for today's budget truly brings.

    python -m tests.benchmarks.calibration --write experiments/data/quickstart_lift_studies.csv

writes the studies that the quickstart is shipped with.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmm_core.response import Carryover
from mmm_core.simulate import Horizon, Truth, true_response
from mmm_core.types import CandidateBatch
from runner.commands.simulate import load_truth
from runner.commands.simulate import run as simulate
from runner.dataset import load_panel
from runner.pool import Pool
from runner.problem import build_problem
from runner.search.base import run_trial
from runner.search.engine import search_job
from runner.select import select
from runner.spec import load_spec
from runner.tables import write_text
from tests.benchmarks.selection_on_truth import HELD_OUT, lifts

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SPEC = EXPERIMENTS / "quickstart.yaml"
TRUTH = EXPERIMENTS / "data" / "quickstart_truth.json"
SEEDS = HELD_OUT[:6]
WEEKS = 6
# Rows of the window that every candidate trains on: train_size is 0.5 at least.
TRAINED = 79
RELATIVE_ERROR = 0.15
THREE = (("tv",), ("search",), ("ooh",))
ALL = (*THREE, ("social",), ("print",))
SHIPPED = (*THREE, ("social", "print"))
HEADER = ("channel", "start", "end", "estimate", "standard_error", "scope", "spend", "metric", "source")


def true_studies(truth: Truth, groups: Sequence[tuple[str, ...]], seed: int) -> list[tuple[object, ...]]:
    """Rows of the neutral table: what switching each group of channels on truly brought, with noise.

    Args:
        truth: of a weekly panel. groups: channels that a study moves together. seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for group in groups:
        spend = sum(np.array(truth["channels"][name]["spend"]) for name in group)
        first = truth["window"]["start_row"]
        starts = range(first, first + TRAINED - WEEKS + 1)
        start = max(starts, key=lambda row: float(spend[row : row + WEEKS].sum()))
        horizon = Horizon(truth["dates"][start], truth["dates"][start + WEEKS - 1])
        brought = sum(
            true_response(truth, c, 1.0, horizon) - true_response(truth, c, 0.0, horizon) for c in group
        )
        error = RELATIVE_ERROR * brought
        estimate = brought + error * float(rng.standard_normal())
        end = np.datetime64(horizon.end, "D") + 6
        money = float(spend[start : start + WEEKS].sum())
        rows.append(
            ("+".join(group), horizon.start, str(end), f"{estimate:.0f}", f"{error:.0f}", "immediate", f"{money:.0f}",
             truth["outcome"], "simulated geo test")
        )  # fmt: skip
    return rows


def csv_of(rows: Sequence[tuple[object, ...]]) -> str:
    """The rows as the neutral table."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    return buffer.getvalue()


def shipped() -> str:
    """``experiments/data/quickstart_lift_studies.csv``."""
    return csv_of(true_studies(load_truth(TRUTH), SHIPPED, seed=2024))


def judged(
    table: Path, truth: Truth, overrides: Sequence[str], tested: Sequence[str]
) -> tuple[float, float, float, float]:
    """(error of ROAS of tested and of other channels, mean NRMSE of the selected models, true lift of the plan)."""
    spec = load_spec(SPEC, data=str(table), overrides=overrides)
    problem = build_problem(spec, load_panel(spec))[0]
    job = search_job(spec, problem)
    trials = [CandidateBatch.concatenate(list(run_trial(job, t))) for t in range(1, spec.search.trials + 1)]
    selection = select(spec, problem, Pool.of_batches(trials))
    paid = slice(problem.first_media, problem.first_media + problem.n_paid)
    roas = (selection.batch.contributions[:, paid] / problem.total_spend).mean(axis=0)
    true_roas = np.array([truth["channels"][channel]["roas"] for channel in problem.paid])
    errors = np.abs(roas / true_roas - 1)
    is_tested = np.array([channel in tested for channel in problem.paid])
    others = float(errors[~is_tested].mean()) if not is_tested.all() else float("nan")
    _, lift = lifts(problem, selection.models, Carryover.PLAN, truth)
    return float(errors[is_tested].mean()), others, float(selection.batch.loss("nrmse_train").mean()), lift


def study(seed: int, folder: Path) -> dict[str, tuple[float, float, float, float]]:
    """What is known of the studies -> what ``judged`` says, for one panel."""
    paths = simulate(folder / f"{seed}.csv", seed=seed, window_start="2022-01-03")
    truth = load_truth(paths.truth)
    found = {"none": judged(paths.table, truth, [], ["tv", "search", "ooh"])}
    for name, groups in (("tv, search, ooh", THREE), ("all five", ALL)):
        file = folder / f"{seed}_{len(groups)}.csv"
        write_text(file, csv_of(true_studies(truth, groups, seed)))
        found[name] = judged(paths.table, truth, [f"calibration={file}"], [name for (name,) in groups])
    told = {name: [round(value, 3) for value in values] for name, values in found.items()}
    print(json.dumps({"seed": seed, **told}), flush=True)
    return found


def main() -> None:
    """Print the table of means over the panels, or write the shipped studies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument(
        "--write", type=Path, help="write the studies of the quickstart there, and nothing else"
    )
    arguments = parser.parse_args()
    if arguments.write:
        write_text(arguments.write, shipped())
        return
    rows = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            for key, values in study(seed, Path(folder)).items():
                rows[key].append(values)
    heads = ("lift studies of", "error of ROAS, tested", "others", "NRMSE, training", "plan truly brings")
    print(f"\n| {' | '.join(heads)} |\n" + "| --- " * len(heads) + "|")
    for name, values in rows.items():
        tested, others, nrmse, lift = np.array(values).mean(axis=0)
        other = "-" if np.isnan(others) else f"{others:.0%}"
        print(f"| {name} | {tested:.0%} | {other} | {nrmse:.4f} | {lift:+.1%} |")


if __name__ == "__main__":
    main()
