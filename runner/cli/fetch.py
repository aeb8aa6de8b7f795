"""The command ``mmm fetch``; what it does stands in ``runner.commands.fetch``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import DEFAULT_RUNS, Address, Insecure, JobId, Json


def fetch(
    job: JobId,
    address: Address,
    runs: Annotated[Path, typer.Option(help="Folder that the run folder is put into.")] = DEFAULT_RUNS,
    insecure: Insecure = False,
    as_json: Json = False,
) -> None:
    """Bring the run folder of a job home, with all that it holds.

    Example: `mmm fetch quickstart-0a1b2c3d4e --address http://127.0.0.1:8265`
    """
    from runner.commands import fetch as command

    folder = command.run(address, job, runs=runs, insecure=insecure)
    status = folder.manifest()["status"]
    if as_json:
        typer.echo(json.dumps({"run_folder": str(folder.path), "status": status}))
        return
    typer.echo(f"run folder: {folder.path} ({status})")
    if status != "done":
        typer.echo(f"go on with: mmm resume {folder.path}")
