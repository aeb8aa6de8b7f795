"""What the search options change, on simulated panels whose truth is known.

    python -m tests.benchmarks.search_options

simulates panels like the quickstart's with other seeds, searches each with the quickstart's settings and one option
changed (about a minute a panel), and prints, in Markdown, the tables of docs/search-options.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mmm_core.adstock import geometric
from mmm_core.curve_fit import CurveBounds, curve_bounds, robyn_bounds
from mmm_core.evaluate import evaluate_candidates
from mmm_core.metrics import window_nrmse
from mmm_core.pareto import fronts
from mmm_core.saturation import hill
from mmm_core.types import Adstock, CandidateBatch, FloatArray, ModelProblem
from runner.commands.simulate import load_truth
from runner.commands.simulate import run as simulate
from runner.curves import calibrate_curves
from runner.dataset import MediaPanel, load_panel
from runner.pool import Pool
from runner.problem import build_problem, cost_per_exposure
from runner.search.base import run_trial
from runner.search.engine import search_job
from runner.select import Selection, select
from runner.spec import ChannelSpec, ExperimentSpec, decode, load_spec
from tests.benchmarks.truth import markdown

SPEC = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"
SEEDS = (21, 22, 23, 24, 25, 26)
CURVE_NOISE, CURVE_POINTS = 0.03, 12
SHIPPED = ("tv", "social")
# What a search of a few weeks later knows, and how short it is.
LATER, SHORT = 13, {"trials": 2, "iterations": 300}
OPTIONS: dict[str, dict[str, Any]] = {
    "none (Robyn's search)": {},
    "none, another seed": {"seed": 124},
    "penalty_scale: log": {"penalty_scale": "log"},
    "solver: exact": {"solver": "exact"},
    "log and exact": {"penalty_scale": "log", "solver": "exact"},
    "objective_weights: [1, 0]": {"objective_weights": [1.0, 0.0]},
    "objective_weights: [2, 1]": {"objective_weights": [2.0, 1.0]},
    "objective_weights: [0, 1]": {"objective_weights": [0.0, 1.0]},
}


def spec_of(table: Path, search: Mapping[str, Any], **changes: Any) -> ExperimentSpec:
    """The quickstart's spec on another table, with the default choice of winners."""
    tree = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    tree |= {"data": {"path": str(table), "date": "date"}, "selection": {}, **changes}
    tree["search"] |= search
    return decode(tree, str(SPEC))


def with_options(spec: ExperimentSpec, problem: ModelProblem) -> ModelProblem:
    """The problem under another spec of the same data: Prophet need not be fitted again."""
    return dataclasses.replace(problem, solver=spec.search.solver, penalty_scale=spec.search.penalty_scale)


def searched(spec: ExperimentSpec, problem: ModelProblem) -> list[CandidateBatch]:
    """Every trial of a search."""
    job = search_job(spec, problem)
    return [CandidateBatch.concatenate(list(run_trial(job, t))) for t in range(1, spec.search.trials + 1)]


def judged(
    spec: ExperimentSpec, problem: ModelProblem, trials: list[CandidateBatch], truth: Any
) -> tuple[float, ...]:
    """(candidates within 1 % of the largest lambda, best NRMSE, NRMSE over all rows, error of ROAS, of the mean)."""
    selection = select(spec, problem, Pool.of_batches(trials))
    everything = CandidateBatch.concatenate(trials)
    light = float((everything.penalty < 0.01 * problem.lambda_range[1]).mean())
    fit = float(np.mean([window_nrmse(problem, model) for model in selection.models]))
    return light, float(everything.loss("nrmse").min()), fit, *roas_errors(problem, selection, truth)


def roas_errors(problem: ModelProblem, selection: Selection, truth: Any) -> tuple[float, float]:
    """(mean error of the selected models' ROAS, error of their mean ROAS), relative, over channels."""
    paid = slice(problem.first_media, problem.first_media + problem.n_paid)
    roas = selection.batch.contributions[:, paid] / problem.total_spend
    true = np.array([truth["channels"][channel]["roas"] for channel in problem.paid])
    return float(np.abs(roas / true - 1).mean()), float(np.abs(roas.mean(axis=0) / true - 1).mean())


