"""The columns that are neither date, outcome nor channel: organic media, context, and what is left out and why.

A column that marketing brings about (visits, profit) is never taken as an explanation: it would take the effect away
from the channels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runner.dataset import Frequency
from runner.drafts import words
from runner.drafts.draft import Medium
from runner.drafts.guessing import has_empty, is_exposure, is_usable_medium, theta_of
from runner.drafts.reading import RawTable
from runner.source import shown
from runner.spec.fields import RESERVED_NAMES

# More labels than this are no factor that so few rows can tell anything about.
MOST_LEVELS, ROWS_PER_LEVEL = 12, 8

Role = tuple[str, str]
OUT, ORGANIC, CONTEXT, FACTOR = "left out", "organic", "context", "factor"


def remaining(
    table: RawTable, taken: set[str], frequency: Frequency
) -> tuple[list[Medium], list[Medium], list[tuple[str, str]]]:
    organic, context, left_out = [], [], []
    theta = theta_of(words.ORGANIC_KIND, frequency)
    for name in table.columns:
        if name in taken:
            continue
        role, reason = next(answer for answer in (rule(table, name) for rule in RULES) if answer is not None)
        if role == ORGANIC:
            organic.append(Medium(name, reason, theta=theta))
        elif role == OUT:
            left_out.append((name, reason))
        else:
            context.append(Medium(name, reason, is_factor=role == FACTOR))
    return organic, context, left_out


def _no_column(table: RawTable, name: str) -> Role | None:
    if not name:
        return OUT, "it has no name"
    if name in RESERVED_NAMES:
        return OUT, "its name is one of our own; rename it to use it"
    return (OUT, "it says the same in every row") if table.is_constant(name) else None


def _dates(table: RawTable, name: str) -> Role | None:
    if name in table.days or (name in table.numbers and words.has_any(name, words.CALENDAR)):
        return OUT, "the calendar is explained by the date itself"
    return None


def _labels(table: RawTable, name: str) -> Role | None:
    if name in table.numbers:
        return None
    cells = table.columns[name]
    levels = {cell for cell in cells if cell}
    if "" in cells:
        return OUT, "labels, some of them empty; fill them, such as with none, to use it as a factor"
    if len(levels) > MOST_LEVELS or len(levels) * ROWS_PER_LEVEL > len(cells):
        return OUT, f"text with {len(levels)} different labels in {len(cells)} rows, too many to learn from"
    return FACTOR, f"labels ({', '.join(sorted(levels)[:4])}{', ...' if len(levels) > 4 else ''})"


def _broken(table: RawTable, name: str) -> Role | None:
    numbers = table.numbers[name]
    if numbers.wrong is not None:
        row, cell = numbers.wrong
        return OUT, f"row {row + 1} is {shown(cell)}, no number; correct it to use it"
    if has_empty(table, name) and not _is_medium(name):
        row = int(np.flatnonzero(~np.isfinite(numbers.values))[0]) + 1
        return OUT, f"row {row} is empty; fill it to use it"
    return None


def _results(_table: RawTable, name: str) -> Role | None:
    if words.has_any(name, words.CONTEXT):
        return CONTEXT, "its name speaks of something that is not marketing"
    if words.has_any(name, words.TOTAL):
        return OUT, "a total of other columns would count them twice"
    if words.has_any(name, words.RESULT) or words.has_any(name, [*words.REVENUE, *words.CONVERSIONS]):
        return OUT, "marketing brings it about, so as an explanation it would take the effect away"
    return None


def _media(table: RawTable, name: str) -> Role | None:
    if not _is_medium(name):
        return None
    if words.has_any(name, words.SPEND):
        return OUT, "spend that is not used as a channel: the same in every row, or below 0 in some"
    if not is_usable_medium(table, name):
        return OUT, "a medium that is the same in every row, or below 0 in some"
    if words.has_any(name, words.ORGANIC):
        return ORGANIC, "a medium without spend"
    return OUT, "a measure of a medium whose spend or first measure is used; twice would blur both"


def _number(_table: RawTable, _name: str) -> Role | None:
    return CONTEXT, "a number whose name tells nothing; delete it if marketing brings it about"


RULES: tuple[Callable[[RawTable, str], Role | None], ...] = (
    _no_column, _dates, _labels, _broken, _results, _media, _number,
)  # fmt: skip


def _is_medium(name: str) -> bool:
    is_known = words.kind_of(name) is not words.UNKNOWN_KIND or words.has_any(
        name, (*words.SPEND, *words.ORGANIC)
    )
    return is_known or is_exposure(name)
