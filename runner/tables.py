"""Tables on disk: atomic, compressed, and the same bytes for the same values."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import IntArray

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


# What ``_temporary_beside`` calls its files.
UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it there: readers see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_beside(path)
    try:
        write(temporary)
        _publish(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _temporary_beside(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    return Path(name)


def _publish(temporary: Path, path: Path) -> None:
    # mkstemp makes files that only their owner may read; results are for the team.
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    temporary.replace(path)


def write_table(path: Path, table: pa.Table) -> None:
    """Write Parquet without metadata of the writing program, so that equal tables are equal files."""
    import pyarrow.parquet as pq

    plain = table.replace_schema_metadata(None)
    write_atomically(path, lambda p: pq.write_table(plain, p, compression="zstd", version="2.6"))


class TableBytes:
    """A Parquet table made group of rows by group of rows, as bytes that follow one another: a file, piece by piece.

    Equal groups of equal tables are equal bytes, wherever they are made.

    Args:
        schema: of the table. repeating: columns that hold few different values, of which a dictionary is kept; for
            others, such as results, looking for repetitions would take longer than writing.
    """

    def __init__(self, schema: pa.Schema, repeating: Sequence[str] = ()) -> None:
        import pyarrow.parquet as pq

        self._pieces = _Pieces()
        self._writer = pq.ParquetWriter(
            self._pieces,
            schema.remove_metadata(),
            compression="zstd",
            version="2.6",
            use_dictionary=list(repeating),
        )

    def append(self, table: pa.Table) -> bytes:
        """One group of rows; the bytes that are ready now."""
        self._writer.write_table(table.replace_schema_metadata(None), row_group_size=max(table.num_rows, 1))
        return self._pieces.take()

    def close(self) -> bytes:
        """The table is complete; the bytes that it ends with."""
        self._writer.close()
        return self._pieces.take()


class _Pieces(io.RawIOBase):
    """Gathers what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._written.append(bytes(data))
        return len(self._written[-1])

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken


class GrowingFile:
    """A file that is written piece by piece, and stands under its name only when it is complete."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._temporary = _temporary_beside(path)
        self._file = self._temporary.open("wb")

    def append(self, data: bytes | memoryview) -> None:
        """What comes next."""
        self._file.write(data)

    def close(self) -> None:
        """The file is complete."""
        self._file.close()
        _publish(self._temporary, self._path)

    def abandon(self) -> None:
        """The file will not be complete; nothing stays."""
        with suppress(OSError):  # closing writes what is left, for which a full disk has no room
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def read_table(
    path: Path, columns: Sequence[str] | None = None, *, repeating: Sequence[str] = ()
) -> pa.Table:
    """A Parquet table as written by ``write_table``, or some of its columns; UserError when it is damaged.

    Args:
        path: where. columns: their names, default all. repeating: those to keep as codes into a dictionary.
    """
    with _readable(path, repeating) as file:
        return file.read(columns=None if columns is None else list(columns))


def is_whole(path: Path) -> bool:
    """Whether a Parquet table has its end, which is written last and says where all else is."""
    try:
        with _readable(path):
            return True
    except UserError:
        return False


def read_table_rows(path: Path, rows: IntArray) -> pa.Table:
    """Some rows of a Parquet table, by their ascending positions; only their groups are read."""
    import pyarrow as pa

    parts, first = [], 0
    with _readable(path) as file:
        for group in range(file.num_row_groups):
            n = file.metadata.row_group(group).num_rows
            own = rows[(rows >= first) & (rows < first + n)]
            if len(own):
                parts.append(file.read_row_group(group).take(own - first))
            first += n
        return pa.concat_tables(parts)


@contextmanager
def _readable(path: Path, repeating: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        yield pq.ParquetFile(path, read_dictionary=list(repeating))
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
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write what is already bytes."""

    def write(file: Path) -> None:
        file.write_bytes(content)

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
