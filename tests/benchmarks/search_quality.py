"""The compiled search beside Nevergrad's TwoPointsDE at equal candidates: as good, and how much faster?

    python -m tests.benchmarks.search_quality --plot docs/search-quality.png

runs both engines from 30 seeds on simulated panels (and on Robyn's demo data, where they are at hand) and prints, in
Markdown, medians of the hypervolume below (1, 1), of the best NRMSE and of the best DecompRSSD, and the probability of
ranks at least as bad as the compiled engine's if both were equally good (Mann-Whitney, one-sided: small means that the
compiled engine is worse).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmm_core.types import CandidateBatch, FloatArray
from runner.commands.simulate import run as simulate
from runner.dataset import load_panel
from runner.problem import build_problem
from runner.search.base import SearchJob, objectives, run_trial
from runner.search.engine import search_job
from runner.spec import ExperimentSpec, load_spec

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
DEMO_DATA = ROOT.parent / "shared" / "data" / "dt_simulated_weekly.csv"
MEASURES = ("hypervolume", "best NRMSE", "best DecompRSSD")
ENGINES = ("nevergrad", "compiled")
# Simulated panels beside the quickstart's: another seed, Weibull carryover, four years.
PANELS: dict[str, dict[str, Any]] = {
    "quickstart": {},
    "another seed": {"seed": 31},
    "weibull_pdf": {"seed": 32, "adstock": "weibull_pdf"},
}


def hypervolume(losses: FloatArray) -> float:
    """Area below the reference (1, 1) that the best of (N, 2) losses leave behind."""
    area, lowest = 0.0, 1.0
    for first, second in losses[np.lexsort((losses[:, 1], losses[:, 0]))]:
        if first < 1 and second < lowest:
            area += (1 - first) * (lowest - second)
            lowest = second
    return float(area)


def panels(folder: Path) -> Iterator[tuple[str, ExperimentSpec]]:
    """Name and spec of each set of data."""
    if DEMO_DATA.is_file():
        yield "Robyn's demo", load_spec(EXPERIMENTS / "robyn_demo.yaml", data=str(DEMO_DATA))
    for name, options in PANELS.items():
        if not options:
            yield name, load_spec(EXPERIMENTS / "quickstart.yaml")
            continue
        table = simulate(folder / f"{options['seed']}.csv", window_start="2022-01-03", **options).table
        overrides = [f"adstock={options['adstock']}", "hyperparameters={}"] if "adstock" in options else []
        yield name, load_spec(EXPERIMENTS / "quickstart.yaml", data=str(table), overrides=overrides)


def job_of(spec: ExperimentSpec, engine: str) -> SearchJob:
    """The search of a spec with one engine."""
    search = spec.search.model_copy(update={"engine": engine, "optimizer": "TwoPointsDE"})
    spec = spec.model_copy(update={"search": search})
    return search_job(spec, build_problem(spec, load_panel(spec))[0])


def measure(job: SearchJob, trial: int) -> tuple[float, float, float, float]:
    """(hypervolume, best NRMSE, best DecompRSSD, CPU seconds) of one trial."""
    began = time.process_time()
    batch = CandidateBatch.concatenate(list(run_trial(job, trial)))
    seconds = time.process_time() - began
    losses = objectives(batch, ("nrmse", "decomp_rssd"))
    return hypervolume(losses), float(losses[:, 0].min()), float(losses[:, 1].min()), seconds


def compare(name: str, found: dict[str, FloatArray]) -> Iterator[str]:
    """Rows of the table of one panel."""
    from scipy.stats import mannwhitneyu

    old, new = (found[engine] for engine in ENGINES)
    for m, label in enumerate(MEASURES):
        worse = "less" if label == "hypervolume" else "greater"
        p = mannwhitneyu(new[:, m], old[:, m], alternative=worse).pvalue
        spread = [np.quantile(values[:, m], (0.25, 0.5, 0.75)) for values in (old, new)]
        cells = [f"{middle:.4f} ({low:.4f} to {high:.4f})" for low, middle, high in spread]
        yield f"| {name} | {label} | {cells[0]} | {cells[1]} | {p:.3f} |"
    seconds = [f"{np.median(values[:, 3]):.2f} s" for values in (old, new)]
    ratio = np.median(old[:, 3]) / np.median(new[:, 3])
    yield f"| {name} | CPU time of a trial | {seconds[0]} | {seconds[1]} | {ratio:.0f} times faster |"


def plot(path: Path, everything: dict[str, dict[str, FloatArray]]) -> None:
    """Both engines' distributions side by side, a row a panel, a column a measure."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(everything), len(MEASURES), figsize=(10, 1.6 * len(everything)), squeeze=False
    )
    for row, (name, found) in zip(axes, everything.items(), strict=True):
        for m, (axis, label) in enumerate(zip(row, MEASURES, strict=True)):
            axis.boxplot([found[engine][:, m] for engine in ENGINES], orientation="horizontal", widths=0.6)
            axis.set_yticks([1, 2], ENGINES if m == 0 else ["", ""])
            axis.set_title(f"{name}: {label}", fontsize=8)
            axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print the table, and draw it if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    everything = {}
    print("| panel | measure | Nevergrad, median (quartiles) | compiled | p |\n" + "| --- " * 5 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in panels(Path(folder)):
            jobs = {engine: job_of(spec, engine) for engine in ENGINES}
            measure(jobs["compiled"], 1)  # compiles, warms caches
            everything[name] = {
                engine: np.array([measure(jobs[engine], trial) for trial in range(1, asked.seeds + 1)])
                for engine in ENGINES
            }
            print("\n".join(compare(name, everything[name])), flush=True)
    if asked.plot:
        plot(asked.plot, everything)


if __name__ == "__main__":
    main()
