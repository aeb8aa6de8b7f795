"""Plans for dates to come, judged by what truly came: simulated panels whose end the models never saw.

    python -m tests.benchmarks.plans

simulates panels of 234 weeks, gives the first 208 to a run (the quickstart's spec, about 20 s a panel) and plans the 26
weeks after it. Prints, in Markdown,

- how often intervals of the outcome held it, week by week and over the 26 weeks, where the spends that were truly made
  (and the context that truly came) were fed in as a plan;
- what plans for the budget of the year before truly brought, carryover after their end included, against doing
  nothing: by flighting, and by Robyn's convention of a constant carryover;
- the same of plans for a ROAS and for an outcome.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmm_core.allocator import MaxResponse, allocate
from mmm_core.response import Carryover
from mmm_core.response import Horizon as Rows
from mmm_core.simulate import Horizon, score_spends
from runner.commands.run import run
from runner.commands.simulate import load_truth
from runner.commands.simulate import run as simulate
from runner.plans import PlanResult, plan
from runner.run_folder import RunFolder

SPEC = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"
# How far a free flighting may go was chosen on the first; nothing was chosen on the second.
CHOSEN_ON = (31, 32, 33, 34)
HELD_OUT = (41, 42, 43, 44, 45, 46)
KNOWN, AHEAD = 208, 26
BOUNDS = (0.7, 1.5)
# Name in the table: flighting and limits.
FLIGHTINGS: dict[str, dict[str, Any]] = {
    "kept": {"flighting": "kept"},
    "constant": {"flighting": "constant"},
    "free (default)": {"flighting": "free"},
    "free, each week 0.5 to 1.5 of a year before": {
        "flighting": "free",
        "period_bounds": {"default": (0.5, 1.5)},
    },
    "free, anywhere": {"flighting": "free", "reach": float("inf")},
}
# What is asked of the other goals, in parts of the ROAS and of the outcome that the models expect of the year before.
TARGET_ROAS, TARGET_OUTCOME = 0.95, 1.02
CONTEXT = ("competitor_sales", "price", "events", "newsletter")


def world(seed: int, folder: Path) -> tuple[RunFolder, dict[str, Any], list[dict[str, str]]]:
    """(run on the first weeks, truth of all, rows of the weeks after)."""
    paths = simulate(folder / f"{seed}.csv", seed=seed, periods=KNOWN + AHEAD, window_start="2022-01-03")
    with paths.table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = folder / f"{seed}-known.csv"
    _write(known, rows[:KNOWN])
    overrides = ["tracking.enabled=false", "window.end=2024-12-30", "scenarios=[]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.orchestrate.write_report", lambda folder: None)
        made = run(SPEC, data=str(known), runs=folder / "runs", backend="serial", overrides=overrides)
    return made, load_truth(paths.truth), rows[KNOWN:]


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def forecast(made: RunFolder, rows: Sequence[dict[str, str]], folder: Path, with_context: bool) -> PlanResult:
    """What the run expects of the weeks after it, told the spends that were made (and the context that came)."""
    spends = [{"date": row["date"], **{c: row[f"{c}_spend"] for c in channels(made)}} for row in rows]
    context = [{"date": row["date"], **{c: row[c] for c in CONTEXT}} for row in rows]
    return plan(
        made.path,
        rows[0]["date"],
        rows[-1]["date"],
        bounds={"default": (0.0, 100.0)},
        budget=sum(float(row[f"{c}_spend"]) for row in rows for c in channels(made)),
        table=str(_write(folder / "spends.csv", spends)),
        context=str(_write(folder / "context.csv", context)) if with_context else None,
        name=f"as it came {with_context}",
    )


def channels(made: RunFolder) -> list[str]:
    """Names of the paid channels."""
    return [channel.name for channel in made.spec().channels]


def coverage(result: PlanResult, rows: Sequence[dict[str, str]]) -> tuple[float, float, float, float]:
    """(share of weeks inside, whether the total is, mean error of a week, error of the total), relative."""
    found = result.ensemble.outcome
    assert found is not None
    came = np.array([float(row["revenue"]) for row in rows])
    inside = (found.lower <= came) & (came <= found.upper)
    whole = found.total[0] <= came.sum() <= found.total[1]
    errors = found.outcome - came
    return (
        float(inside.mean()),
        float(whole),
        float(np.abs(errors).mean() / came.mean()),
        float(errors.sum() / came.sum()),
    )


def robyns(made: RunFolder) -> dict[str, list[float]]:
    """The budget of the year before, shared as Robyn would on these weeks, laid as a year before."""
    spec = made.spec()
    problem = made.problem(spec, made.panel(spec))
    before = Rows(KNOWN - 52, KNOWN - 52 + AHEAD)
    shared = allocate(
        problem, made.models(), MaxResponse(), horizon=before, bounds=BOUNDS, carryover=Carryover.HISTORICAL
    )
    history = problem.spend[:, before.rows]
    # Its money counts the modelled exposure in currency; the budget is that of the spends.
    money = shared.optimised.spend / shared.initial.spend * history.sum(axis=1)
    money *= history.sum() / money.sum()
    shape = history / history.sum(axis=1, keepdims=True)
    return dict(zip(problem.paid, (money[:, np.newaxis] * shape).tolist(), strict=True))


def study(seed: int, folder: Path) -> dict[str, tuple[float, ...]]:
    """Name of a measure to its numbers on one panel."""
    made, truth, rows = world(seed, folder)
    found: dict[str, tuple[float, ...]] = {}
    for with_context in (True, False):
        name = "given" if with_context else "as a year before"
        found[f"outcome, context {name}"] = coverage(forecast(made, rows, folder, with_context), rows)
    horizon = Horizon(rows[0]["date"], rows[-1]["date"])
    history = {}
    promised = {}
    for name, asked in FLIGHTINGS.items():
        result = plan(
            made.path,
            rows[0]["date"],
            rows[-1]["date"],
            bounds={"default": BOUNDS},
            name=re.sub(r"[^\w ]", "", name),
            **asked,
        )
        names = result.ground.problem.paid
        history = dict(zip(names, result.ground.reference.tolist(), strict=True))
        promised[name] = result.as_record()["plans"]["ensemble"]["totals"]["lift"]
        found[name] = _true_lift(
            truth, dict(zip(names, result.ensemble.plan.spends.tolist(), strict=True)), history, horizon
        )
    found["robyn"] = _true_lift(truth, robyns(made), history, horizon)
    promised["robyn"] = float("nan")
    found |= goals(made, truth, history, horizon)
    return {key: (promised[key], *value) if key in promised else value for key, value in found.items()}


def goals(
    made: RunFolder, truth: dict[str, Any], history: Mapping[str, Sequence[float]], horizon: Horizon
) -> dict[str, tuple[float, ...]]:
    """Goal to (change of the money, promised, true): of the ROAS, and of the response of the horizon."""
    today = plan(made.path, horizon.start, horizon.end, bounds={"default": (1.0, 1.0)}, name="today")
    usual = today.as_record()["plans"]["ensemble"]["totals"]
    asked = {
        "goal target_efficiency": TARGET_ROAS * usual["roas"],
        "goal target_outcome": TARGET_OUTCOME * usual["outcome"],
    }
    before = score_spends(truth, history, horizon)
    found = {}
    for name, target in asked.items():
        goal = name.removeprefix("goal ")
        limits = {"default": (0.5, 2.0)}
        result = plan(
            made.path, horizon.start, horizon.end, goal=goal, target=target, bounds=limits, name=goal
        )
        own = result.as_record()["plans"]["ensemble"]
        if own["status"] != "solved":
            continue
        names = result.ground.problem.paid
        spends = dict(zip(names, result.ensemble.plan.spends.tolist(), strict=True))
        came = score_spends(truth, spends, horizon)
        if goal == "target_efficiency":
            promised = own["totals"]["roas"] / usual["roas"]
            true = (came.response / came.spend) / (before.response / before.spend)
        else:
            promised = own["totals"]["response"] / usual["response"]
            true = came.inside / before.inside
        found[name] = (came.spend / before.spend - 1, promised - 1, true - 1)
    return found


def _true_lift(
    truth: dict[str, Any],
    spends: Mapping[str, Sequence[float]],
    history: Mapping[str, Sequence[float]],
    horizon: Horizon,
) -> tuple[float, float]:
    """(true change of the response against the reference spends, share of the response after the end)."""
    own, before = score_spends(truth, spends, horizon), score_spends(truth, history, horizon)
    assert abs(own.spend / before.spend - 1) < 1e-6
    return own.response / before.response - 1, own.after / own.response


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(HELD_OUT), help=f"the choice was made on {CHOSEN_ON}"
    )
    rows = defaultdict(list)
    for seed in parser.parse_args().seeds:
        with tempfile.TemporaryDirectory() as folder:
            found = study(seed, Path(folder))
        print(json.dumps({"seed": seed, **found}), flush=True)
        for key, values in found.items():
            rows[key].append(values)
    print(
        "\n| forecast | weeks inside | totals inside | mean error of a week | error of the total, mean and worst |"
    )
    print("| --- | --- | --- | --- | --- |")
    for key, values in rows.items():
        if key.startswith("outcome"):
            weeks, totals, error, bias = np.array(values).T
            worst = bias[np.abs(bias).argmax()]
            print(
                f"| {key} | {weeks.mean():.0%} | {totals.sum():.0f} of {len(totals)} | {error.mean():.1%} | "
                f"{bias.mean():+.1%}, {worst:+.1%} |"
            )
    print("\n| goal | money | promised | true, mean | true, worst |\n| --- | --- | --- | --- | --- |")
    for key, values in rows.items():
        if key.startswith("goal "):
            money, promise, true = np.array(values).T
            cells = [f"{x:+.1%}" for x in (money.mean(), promise.mean(), true.mean(), true.min())]
            print(f"| {key.removeprefix('goal ')} | {' | '.join(cells)} |")
    print("\n| plan | promised | true, mean | true, worst | after its end |\n| --- | --- | --- | --- | --- |")
    for key, values in rows.items():
        if not key.startswith(("outcome", "goal ")):
            promise, true, after = np.array(values).T
            promise_cell = "" if np.isnan(promise).any() else f"{promise.mean():+.1%}"
            print(f"| {key} | {promise_cell} | {true.mean():+.1%} | {true.min():+.1%} | {after.mean():.1%} |")


if __name__ == "__main__":
    main()
