"""What commands print that is not a result for the eyes; those stand in ``runner.terminal``."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer


def print_json(value: Any) -> None:
    """Results for programs."""
    from runner.tables import to_plain

    typer.echo(json.dumps(to_plain(value), indent=2, ensure_ascii=False))


def write(text: str) -> None:
    """A piece of another process's log, as it comes."""
    sys.stdout.write(text)
    sys.stdout.flush()


def warn(sentence: str) -> None:
    """A sentence on the error stream; nothing is stopped by it."""
    typer.echo(f"warning: {sentence}", err=True)
