"""A page measured in inches from its top left corner, so that nothing can run into anything else."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from runner.reports import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 110
WIDTH = 17.0  # inches, as all below
MARGIN = 0.55
GAP = 0.42  # between rows of panels
ROW = 0.2  # that a named row needs at least
TITLE_HEIGHT = 0.52  # inches above the axes of a panel: title and one line below it
BOX = 1.2  # width of the box that stands for a letter which no font has, in letters' heights
TICK_ROOM = 0.45  # inches from one number below an axis to the next
ROW_FONT = (5.5, 9.0)  # smallest and largest letters of a row's label, points


@dataclass(frozen=True)
class Box:
    """A rectangle of a sheet, inches."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> Box:
        """The box less its margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)

    def columns(self, *parts: float, gap: float = 0.45) -> list[Box]:
        """Boxes beside one another, widths in proportion to ``parts``."""
        free = self.width - gap * (len(parts) - 1)
        boxes, x = [], self.x
        for part in parts:
            width = free * part / sum(parts)
            boxes.append(Box(x, self.y, width, self.height))
            x += width + gap
        return boxes


class Sheet:
    """A figure without pyplot, measured in inches from the top left; its title is that of the PDF."""

    def __init__(self, width: float, height: float, title: str = "") -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height, self.title = width, height, title
        self.figure = Figure(figsize=(width, height), dpi=DPI)
        FigureCanvasAgg(self.figure)

    def axes(self, box: Box, **options: Any) -> Axes:
        """Bare axes that fill a box."""
        left, bottom = box.x / self.width, 1 - (box.y + box.height) / self.height
        ax = self.figure.add_axes((left, bottom, box.width / self.width, box.height / self.height), **options)
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def text(self, x: float, y: float, words: str, size: float = 9, **options: Any) -> None:
        """Words whose top left corner is at (x, y)."""
        options = {"va": "top", "ha": "left", "color": theme.INK, **options}
        self.figure.text(x / self.width, 1 - y / self.height, words, fontsize=size, **options)

    def heading(self, box: Box, title: str, subtitle: str = "") -> None:
        """Title and subtitle of a panel, cut where its width ends."""
        self.text(box.x, box.y, fit(title, box.width, 12.5, bold=True), 12.5, weight="bold")
        self.text(box.x, box.y + 0.24, fit(subtitle, box.width, 8.5), 8.5, color=theme.MUTED)

    def panel(
        self, box: Box, title: str, subtitle: str, left: float = 0, bottom: float = 0.38, right: float = 0
    ) -> Axes:
        """Axes below a heading."""
        self.heading(box, title, subtitle)
        return self.axes(box.inside(left=left, top=TITLE_HEIGHT, right=right, bottom=bottom))

    def legend(self, x: float, y: float, handles: Sequence[Any], *, anchor: str = "upper left") -> None:
        """A legend on one line, its corner ``anchor`` at (x, y)."""
        corner: Any = anchor
        self.figure.legend(
            handles=list(handles),
            loc=corner,
            bbox_to_anchor=(x / self.width, 1 - y / self.height),
            ncols=len(handles),
            borderaxespad=0,
            borderpad=0,
            fontsize=8.5,
        )

    def line(self, y: float, x: float, width: float) -> None:
        """A thin rule across the sheet."""
        from matplotlib.lines import Line2D

        ends = [x / self.width, (x + width) / self.width]
        height = 1 - y / self.height
        self.figure.add_artist(Line2D(ends, [height, height], color=theme.GRID, linewidth=1))

    def swatch(self, x: float, y: float, colour: str, size: float = 0.11) -> None:
        """A small coloured square, top left corner at (x, y)."""
        from matplotlib.patches import Rectangle

        self.figure.add_artist(
            Rectangle(
                (x / self.width, 1 - (y + size) / self.height),
                size / self.width,
                size / self.height,
                transform=self.figure.transFigure,
                facecolor=colour,
                edgecolor="none",
            )
        )

    def png(self) -> bytes:
        """The sheet as PNG with a palette: a third of the size, and nobody sees it."""
        from PIL import Image

        self.figure.canvas.draw()
        rgba = Image.fromarray(_pixels(self.figure.canvas))
        buffer = io.BytesIO()
        reduced = rgba.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        reduced.save(buffer, format="PNG", optimize=False, compress_level=6)
        return buffer.getvalue()

    def pdf(self) -> bytes:
        """The sheet as PDF: lines and letters, no pixels, and no date: the same sheet gives the same bytes."""
        buffer = io.BytesIO()
        metadata = {"Title": self.title, "Creator": "mmm-runner", "CreationDate": None, "ModDate": None}
        self.figure.savefig(buffer, format="pdf", metadata=metadata)
        return buffer.getvalue()


def _pixels(canvas: Any) -> Any:
    import numpy as np

    return np.asarray(canvas.buffer_rgba())


def text_width(words: str, size: float, bold: bool = False) -> float:
    """Inches that words take at a size in points."""
    font = _measuring_font(bold)
    font.set_size(size, 72)
    # The measuring font may lack the letters of East Asia, which are as wide as they are high; so are, and a little
    # wider, the boxes that stand for them where no font has them.
    narrow = "".join(c for c in words if unicodedata.east_asian_width(c) not in "WF")
    font.set_text(narrow, 0.0)
    width: float = font.get_width_height()[0] / 64 / 72
    return width + (len(words) - len(narrow)) * (1.0 if theme.is_drawable(words) else BOX) * size / 72


@cache
def _measuring_font(bold: bool) -> Any:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))


def fit(words: str, width: float, size: float, bold: bool = False) -> str:
    """Words cut to a width in inches at a size in points."""
    if text_width(words, size, bold) <= width:
        return words
    while words and text_width(words + "…", size, bold) > width:
        words = words[:-1]
    return words.rstrip() + "…"


def row_font(height: float, n_rows: int) -> float:
    """Points for the label of one of n rows in so many inches."""
    smallest, largest = ROW_FONT
    return min(largest, max(smallest, height / max(n_rows, 1) * 72 * 0.62))


def label_width(labels: Sequence[str], size: float = ROW_FONT[1]) -> float:
    """Inches that row labels need, a little air included."""
    return max((text_width(label, size) for label in labels), default=0.0) + 0.12


def rows_axis(ax: Axes, labels: Sequence[str], size: float) -> None:
    """One named row after the other from the top, no ticks, faint guides."""
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_yticks(range(len(labels)), labels, fontsize=size, color=theme.INK)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def beside(ax: Axes, row: float, words: str, points: float, size: float, **options: Any) -> None:
    """Words at the right of the axes, ending so many points beyond their edge, in the height of a row."""
    ax.annotate(
        words,
        (1, row),
        (points, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        ha="right",
        fontsize=size,
        **options,
    )


def _with_room(axis: Any, most: int) -> int:
    """As many steps between ticks as a horizontal axis has room for, at most so many."""
    if axis.axis_name != "x":
        return most
    return max(1, min(most, int(axis.axes.bbox.width / axis.axes.figure.dpi / TICK_ROOM)))


def short_ticks(axis: Any, most: int = 5) -> None:
    """Few ticks with short numbers."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=_with_room(axis, most), min_n_ticks=2, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: theme.tick(value)))


def percent_ticks(axis: Any, most: int = 5) -> None:
    """Few ticks in per cent."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=_with_room(axis, most), min_n_ticks=2, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{theme.tick(value * 100)}%"))