def solver_rows(n: int = 2000) -> Iterator[tuple[str, ...]]:
    """Random points of the quickstart's search by both solvers: CPU time of a candidate, and how far the two differ."""
    yield ("penalty_scale", "glmnet", "exact", "NRMSE differs by", "a share of the outcome by")
    spec = load_spec(SPEC)
    problem = build_problem(spec, load_panel(spec))[0]
    unit = np.random.default_rng(1).random((n, search_job(spec, problem).space.dimension))
    points = search_job(spec, problem).space.hyperparameters(unit)
    for scale in ("linear", "log"):
        times, batches = [], []
        for solver in ("glmnet", "exact"):
            own = dataclasses.replace(problem, solver=solver, penalty_scale=scale)
            batches.append(evaluate_candidates(own, points))
            times.append(min(_seconds(own, points) for _ in range(9)) / n)
        stopped, exact = batches
        whole = problem.outcome[problem.window].sum()
        nrmse = np.abs(exact.loss("nrmse") - stopped.loss("nrmse"))
        shares = np.abs(exact.contributions - stopped.contributions).max(axis=1) / whole
        yield (
            scale,
            *(f"{1e6 * seconds:.1f} µs" for seconds in times),
            *(
                f"{np.median(d):.0e} (99 %: {np.quantile(d, 0.99):.0e}, most {d.max():.0e})"
                for d in (nrmse, shares)
            ),
        )


def _seconds(problem: ModelProblem, points: FloatArray) -> float:
    began = time.process_time()
    evaluate_candidates(problem, points)
    return time.process_time() - began


# -------------------------------------------------------------------------------------------------------------- curves


def planner_curve(
    spec: ExperimentSpec, panel: MediaPanel, truth: Any, channel: ChannelSpec, seed: int
) -> pd.DataFrame:
    """What a planner would say of one week of a channel: its true curve at a dozen spends, with an error of 3 %."""
    facts, spend = truth["channels"][channel.name], panel.numeric[channel.spend]
    seen, window = panel.numeric[channel.modelled], slice(panel.start, panel.stop)
    rate = cost_per_exposure(spend, seen, window) if channel.exposure else 1.0
    points = np.round(np.linspace(0, 1.2 * spend.max(), CURVE_POINTS + 1))
    response = facts["coef"] * hill(points, facts["alpha"], facts["inflexion"] * rate)
    error = CURVE_NOISE * response.max() * np.random.default_rng(seed).normal(size=len(points)) * (points > 0)
    return pd.DataFrame(
        {
            "channel": channel.name,
            "spend_cumulated": points.astype(np.int64),
            "response_cumulated": np.round(np.maximum(response + error, 0)).astype(np.int64),
        }
    )


def write_curves(path: Path) -> None:
    """The curves that ship with the quickstart's data."""
    spec = load_spec(SPEC)
    panel, truth = load_panel(spec), load_truth(SPEC.parent / "data" / "quickstart_truth.json")
    chosen = [channel for channel in spec.channels if channel.name in SHIPPED]
    curves = [planner_curve(spec, panel, truth, channel, seed) for seed, channel in enumerate(chosen)]
    pd.concat(curves).to_csv(path, index=False)


def with_curves(
    spec: ExperimentSpec, panel: MediaPanel, truth: Any, folder: Path, seed: int
) -> tuple[Any, float]:
    """(the spec's hyperparameters with alpha and gamma from curves of the true channels, part that holds the truth)."""
    hyper: dict[str, Any] = {
        medium: dict(ranges) for medium, ranges in spec.hyperparameters.items() if isinstance(ranges, dict)
    }
    entries = []
    for number, channel in enumerate(spec.channels):
        path = folder / f"{channel.name}.csv"
        planner_curve(spec, panel, truth, channel, 100 * seed + number).to_csv(path, index=False)
        entries.append({"channel": channel.name, "path": str(path)})
        hyper[channel.name] = {"theta": hyper[channel.name]["theta"]}
    hyper |= {"train_size": spec.hyperparameters["train_size"]}
    found = calibrate_curves(spec_of(Path(spec.data.path), {}, hyperparameters=hyper, curves=entries), panel)
    held = []
    for channel, bounds in found.bounds.items():
        hyper[channel] |= {parameter: list(pair) for parameter, pair in bounds.items()}
        true = truth["channels"][channel]
        held += [low <= true[parameter] <= high for parameter, (low, high) in bounds.items()]
    return hyper, float(np.mean(held))


