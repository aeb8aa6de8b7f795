"""The command ``mmm export-robyn``; what it does stands in ``runner.commands.export_robyn``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import DEFAULT_RUNS, Json, RunPath, Runs
from runner.cli.printing import print_json


def export_robyn(
    source: RunPath,
    candidate: Annotated[
        str | None, typer.Option(help="Any candidate of the run, such as 3_120; default the best model.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default RobynModel-<solID>.json here.")
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Write a model as R Robyn's robyn_write() would.

    Example: `mmm export-robyn experiments/quickstart.yaml --out RobynModel-quickstart.json`
    """
    from runner.commands import export_robyn as command

    exported = command.run(source, candidate=candidate, out=out, runs=runs)
    if as_json:
        print_json(exported.as_record())
    else:
        for line in (*exported.notes, f"model: {exported.path}"):
            typer.echo(line)
