"""The commands that send a run to a cluster and bring it home; a part of ``runner.cli``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cluster.jobs import JobState

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="Spec file (YAML).", show_default=False)]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id that mmm submit printed.", show_default=False)]
Address = Annotated[
    str,
    typer.Option(
        envvar="MMM_JOBS_ADDRESS", help="Job server of the cluster: http://head:8265.", show_default=False
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Also a cluster elsewhere that asks nobody for a token.")
]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]


def submit(
    spec: SpecPath,
    address: Address,
    data: Annotated[
        str | None, typer.Option(help="Table to use instead of data.path; a URI is read by the cluster.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any key of the spec, such as search.iterations=300. Repeatable."),
    ] = None,
    runs: Annotated[
        str | None, typer.Option(help="URI for the run folder, such as s3://bucket/runs.", show_default=False)
    ] = None,
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
        spec, address, data=data, overrides=set_ or [], runs=runs, insecure=insecure, warn=_warn
    )
    typer.echo(json.dumps({"job": job}) if as_json else f"submitted: {job}")
    if not wait:
        return
    state = log_command.run(address, job, insecure=insecure, write=_write)
    if state.state != "SUCCEEDED":
        typer.echo(
            f"{state.state.lower()}: {state.message.splitlines()[0] if state.message else job}", err=True
        )
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"bring the run home with: mmm fetch {job} --address {address}")


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
        typer.echo(_line(state))


def logs(
    job: JobId,
    address: Address,
    follow: Annotated[bool, typer.Option(help="Go on until the job ends.")] = True,
    insecure: Insecure = False,
) -> None:
    """Show what a job printed.

    Example: `mmm logs quickstart-0a1b2c3d4e --address http://127.0.0.1:8265`
    """
    from runner.commands import logs as command

    command.run(address, job, follow=follow, insecure=insecure, write=_write)


def stop(job: JobId, address: Address, insecure: Insecure = False) -> None:
    """End a job; what it did is kept for `mmm fetch`.

    Example: `mmm stop quickstart-0a1b2c3d4e --address http://127.0.0.1:8265`
    """
    from runner.commands import stop as command

    has_stopped = command.run(address, job, insecure=insecure)
    typer.echo(f"stopping {job}" if has_stopped else f"{job} had ended already")


def fetch(
    job: JobId,
    address: Address,
    runs: Annotated[Path, typer.Option(help="Folder that the run folder is put into.")] = Path("runs"),
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


def register(app: typer.Typer) -> None:
    """Add the commands to ``mmm``."""
    for command in (submit, status, logs, stop, fetch):
        app.command()(command)


def _line(state: JobState) -> str:
    began = datetime.fromtimestamp(state.began, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if state.began else "-"
    took = f"{state.ended - state.began:.0f} s" if state.began and state.ended else ""
    return f"{state.job}  {state.state:<9}  {began}  {took}".rstrip()


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _warn(sentence: str) -> None:
    typer.echo(f"warning: {sentence}", err=True)
