"""The command ``mmm report``; what it does stands in ``runner.commands.report``."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.options import DEFAULT_RUNS, Json, RunPath, Runs
from runner.cli.printing import print_json


def report(
    source: RunPath,
    runs: Runs = DEFAULT_RUNS,
    language: Annotated[
        str | None,
        typer.Option(
            help="Language of one-pagers, and that the page opens in: en, de, es or zh; default: the spec's.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the report of a run again: page, one-pagers, tables.

    Example: `mmm report experiments/quickstart.yaml --language de`
    """
    from runner.commands import report as command

    page = command.run(source, runs=runs, language=language)
    if as_json:
        print_json({"report": str(page)})
    else:
        typer.echo(f"report: {page}")
