"""Every picture of a report, drawn once: a page per selected model, a page per plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.reports import theme
from runner.reports.data import RunData
from runner.reports.one_pager import one_pager
from runner.reports.plan_page import plan_page
from runner.reports.sheet import Sheet
from runner.tables import write_bytes


def model_file(candidate: str) -> str:
    """Name of a one-pager in the report's folder."""
    return f"{candidate}.png"


def plan_file(scenario: str) -> str:
    """Name of a plan's page in the report's folder."""
    return f"plan-{scenario}.png"


def draw_pictures(run: RunData, folder: Path) -> list[str]:
    """Draw everything into a folder; the names of the files, models first."""
    with theme.drawing():
        return [_written(folder / name, sheet) for name, sheet in _sheets(run)]


def _sheets(run: RunData) -> Iterator[tuple[str, Sheet]]:
    for view in run.models:
        yield model_file(view.candidate), one_pager(run, view)
    for scenario in run.scenarios:
        sheet = plan_page(run, scenario)
        if sheet is not None:
            yield plan_file(scenario.name), sheet


def _written(path: Path, sheet: Sheet) -> str:
    write_bytes(path, sheet.png())
    return path.name