def coverage_rows(draws: int = 40) -> Iterator[tuple[str, ...]]:
    """How often bounds hold the truth: random alpha, gamma, theta and exposures, theta known to lie in [0, 0.8]."""
    yield ("flight", "points", "error", "alpha and gamma held", "alpha, high / low", "gamma, high / low",
           "as Robyn reads gamma: held")  # fmt: skip
    for periods, points, noise in product((1, 4), (6, 15, 30), (0.0, 0.02, 0.05)):
        rng = np.random.default_rng([periods, points, int(100 * noise)])
        drawn = np.array([_drawn(rng, periods, points, noise) for _ in range(draws)])
        held, alpha, gamma, robyn = (
            drawn.mean(axis=0)[0],
            *np.median(drawn[:, 1:3], axis=0),
            drawn[:, 3].mean(),
        )
        cells = (f"{noise:.0%}", f"{held:.0%}", f"{alpha:.1f}", f"{gamma:.1f}", f"{robyn:.0%}")
        yield (f"{periods} weeks", str(points), *cells)


def _drawn(
    rng: np.random.Generator, periods: int, points: int, noise: float
) -> tuple[float, float, float, float]:
    exposure = rng.gamma(1.5, 1000, 104) * (rng.random(104) > 0.3)
    theta, alpha, gamma = rng.uniform(0, 0.8), rng.uniform(0.5, 3), rng.uniform(0.3, 1)
    inflexion = gamma * geometric(exposure, theta).max()
    spend = np.linspace(0, rng.uniform(0.7, 1.5) * exposure.max() * periods, points + 1)
    gains = geometric(np.ones(periods), theta)
    truth = np.mean([hill(gain * spend / periods, alpha, inflexion) for gain in gains], axis=0)
    error = noise * truth.max() * rng.normal(size=points + 1) * (spend > 0)
    response = np.maximum(truth + error, 0)
    whole = slice(0, len(exposure))
    ours = curve_bounds(spend, response, exposure, whole, Adstock.GEOMETRIC, [(0.0, 0.8)], periods=periods)
    theirs = robyn_bounds(spend, response)

    def holds(bounds: CurveBounds) -> float:
        (a, b), (c, d) = bounds.alpha_range, bounds.gamma_range
        return float(a <= alpha <= b and c <= gamma <= d)

    (a, b), (c, d) = ours.alpha_range, ours.gamma_range
    return holds(ours), b / a, min(d, 1.0) / c, holds(theirs)


# ---------------------------------------------------------------------------------------------------------- warm start


def volume(batches: list[CandidateBatch], corner: FloatArray) -> float:
    """Area between the first front and a corner of (NRMSE, DecompRSSD), in the corner's own: how good a search is."""
    batch = CandidateBatch.concatenate(batches)
    points = np.column_stack([batch.loss("nrmse"), batch.loss("decomp_rssd")])
    points = points[(points < corner).all(axis=1)]
    front = points[fronts(points[:, 0], points[:, 1]) == 1]
    front = front[np.argsort(front[:, 0])]
    edges = np.append(front[1:, 0], corner[0])
    return float(((edges - front[:, 0]) * (corner[1] - front[:, 1])).sum() / corner.prod())


def warm_and_cold(
    spec: ExperimentSpec, folder: Path, problem: ModelProblem, full: list[CandidateBatch]
) -> tuple[float, float, float]:
    """Areas of a short search from scratch and of one from the models of 13 weeks before, in that of a full search."""
    table, earlier = Path(spec.data.path), folder / "earlier.csv"
    pd.read_csv(table, keep_default_na=False).iloc[:-LATER].to_csv(earlier, index=False)
    before = spec_of(earlier, {}, window={"start": spec.window.start})
    old_problem = build_problem(before, load_panel(before))[0]
    models = select(before, old_problem, Pool.of_batches(searched(before, old_problem))).models
    start = [
        dict(zip(old_problem.hyperparameter_names, model.hyperparameters.tolist(), strict=True))
        for model in models
    ]
    everything = CandidateBatch.concatenate(full)
    corner = np.array([np.quantile(everything.loss(name), 0.9) for name in ("nrmse", "decomp_rssd")])
    best = volume(full, corner)
    cold, warm = (
        volume(searched(spec_of(table, {**SHORT, "start": points, "seed": 7}), problem), corner) / best
        for points in ([], start)
    )
    job = search_job(spec_of(table, {"start": start}), problem)
    asked = evaluate_candidates(problem, job.space.hyperparameters(job.start))
    first = volume([asked], corner) / best
    return cold, warm, first


