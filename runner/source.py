"""Tables of the user's as they lie on disk, and sentences about their cells.

A table is CSV, Parquet or a directory of Parquet, on this machine or behind a URI. Nothing in it is repaired: a cell
that is not what its column promises is refused with file, column and row. Rows count from 1, without the header, in
the order of the file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mmm_core.errors import UserError
from mmm_core.types import DateArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")
# Text that stands for a missing number. In a factor column the same text is a level like any other: Robyn's own demo
# has a level "na".
MISSING = frozenset({"", "na", "nan", "null", "none", "n/a", "#n/a"})
BOOLEANS = {"true": True, "false": False}
# Squares and products of larger numbers leave what a double can hold.
LARGEST = 1e100
DATA_REMEDY = "set data.path in the spec or give --data"


# ---------------------------------------------------------------------------------------------------------- reading


def read_table(path: str, remedy: str = DATA_REMEDY, *, row_per: str = "period") -> pd.DataFrame:
    """A table from CSV, Parquet, or a directory of Parquet; local path or a URI that pyarrow or fsspec understands.

    CSV cells stay text, so that a number that is none can be named with its row.

    Args:
        path: where it lies. remedy: what the user can do where there is nothing. row_per: what a row is about.
    Raises:
        UserError: missing, empty, a column named twice, or not a table.
    """
    import pandas as pd

    if not _is_remote(path) and not _exists(path):
        raise UserError(f"{path}: there is no such file; {remedy}")
    try:
        table = _read_parquet(path) if _is_parquet(path) else _read_csv(path)
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: the file is empty; expected a header and one row per {row_per}") from None
    except pd.errors.ParserError as error:
        raise UserError(f"{path}: not a well-formed CSV table ({_parser_reason(path, error)})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as CSV in UTF-8") from None
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: to read from there the Python package {error.name} is needed; install it"
        ) from None
    except UserError:
        raise
    except Exception as error:  # whatever a file system or a damaged file may raise
        reason = ": ".join(first_line(error).split(": ")[-2:])  # its end is the cause
        raise UserError(
            f"{path}: cannot be read as a table ({reason}); write it again or {remedy}"
        ) from error
    _check_header(path, [str(name) for name in table.columns])
    if len(table) == 0:
        raise UserError(f"{path}: the table has a header but no rows; expected one row per {row_per}")
    return table


def read_bytes(path: str, remedy: str = DATA_REMEDY) -> bytes:
    """The content of a file that is no table; local path or a URI that pyarrow or fsspec understands.

    Raises:
        UserError: missing, or not to be read.
    """
    if not _is_remote(path) and not _exists(path):
        raise UserError(f"{path}: there is no such file; {remedy}")
    try:
        if not _is_remote(path):
            return Path(path).read_bytes()
        filesystem, inner = _file_system(path)
        if filesystem is not None:
            return bytes(filesystem.open_input_stream(inner).read())
        with import_module("fsspec").open(path, "rb") as file:
            return bytes(file.read())
    except Exception as error:  # whatever a file system may raise
        raise UserError(
            f"{path}: cannot be read ({first_line(error)}); write it again or {remedy}"
        ) from error


def _is_remote(path: str) -> bool:
    return "://" in path


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name that no file can have
        return False


def _is_parquet(path: str) -> bool:
    if not _is_remote(path):
        return Path(path).is_dir() or Path(path).suffix.lower() in PARQUET
    suffix = PurePosixPath(urlsplit(path).path).suffix.lower()
    return suffix in PARQUET or not suffix  # a URI without one names a directory


def _read_csv(path: str) -> pd.DataFrame:
    import pandas as pd

    # The header is read as a row: pandas would rename a name that stands twice, and cut rows that are too long.
    cells = _csv_cells(path)
    table = cells.iloc[1:].reset_index(drop=True)
    table.columns = pd.Index([str(name) for name in cells.iloc[0]])
    return table


def _csv_cells(path: str, rows: int | None = None) -> pd.DataFrame:
    """The cells as text, the header among them."""
    import pandas as pd

    filesystem, inner = _file_system(path)
    file = path if filesystem is None else filesystem.open_input_stream(inner)
    cells: pd.DataFrame = pd.read_csv(
        file, header=None, nrows=rows, dtype=str, keep_default_na=False, encoding="utf-8-sig"
    )
    return cells


def _read_parquet(path: str) -> pd.DataFrame:
    import pyarrow.dataset as ds

    filesystem, inner = _file_system(path)
    if filesystem is None and _is_remote(path):
        filesystem, inner = import_module("fsspec.core").url_to_fs(path)
    files = _parquet_files(path) if Path(path).is_dir() else inner
    table = ds.dataset(files, filesystem=filesystem, format="parquet").to_table()
    names = table.column_names
    if len(set(names)) < len(names):
        _check_header(path, names)
    frame: pd.DataFrame = table.to_pandas(
        ignore_metadata=True
    )  # an index of pandas is a column like any other
    return frame


def _parquet_files(folder: str) -> list[str]:
    files = [str(file) for file in sorted(Path(folder).rglob("*")) if file.suffix.lower() in PARQUET]
    if not files:
        raise UserError(f"{folder}: the directory holds no Parquet file; give one that does, or a file")
    return files


def _file_system(path: str) -> tuple[Any, str]:
    """pyarrow's file system for a URI and the path in it; (None, path) where it has none or the path is local."""
    from pyarrow import ArrowInvalid, fs

    if not _is_remote(path):
        return None, path
    try:
        filesystem, inner = fs.FileSystem.from_uri(path)
    except ArrowInvalid:  # such as https, which pandas opens itself, and what fsspec has a package for
        return None, path
    return filesystem, inner


