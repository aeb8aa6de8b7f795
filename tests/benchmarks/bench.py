"""How long the parts of the product take, beside slower ways to the same results.

    make bench                                    one table, about two minutes
    make bench BENCH_JSON=bench.json              and the numbers
    make bench BENCH_COMPARE=bench.json           beside those of an earlier run

Each row times one way: the median of several repeats and their spread, its time in that of the reference of the same
run, and, since a fast wrong number is worth nothing, how far its results agree. Times are CPU
time of this process (wall time means little on a busy machine) but for starts and peers, which are other processes:
theirs is wall time. Compiling is not timed; nothing is asserted. ``--only GROUP`` measures one group of rows.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mmm_core.bootstrap import bootstrap_model, n_train_rows
from mmm_core.evaluate import evaluate_candidates, penalty_factors
from mmm_core.transforms import design_matrix
from mmm_core.types import Adstock, CandidateBatch, FittedModel, FloatArray, ModelProblem, Solver
from runner.journal import model_from_batch, read_losses, trial_file, trial_path, write_trial
from runner.search.base import Searcher, SearchJob, objectives, open_searcher, run_trial
from runner.search.engine import TrialBlock, trial_blocks
from runner.space import SearchSpace
from runner.tables import read_table
from tests.benchmarks import mirrors, peers
from tests.benchmarks.numpy_way import numpy_losses, numpy_ridge
from tests.benchmarks.parts import parts
from tests.benchmarks.timing import (
    Row,
    absent,
    agreement,
    markdown,
    print_table,
    read_rows,
    row,
    seconds_of,
    write_rows,
)
from tests.golden import robyn_names
from tests.golden.golden_data import GOLDEN, golden_hyperparameters, golden_problem, golden_table
from tests.reference import candidate as slow
from tests.reference.problems import random_hyperparameters, random_problem
from tests.reference.ridge import exact_bounded_ridge

COMMAND = "python -m tests.benchmarks.bench"
OBJECTIVES = ("nrmse", "decomp_rssd")
PER_CANDIDATE = "µs per candidate"
# Modules whose import is felt; those of the standard library and of the product are fast.
HEAVY = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "numba",
    "scipy.optimize",
    "matplotlib.pyplot",
    "prophet",
    "sklearn.cluster",
    "ray",
    "nevergrad",
    "mlflow",
)


def weekly(adstock: Adstock = Adstock.GEOMETRIC, solver: Solver = Solver.GLMNET) -> ModelProblem:
    """Size of Robyn's demo: 208 weeks, 157 in the window, 12 columns of which 6 are media."""
    return random_problem(
        1, n_periods=208, window=(6, 163), n_paid=5, n_organic=1, n_context=4, adstock=adstock, solver=solver
    )


def daily() -> ModelProblem:
    """Three years of days, 40 columns of which 25 are media."""
    return random_problem(2, n_periods=1095, window=(0, 1095), n_paid=24, n_organic=1, n_context=13)


# ---------------------------------------------------------------------------------------------------------- evaluation


def kernel_losses(problem: ModelProblem, points: FloatArray) -> FloatArray:
    """(N, 2) objectives by the compiled kernel, all candidates in one call."""
    return objectives(evaluate_candidates(problem, points), OBJECTIVES)


def single_losses(problem: ModelProblem, points: FloatArray) -> FloatArray:
    """The same, one call a candidate, checks of arguments and all."""
    return np.concatenate([kernel_losses(problem, points[i : i + 1]) for i in range(len(points))])


def slow_losses(problem: ModelProblem, points: FloatArray) -> FloatArray:
    """The slow twin of the tests, plain Python."""
    names = problem.hyperparameter_names
    found = [slow.candidate(problem, dict(zip(names, p.tolist(), strict=True)))["losses"] for p in points]
    return np.array([[losses[name] for name in OBJECTIVES] for losses in found])


