"""Every picture of a report, drawn once and saved as PNG and PDF: a page per selected model, a page per plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.reports import theme
from runner.reports.data import RunData
from runner.reports.one_pager import one_pager
from runner.reports.plan_page import plan_page
from runner.reports.sheet import Sheet
from runner.tables import write_bytes


def draw_pictures(run: RunData, folder: Path) -> list[str]:
    """Draw everything into a folder; the names of the files, models first."""
    with theme.drawing():
        return [name for stem, sheet in _sheets(run) for name in _written(folder, stem, sheet)]


def _sheets(run: RunData) -> Iterator[tuple[str, Sheet]]:
    """Names of files, less their endings, and what they show."""
    for view in run.models:
        yield view.candidate, one_pager(run, view)
    for scenario in run.scenarios:
        sheet = plan_page(run, scenario)
        if sheet is not None:
            yield f"plan-{scenario.name}", sheet


def _written(folder: Path, stem: str, sheet: Sheet) -> list[str]:
    contents = {f"{stem}.png": sheet.png(), f"{stem}.pdf": sheet.pdf()}
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return list(contents)
