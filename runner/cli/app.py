"""The application ``mmm`` and its entry point.

Exit status: 0 done, 2 the user's mistake (one sentence, no trace), 1 ours, 130 stopped by hand.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from mmm_core.errors import UserError
from runner.cli.lazy import HELP_OPTIONS, MARKUP, LazyGroup
from runner.interrupt import interrupted_run

# What typer exits with after Ctrl-C.
INTERRUPTED = 130

app = typer.Typer(
    name="mmm",
    cls=LazyGroup,
    help="Marketing mix models: from a table of sales and spend to selected models, intervals and a budget plan.",
    no_args_is_help=True,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
    context_settings=HELP_OPTIONS,
)


def _version(asked: bool) -> None:
    if asked:
        from runner import __version__

        typer.echo(f"mmm-runner {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may hold what a terminal's encoding lacks
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="mmm")
    except UserError as error:
        typer.echo(f"error: {' '.join(str(error).splitlines())}", err=True)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            folder = interrupted_run(end)
            way = f"; what was done is kept, go on with: mmm resume {folder}" if folder else ""
            typer.echo(f"stopped{way}", err=True)
        raise
