"""What the adapters share: columns by their spellings, media by their columns, errors of intervals and p-values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import FloatArray
from runner.findings import Finding, Severity
from runner.source import is_missing, near_name, shown
from runner.spec import ExperimentSpec
from runner.studies.sources import StudySource

if TYPE_CHECKING:
    import pandas as pd

# A p-value at or below this is a rounded 0: nothing follows from it but that the study is sure.
SMALLEST_P = 1e-6


@dataclass(frozen=True, eq=False)
class Adapted:
    """A table of another tool as the neutral one.

    Attributes:
        table: the neutral columns. names: neutral column -> column of the file, for sentences.
        findings: what was taken for what, and what is odd.
    """

    table: pd.DataFrame
    names: Mapping[str, str]
    findings: tuple[Finding, ...]


# ------------------------------------------------------------------------------------------------------------- columns


def plain(name: str) -> str:
    """A column's name without case and marks: ``Lower.Conf.Int`` is ``lower_conf_int``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


@dataclass(frozen=True, eq=False)
class Columns:
    """A file's columns by what they mean.

    Attributes:
        source: the file. spellings: meaning -> plain names that stand for it.
    """

    source: StudySource
    spellings: Mapping[str, Sequence[str]]

    @cached_property
    def found(self) -> dict[str, str]:
        """Meaning -> column of the file.

        Raises:
            UserError: two columns mean the same.
        """
        named: dict[str, str] = {}
        for meaning, spellings in self.spellings.items():
            columns = [str(c) for c in self.source.table.columns if plain(str(c)) in spellings]
            if len(columns) > 1:
                raise UserError(
                    f"{self.source.path}: the columns {columns[0]!r} and {columns[1]!r} both give the {meaning}; "
                    "remove one"
                )
            if columns:
                named[meaning] = columns[0]
        return named

    def __contains__(self, meaning: str) -> bool:
        return meaning in self.found

    def require(self, meaning: str, tool: str, remedy: str) -> str:
        """The column of a meaning.

        Raises:
            UserError: there is none.
        """
        if meaning not in self.found:
            known = ", ".join(str(c) for c in self.source.table.columns)
            raise UserError(
                f"{self.source.path}: there is no column for the {meaning} of a study, such as "
                f"{self.spellings[meaning][0]!r}; {remedy} (read as {tool}, this one has {known})"
            )
        return self.found[meaning]

    def number(self, meaning: str, i: int) -> float:
        """The number of a meaning in one row; NaN where there is no column or cell, inf where it says so."""
        if meaning not in self:
            return math.nan
        if meaning not in self._read:
            self._read[meaning] = optional_numbers(self.source, self.found[meaning], infinite=True)
        if is_infinite(self.source.table[self.found[meaning]].tolist()[i]):
            return math.inf
        return float(self._read[meaning][i])

    @cached_property
    def _read(self) -> dict[str, FloatArray]:
        """Columns of numbers that were asked for."""
        return {}

    def cells(self, meaning: str, otherwise: Any = "") -> list[Any]:
        """(S,) the cells of a meaning, or the same everywhere; an empty cell counts as none."""
        if meaning not in self:
            return [otherwise] * len(self.source.table)
        cells = self.source.table[self.found[meaning]].tolist()
        return [otherwise if is_missing(cell) else cell for cell in cells]

    @property
    def unused(self) -> list[str]:
        """Columns of the file that mean nothing here."""
        return [str(c) for c in self.source.table.columns if str(c) not in self.found.values()]


def optional_numbers(source: StudySource, column: str, infinite: bool = False) -> FloatArray:
    """(S,) a column that may be absent or empty; NaN there. ``infinite``: also where a cell says inf."""
    out = np.full(len(source.table), np.nan)
    if column in source.table:
        cells = source.table[column].tolist()
        present = np.array([not (is_missing(cell) or (infinite and is_infinite(cell))) for cell in cells])
        filled = replace(source, table=source.table[present], rows=source.rows[present])
        out[present] = filled.numbers(column, "fill it or delete the row")
    return out


def is_infinite(cell: Any) -> bool:
    """Whether a cell says that an interval has no end on this side."""
    return str(cell).strip().lower().lstrip("+-") in ("inf", "infinity")