def evaluation(repeats: int) -> Iterator[Row]:
    """One candidate, everything in it."""
    geometric = None
    for adstock in Adstock:
        problem = weekly(adstock)
        points = random_hyperparameters(problem, 3, 2000)
        subject = f"weekly, {adstock}"
        few = slow_losses(problem, points[:10])
        reference = None
        if adstock is Adstock.GEOMETRIC:
            twin = seconds_of(lambda p=problem, x=points: slow_losses(p, x[:10]), 3)
            python = row("evaluation", subject, "plain Python", PER_CANDIDATE, twin, n=10)
            seconds = seconds_of(lambda p=problem, x=points: numpy_losses(p, x[:30]), repeats)
            check = agreement("losses", numpy_losses(problem, points[:10]), few, "plain Python")
            reference = row(
                "evaluation", subject, "NumPy", PER_CANDIDATE, seconds, n=30, reference=python, check=check
            )
            yield from (python, reference)
        seconds = seconds_of(lambda p=problem, x=points: kernel_losses(p, x), repeats)
        check = agreement("losses", kernel_losses(problem, points[:10]), few, "plain Python")
        entry = row(
            "evaluation",
            subject,
            "compiled",
            PER_CANDIDATE,
            seconds,
            n=len(points),
            reference=reference or geometric,
            check=check,
        )
        geometric = geometric or entry
        yield entry
    yield from _small_batches(repeats, geometric)
    yield from _daily(repeats)
    yield from _golden(repeats)


def _small_batches(repeats: int, whole: Row | None) -> Iterator[Row]:
    """What a call costs: the batches of a search, and one candidate at a time."""
    problem = weekly()
    points = random_hyperparameters(problem, 3, 600)
    expected = kernel_losses(problem, points)
    for size, way in ((30, "compiled, batches of 30"), (1, "compiled, one at a time")):

        def action(size: int = size) -> FloatArray:
            return np.concatenate(
                [kernel_losses(problem, points[i : i + size]) for i in range(0, len(points), size)]
            )

        yield row(
            "evaluation",
            "weekly, geometric",
            way,
            PER_CANDIDATE,
            seconds_of(action, repeats),
            n=len(points),
            reference=whole,
            check=agreement("losses", action(), expected, "one batch"),
        )