# -------------------------------------------------------------------------------------------------------------- tables


def study(seed: int, folder: Path) -> tuple[dict[str, tuple[float, ...]], tuple[float, ...], float]:
    """(per option what ``judged`` says and the seconds of its search, areas of ``warm_and_cold``, curves that hold)."""
    paths = simulate(folder / f"{seed}.csv", seed=seed, window_start="2022-01-03")
    truth = load_truth(paths.truth)
    spec = spec_of(paths.table, {})
    panel = load_panel(spec)
    problem = build_problem(spec, panel)[0]
    hyper, held = with_curves(spec, panel, truth, folder, seed)
    found, full = {}, []
    changes: dict[str, dict[str, Any]] = {name: {"search": search} for name, search in OPTIONS.items()}
    changes["curves of all channels"] = {"search": {}, "hyperparameters": hyper}
    for name, change in changes.items():
        own = spec_of(paths.table, **change)
        began = time.process_time()
        trials = searched(own, with_options(own, problem))
        seconds = time.process_time() - began
        found[name] = (*judged(own, with_options(own, problem), trials, truth), seconds)
        full = full or trials
    return found, warm_and_cold(spec, folder, problem, full), held


def main() -> None:
    """Print the tables of means over the panels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument(
        "--write-curves", type=Path, help="write the quickstart's example curves, and nothing else"
    )
    parser.add_argument("--solvers", action="store_true", help="compare the solvers, and nothing else")
    parser.add_argument(
        "--coverage", action="store_true", help="how often curves hold the truth, and nothing else"
    )
    arguments = parser.parse_args()
    if arguments.coverage:
        print(markdown(coverage_rows()))
        return
    if arguments.solvers:
        print(markdown(solver_rows()))
        return
    if arguments.write_curves:
        write_curves(arguments.write_curves)
        return
    compare(arguments.seeds)


def compare(seeds: Sequence[int]) -> None:
    """Print what the options change, means over the panels."""
    rows, areas, curves = defaultdict(list), [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            found, area, held = study(seed, Path(folder))
            print(f"panel {seed} done", file=sys.stderr, flush=True)
            areas.append(area)
            curves.append(held)
            for name, values in found.items():
                rows[name].append(values)
    header = ("option", "light candidates", "best NRMSE", "NRMSE of winners", "error of ROAS",
              "error of mean ROAS", "better than none on", "CPU s")  # fmt: skip
    plain = np.array(rows["none (Robyn's search)"])
    print(markdown(iter([header, *(_cells(name, np.array(values), plain) for name, values in rows.items())])))
    cold, warm, first = np.mean(areas, axis=0)
    wins = sum(warm > cold for cold, warm, _ in areas)
    print(
        f"\nWarm start: short searches from scratch reach {cold:.1%} of a full search's area, warm ones {warm:.1%}, "
        f"better on {wins} of {len(areas)} panels; their starting points alone {first:.1%}."
    )
    print(f"\nCurves: {np.mean(curves):.0%} of the true alphas and gammas lie within their bounds.")


def _cells(name: str, values: FloatArray, plain: FloatArray) -> tuple[str, ...]:
    light, best, fit, error, mean, seconds = values.mean(axis=0)
    better = int((values[:, 4] < plain[:, 4]).sum())
    share = "" if np.array_equal(values, plain) else f"{better} of {len(values)}"
    return (
        name,
        f"{light:.0%}",
        f"{best:.4f}",
        f"{fit:.4f}",
        f"{error:.1%}",
        f"{mean:.1%}",
        share,
        f"{seconds:.1f}",
    )


if __name__ == "__main__":
    main()
