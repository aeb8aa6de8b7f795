"""A year of refreshes: how far each channel's ROAS moves from one to the next, and how close to the truth it stays.

    python -m tests.benchmarks.refresh                              simulated panels
    python -m tests.benchmarks.refresh --demo dt_simulated_weekly.csv --holidays dt_prophet_holidays.csv

A run whose window ends a year before the data do is refreshed week by week until they end (``--every 4``: in steps of
four weeks), each refresh from the one before, by each way: ours with several freedoms of the hyperparameters, Robyn's
loss, ranges and choice (``--robyn`` of ``mmm refresh``), and no refresh at all but a new search every time. Prints one
line of JSON per panel and way, then a table in Markdown; ``--plot`` draws the last panel.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmm_core.decomposition import decompose
from mmm_core.simulate import Horizon, true_response
from runner.commands.refresh import run as refresh
from runner.commands.run import run
from runner.commands.simulate import load_truth
from runner.commands.simulate import run as simulate
from runner.run_folder import RunFolder

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
# The freedom was chosen on the first; nothing was chosen on the second.
CHOSEN_ON = (51, 52, 53)
HELD_OUT = (61, 62, 63)
YEAR = 52
KNOWN = 208
# A channel is off where its ROAS is below this part of the mean ROAS of all.
OFF = 0.02
QUICK = ("tracking.enabled=false", "scenarios=[]", "bootstrap.refits=200")
WAYS: dict[str, dict[str, Any]] = {
    "freedom 0.05": {"freedom": 0.05},
    "freedom 0.1": {"freedom": 0.1},
    "freedom 0.2": {"freedom": 0.2},
    "freedom 0.4": {"freedom": 0.4},
    "Robyn": {"robyn": True},
    "new search": {},
}


@dataclass(frozen=True, eq=False)
class World:
    """A table whose last year is let in step by step."""

    name: str
    spec: Path
    header: list[str]
    rows: list[list[str]]
    date: int
    overrides: tuple[str, ...] = ()
    truth: dict[str, Any] | None = None

    def table(self, n_rows: int, folder: Path) -> str:
        """The first rows as a CSV file."""
        path = folder / f"{self.name}-{n_rows}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self.header, *self.rows[:n_rows]])
        return str(path)

    def window(self, n_rows: int) -> tuple[str, ...]:
        """The window of three years that ends with the first rows."""
        start, end = self.rows[n_rows - 3 * YEAR][self.date], self.rows[n_rows - 1][self.date]
        return f"window.start={start}", f"window.end={end}"


def simulated(seed: int, folder: Path) -> World:
    """Five years like the quickstart's, the last of which is to come."""
    paths = simulate(folder / f"{seed}.csv", seed=seed, periods=KNOWN + YEAR, window_start="2022-01-03")
    header, *rows = csv.reader(paths.table.read_text(encoding="utf-8").splitlines())
    truth = load_truth(paths.truth)
    return World(f"panel {seed}", EXPERIMENTS / "quickstart.yaml", header, rows, 0, truth=truth)


def demo(table: str, holidays: str | None) -> World:
    """Robyn's demo data and configuration."""
    header, *rows = csv.reader(Path(table).read_text(encoding="utf-8").splitlines())
    own = (f"baseline.holidays={Path(holidays).absolute()}",) if holidays else ()
    return World("demo", EXPERIMENTS / "robyn_demo.yaml", header, rows, header.index("DATE"), own)


@dataclass(frozen=True, eq=False)
class Line:
    """What a line of refreshes reported, S steps and P channels.

    Attributes:
        roas: (S, P) of the model after each step. true: (S, P) on the same window, NaN where nobody knows.
        fit: (S,) NRMSE over the whole window.
    """

    channels: list[str]
    roas: np.ndarray
    true: np.ndarray
    fit: np.ndarray

    @property
    def moves(self) -> np.ndarray:
        """(S - 1, P) change from one step to the next, in parts of the mean ROAS of the channel over the line."""
        level = np.maximum(self.roas.mean(axis=0), OFF * self.roas.mean())
        return np.abs(np.diff(self.roas, axis=0)) / level

    @property
    def n_off(self) -> int:
        """How often a channel went off from one step to the next."""
        is_off = self.roas < OFF * self.roas.mean(axis=1, keepdims=True)
        return int((is_off[1:] & ~is_off[:-1]).sum())

    def as_record(self) -> dict[str, Any]:
        """For the table."""
        error = np.abs(self.roas / self.true - 1)
        return {
            "largest": dict(zip(self.channels, self.moves.max(axis=0).round(4).tolist(), strict=True)),
            "median": round(float(np.median(self.moves)), 4),
            "off": self.n_off,
            "nrmse": round(float(self.fit.mean()), 5),
            "error": [round(float(e), 4) for e in (error[0].mean(), error.mean(), error[-1].mean())],
            "roas": self.roas.round(4).tolist(),
        }


