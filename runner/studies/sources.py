"""Files of lift studies: CSV and Parquet like any table, and JSON, with sentences about the cells of the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmm_core.errors import UserError
from runner.source import Source, first_line, read_bytes, read_table

if TYPE_CHECKING:
    import pandas as pd

REMEDY = "set calibration.path in the spec"
# Where a model file of Robyn keeps the studies that it was calibrated with.
IN_MODEL_FILE = ("InputCollect", "calibration_input")


@dataclass(frozen=True, eq=False)
class StudySource(Source):
    """A table under its name whose columns may have been called otherwise in the file.

    Attributes:
        names: column of this table -> column of the file that a sentence has to name.
    """

    names: Mapping[str, str] = field(default_factory=dict)

    def fail(self, column: str, problem: str, index: int | None = None) -> UserError:
        """The sentence about a column of the file, or about one of its cells."""
        return super().fail(self.names.get(column, column), problem, index)


def read_studies_file(path: str) -> pd.DataFrame:
    """A table of lift studies from CSV, Parquet or JSON.

    JSON is a list of rows, or columns by name with a list each (a model file of Robyn has them in
    InputCollect.calibration_input, which is looked for); what is nested gets names with dots.

    Raises:
        UserError: missing, empty or not a table.
    """
    if not path.lower().endswith(".json"):
        return read_table(path, REMEDY, row_per="study")
    try:
        tree = json.loads(read_bytes(path, REMEDY))
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not well-formed JSON ({first_line(error)}); write it again") from None
    for key in IN_MODEL_FILE:
        tree = tree[key] if isinstance(tree, dict) and key in tree else tree
    return table_of_json(tree, path)


def table_of_json(tree: Any, path: str) -> pd.DataFrame:
    """Rows or columns of a JSON file as a table.

    Raises:
        UserError: it is neither, has no rows, or its columns have different lengths.
    """
    import pandas as pd

    if isinstance(tree, dict) and not any(isinstance(cells, dict) for cells in tree.values()):
        return table_of_columns(tree, path)
    if not isinstance(tree, list) or not all(isinstance(row, dict) for row in tree):
        raise UserError(f"{path}: expected a list of studies, or columns by name with a list each")
    if not tree:
        raise UserError(
            f"{path}: the list of studies is empty; give one, or remove calibration from the spec"
        )
    return pd.json_normalize(tree).astype(object)


def table_of_columns(columns: Mapping[str, Any], path: str) -> pd.DataFrame:
    """Columns by name as a table; one that is not a list is that of a single row.

    Raises:
        UserError: no rows, or columns of different lengths.
    """
    import pandas as pd

    lists = {str(name): _cells(cells) for name, cells in columns.items()}
    lengths = {name: len(cells) for name, cells in lists.items()}
    if not lengths or max(lengths.values()) == 0:
        raise UserError(f"{path}: there are no lift studies in it")
    first, *others = lengths
    for name in others:
        if lengths[name] != lengths[first]:
            raise UserError(
                f"{path}: column {name!r} has {lengths[name]} entries and {first!r} {lengths[first]}; give as many"
            )
    return pd.DataFrame(lists, dtype=object)


def _cells(cells: Any) -> list[Any]:
    if isinstance(cells, str) or not isinstance(cells, Iterable):
        return [cells]
    return list(cells)
