"""Tables on disk: atomic, compressed, and the same bytes for the same values."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it there: readers see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes files that only their owner may read; results are for the team.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_table(path: Path, table: pa.Table) -> None:
    """Write Parquet without metadata of the writing program, so that equal tables are equal files."""
    import pyarrow.parquet as pq

    plain = table.replace_schema_metadata(None)
    write_atomically(path, lambda p: pq.write_table(plain, p, compression="zstd", version="2.6"))


def read_table(path: Path) -> pa.Table:
    """A Parquet table as written by ``write_table``; UserError when it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read as Parquet ({reason}); run the experiment again") from error


def table_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> pa.Table:
    """Records as a table, columns in the order of the first record (or as given, for an empty table)."""
    import pyarrow as pa

    names = list(columns or (rows[0] if rows else ()))
    return pa.table({name: pa.array([_plain(row[name]) for row in rows]) for name in names})


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON; infinities and NaN become null, which is all that JSON has."""
    text = json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""

    def write(file: Path) -> None:
        file.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def to_plain(value: Any) -> Any:
    """Numpy and enum values as plain JSON ones; non-finite numbers as None."""
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [to_plain(v) for v in value]
    value = _plain(value)
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if not isinstance(value, (bool, int, float, str, type(None))) else value


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64) else value
