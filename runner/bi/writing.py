"""The star on disk: ``tables/<name>.csv`` for spreadsheets and ``tables/<name>.parquet`` for everything else.

CSV is UTF-8 with a byte order mark, which Excel wants. Numbers are the shortest text that reads back to the same
double. What is not finite or missing is an empty cell, and null in Parquet. Text that a spreadsheet would take for a
formula gets an apostrophe in front, in CSV alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.bi import dimensions, facts
from runner.bi.schema import TABLES, Kind, Table
from runner.tables import write_bytes, write_table

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from runner.bi.facts import Maker
    from runner.reports.data import RunData

# What makes spreadsheets calculate a cell; tab and carriage return are skipped by some before they look. The wide forms
# of the signs are taken for the signs in some languages.
FORMULA = r"\A[=+\-@\t\r\n＝＋－＠]"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FOLDER = "tables"


def write_tables(run: RunData) -> list[str]:
    """Write every table that the run has, as CSV and as Parquet; their names without suffix."""
    written = []
    for name, table in star(run):
        write_both(run.folder.path / FOLDER, name, table)
        written.append(name)
    return written


def write_both(folder: Path, name: str, table: pa.Table) -> None:
    """One table as Parquet and as CSV."""
    write_table(folder / f"{name}.parquet", table)
    write_bytes(folder / f"{name}.csv", csv_bytes(table))


def star(run: RunData) -> Iterator[tuple[str, pa.Table]]:
    """(name, table) of all that the run has something for, dimensions first."""
    key = dimensions.run_key(run)
    for name, schema in TABLES.items():
        maker: Maker = getattr(dimensions if name.startswith("dim_") else facts, name)
        found = maker(run)
        table = conformed(schema, key, found) if found is not None else None
        if table is not None and table.num_rows:
            yield name, table


def conformed(schema: Table, key: str, found: pa.Table | Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows or a table under the columns of a schema: in its order, of its types, null where they have nothing."""
    import pyarrow as pa

    columns = _of_table(found) if isinstance(found, pa.Table) else _of_rows(schema, list(found))
    n = len(next(iter(columns.values()))) if columns else 0
    columns["run"] = pa.array([key] * n, pa.string())
    arrays = [
        _plain(columns[name], column.kind) if name in columns else pa.nulls(n, column.kind.arrow)
        for name, column in schema.columns.items()
    ]
    return pa.table(arrays, schema=schema.arrow)


def _of_table(table: pa.Table) -> dict[str, Any]:
    return {name: table[name].combine_chunks() for name in table.column_names}


def _of_rows(schema: Table, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    import pyarrow as pa

    return {
        name: pa.array([row.get(name) for row in rows], column.kind.arrow)
        for name, column in schema.columns.items()
        if name != "run"
    }


def _plain(values: pa.Array, kind: Kind) -> pa.Array:
    """Of the type of the schema; numbers that are none are null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    values = values.cast(kind.arrow)
    if kind is Kind.NUMBER:
        values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
    return values


def csv_bytes(table: pa.Table) -> bytes:
    """A table as CSV."""
    import pyarrow as pa
    from pyarrow import csv

    buffer = io.BytesIO(BYTE_ORDER_MARK)
    buffer.seek(0, io.SEEK_END)
    harmless = [
        neutral(column) if pa.types.is_string(column.type) else column for column in table.itercolumns()
    ]
    csv.write_csv(pa.table(harmless, names=table.column_names), buffer)
    return buffer.getvalue()


def neutral(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text with an apostrophe in front where a spreadsheet would calculate it."""
    import pyarrow.compute as pc

    is_formula = pc.match_substring_regex(column, FORMULA)
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)
