"""Numbers and dates as people write them: decimal commas, thousands, currencies, German and American dates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise

import numpy as np

from mmm_core.types import DateArray, FloatArray
from runner.dataset import Frequency, frequency_of, next_period
from runner.source import is_missing

# Nothing of these changes a number.
ORNAMENT = re.compile(r"[€$£¥\s\u00a0\u202f']|EUR|USD|GBP|CHF")
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
# From this share of its cells a column is one of numbers, and a word in it a mistake.
MOSTLY = 0.9
DATE_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y",
    "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%Y%m%d", "%Y-%m", "%m/%Y", "%m.%Y", "%b %Y", "%B %Y", "%b-%y", "%d %b %Y",
    "%d-%b-%y", "%d-%b-%Y", "%G-W%V-%u",
)  # fmt: skip
# What the reader of specs takes as it is.
READABLE = frozenset({"%Y-%m-%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y%m%d"})
WEEK = re.compile(r"\d{4}-?W\d{1,2}")
REGULAR = 0.9


class NumberStyle(StrEnum):
    """How numbers are written."""

    PLAIN = "1234.5"
    COMMA = "1.234,5"
    THOUSANDS = "1,234.5"


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column of numbers.

    Attributes:
        values: (T,) float64, NaN where a cell is missing or no number. style: how they are written; is_plain: nothing
        but digits and a point. wrong: (position, cell) of the first that is no number.
    """

    values: FloatArray
    style: NumberStyle
    is_plain: bool
    wrong: tuple[int, str] | None = None


@dataclass(frozen=True, eq=False)
class Days:
    """A column of dates: (T,) days, in the format they are written in."""

    values: DateArray
    format: str

    @property
    def starts(self) -> DateArray:
        """(T,) first day of each period: of monthly rows the first of the month, whatever day they are dated on."""
        try:
            is_monthly = frequency_of(np.sort(self.values)) is Frequency.MONTHLY
        except ValueError:
            is_monthly = False
        return self.values.astype("datetime64[M]").astype("datetime64[D]") if is_monthly else self.values

    @property
    def regularity(self) -> float:
        """Share of neighbours, in order, that are one period apart."""
        ordered = np.sort(self.starts)
        try:
            frequency = frequency_of(ordered)
        except ValueError:
            return 0.0
        steps = pairwise(ordered)
        return float(np.mean([next_period(before, frequency) == after for before, after in steps]))


def parse_numbers(cells: Sequence[str], first: NumberStyle = NumberStyle.PLAIN) -> Numbers | None:
    """The numbers of a column; None where it holds too few to be one.

    Args:
        cells: text. first: the style tried first, that of the file.
    """
    best: Numbers | None = None
    for style in dict.fromkeys((first, *NumberStyle)):
        found = _parse(cells, style)
        if found is None:
            continue
        if found.wrong is None:
            return found
        if best is None or np.isfinite(found.values).sum() > np.isfinite(best.values).sum():
            best = found
    return best


def _parse(cells: Sequence[str], style: NumberStyle) -> Numbers | None:
    values = np.full(len(cells), np.nan)
    wrong = None
    n_given = 0
    is_plain = style is NumberStyle.PLAIN
    for position, cell in enumerate(cells):
        if is_missing(cell):
            continue
        n_given += 1
        bare = ORNAMENT.sub("", cell)
        is_plain = is_plain and bare == cell.strip()
        value = parse_number(bare, style)
        if value is not None:
            values[position] = value
        elif wrong is None:
            wrong = (position, cell)
    if not n_given or np.isfinite(values).sum() < MOSTLY * n_given:
        return None
    return Numbers(values, style, is_plain, wrong)


def parse_number(text: str, style: NumberStyle) -> float | None:
    """One number in one style; None where it is none."""
    if style is NumberStyle.COMMA and COMMA.fullmatch(text):
        return float(text.replace(".", "").replace(",", "."))
    if style is NumberStyle.THOUSANDS and (THOUSANDS.fullmatch(text) or PLAIN.fullmatch(text)):
        return float(text.replace(",", ""))
    if style is NumberStyle.PLAIN and PLAIN.fullmatch(text):
        return float(text)
    return None


def style_of(columns: Sequence[Sequence[str]]) -> NumberStyle:
    """How a file writes numbers: with decimal commas where a column can be read in no other way."""
    for cells in columns:
        comma, thousands = _parse(cells, NumberStyle.COMMA), _parse(cells, NumberStyle.THOUSANDS)
        if comma is not None and comma.wrong is None and (thousands is None or thousands.wrong is not None):
            return NumberStyle.COMMA
    return NumberStyle.PLAIN


def parse_days(cells: Sequence[str]) -> Days | None:
    """The dates of a column, in the format that makes them most regular; None where they are none."""
    found = [days for days in (_in_format(cells, form) for form in DATE_FORMATS) if days is not None]
    return max(found, key=lambda days: days.regularity, default=None)


def _in_format(cells: Sequence[str], form: str) -> Days | None:
    values = []
    for cell in cells:
        day = _day(cell.strip(), form)
        if day is None:
            return None
        values.append(day)
    return Days(np.array(values, dtype="datetime64[D]"), form) if values else None


def _day(text: str, form: str) -> date | None:
    if form.startswith("%G"):  # an ISO week stands for its Monday
        if not WEEK.fullmatch(text):
            return None
        year, week = re.split(r"-?W", text)
        text = f"{year}-W{int(week):02}-1"
    elif form == "%Y%m%d" and len(text) != 8:  # strptime takes 2024011 for one
        return None
    try:
        return datetime.strptime(text, form).date()  # noqa: DTZ007 - a calendar day has no time zone
    except ValueError:
        return None
