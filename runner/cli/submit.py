"""The command ``mmm submit``; what it does stands in ``runner.commands.submit``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from runner.cli.options import Address, Insecure, Json, Overrides, SpecPath, Workers
from runner.cli.printing import warn, write


def submit(
    spec: SpecPath,
    address: Address,
    data: Annotated[
        str | None, typer.Option(help="Table to use instead of data.path; a URI is read by the cluster.")
    ] = None,
    set_: Overrides = None,
    runs: Annotated[
        str | None, typer.Option(help="URI for the run folder, such as s3://bucket/runs.", show_default=False)
    ] = None,
    workers: Workers = None,
    wait: Annotated[bool, typer.Option(help="Show the log until the job ends.")] = True,
    insecure: Insecure = False,
    as_json: Json = False,
) -> None:
    """Run an experiment as a job of a Ray cluster; spec and tables travel with it.

    Example: `mmm submit experiments/quickstart.yaml --address http://127.0.0.1:8265`
    """
    from runner.commands import logs as log_command
    from runner.commands import submit as command

    job = command.run(
        spec,
        address,
        data=data,
        overrides=set_ or [],
        runs=runs,
        workers=workers,
        insecure=insecure,
        warn=warn,
    )
    typer.echo(json.dumps({"job": job}) if as_json else f"submitted: {job}")
    if not wait:
        return
    state = log_command.run(address, job, insecure=insecure, write=write)
    if state.state != "SUCCEEDED":
        typer.echo(
            f"{state.state.lower()}: {state.message.splitlines()[0] if state.message else job}", err=True
        )
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"bring the run home with: mmm fetch {job} --address {address}")
