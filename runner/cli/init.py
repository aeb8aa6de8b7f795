"""The command ``mmm init``; what it does stands in ``runner.commands.init``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import Json
from runner.cli.printing import print_json


def init(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Table: CSV or Parquet, a row a period.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Spec to write; default the table's name with .yaml, here.")
    ] = None,
    date: Annotated[str | None, typer.Option(help="Column of dates.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Column to be explained.")] = None,
    kind: Annotated[str | None, typer.Option(help="revenue, judged by ROAS, or conversion, by CPA.")] = None,
    channels: Annotated[str | None, typer.Option(help="Columns of spend, with commas between them.")] = None,
    country: Annotated[str | None, typer.Option(help="Whose holidays, such as DE; none for none.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, take the guesses.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite.")] = False,
    as_json: Json = False,
) -> None:
    """Make a spec of a table: guesses what each column is, and says why.

    Example: `mmm init experiments/data/quickstart.csv --country DE`
    """
    from runner.commands import init as command
    from runner.drafts.screen import ask, print_made

    is_asking = not (yes or as_json) and sys.stdin.isatty() and sys.stderr.isatty()
    made = command.run(
        data,
        out=out,
        date=date,
        outcome=outcome,
        kind=kind,
        channels=[part.strip() for part in channels.split(",")] if channels else None,
        country=country,
        force=force,
        ask=ask if is_asking else None,
    )
    if as_json:
        print_json(made.as_record())
    else:
        print_made(made)
