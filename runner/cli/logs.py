"""The command ``mmm logs``; what it does stands in ``runner.commands.logs``."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.options import Address, Insecure, JobId
from runner.cli.printing import write


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

    command.run(address, job, follow=follow, insecure=insecure, write=write)
