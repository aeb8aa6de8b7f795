"""``mmm run SPEC``: the whole way from a spec to selected models, intervals, plans, report and MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmm_core.errors import UserError
from runner.orchestrate import run_experiment
from runner.portfolio import PortfolioFolder, is_portfolio
from runner.progress import open_progress
from runner.run_folder import RunFolder, check_runs
from runner.spec import ExperimentSpec, load_spec


def run(
    spec: str | Path,
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    workers: int | None = None,
    backend: str | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    models: Sequence[str] = (),
    quiet: bool = True,
) -> RunFolder | PortfolioFolder:
    """Run an experiment to the end, or each one of a spec that names several models.

    Args:
        spec: path of a spec file. data: replaces data.path. overrides: key=value of any key of the spec.
        runs: folder that the run folder is made in.
        workers, backend, address: replace the spec's execution; they never change a result.
        tracking_uri: MLflow server instead of the spec's, or of an SQLite file beside the runs.
        models: of a spec that names several, these alone. quiet: no progress display.
    Returns:
        The run folder; for several models the folder of all, in which each has one of its own.
    Raises:
        UserError: spec or data cannot be used; nothing was written. Of several models: not one could be had.
    """
    if is_portfolio(spec):
        return _run_portfolio(
            spec, data, overrides, models, Path(runs), (workers, backend, address), tracking_uri, quiet
        )
    if models:
        raise UserError(f"--model {models[0]}: {spec} is about one model; run it without --model")
    decoded = with_execution(load_spec(spec, data=data, overrides=overrides), workers, backend, address)
    check_runs(Path(runs))
    with open_progress(quiet) as progress:
        return run_experiment(decoded, Path(runs), tracking_uri=tracking_uri, progress=progress)


def _run_portfolio(
    path: str | Path,
    data: str | None,
    overrides: Sequence[str],
    models: Sequence[str],
    runs: Path,
    execution: tuple[int | None, str | None, str | None],
    tracking_uri: str | None,
    quiet: bool,
) -> PortfolioFolder:
    from runner.portfolio.clock import Clock
    from runner.portfolio.progress import open_portfolio_progress
    from runner.portfolio.running import run_portfolio
    from runner.portfolio.spec import load_portfolio

    clock = Clock()
    with clock("read"):
        portfolio = load_portfolio(path, data=data, overrides=overrides)
    portfolio = portfolio.only(models) if models else portfolio
    portfolio = portfolio.with_execution(lambda spec: with_execution(spec, *execution))
    check_runs(runs)
    with open_portfolio_progress(quiet) as progress:
        return run_portfolio(portfolio, runs, tracking_uri=tracking_uri, progress=progress, clock=clock)


def with_execution(
    spec: ExperimentSpec, workers: int | None, backend: str | None, address: str | None
) -> ExperimentSpec:
    """The spec with its execution replaced where flags say so."""
    if backend not in (None, "ray", "serial"):
        raise UserError(f"--backend {backend}: expected ray or serial")
    given: dict[str, Any] = {"workers": workers, "backend": backend, "address": address}
    changes = {key: value for key, value in given.items() if value is not None}
    return spec.model_copy(update={"execution": spec.execution.model_copy(update=changes)})
