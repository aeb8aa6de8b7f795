"""``mmm refresh RUN --data NEW``: a model brought up to new rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmm_core.errors import UserError
from runner.commands.run import with_execution
from runner.dataset import MediaPanel, load_panel
from runner.findings import Finding
from runner.latest import find_run
from runner.orchestrate import run_experiment
from runner.progress import open_progress
from runner.refresh.previous import choose_candidate, previous_model
from runner.refresh.request import Before, Wish, refreshed_spec
from runner.refresh.rows import check_rows_of, move_window, notice_rows
from runner.run_folder import RunFolder, check_runs
from runner.source import read_table
from runner.spec import ExperimentSpec
from runner.spec.sections import WindowSpec


def run(
    source: str | Path,
    *,
    data: str,
    candidate: str | None = None,
    steps: int | None = None,
    grow: bool = False,
    robyn: bool = False,
    freedom: float | None = None,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    workers: int | None = None,
    backend: str | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    quiet: bool = True,
) -> RunFolder:
    """Refresh one model of a finished run with a table that goes on after its window.

    Args:
        source: a run folder, or a spec file for its newest run. data: the new table: all old rows, and new ones.
        candidate: the model to refresh; default the best selected one.
        steps: new periods to take into the window; default all. grow: leave the window's start where it is.
        robyn: Robyn's loss, weights, ranges and choice instead of ours.
        freedom: how far hyperparameters may move, in parts of their first range.
        overrides: key=value of any key of the new spec.
        runs, workers, backend, address, tracking_uri, quiet: as of a run.
    Returns:
        The run folder of the refresh; ``refresh.parquet`` says what moved and why.
    Raises:
        UserError: the run or the table cannot be used; nothing was written.
    """
    if freedom is not None and not 0 < freedom <= 1:
        raise UserError(
            f"--bounds-freedom {freedom:g}: expected a part of the first ranges, above 0 and up to 1"
        )
    folder = finished_run(source, runs)
    wish = Wish(robyn, freedom, tuple(overrides))
    spec, noticed = prepare(folder, data, candidate=candidate, steps=steps, grow=grow, wish=wish)
    spec = with_execution(spec, workers, backend, address)
    check_runs(Path(runs))
    with open_progress(quiet) as progress:
        return run_experiment(spec, Path(runs), known=noticed, tracking_uri=tracking_uri, progress=progress)


def finished_run(source: str | Path, runs: str | Path) -> RunFolder:
    """The run to refresh.

    Raises:
        UserError: there is none, or it did not finish.
    """
    folder = find_run(source, runs)
    if folder.manifest()["status"] != "done":
        raise UserError(
            f"{folder.path}: the run did not finish; go on with it first: mmm resume {folder.path}"
        )
    return folder


def prepare(
    folder: RunFolder,
    data: str,
    *,
    candidate: str | None = None,
    steps: int | None = None,
    grow: bool = False,
    wish: Wish | None = None,
) -> tuple[ExperimentSpec, list[Finding]]:
    """The spec of the refresh, and what was noticed about the new table; arguments as of ``run``.

    Raises:
        UserError: the candidate or the table cannot be used.
    """
    spec = folder.spec()
    panel, new = folder.panel(spec), whole_panel(spec, data)
    check_rows_of(data, panel, new)
    move = move_window(data, panel, new, steps, grow)
    chosen = choose_candidate(folder, candidate)
    model, problem = previous_model(folder, spec, panel, chosen)
    before = Before(folder.run_id, spec, problem, chosen, model)
    asked = refreshed_spec(before, data, len(new.dates), move, wish or Wish())
    return asked, notice_rows(panel, new, move, spec)


def whole_panel(spec: ExperimentSpec, data: str) -> MediaPanel:
    """The new table, or what of it is the model's, checked with all rows for a window: the new one is not known yet."""
    place = spec.data.model_copy(update={"path": data})
    open_ended = spec.model_copy(update={"data": place, "window": WindowSpec()})
    return load_panel(open_ended, lambda path: read_table(path, "give another --data"))