def _check_header(path: str, names: Sequence[str]) -> None:
    twice = [name for name in names if names.count(name) > 1 and name]
    if twice:
        raise UserError(f"{path}: the column {twice[0]!r} stands twice in the header; rename one")
    separator = _other_separator(names)
    if separator:
        raise UserError(f"{path}: the columns are separated by {separator}; save it as CSV with commas")


def _other_separator(names: Sequence[str]) -> str:
    """In words, what separates the columns of a file whose header is one cell; empty where that is no question."""
    if len(names) != 1:
        return ""
    return next(
        (words for mark, words in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")) if mark in names[0]),
        "",
    )


def _parser_reason(path: str, error: Exception) -> str:
    separator = _other_separator([str(name) for name in _csv_cells(path, rows=1).iloc[0]])
    if separator:  # and cells with decimal commas
        return f"the columns are separated by {separator}; save it with commas and decimal points"
    ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if ragged:
        return (
            f"line {ragged[2]} has {ragged[3]} cells and the header {ragged[1]}; write numbers without thousands "
            "separators and put text with commas into quotes"
        )
    unclosed = re.search(r"EOF inside string starting at row (\d+)", str(error))
    if unclosed:
        return f"a quotation mark in line {int(unclosed[1]) + 1} is never closed"
    return first_line(error)


def first_line(error: Exception) -> str:
    """What an error says, on one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# ------------------------------------------------------------------------------------------------------------ cells


def shown(cell: Any) -> str:
    """A cell in a message: quoted, on one line, not too long."""
    text = repr(cell) if isinstance(cell, str) else str(cell)
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def near_name(name: str, known: Sequence[str]) -> str:
    """What the user may have meant, for the end of a sentence."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the table has {', '.join(known)}"


def is_missing(cell: Any) -> bool:
    """Whether a cell holds nothing: empty, null, or text that says so."""
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return is_null(cell)


def is_null(cell: Any) -> bool:
    """Whether a cell is None, NaN, NaT or another word of pandas for nothing."""
    try:
        return cell is None or bool(cell != cell)
    except TypeError:  # pandas.NA does not say whether it equals itself
        return True
    except ValueError:  # a list
        return False


def number(cell: Any) -> float:
    """A cell as a double; TypeError or ValueError where it is none."""
    if isinstance(cell, str) and "_" in cell:
        raise ValueError("Python alone reads 1_000 as a number")
    return float(cell)


def is_number(cell: Any) -> bool:
    """Whether a cell can be read as a number."""
    try:
        number(cell)
    except (TypeError, ValueError):
        return False
    return True


def day(cell: Any) -> date:
    """A cell as a calendar day, that of its own time zone; ValueError where it is none."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    if isinstance(cell, str):
        return datetime.fromisoformat(cell.strip().replace("/", "-")).date()
    raise ValueError("a number is no date")


@dataclass(frozen=True, eq=False)
class Source:
    """A table under its name.

    Attributes:
        path: as the user knows it. table: its cells.
        rows: where each row stood in the file, from 1.
        dates: (T,) day of each row, once known.
    """

    path: str
    table: pd.DataFrame
    rows: IntArray
    dates: DateArray | None = None

    @classmethod
    def of(cls, path: str, table: pd.DataFrame) -> Self:
        """A table as it was read."""
        return cls(path, table, np.arange(1, len(table) + 1))

    def sorted_by(self, dates: DateArray) -> Source:
        """The rows in order of their dates, which they keep."""
        order = np.argsort(dates, kind="stable")
        return replace(self, table=self.table.iloc[order], rows=self.rows[order], dates=dates[order])

    def where(self, values: Mapping[str, str], label: str) -> Source:
        """The rows whose columns have these values, also where one writes 3 and the other 3.0.

        Args:
            values: column -> what its cells must be. label: how messages call that key of the spec.
        Raises:
            UserError: no such column, or no row with the values.
        """
        keep = np.ones(len(self.table), dtype=np.bool_)
        for column, value in values.items():
            if column not in self.table:
                hint = near_name(column, [str(name) for name in self.table.columns])
                raise UserError(f"{self.path}: there is no column {column!r} ({label}); {hint}")
            same = _rows_of(self.table[column], value)
            if not same.any():
                known = ", ".join(dict.fromkeys(str(cell) for cell in self.table[column].head(1000)))
                raise UserError(
                    f"{self.path}: column {column!r}: no row is {value!r} ({label}); there are {known[:200]}"
                )
            keep &= same
        if not keep.any():
            raise UserError(f"{self.path}: no row has all values of {label}; remove one")
        return replace(self, table=self.table[keep], rows=self.rows[keep])

    def fail(self, column: str, problem: str, index: int | None = None) -> UserError:
        """The sentence about a column, or about one of its cells."""
        row = "" if index is None else f"row {self.rows[index]} "
        if index is not None and self.dates is not None:
            row += f"({self.dates[index]}) "
        return UserError(f"{self.path}: column {column!r}: {row}{problem}")

    def cells(self, column: str) -> list[Any]:
        """The cells of a column; one that holds true and false only is boolean, also where a file keeps it as text."""
        cells = self.table[column].tolist()
        if all(isinstance(cell, str) and cell.strip().lower() in BOOLEANS for cell in cells):
            return [BOOLEANS[cell.strip().lower()] for cell in cells]
        return cells

    def days(self, column: str) -> DateArray:
        """(T,) a column of dates."""
        out = np.empty(len(self.table), dtype="datetime64[D]")
        for i, cell in enumerate(self.table[column].tolist()):
            if is_missing(cell):
                raise self.fail(column, "has no date; fill it or delete the row", i)
            try:
                out[i] = np.datetime64(day(cell), "D")
            except ValueError:
                problem = f"is {shown(cell)}, expected a date like 2024-01-29 (year, month, day)"
                raise self.fail(column, problem, i) from None
        return out

    def numbers(self, column: str, if_missing: str = "fill it or shorten the table") -> FloatArray:
        """(T,) a column as float64; the first cell that is missing, text or infinite is refused."""
        out = np.empty(len(self.table))
        for i, cell in enumerate(self.cells(column)):
            if is_missing(cell):
                raise self.fail(column, f"is missing; {if_missing}", i)
            try:
                out[i] = number(cell)
            except (TypeError, ValueError):
                problem = f"is {shown(cell)}, expected a number such as 1234.5 (no thousands separators)"
                raise self.fail(column, problem, i) from None
            if not np.isfinite(out[i]):
                raise self.fail(column, f"is {shown(cell)}, expected a finite number; correct it", i)
            if abs(out[i]) > LARGEST:
                raise self.fail(column, f"is {shown(cell)}, too large to calculate with; use another unit", i)
        return out

    def levels(self, column: str) -> tuple[str, ...]:
        """(T,) a column of labels."""
        levels = []
        for i, cell in enumerate(self.cells(column)):
            if is_null(cell) or (isinstance(cell, str) and not cell.strip()):
                raise self.fail(column, "is empty; write a level of its own, such as none", i)
            # A whole number is the same label whether a file keeps it as an integer or not.
            levels.append(str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell))
        return tuple(levels)

    def first_word(self, column: str) -> int | None:
        """Position of the first cell that is neither number nor missing; None where all are."""
        for i, cell in enumerate(self.cells(column)):
            if not is_missing(cell) and not is_number(cell):
                return i
        return None

    def has_number(self, column: str) -> bool:
        """Whether any cell of a column is a number."""
        return any(not is_missing(cell) and is_number(cell) for cell in self.cells(column))


def _rows_of(cells: pd.Series[Any], value: str) -> NDArray[np.bool_]:
    """Which cells are what the spec says; each different cell is looked at once, as a long table has few of them."""
    import pandas as pd

    codes, different = pd.factorize(cells, use_na_sentinel=False)
    same = np.array([_is_same(cell, value) for cell in different], dtype=np.bool_)
    rows: NDArray[np.bool_] = same[codes]
    return rows


def _is_same(cell: Any, value: str) -> bool:
    if str(cell).strip() == value.strip():
        return True
    try:
        return number(cell) == number(value)
    except (TypeError, ValueError):
        return False
