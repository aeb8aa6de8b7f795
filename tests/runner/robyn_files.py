"""Model files of Robyn's form without R: a run's own model, exported, to be changed and imported again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.commands.export_robyn import run as export_robyn
from runner.commands.import_robyn import run as import_robyn
from runner.robyn.importing import Imported
from runner.run_folder import RunFolder
from tests.runner.small import change

QUICK = ("bootstrap.refits=0", "tracking.enabled=false")


def exported_tree(run: RunFolder, folder: Path, candidate: str | None = None) -> dict[str, Any]:
    """The file of a run's model (default the best one) as plain data."""
    path = folder / "exported.json"
    export_robyn(run.path, candidate=candidate or run.selected()[0], out=path)
    tree: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tree


def write_tree(folder: Path, tree: Any, **changes: Any) -> Path:
    """The file with entries changed as by ``change``; a value of ``REMOVED`` takes the entry out."""
    changed = change(tree, **changes) if changes else tree
    path = folder / "RobynModel.json"
    path.write_text(json.dumps(without_removed(changed)), encoding="utf-8")
    return path


REMOVED = "REMOVED"


def without_removed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_removed(entry) for key, entry in value.items() if entry != REMOVED}
    return [without_removed(entry) for entry in value] if isinstance(value, list) else value


def imported(path: Path, folder: Path, **where: Any) -> Imported:
    """The file as a run in ``folder / "back"``, without bootstrap and MLflow."""
    overrides = [*QUICK, *where.pop("overrides", [])]
    return import_robyn(path, runs=folder / "back", overrides=overrides, **where)


def cases(found: Imported) -> list[str]:
    """The findings by their words."""
    return [finding.case for finding in found.findings]
