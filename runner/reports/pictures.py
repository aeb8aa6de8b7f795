"""Every picture of a report, drawn once: files for the one-pagers and plans, bytes for the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.reports import theme
from runner.reports.data import RunData
from runner.reports.figures.overview import (
    Cloud,
    cloud_figure,
    convergence_figure,
    efficiency_overview,
    kept_losses,
)
from runner.reports.one_pager import one_pager
from runner.reports.plan_page import plan_page
from runner.reports.sheet import Sheet
from runner.tables import write_atomically


@dataclass
class Pictures:
    """PNGs by what they show.

    Attributes:
        efficiency, convergence, cloud: of the whole run, None where the run has not got that far.
        n_candidates, n_hidden: all candidates, and those outside the cloud's picture.
        models, plans: candidate, or scenario -> one page.
    """

    efficiency: bytes | None = None
    convergence: bytes | None = None
    cloud: bytes | None = None
    n_candidates: int = 0
    n_hidden: int = 0
    models: dict[str, bytes] = field(default_factory=dict)
    plans: dict[str, bytes] = field(default_factory=dict)


def model_file(candidate: str) -> str:
    """Name of a one-pager in the report's folder."""
    return f"{candidate}.png"


def plan_file(scenario: str) -> str:
    """Name of a plan's page in the report's folder."""
    return f"plan-{scenario}.png"


def draw_pictures(run: RunData, folder: Path) -> Pictures:
    """Draw everything; one-pagers and plans are also written to ``folder``."""
    pictures = Pictures()
    with theme.drawing():
        for view in run.models:
            pictures.models[view.candidate] = _written(
                folder / model_file(view.candidate), one_pager(run, view)
            )
        for name, sheet in _plan_sheets(run):
            pictures.plans[name] = _written(folder / plan_file(name), sheet)
        if run.models:
            pictures.efficiency = efficiency_overview(run).png()
        if run.convergence is not None and run.convergence.num_rows:
            pictures.convergence = convergence_figure(run.convergence).png()
        _draw_cloud(run, pictures)
    return pictures


def _plan_sheets(run: RunData) -> Iterator[tuple[str, Sheet]]:
    for scenario in run.scenarios:
        sheet = plan_page(run, scenario)
        if sheet is not None:
            yield scenario.name, sheet


def _written(path: Path, sheet: Sheet) -> bytes:
    content = sheet.png()

    def write(file: Path) -> None:
        file.write_bytes(content)

    write_atomically(path, write)
    return content


def _draw_cloud(run: RunData, pictures: Pictures) -> None:
    cloud = Cloud.of(run)
    if cloud is None:
        return
    limits = cloud.limits(kept_losses(run))
    pictures.n_candidates = cloud.n_candidates
    pictures.n_hidden = cloud.n_candidates - len(cloud.nrmse) + cloud.hidden(limits)
    pictures.cloud = cloud_figure(run, cloud, limits).png()
