"""The command ``mmm stop``; what it does stands in ``runner.commands.stop``."""

from __future__ import annotations

import typer

from runner.cli.options import Address, Insecure, JobId


def stop(job: JobId, address: Address, insecure: Insecure = False) -> None:
    """End a job; what it did is kept for `mmm fetch`.

    Example: `mmm stop quickstart-0a1b2c3d4e --address http://127.0.0.1:8265`
    """
    from runner.commands import stop as command

    has_stopped = command.run(address, job, insecure=insecure)
    typer.echo(f"stopping {job}" if has_stopped else f"{job} had ended already")