def _daily(repeats: int) -> Iterator[Row]:
    problem = daily()
    points = random_hyperparameters(problem, 4, 200)
    seconds = seconds_of(lambda: numpy_losses(problem, points[:3]), 3)
    reference = row("evaluation", "daily, geometric", "NumPy", PER_CANDIDATE, seconds, n=3)
    check = agreement(
        "losses", kernel_losses(problem, points[:3]), numpy_losses(problem, points[:3]), "NumPy"
    )
    seconds = seconds_of(lambda: kernel_losses(problem, points), max(3, repeats // 2))
    yield reference
    yield row(
        "evaluation",
        "daily, geometric",
        "compiled",
        PER_CANDIDATE,
        seconds,
        n=len(points),
        reference=reference,
        check=check,
    )


def _golden(repeats: int) -> Iterator[Row]:
    """Candidates of R Robyn on its demo, beside the losses that it printed; only where its tables are at hand."""
    for draws in ("geo_ts", "wcdf", "wpdf") if GOLDEN.is_dir() else ():
        problem, table = golden_problem(draws), golden_table(f"draws/{draws}_hyper_and_errors")
        points = np.tile(golden_hyperparameters(problem, table), (20, 1))
        columns = [robyn_names.LOSSES[name] for name in OBJECTIVES]
        expected = np.tile(table[columns].to_numpy(dtype=float), (20, 1))
        seconds = seconds_of(lambda p=problem, x=points: kernel_losses(p, x), repeats)
        check = agreement("losses", kernel_losses(problem, points), expected, "R Robyn")
        subject = f"Robyn's demo, {problem.adstock}"
        yield row("evaluation", subject, "compiled", PER_CANDIDATE, seconds, n=len(points), check=check)


def solvers(repeats: int) -> Iterator[Row]:
    """The exact minimum beside glmnet's early stop."""
    early, exact = weekly(), weekly(solver=Solver.EXACT)
    points = random_hyperparameters(early, 3, 2000)
    seconds = seconds_of(lambda: evaluate_candidates(early, points), repeats)
    reference = row("solver", "weekly, geometric", "glmnet's stop", PER_CANDIDATE, seconds, n=len(points))
    seconds = seconds_of(lambda: evaluate_candidates(exact, points), repeats)
    batch = evaluate_candidates(exact, points[:20])
    expected = [_scipy_coefs(exact, batch, i) for i in range(len(batch))]
    gap = max(
        float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in zip(batch.coefs, expected, strict=True)
    )
    yield reference
    yield row(
        "solver",
        "weekly, geometric",
        "exact",
        PER_CANDIDATE,
        seconds,
        n=len(points),
        reference=reference,
        check=f"coefficients of scipy's lsq_linear to {gap:.0e} of the largest",
    )


def _scipy_coefs(problem: ModelProblem, batch: CandidateBatch, i: int) -> FloatArray:
    model = model_from_batch(batch, i, "")
    x = design_matrix(problem, model.hyperparameters)
    n = n_train_rows(problem, model)
    bounds = slow.bounds(problem, x[:n].tolist())
    y = problem.outcome[problem.window][:n]
    coefs: FloatArray = exact_bounded_ridge(x[:n], y, model.penalty, *map(np.array, bounds))[0]
    return coefs


# -------------------------------------------------------------------------------------------------------------- search


def search_job(engine: str, iterations: int) -> SearchJob:
    """A search of the weekly problem over the ranges that specs have by default."""
    problem = weekly()
    names = problem.hyperparameter_names
    usual = {"alpha": (0.5, 3.0), "gamma": (0.3, 1.0), "theta": (0.0, 0.8)}
    usual |= {"size": (0.5, 0.8), "hp": (0.0, 1.0)}
    low, high = np.array([usual[name.rpartition("_")[2]] for name in names]).T
    return SearchJob(
        problem=problem,
        space=SearchSpace(names, low, high),
        engine=engine,  # type: ignore[arg-type]
        optimizer="TwoPointsDE",
        iterations=iterations,
        batch_size=30,
        seed=5,
        objective_weights=None,
        start=np.zeros((0, len(names))),
    )


def drive(searcher: Searcher, batches: int) -> FloatArray:
    """The last points asked of a searcher whose losses cost nothing: two distances from two corners."""
    for _ in range(batches):
        points = searcher.ask(30)
        losses = np.column_stack([(points**2).mean(axis=1), ((points - 0.7) ** 2).mean(axis=1)])
        searcher.tell(points, losses)
    return points


def asking(repeats: int) -> Iterator[Row]:
    """Ask and tell alone."""
    reference = None
    for engine, batches in (("nevergrad", 20), ("compiled", 200)):
        job = search_job(engine, 30 * batches)
        seconds = seconds_of(lambda j=job, b=batches: drive(open_searcher(j, 1), b), max(3, repeats // 2))
        again = [drive(open_searcher(job, 1), 10) for _ in range(2)]
        reference = row(
            "ask-tell",
            "20 hyperparameters",
            f"{engine}, TwoPointsDE",
            PER_CANDIDATE,
            seconds,
            n=30 * batches,
            reference=reference,
            check="same points from the same seed" if np.array_equal(*again) else "NOT the same points again",
        )
        yield reference


def trials(repeats: int) -> Iterator[Row]:
    """A whole trial, from the first ask to the table on disk, on one core."""
    reference = None
    for engine, iterations in (("nevergrad", 600), ("compiled", 10_000)):
        job = search_job(engine, iterations)
        with tempfile.TemporaryDirectory() as folder:

            def action(job: SearchJob = job, folder: Path = Path(folder)) -> None:
                with_writer(folder, job)

            seconds = seconds_of(action, max(3, repeats // 2))
            table = read_table(trial_path(Path(folder), 1))
            points = np.column_stack([table[name].to_numpy() for name in job.problem.hyperparameter_names])
            check = agreement(
                "journal", read_losses(Path(folder), 1)[0], evaluate_candidates(job.problem, points).losses,
                "its hyperparameters",
            )  # fmt: skip
        per_second = iterations / float(np.median(seconds))
        reference = row(
            "trial",
            "ask to journal",
            f"{engine}, {iterations:,} candidates",
            PER_CANDIDATE,
            seconds,
            n=iterations,
            reference=reference,
            check=f"{per_second:,.0f} per second and core; {check}",
        )
        yield reference


def with_writer(folder: Path, job: SearchJob) -> None:
    """One trial as a run does it, but for the transport."""
    file = trial_file(folder, 1)
    for block in trial_blocks(job, 1):
        assert isinstance(block, TrialBlock), block
        file.append(block.data.data)
    file.close()


# ---------------------------------------------------------------------------------------------------- refits, journal


def refits(repeats: int) -> Iterator[Row]:
    """A draw of the bootstrap of one model: noise, fit."""
    problem = weekly()
    batch = evaluate_candidates(problem, random_hyperparameters(problem, 3, 1))
    model = model_from_batch(batch, 0, "1_1")
    seed = np.random.SeedSequence(6)
    seconds = seconds_of(lambda: _numpy_refits(problem, model, 20), 3)
    reference = row("refits", "weekly, one model", "NumPy", "µs per draw", seconds, n=20)
    seconds = seconds_of(lambda: bootstrap_model(problem, model, 5000, seed), repeats)
    cut = bootstrap_model(problem, model, 300, seed).coefs
    same = np.array_equal(bootstrap_model(problem, model, 5000, seed).coefs[:300], cut)
    yield reference
    yield row(
        "refits",
        "weekly, one model",
        "compiled",
        "µs per draw",
        seconds,
        n=5000,
        reference=reference,
        check=f"{_refit_check(problem, model)}; draws {'do not' if same else 'DO'} depend on how many",
    )


def _numpy_fit(problem: ModelProblem, model: FittedModel, y: FloatArray) -> FloatArray:
    x = design_matrix(problem, model.hyperparameters)[: len(y)]
    factors = penalty_factors(problem, model.hyperparameters[np.newaxis])[0]
    return numpy_ridge(problem, x, y, model.penalty, factors)[0]


def _numpy_refits(problem: ModelProblem, model: FittedModel, draws: int) -> None:
    rng = np.random.default_rng(0)
    y = problem.outcome[problem.window][: n_train_rows(problem, model)]
    for _ in range(draws):
        _numpy_fit(problem, model, rng.permutation(y))


def _refit_check(problem: ModelProblem, model: FittedModel) -> str:
    """The kernel that refits gives the model itself when it is given its own outcome."""
    y = problem.outcome[problem.window][: n_train_rows(problem, model)]
    return agreement("coefficients", model.coefs, _numpy_fit(problem, model, y), "NumPy")


def journal(repeats: int) -> Iterator[Row]:
    """Writing candidates, and reading what the selection needs of them."""
    job = search_job("compiled", 10_000)
    batch = CandidateBatch.concatenate(list(run_trial(job, 1)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        written = seconds_of(lambda: write_trial(path, job.problem, 1, batch), repeats)
        read = seconds_of(lambda: read_losses(path, 1), repeats)
        table = read_table(trial_path(path, 1)).to_pandas()
        as_text = seconds_of(lambda: table.to_csv(io.StringIO(), index=False), 1)
        same = np.array_equal(read_losses(path, 1)[0], batch.losses, equal_nan=True)
        size = trial_path(path, 1).stat().st_size / len(batch)
    subject = f"{len(batch):,} candidates, {len(table.columns)} columns"
    check = f"{size:,.0f} bytes per candidate; {'equal' if same else 'NOT equal'} when read again"
    reference = row("journal", subject, "CSV by pandas", PER_CANDIDATE, as_text, n=len(batch))
    yield reference
    yield row(
        "journal", subject, "write Parquet", PER_CANDIDATE, written, n=len(batch), reference=reference, check=check
    )  # fmt: skip
    yield row("journal", subject, "read losses", PER_CANDIDATE, read, n=len(batch))


# -------------------------------------------------------------------------------------------------------------- search


def searches(repeats: int) -> Iterator[Row]:
    """Whole searches by two Ray workers, each in a process of its own: wall time, and the driver's memory."""
    sizes = ((5, 2_000), (10, 100_000))
    reference = None
    for trials, candidates in sizes:
        command = [sys.executable, "-m", "tests.benchmarks.scaling", "--search", str(trials), str(candidates)]
        found = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(min(repeats, 3))
        ]
        n = trials * candidates
        memory = max(run["driver_peak_megabytes"] for run in found)
        same = all(run["same_bytes_as_alone"] and run["candidates"] == n for run in found)
        reference = row(
            "search",
            "2 workers, to the last table",
            f"{trials} trials of {candidates:,}",
            "s",
            [run["seconds"] for run in found],
            reference=reference,
            check=f"tables {'equal' if same else 'NOT equal'} to those of one process; driver at most {memory:,.0f} MB",
        )
        yield reference


# --------------------------------------------------------------------------------------------------------------- start


def wall_of(arguments: list[str], repeats: int) -> list[float]:
    """Wall seconds of a Python process, one uncounted."""
    command = [sys.executable, *arguments]

    def action() -> None:
        subprocess.run(command, check=True, capture_output=True)

    return seconds_of(action, repeats, time.perf_counter)


def starts(repeats: int) -> Iterator[Row]:
    """What a user waits for before anything happens: processes of their own, wall time."""
    bare = row("start", "python -c pass", "process", "s", wall_of(["-c", "pass"], repeats))
    yield bare
    asked = ["-c", "from runner.cli import main; main()", "--help"]
    loaded = subprocess.run(
        [sys.executable, "-c", "import runner.cli, sys; print(*[m for m in sys.modules if '.' not in m])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    heavy = sorted({name.partition(".")[0] for name in HEAVY} & set(loaded))
    yield row(
        "start",
        "mmm --help",
        "process",
        "s",
        wall_of(asked, repeats),
        reference=bare,
        check=f"imports {', '.join(heavy) or 'none of the modules below'}",
    )
    for module in HEAVY:
        if find_spec(module.partition(".")[0]) is None:
            yield absent("start", f"import {module}", "process", "s", "not installed")
            continue
        yield row("start", f"import {module}", "process", "s", wall_of(["-c", f"import {module}"], 3))


GROUPS: dict[str, Callable[[int], Iterator[Row]]] = {
    "evaluation": evaluation,
    "parts": lambda repeats: parts(weekly(), repeats),
    "solver": solvers,
    "ask-tell": asking,
    "trial": trials,
    "refits": refits,
    "journal": journal,
    "search": searches,
    "tracking": mirrors.rows,
    "start": starts,
    "peers": peers.rows,
}


def main() -> None:
    """Time everything, or some groups, print the table and, if asked, write JSON."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=GROUPS, action="append", help="one group of rows; repeatable")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument("--compare", type=Path, help="JSON of an earlier run to stand beside")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    earlier = read_rows(asked.compare) if asked.compare else []
    rows = []
    for name in asked.only or GROUPS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += GROUPS[name](asked.repeats)
    if asked.markdown:
        print(markdown(rows))
    else:
        print_table(rows, earlier, f"a group of rows alone: {COMMAND} --only GROUP")
    if asked.json:
        write_rows(asked.json, rows, COMMAND)


if __name__ == "__main__":
    main()
