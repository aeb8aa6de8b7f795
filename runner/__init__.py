"""Experiments of marketing mix models: from a spec and a table to selected models, intervals and a budget plan.

Every command of ``mmm`` is a plain function first::

    from runner import run, evaluate, allocate, plan, report, resume, validate, simulate

and ``load_run`` opens a finished run: models, plans, tables as pandas frames, pictures; see ``runner.notebook``.

Names are loaded on use, so that importing ``runner`` (and ``mmm --help``) stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_COMMANDS = (
    "allocate",
    "compare",
    "evaluate",
    "init",
    "plan",
    "report",
    "resume",
    "run",
    "simulate",
    "track",
    "validate",
)

__all__ = [*_COMMANDS, "__version__", "load_run"]  # noqa: PLE0604 - the names are strings, built from the tuple above


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name == "load_run":
        from runner.notebook import load_run

        return load_run
    if name in _COMMANDS:
        return import_module(f"runner.commands.{name}").run
    raise AttributeError(f"module 'runner' has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mmm-runner")
    except PackageNotFoundError:  # a checkout that was never installed
        return "0+unknown"
