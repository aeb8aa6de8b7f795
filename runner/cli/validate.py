"""The command ``mmm validate``; what it does stands in ``runner.commands.validate``."""

from __future__ import annotations

from pathlib import Path

import typer

from mmm_core.errors import UserError
from runner.cli.options import DataPath, Json, Models, Overrides, SpecPath
from runner.cli.printing import print_json


def validate(
    spec: SpecPath,
    data: DataPath = None,
    set_: Overrides = None,
    model: Models = None,
    as_json: Json = False,
) -> None:
    """Check a spec and its data without running anything.

    Example: `mmm validate experiments/quickstart.yaml`
    """
    from runner.commands import validate as command
    from runner.findings import as_records
    from runner.portfolio.spec import is_portfolio
    from runner.terminal import print_validation

    if is_portfolio(spec):
        _validate_models(spec, data, set_ or [], model or [], as_json=as_json)
        return
    if model:
        raise UserError(f"--model {model[0]}: {spec} is about one model; check it without --model")
    result = command.run(spec, data=data, overrides=set_ or [])
    if as_json:
        print_json({"spec": str(spec), "valid": True, "findings": as_records(result.findings)})
    else:
        print_validation(str(spec), result)


def _validate_models(
    spec: Path, data: str | None, overrides: list[str], models: list[str], *, as_json: bool
) -> None:
    """Every model by itself; the status is 2 where not one of them can be run."""
    from runner.commands import validate as command
    from runner.findings import as_records
    from runner.portfolio.show import print_validated

    found = command.run_models(spec, data=data, overrides=overrides, models=models)
    if as_json:
        told = [
            {
                "model": one.name,
                "valid": one.result is not None,
                "message": one.message,
                "findings": as_records(one.result.findings) if one.result else [],
            }
            for one in found
        ]
        print_json({"spec": str(spec), "valid": all(entry["valid"] for entry in told), "models": told})
    else:
        print_validated(str(spec), found)
    if all(one.result is None for one in found):
        raise typer.Exit(2)
