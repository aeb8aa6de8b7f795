"""The command ``mmm report``; what it does stands in ``runner.commands.report``."""

from __future__ import annotations

import typer

from runner.cli.options import DEFAULT_RUNS, Json, RunPath, Runs
from runner.cli.printing import print_json


def report(source: RunPath, runs: Runs = DEFAULT_RUNS, as_json: Json = False) -> None:
    """Write the report of a run again: page, one-pagers, tables.

    Example: `mmm report runs/quickstart-…`
    """
    from runner.commands import report as command

    page = command.run(source, runs=runs)
    if as_json:
        print_json({"report": str(page)})
    else:
        typer.echo(f"report: {page}")
