"""Tidy copies of the run's tables for spreadsheets: UTF-8 with a byte order mark, which Excel wants.

Numbers are the shortest text that reads back to the same double; what is not finite or missing is an empty cell. Text
that a spreadsheet would take for a formula gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.reports.data import RunData, trial_files
from runner.summary import ENSEMBLE
from runner.tables import read_table, write_text

if TYPE_CHECKING:
    import pyarrow as pa

# What makes spreadsheets calculate a cell; tab and carriage return are skipped by some before they look.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
BYTE_ORDER_MARK = "\ufeff"


def write_csv_tables(run: RunData) -> list[str]:
    """Write ``tables/*.csv`` for the tables that the run has; their names without suffix."""
    written = []
    for name, table in csv_tables(run):
        write_text(run.folder.path / "tables" / f"{name}.csv", csv_text(table))
        written.append(name)
    return written


def csv_tables(run: RunData) -> Iterator[tuple[str, pa.Table]]:
    """(name, table) of all that is copied."""
    path = run.folder.path
    tables: dict[str, Callable[[], pa.Table | None]] = {
        "contributions": lambda: _read(path / "contributions.parquet"),
        "intervals": lambda: run.intervals,
        "response_curves": lambda: run.curves,
        "pareto": lambda: _pareto(run),
        "convergence": lambda: run.convergence,
        "calibration": lambda: run.calibration,
        "refresh": lambda: run.moved,
        "plans": lambda: _plans(run),
        "candidates": lambda: _front_candidates(run),
    }
    for name, make in tables.items():
        table = make()
        if table is not None:
            yield name, table


def _read(path: Path) -> pa.Table | None:
    return read_table(path) if path.is_file() else None


def _pareto(run: RunData) -> pa.Table | None:
    """Fronts with their clusters beside them; both tables have the same candidates."""
    if run.pareto is None or run.clusters is None:
        return run.pareto
    clusters = run.clusters.rename_columns(
        ["cluster_error_score" if name == "error_score" else name for name in run.clusters.column_names]
    )
    order = {candidate: row for row, candidate in enumerate(clusters["candidate"].to_pylist())}
    rows = [order.get(candidate) for candidate in run.pareto["candidate"].to_pylist()]
    table = run.pareto
    for name in clusters.column_names[1:]:
        table = table.append_column(name, clusters[name].take(_positions(rows)))
    return table


def _positions(rows: list[int | None]) -> pa.Array:
    import pyarrow as pa

    return pa.array(rows, pa.int64())


def _plans(run: RunData) -> pa.Table | None:
    import pyarrow as pa

    parts = []
    for scenario in run.scenarios:
        for candidate in (ENSEMBLE, *(view.candidate for view in run.models)):
            table = _read(run.folder.path / "scenarios" / scenario.name / f"{candidate}.parquet")
            if table is not None:
                parts.append(table.add_column(0, "model", pa.array([candidate] * table.num_rows)))
    return pa.concat_tables(parts) if parts else None


def _front_candidates(run: RunData) -> pa.Table | None:
    """All columns of the candidates on the fronts kept, in the journal's order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if run.pareto is None:
        return None
    wanted = pa.array(run.pareto["candidate"].to_pylist(), pa.string())
    parts = [
        table.filter(pc.is_in(table["candidate"], wanted))
        for table in map(read_table, trial_files(run.folder.path))
    ]
    return pa.concat_tables(parts) if parts else None


def csv_text(table: pa.Table) -> str:
    """A table as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([cell(name) for name in table.column_names])
    writer.writerows(zip(*(_cells(table[name]) for name in table.column_names), strict=True))
    return BYTE_ORDER_MARK + buffer.getvalue()


def _cells(column: pa.ChunkedArray) -> list[str]:
    """The cells of a column; labels and dates repeat, so each is made once."""
    import pyarrow as pa

    values = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [cell(value) for value in values]
    known = {value: cell(value) for value in dict.fromkeys(values)}
    return [known[value] for value in values]


def cell(value: Any) -> str:
    """One value as the text of its cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text
