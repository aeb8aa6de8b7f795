"""Folders behind a URI, such as s3://bucket/runs: copied there from the cluster, and from there home."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from cluster.archives import check_entry
from cluster.base import BackendError


class BadStore(BackendError):
    """A URI that names no place to write to, or holds what must not travel; or a place that cannot be read."""


def check_store(uri: str) -> None:
    """Refuse what is no URI of a folder, and secrets in one: it is shown in the list of jobs.

    Raises:
        BadStore: one sentence with the remedy.
    """
    parts = urlsplit(uri)
    if not parts.scheme or not (parts.netloc or parts.path.strip("/")):
        raise BadStore(
            f"{uri}: expected a URI of a folder that the cluster can write, such as s3://bucket/runs"
        )
    if "@" in parts.netloc or "secret" in parts.query.lower():
        hidden = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
        raise BadStore(
            f"{hidden}: holds a key or a password, which everybody who reaches the cluster could read; leave it out, "
            "and give the nodes of the cluster a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def below(uri: str, name: str) -> str:
    """The folder of this name in that of a URI, whose options (?endpoint_override=...) stay."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def copy_out(folder: Path, uri: str) -> None:
    """Copy what is in a folder to a URI; whatever the store raises is raised."""
    from pyarrow import fs

    filesystem, path = _filesystem(uri)
    filesystem.create_dir(path)
    fs.copy_files(str(folder), path, destination_filesystem=filesystem)


def copy_in(uri: str, folder: Path) -> None:
    """Copy what is at a URI into a new folder.

    Raises:
        FileNotFoundError: nothing is there. BadStore: it cannot be read. BadArchive: a name that leads elsewhere.
    """
    from pyarrow import fs

    try:
        filesystem, path = _filesystem(uri)
        found = [
            info for info in filesystem.get_file_info(fs.FileSelector(path, recursive=True)) if info.is_file
        ]
        # A store takes any name: all are looked at before the first is written.
        targets = {info.path: check_entry(str(PurePosixPath(info.path).relative_to(path))) for info in found}
        for source, parts in targets.items():
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with filesystem.open_input_stream(source) as stream, target.open("xb") as file:
                shutil.copyfileobj(stream, file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, ImportError) as error:
        raise BadStore(f"{uri}: the output of the job cannot be read from here ({error})") from error
    if not found:
        raise FileNotFoundError(uri)


def _filesystem(uri: str) -> tuple[Any, str]:
    """By pyarrow, or where it does not know the scheme by fsspec, which then needs its package for it."""
    from pyarrow import ArrowInvalid, fs

    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except ArrowInvalid:
        known, path = import_module("fsspec.core").url_to_fs(uri)
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(known))
    return filesystem, path
