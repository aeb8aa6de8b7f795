"""``mmm run SPEC``: the whole way from a spec to selected models, intervals, plans, report and MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmm_core.errors import UserError
from runner.orchestrate import run_experiment
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
    quiet: bool = True,
) -> RunFolder:
    """Run an experiment to the end.

    Args:
        spec: path of a spec file. data: replaces data.path. overrides: key=value of any key of the spec.
        runs: folder that the run folder is made in.
        workers, backend, address: replace the spec's execution; they never change a result.
        tracking_uri: MLflow server instead of the spec's, or of an SQLite file beside the runs.
        quiet: no progress display.
    Returns:
        The run folder.
    Raises:
        UserError: spec or data cannot be used; nothing was written.
    """
    decoded = with_execution(load_spec(spec, data=data, overrides=overrides), workers, backend, address)
    check_runs(Path(runs))
    with open_progress(quiet) as progress:
        return run_experiment(decoded, Path(runs), tracking_uri=tracking_uri, progress=progress)


def with_execution(
    spec: ExperimentSpec, workers: int | None, backend: str | None, address: str | None
) -> ExperimentSpec:
    """The spec with its execution replaced where flags say so."""
    if backend not in (None, "ray", "serial"):
        raise UserError(f"--backend {backend}: expected ray or serial")
    given: dict[str, Any] = {"workers": workers, "backend": backend, "address": address}
    changes = {key: value for key, value in given.items() if value is not None}
    return spec.model_copy(update={"execution": spec.execution.model_copy(update=changes)})
