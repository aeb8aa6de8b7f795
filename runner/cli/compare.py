"""The command ``mmm compare``; what it does stands in ``runner.commands.compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import DEFAULT_RUNS, Json, Runs
from runner.cli.printing import print_json


def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Two or more: run folders, or spec files for their newest finished runs.",
            show_default=False,
        ),
    ],
    runs: Runs = DEFAULT_RUNS,
    html: Annotated[Path | None, typer.Option("--html", help="Write the comparison as a page.")] = None,
    as_json: Json = False,
) -> None:
    """Compare finished runs with the first: spec, data, losses, ROAS, plans, and what of it is more than noise.

    Example: `mmm compare experiments/quickstart.yaml my.yaml --html comparison.html`
    """
    from runner.commands import compare as command
    from runner.comparison.screen import print_comparison

    result = command.run(sources, runs=runs, html=html)
    if as_json:
        print_json(result.as_record())
    else:
        print_comparison(result)
        if html is not None:
            typer.echo(f"page: {html}")
