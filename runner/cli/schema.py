"""The command ``mmm schema``."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="The reference as a page instead.")] = False,
) -> None:
    """Print the JSON Schema of spec files.

    Example: `mmm schema > mmm-spec.schema.json`
    """
    from runner.portfolio.spec import with_models
    from runner.spec import reference

    if markdown:
        typer.echo(reference.markdown(), nl=False)
    else:
        typer.echo(json.dumps(with_models(reference.schema()), indent=2, ensure_ascii=False))