def state(made: RunFolder, world: World) -> tuple[list[float], list[float], float]:
    """(ROAS by channel, the true one of the same window, NRMSE over the window) of a run's best model."""
    spec = made.spec()
    panel = made.panel(spec)
    problem = made.problem(spec, panel)
    parts = decompose(problem, made.models()[0])
    paid = slice(problem.first_media, problem.first_media + problem.n_paid)
    brought = parts.contributions[paid].sum(axis=1)
    outcome = problem.outcome[problem.window]
    residuals = outcome - parts.fitted
    nrmse = float(np.sqrt(np.mean(residuals**2)) / np.ptp(outcome))
    true = [float("nan")] * problem.n_paid
    if world.truth is not None:
        window = Horizon(str(problem.dates[problem.start]), str(problem.dates[problem.stop - 1]))
        responses = [true_response(world.truth, channel, 1.0, window) for channel in problem.paid]
        true = (np.array(responses) / problem.total_spend).tolist()
    return (brought / problem.total_spend).tolist(), true, nrmse


def first_run(world: World, folder: Path) -> RunFolder:
    """The run that all lines begin with."""
    known = len(world.rows) - YEAR
    overrides = [*QUICK, *world.overrides, *world.window(known)]
    return run(
        world.spec,
        data=world.table(known, folder),
        runs=folder / "runs",
        backend="serial",
        overrides=overrides,
    )


def line(world: World, first: RunFolder, way: dict[str, Any], every: int, folder: Path) -> Line:
    """One line of refreshes over the year."""
    known, made = len(world.rows) - YEAR, first
    states = [state(first, world)]
    for n_rows in range(known + every, len(world.rows) + 1, every):
        table = world.table(n_rows, folder)
        if way:
            made = refresh(made.path, data=table, runs=folder / "runs", backend="serial", **way)
        else:
            overrides = [*QUICK, *world.overrides, *world.window(n_rows)]
            made = run(world.spec, data=table, runs=folder / "runs", backend="serial", overrides=overrides)
        states.append(state(made, world))
    roas, true, fit = zip(*states, strict=True)
    names = [channel.name for channel in first.spec().channels]
    return Line(names, np.array(roas), np.array(true), np.array(fit))


def study(world: World, ways: Sequence[str], every: int) -> dict[str, Line]:
    """Every way on one world."""
    found = {}
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        # Pictures take most of a small run's time.
        patch.setattr("runner.orchestrate.write_report", lambda folder: None)
        folder = Path(temporary)
        first = first_run(world, folder)
        for name in ways:
            found[name] = line(world, first, WAYS[name], every, folder)
            print(json.dumps({"world": world.name, "way": name, **found[name].as_record()}), flush=True)
    return found


def markdown(found: dict[str, list[Line]], by_channel: bool) -> str:
    """A row per way: the mean over the worlds, or of the one world by channel."""
    lines = next(iter(found.values()))
    channels = lines[0].channels if by_channel else []
    has_truth = not np.isnan(lines[0].true).any()
    head = ["way", *channels, "largest change", "median change", "switched off", "NRMSE"]
    head += ["error of ROAS: before", "over the year", "at its end"] if has_truth else []
    table = [head, ["---"] * len(head)]
    for way, own in found.items():
        largest = np.array([each.moves.max(axis=0) for each in own])
        cells = [way, *(f"{value:.0%}" for value in (largest[0] if by_channel else ()))]
        cells.append(f"{largest.max(axis=1).mean():.0%}")
        cells.append(f"{np.mean([np.median(each.moves) for each in own]):.1%}")
        cells.append(str(sum(each.n_off for each in own)))
        cells.append(f"{np.mean([each.fit.mean() for each in own]):.4f}")
        if has_truth:
            errors = [np.abs(each.roas / each.true - 1) for each in own]
            ends = [(e[0].mean(), e.mean(), e[-1].mean()) for e in errors]
            cells += [f"{value:.0%}" for value in np.mean(ends, axis=0)]
        table.append(cells)
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def draw(path: Path, found: dict[str, Line]) -> None:
    """ROAS of every channel over the year, a small picture per way."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(4 * len(found), 3.4), sharey=True, squeeze=False)
    for axis, (way, own) in zip(axes[0], found.items(), strict=True):
        for p, channel in enumerate(own.channels):
            axis.plot(own.roas[:, p], label=channel, linewidth=1.4)
        axis.set_title(way, fontsize=10)
        axis.set_xlabel("refreshes")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("ROAS")
    axes[0][-1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(HELD_OUT), help=f"the choice was made on {CHOSEN_ON}"
    )
    parser.add_argument("--demo", help="Robyn's dt_simulated_weekly as CSV, in place of simulated panels")
    parser.add_argument("--holidays", help="Robyn's dt_prophet_holidays as CSV, for the demo")
    parser.add_argument("--every", type=int, default=1, help="weeks between refreshes")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--plot", type=Path, help="PNG of the last panel")
    asked = parser.parse_args()
    rows: dict[str, list[Line]] = {way: [] for way in asked.ways}
    found: dict[str, Line] = {}
    with tempfile.TemporaryDirectory() as folder:
        worlds = [demo(asked.demo, asked.holidays)] if asked.demo else []
        worlds = worlds or [simulated(seed, Path(folder)) for seed in asked.seeds]
        for world in worlds:
            found = study(world, asked.ways, asked.every)
            for way, own in found.items():
                rows[way].append(own)
    print("\n" + markdown(rows, by_channel=len(worlds) == 1))
    if asked.plot:
        draw(asked.plot, found)


if __name__ == "__main__":
    main()
