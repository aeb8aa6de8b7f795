"""A table as people have it: any usual separator and encoding; every cell stays text."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mmm_core.errors import UserError
from runner.drafts.cells import Days, Numbers, NumberStyle, parse_days, parse_numbers, style_of
from runner.source import is_null, read_bytes, read_table

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
REMEDY = "give the path of a table: CSV or Parquet"
EXCEL = (".xlsx", ".xls", ".ods")


@dataclass(frozen=True, eq=False)
class RawTable:
    """Text cells by column, and what of the file the reader of specs would not take.

    Attributes:
        path: as the user knows it. columns: name -> (T,) cells. changes: what a clean copy does differently.
    """

    path: str
    columns: Mapping[str, list[str]]
    changes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Rows without the header."""
        return len(next(iter(self.columns.values())))

    @cached_property
    def style(self) -> NumberStyle:
        """How the file writes numbers."""
        return style_of(list(self.columns.values()))

    @cached_property
    def days(self) -> dict[str, Days]:
        """Columns of dates."""
        found = {name: parse_days(cells) for name, cells in self.columns.items()}
        return {name: days for name, days in found.items() if days is not None}

    @cached_property
    def numbers(self) -> dict[str, Numbers]:
        """Columns of numbers."""
        found = {name: parse_numbers(cells, self.style) for name, cells in self.columns.items()}
        return {name: numbers for name, numbers in found.items() if numbers is not None}

    def is_constant(self, name: str) -> bool:
        """Whether a column says the same in every row."""
        return len(set(self.columns[name])) == 1


def read_raw(path: str) -> RawTable:
    """Read a table of the user's.

    Raises:
        UserError: there is none, or it is no table with a header and rows.
    """
    if path.lower().endswith(EXCEL):
        raise UserError(f"{path}: spreadsheets are not read; save the sheet as CSV and give that")
    if not path.lower().endswith((".csv", ".tsv", ".txt")):
        return _typed(path)
    text, encoding = _decode(path, read_bytes(path, REMEDY))
    separator, rows = _rows(path, text)
    header = [name.strip() for name in rows[0]]
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise UserError(f"{path}: the column {twice[0]!r} stands twice in the header; rename one")
    cells = {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(header)}
    changes = []
    if encoding != "UTF-8":
        changes.append(f"the text is {encoding} and becomes UTF-8")
    if separator != ",":
        changes.append(f"the cells stand between {SEPARATORS[separator]} and now between commas")
    if header != rows[0]:
        changes.append("names of columns lose the spaces around them")
    return RawTable(path, cells, tuple(changes))


def _typed(path: str) -> RawTable:
    """A table whose columns have types, such as Parquet, as text."""
    table = read_table(path, REMEDY)
    cells = {str(name): [_text(cell) for cell in table[name].tolist()] for name in table.columns}
    return RawTable(path, cells)


def _text(cell: Any) -> str:
    if is_null(cell):
        return ""
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat()).removesuffix("T00:00:00")
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def _decode(path: str, content: bytes) -> tuple[str, str]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), "UTF-16"
    if b"\0" in content[:4096]:
        raise UserError(f"{path}: this is no text; save the table as CSV in UTF-8")
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "Windows-1252"


def _rows(path: str, text: str) -> tuple[str, list[list[str]]]:
    """The separator that makes the widest regular table, and its rows; empty lines are left out."""
    best: tuple[int, str, list[list[str]]] | None = None
    for separator in SEPARATORS:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(map(str.strip, row))]
        if not rows:
            raise UserError(f"{path}: the file is empty; expected a header and one row per period")
        width = len(rows[0])
        regular = sum(len(row) == width for row in rows)
        score = width * regular if width > 1 else 0
        if best is None or score > best[0]:
            best = (score, separator, rows)
    assert best is not None
    score, separator, rows = best
    if not score:
        raise UserError(f"{path}: there is one column only; expected at least a date, an outcome and a spend")
    if len(rows) == 1:
        raise UserError(f"{path}: the table has a header but no rows; expected one row per period")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise UserError(
                f"{path}: row {number} has {len(row)} cells and the header {len(rows[0])}; put text with "
                f"{SEPARATORS[separator]} into quotes"
            )
    return separator, rows
