"""The command ``mmm status``; what it does stands in ``runner.commands.status``."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.options import Address, Insecure, Json

if TYPE_CHECKING:
    from cluster.jobs import JobState


def status(
    address: Address,
    job: Annotated[
        str | None, typer.Argument(metavar="JOB", help="One job; default all.", show_default=False)
    ] = None,
    insecure: Insecure = False,
    as_json: Json = False,
) -> None:
    """Show how jobs of a cluster stand.

    Example: `mmm status --address http://127.0.0.1:8265`
    """
    from runner.commands import status as command

    states = command.run(address, job, insecure=insecure)
    if as_json:
        typer.echo(json.dumps([asdict(state) for state in states], indent=2))
        return
    for state in states:
        typer.echo(line(state))


def line(state: JobState) -> str:
    """How a job stands, in one line."""
    began = datetime.fromtimestamp(state.began, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if state.began else "-"
    took = f"{state.ended - state.began:.0f} s" if state.began and state.ended else ""
    return f"{state.job}  {state.state:<9}  {began}  {took}".rstrip()
