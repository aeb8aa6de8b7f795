"""How the report looks: one colour a channel everywhere, names that can be drawn, numbers that can be read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from runner.reports.words import spoken_format

# Okabe and Ito's palette without its yellow (too pale on white), then three colours that stay apart from it for normal,
# deuteranopic and protanopic eyes (CIELAB distance at least 17 under Machado et al.'s simulation).
BASE_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#2B2BAB",
    "#5A3816",
    "#24424C",
)
# With more media the palette comes again, mixed with (colour, amount). Names always stand beside colours.
ROUNDS = (("#FFFFFF", 0.0), ("#FFFFFF", 0.4), ("#000000", 0.38), ("#808080", 0.6), ("#000000", 0.65))

INK = "#1B2430"
MUTED = "#667080"
FAINT = "#A9B1BC"
GRID = "#E6E9ED"
PAPER = "#FFFFFF"
PANEL = "#F4F6F8"
INTERCEPT = "#C3C9D1"
BASELINE = "#98A2AF"
CONTEXT = "#76818F"
GOOD = "#0B7A53"
BAD = "#B3261E"
SHADE_VALIDATION = "#FFF3DC"
SHADE_TEST = "#E2F0FA"
SPLIT_COLOURS = {"train": "#667080", "val": "#B26A00", "test": "#1F6FA8"}

# Families with other scripts, where they are installed; the first that knows a letter draws it.
FALLBACK_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans",
    "Yu Gothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
    "Noto Emoji",
    "Symbola",
)
MAX_LABEL, MAX_NAME = 22, 60


# ------------------------------------------------------------------------------------------------------------- colours


def palette(n: int) -> list[str]:
    """n colours, the same for every n: the first nine are told apart by colour-blind eyes as well."""
    rounds = [mix(colour, other, amount) for other, amount in ROUNDS for colour in BASE_COLOURS]
    return [rounds[i % len(rounds)] for i in range(n)]


def mix(colour: str, other: str, amount: float) -> str:
    """Two hex colours in one, ``amount`` of the other in 0..1."""
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * amount):02X}" for a, b in pairs)


def tint(colour: str, amount: float) -> str:
    """A paler colour."""
    return mix(colour, "#FFFFFF", amount)


# --------------------------------------------------------------------------------------------------------------- names


@dataclass(frozen=True)
class Names:
    """What pictures call the components: short, unique, and made of letters that the fonts have.

    Attributes:
        short: component -> its label. numbered: number -> full name, where only the number could be drawn.
    """

    short: Mapping[str, str]
    numbered: Mapping[int, str]

    def __getitem__(self, name: str) -> str:
        return self.short[name]

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """Labels of some components, in their order."""
        plain = {name: printable(name) for name in names}
        labels = {name: elide(words) for name, words in plain.items()}
        alike = {name: [other for other in names if labels[other] == labels[name]] for name in names}
        short: dict[str, str] = {}
        numbered: dict[int, str] = {}
        for number, name in enumerate(names, start=1):
            label = labels[name]
            if len(alike[name]) > 1:
                label = distinguish(plain[name], [plain[other] for other in alike[name]])
            if not is_drawable(plain[name]):
                numbered[number] = plain[name]
                label = f"#{number} {elide(plain[name], MAX_LABEL - 5)}"
            if label in short.values():
                label = f"{elide(label, MAX_LABEL - 5)} ({number})"
            short[name] = label
        return cls(short, numbered)


def printable(text: str) -> str:
    """Text on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "?"


def called(name: str) -> str:
    """A name as sentences and tables say it: on one line, and not longer than a sentence bears."""
    return elide(printable(name), MAX_NAME)


def elide(text: str, limit: int = MAX_LABEL) -> str:
    """Text of at most ``limit`` characters: beginning and end of a longer one."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 3
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"


def distinguish(text: str, family: Sequence[str]) -> str:
    """The part of a long text in which it differs from its like, with some of what goes before."""
    before = common_start(family)
    after = common_start([other[::-1] for other in family])
    own = text[before : max(before, len(text) - after)]
    room = max(0, MAX_LABEL - 2 - len(own))
    start = max(0, before - room)
    return elide(("…" if start else "") + text[start:before] + own + ("…" if after else ""))


def common_start(texts: Sequence[str]) -> int:
    """Letters that all texts begin with."""
    columns = enumerate(zip(*texts, strict=False))
    return next((i for i, column in columns if len(set(column)) > 1), min(map(len, texts)))


@cache
def families() -> tuple[str, ...]:
    """Font families to draw with: DejaVu Sans, which matplotlib brings, then what is installed for other scripts."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(family for family in FALLBACK_FAMILIES if family in installed))


