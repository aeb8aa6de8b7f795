"""A run folder, opened for reading."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmm_core.errors import UserError
from runner.latest import find_run
from runner.notebook.model import Model
from runner.notebook.picture import Picture
from runner.notebook.plan import Plan
from runner.notebook.show import block
from runner.reports.data import RunData, trial_files
from runner.reports.data import load_run as read_run
from runner.reports.theme import number
from runner.run_folder import RunFolder
from runner.source import near_name

if TYPE_CHECKING:
    import pandas as pd


def load_run(source: str | Path | RunFolder, runs: str | Path = "runs") -> Run:
    """Open a run.

    Args:
        source: a run folder, what ``run`` returned, or a spec file for its newest finished run.
        runs: where runs of a spec file are looked for.
    Raises:
        UserError: there is no such run.
    """
    return Run(source if isinstance(source, RunFolder) else find_run(source, runs))


class Run:
    """A run: selected models, plans, findings, every table; read once, when it is first asked for.

    A path wherever a run folder is expected: ``allocate(run, ...)`` and ``Path(run)`` work.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def __fspath__(self) -> str:
        return str(self.folder.path)

    @cached_property
    def data(self) -> RunData:
        """What the report shows, as it reads it."""
        return read_run(self.folder)

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json: run id, status, candidates, selected models, plans."""
        found: dict[str, Any] = self.folder.json("summary")
        return found

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """The selected models, best first."""
        return tuple(Model(self.data, view) for view in self.data.models)

    def model(self, candidate: str | None = None) -> Model:
        """A selected model by its name; default the best.

        Raises:
            UserError: it was not selected.
        """
        names = [model.candidate for model in self.models]
        if candidate is None and names:
            return self.models[0]
        if candidate not in names:
            hint = near_name(str(candidate), names).replace("the table has", "there are")
            raise UserError(f"{self.folder.path}: {candidate!r} is not a selected model; {hint}")
        return self.models[names.index(str(candidate))]

    @property
    def plans(self) -> dict[str, Plan]:
        """Plans by scenario; those that ``allocate`` made since are among them."""
        return {view.name: Plan(self.data, view) for view in read_run(self.folder).scenarios}

    @property
    def findings(self) -> pd.DataFrame:
        """What was noticed about data and models."""
        import pandas as pd

        return pd.DataFrame(
            self.folder.json("findings"), columns=["case", "status", "details", "recommendation"]
        )

    @property
    def candidates(self) -> pd.DataFrame:
        """Every candidate of the search, with hyperparameters, losses, contributions and shares."""
        import pandas as pd

        return pd.concat([pd.read_parquet(path) for path in trial_files(self.folder.path)], ignore_index=True)

    def table(self, name: str) -> pd.DataFrame:
        """A table of the run folder by its name, such as ``pareto``, ``intervals`` or ``response_curves``.

        Raises:
            UserError: the run has none of this name.
        """
        frame: pd.DataFrame = self.folder.table(name).to_pandas()
        return frame

    def plot_efficiency(self) -> Picture:
        """roas (or cpa) of every channel in every selected model, with intervals."""
        from runner.notebook.figures import efficiency_sheet

        return Picture(efficiency_sheet(self.data))

    def plot_convergence(self) -> Picture:
        """How the losses fell, trial by trial."""
        from runner.notebook.figures import search_sheet

        return Picture(search_sheet(self.candidates))

    def plot_pareto(self) -> Picture:
        """Candidates by their losses, the selected models among them."""
        from runner.notebook.figures import pareto_sheet

        return Picture(pareto_sheet(self.candidates, [model.candidate for model in self.models]))

    def __repr__(self) -> str:
        return f"Run({str(self.folder.path)!r}, {self.folder.manifest()['status']})"

    def _repr_html_(self) -> str:
        metric = self.data.metric
        channels = list(self.data.problem.media[: self.data.problem.n_paid])
        rows = [
            [
                m.candidate,
                f"{m.losses['nrmse']:.4f}",
                f"{m.losses['decomp_rssd']:.4f}",
                *map(number, m.channels[metric]),
            ]
            for m in self.models
        ]
        first, last = self.data.window
        facts = f"{self.folder.manifest()['status']}; {self.data.frequency}, {first} to {last}; {metric} by channel"
        notes = [repr(plan) for plan in self.plans.values()]
        return block(
            f"Run {self.folder.run_id}", facts, ["model", "nrmse", "decomp_rssd", *channels], rows, notes
        )
