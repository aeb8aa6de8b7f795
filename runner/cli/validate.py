"""The command ``mmm validate``; what it does stands in ``runner.commands.validate``."""

from __future__ import annotations

from runner.cli.options import DataPath, Json, Overrides, SpecPath
from runner.cli.printing import print_json


def validate(spec: SpecPath, data: DataPath = None, set_: Overrides = None, as_json: Json = False) -> None:
    """Check a spec and its data without running anything.

    Example: `mmm validate experiments/quickstart.yaml`
    """
    from runner.commands import validate as command
    from runner.findings import as_records
    from runner.terminal import print_validation

    result = command.run(spec, data=data, overrides=set_ or [])
    if as_json:
        print_json({"spec": str(spec), "valid": True, "findings": as_records(result.findings)})
    else:
        print_validation(str(spec), result)
