"""A drawing of the report, as notebooks show it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from runner.reports.sheet import Sheet


class Picture:
    """A figure that shows itself in a notebook, whether or not pyplot was asked for one."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet

    @property
    def figure(self) -> Figure:
        """The matplotlib figure, to be changed."""
        return self._sheet.figure

    def save(self, path: str | Path) -> Path:
        """Write it; the ending says how (png, pdf, svg)."""
        self.figure.savefig(path)
        return Path(path)

    def _repr_png_(self) -> bytes:
        return self._sheet.png()