def taken_as(columns: Columns, tool: str) -> list[Finding]:
    """In words, which column of a file was read as what, and which as nothing."""
    pairs = ", ".join(f"{meaning} from {column!r}" for meaning, column in columns.found.items())
    name = PurePath(columns.source.path).name
    taken = Finding("study-columns", Severity.INFO, f"{name} was read as {tool}: {pairs}.")
    return [taken, *unused_columns(columns.unused)]


def unused_columns(unused: Sequence[str]) -> list[Finding]:
    """A finding that names columns which nothing was made of; none where there are none."""
    if not unused:
        return []
    details = f"Columns of the lift studies that are not used: {', '.join(unused)}."
    return [Finding("study-columns-unused", Severity.INFO, details)]


# ------------------------------------------------------------------------------------------------------------ channels


def media_by_name(spec: ExperimentSpec) -> dict[str, tuple[str, ...]]:
    """What a study may call a medium: its own name, its spend, exposure or organic column -> the media meant."""
    pairs = [(name, name) for name in spec.media_names]
    pairs += [(column, c.name) for c in spec.channels for column in (c.spend, c.exposure) if column]
    pairs += [(o.column, o.name) for o in spec.organic]
    named: dict[str, tuple[str, ...]] = {}
    for name, medium in pairs:
        if medium not in named.get(name, ()):
            named[name] = (*named.get(name, ()), medium)
    return named


def split_names(text: str, known: Sequence[str], between: str) -> list[str]:
    """The names in one cell: the longest known ones first, so that a name may hold a separator itself.

    Args:
        text: such as tv + search. known: names. between: regular expression of what separates them.
    """
    parts = re.split(f"({between})", text.strip())  # names at even places, separators at odd ones
    names, i = [], 0
    while i < len(parts):
        ends = range(len(parts), i + 1, -2)
        end = next((e for e in ends if "".join(parts[i:e]).strip() in known), i + 1)
        names.append("".join(parts[i:end]).strip())
        i = end + 1
    return [name for name in names if name]


def media_of_cell(
    spec: ExperimentSpec, source: StudySource, i: int, column: str, between: str
) -> tuple[str, ...]:
    """The media of one study by our names.

    Raises:
        UserError: an empty cell, a name of nothing or of several media, a medium twice.
    """
    cell = source.table[column].tolist()[i]
    if is_missing(cell):
        raise source.fail(column, "is empty; name a channel or its column, or several as tv+search", i)
    named = media_by_name(spec)
    media: list[str] = []
    for name in split_names(str(cell), list(named), between):
        meant = named.get(name, ())
        if len(meant) != 1:
            raise source.fail(column, f"names {shown(name)}, {_not_one(name, meant, list(named))}", i)
        if meant[0] in media:
            raise source.fail(column, f"names {meant[0]!r} twice; name it once", i)
        media.append(meant[0])
    return tuple(media)


def _not_one(name: str, meant: Sequence[str], known: Sequence[str]) -> str:
    if meant:
        return f"which could be {' or '.join(meant)}; write the channel's own name"
    return f"which is no channel of the spec and no column of one; {near_name(name, known)}"


# -------------------------------------------------------------------------------------------------------------- errors


def error_from_p(estimate: float, p_value: float) -> float:
    """Standard error of an estimate whose two-sided p-value under normality is this; NaN where none follows.

    |estimate| / standard error is the normal quantile of 1 - p / 2. A p of 1 says that the estimate is lost in its
    noise (an error without bound), and one that was rounded to 0 says only that it is not.
    """
    if not SMALLEST_P < p_value < 1:
        return math.nan
    return abs(estimate) / NormalDist().inv_cdf(1 - p_value / 2)


def error_from_interval(estimate: float, lower: float, upper: float, level: float) -> float:
    """Standard error from an interval under normality; from its lower end alone where the upper one is infinite."""
    if math.isinf(upper):
        return (estimate - lower) / NormalDist().inv_cdf(level)
    return (upper - lower) / (2 * NormalDist().inv_cdf((1 + level) / 2))
