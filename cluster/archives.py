"""A folder as one file, and back; what comes back is not trusted to stay inside the folder it is unpacked to."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from cluster.base import BackendError

# A folder of results is some megabytes; far beyond that somebody wants to fill this disk.
LARGEST_UNPACKED = 20 << 30
MOST_FILES = 100_000
_CHUNK = 1 << 20


class BadArchive(BackendError):
    """An archive that is damaged, or whose entries would leave the folder they belong to."""


def pack(folder: Path, archive: Path) -> None:
    """Write all regular files below a folder to a ZIP file, in the order of their names; links are left out.

    The archive appears under its name when it is complete.
    """
    partial = archive.with_name(f"{archive.name}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                file.write(path, path.relative_to(folder).as_posix())
    partial.replace(archive)


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Unpack into an empty folder; returns the entries at its top.

    Raises:
        BadArchive: not a ZIP file, damaged, too large, or with a name that leads elsewhere; nothing is left then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as file:
            entries = _checked(file)
            for entry, parts in entries:
                _write(file, entry, folder.joinpath(*parts))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, BadArchive) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BadArchive(f"{archive.name} cannot be unpacked: {error}") from error
    return sorted(folder.iterdir())


def _checked(file: zipfile.ZipFile) -> list[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    """Entries that are files, with the parts of their names; all are looked at before the first is written."""
    entries = [entry for entry in file.infolist() if not entry.is_dir()]
    if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > LARGEST_UNPACKED:
        raise BadArchive(f"more than {MOST_FILES} files or {LARGEST_UNPACKED >> 30} GiB")
    return [(entry, check_entry(entry.filename)) for entry in entries]


def check_entry(name: str) -> tuple[str, ...]:
    """The parts of a name below a folder; BadArchive when it would lead out of it."""
    parts = PurePosixPath(name).parts
    bad = not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name
    if bad or any(len(part.encode()) > 255 for part in parts):
        raise BadArchive(f"its entry {name[:80]!r} would be written elsewhere")
    return parts


def _write(file: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """One entry as a new, ordinary file, whatever mode or kind the archive says; its announced size is the limit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with file.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise BadArchive(f"its entry {entry.filename[:80]!r} is larger than it says")
            target.write(chunk)


def place(unpacked: Path, folder: Path) -> Path:
    """Move an unpacked entry into a folder under its own name, by a rename.

    Raises:
        BadArchive: there is one of that name already.
    """
    target = folder / unpacked.name
    if target.exists():
        raise BadArchive(f"{target} is there already; move it away, or fetch into another folder")
    unpacked.rename(target)
    return target
