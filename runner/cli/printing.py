"""What commands print that is not a result for the eyes; those stand in ``runner.terminal``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from runner.portfolio import PortfolioFolder
    from runner.run_folder import RunFolder


def print_json(value: Any) -> None:
    """Results for programs."""
    from runner.tables import to_plain

    typer.echo(json.dumps(to_plain(value), indent=2, ensure_ascii=False))


def print_result(folder: RunFolder | PortfolioFolder, *, as_json: bool) -> None:
    """A finished run, or one of several models, whose failures are told on the error stream too."""
    from runner.portfolio import PortfolioFolder

    if as_json:
        print_json({**folder.json("summary"), "run_folder": str(folder.path)})
    elif isinstance(folder, PortfolioFolder):
        from runner.portfolio.show import print_portfolio

        print_portfolio(folder)
    else:
        from runner.terminal import print_run

        print_run(folder)
    if isinstance(folder, PortfolioFolder) and (failures := folder.json("summary")["failures"]):
        told = f"{len(failures)} models failed, {failures[0]['model']} first"
        warn(f"{told}; correct their data and go on with: mmm resume {folder.path}")


def write(text: str) -> None:
    """A piece of another process's log, as it comes."""
    sys.stdout.write(text)
    sys.stdout.flush()


def warn(sentence: str) -> None:
    """A sentence on the error stream; nothing is stopped by it."""
    typer.echo(f"warning: {sentence}", err=True)
