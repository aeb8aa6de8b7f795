"""The command ``mmm schema``; what it does stands in ``runner.commands.schema``."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON Schema of spec files.

    Example: `mmm schema > mmm-spec.schema.json`
    """
    from runner.spec import ExperimentSpec

    typer.echo(json.dumps(ExperimentSpec.model_json_schema(), indent=2))
