"""The token that a cluster asks for: where it lies, and that nobody else on this machine can read it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cluster.base import BackendUnavailable

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


def token_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that Ray will read the token from; None where it reads none."""
    if environment.get(MODE, "token") != "token" or TOKEN in environment:
        return None
    if TOKEN_PATH in environment:
        return Path(environment[TOKEN_PATH]).expanduser()
    usual = Path.home() / ".ray" / "auth_token"
    return usual if environment.get(MODE) == "token" and usual.exists() else None


def check_token_file(path: Path | None) -> None:
    """Refuse a token file that others can read, or that is not there: whoever has it may run anything on the cluster.

    Raises:
        BackendUnavailable: one sentence with the remedy.
    """
    if path is None:
        return
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise BackendUnavailable(
            f"the token file {path} cannot be read ({error.strerror}); "
            f"set {TOKEN_PATH} to the file with the token of the cluster"
        ) from error
    if os.name == "posix" and mode & 0o077:
        raise BackendUnavailable(
            f"the token file {path} can be read by others (mode {mode:04o}), who could run anything on the cluster; "
            f"do: chmod 600 {path}"
        )