@cache
def _drawable_letters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(
        code
        for family in families()
        for code in get_font(findfont(FontProperties(family=family))).get_charmap()
    )


def is_drawable(text: str) -> bool:
    """Whether the fonts have every letter of a text."""
    return all(ord(c) in _drawable_letters() for c in text)


# ------------------------------------------------------------------------------------------------------------- numbers


# Any of the functions below.
Writer = Callable[[float], str]


def number(value: float | None, digits: int = 3) -> str:
    """Few digits and a unit for the magnitude: 0.0123, 1.23, 12.3k, 4.56M; in German 12,3 Tsd."""
    return "".join(_parts(value, digits))


def tick(value: float) -> str:
    """As ``number``, without zeros that say nothing: 0.5, 40k, 2.5M."""
    if value == 0:
        return "0"
    digits, unit = _parts(value, 3)
    point = spoken_format().decimal
    return (digits.rstrip("0").rstrip(point) if point in digits and "e" not in digits else digits) + unit


def _parts(value: float | None, digits: int) -> tuple[str, str]:
    """Signed digits and the unit after them."""
    if value is None or math.isnan(value):
        return "–", ""
    if math.isinf(value):
        return ("∞" if value > 0 else "−∞"), ""
    form = spoken_format()
    # Rounded first, so that 999,999 becomes 1.00M and not 1000k.
    rounded = float(f"{abs(value):.{digits - 1}e}")
    for limit, unit in form.units:
        if rounded >= limit:
            return _sign(value) + form.localised(_digits(rounded / limit, digits)), unit
    is_plain = rounded >= 0.001 or rounded == 0
    text = _digits(rounded, digits) if is_plain else f"{rounded:.{digits - 1}e}"
    return _sign(value) + form.localised(text), ""


def _digits(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(value)))}f}"


def _sign(value: float) -> str:
    return "−" if value < 0 else ""


def percent(value: float | None, decimals: int = 1) -> str:
    """A share as per cent."""
    if value is None or not math.isfinite(value):
        return "–"
    form = spoken_format()
    return form.localised(f"{value * 100:.{decimals}f}").replace("-", "−") + form.percent


def signed_percent(value: float | None, decimals: int = 1) -> str:
    """A change as per cent, always with its sign."""
    if value is None or not math.isfinite(value):
        return "–"
    form = spoken_format()
    text = form.localised(f"{value * 100:+.{decimals}f}").replace("-", "−")
    return (text if any(digit in text for digit in "123456789") else text.lstrip("+−")) + form.percent


def total(value: float) -> str:
    """A sum of money or outcome: whole below a million, four digits and a unit above."""
    return amount(value) if abs(value) < 1e6 else number(value, 4)


def amount(value: float | None) -> str:
    """A whole number with thousands separated, few digits below a hundred."""
    if value is None or not math.isfinite(value):
        return number(value)
    if abs(value) < 100:
        return number(value)
    return spoken_format().localised(f"{value:,.0f}").replace("-", "−")


# ------------------------------------------------------------------------------------------------------------ drawing

SETTINGS: dict[str, Any] = {
    "text.parse_math": False,  # a name like $x_1$ is a name
    "text.usetex": False,
    "axes.unicode_minus": True,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "text.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "pdf.fonttype": 42,  # letters that can be searched and edited, not drawings of them
    "path.simplify": True,
    "agg.path.chunksize": 0,
}


@contextmanager
def drawing() -> Iterator[None]:
    """The style, for as long as figures are made and saved; the settings of the process stay as they were."""
    import matplotlib as mpl

    settings: Any = {**SETTINGS, "font.family": list(families())}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A letter that no font has is drawn as a box, and the page tells the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
