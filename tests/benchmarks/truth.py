"""A run on simulated data held against the truth: contributions, ROAS, intervals, and what the plans truly bring.

    python -m tests.benchmarks.truth experiments/quickstart.yaml experiments/data/quickstart_truth.json

runs the spec (or takes an existing run folder) and prints, in Markdown, the tables that stand in the README.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmm_core.simulate import score_plan
from runner.commands.run import run
from runner.run_folder import RunFolder


def contribution_rows(folder: RunFolder, truth: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Per channel: contribution and ROAS, true and found (mean of the selected models); then model by model."""
    rows = [r for r in folder.table("intervals").to_pylist() if r["kind"] == "sampling"]
    found = {(r["quantity"], r["name"], r["candidate"]): r for r in rows}
    models = folder.selected()
    each = (f"ROAS in {m} (90 % interval)" for m in models)
    yield ("channel", "true contribution", "found", "true ROAS", "found", *each)
    for channel, facts in truth["channels"].items():
        contribution = sum(found["contribution", channel, m]["estimate"] for m in models) / len(models)
        roas = [found["roas", channel, m] for m in models]
        mean = sum(r["estimate"] for r in roas) / len(models)
        yield (
            channel,
            f"{facts['contribution']:,.0f}",
            f"{contribution:,.0f}",
            f"{facts['roas']:.2f}",
            f"{mean:.2f}",
            *(f"{r['estimate']:.2f} ({r['lower']:.2f} to {r['upper']:.2f})" for r in roas),
        )


def coverage(folder: RunFolder, truth: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """kind of interval -> (how many hold the true ROAS, how many there are)."""
    found: dict[str, tuple[int, int]] = {}
    for row in folder.table("intervals").to_pylist():
        if row["quantity"] == "roas":
            true = truth["channels"][row["name"]]["roas"]
            inside, total = found.get(row["kind"], (0, 0))
            found[row["kind"]] = (inside + (row["lower"] <= true <= row["upper"]), total + 1)
    return found


def plan_rows(folder: RunFolder, truth: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Per plan: the response it promises and the one it truly brings, against doing nothing."""
    yield ("scenario", "whose plan", "status", "promised response", "true response")
    for path in sorted(folder.path.glob("scenarios/*/*.parquet")):
        rows = folder.table(str(path.relative_to(folder.path).with_suffix(""))).to_pylist()
        name = (path.parent.name, path.stem, rows[0]["status"])
        if rows[0]["status"] != "solved":
            yield (*name, "-", "-")
            continue
        before, after = (sum(r[f"{when}_response"] for r in rows) for when in ("initial", "optimised"))
        multipliers = {r["channel"]: r["optimised_spend"] / r["initial_spend"] for r in rows}
        yield (*name, f"{after / before - 1:+.1%}", f"{score_plan(truth, multipliers).lift:+.1%}")


def markdown(rows: Iterator[tuple[str, ...]]) -> str:
    """Rows as a Markdown table, the first being the header."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + " --- |" * (lines[0].count("|") - 1))
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="spec file or run folder")
    parser.add_argument("truth", type=Path, help="truth JSON beside the simulated table")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="key=value of the spec")
    arguments = parser.parse_args()
    source: Path = arguments.source
    if source.is_dir():
        folder = RunFolder.open(source)
    else:
        folder = run(source, runs=arguments.runs, overrides=arguments.overrides, quiet=False)
    truth = json.loads(arguments.truth.read_text(encoding="utf-8"))
    print(markdown(contribution_rows(folder, truth)), markdown(plan_rows(folder, truth)), sep="\n\n")
    for kind, (inside, total) in coverage(folder, truth).items():
        print(f"\n{inside} of {total} ROAS intervals of kind {kind} hold the true ROAS.")
    best = truth["optimal_plans"][0]
    bounds = f"{best['lower']} to {best['upper']} of today's spends"
    print(f"\nThe best plan within {bounds} truly brings {best['lift']:+.1%}.")


if __name__ == "__main__":
    main()
