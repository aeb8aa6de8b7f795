"""Going on with a run that was stopped: only where spec, data and versions are those that it began with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmm_core.errors import UserError
from runner.dataset import MediaPanel, load_panel
from runner.orchestrate import Prepared
from runner.resolve import as_run
from runner.run_folder import RunFolder, versions
from runner.spec import ExperimentSpec

# Packages that move work or show results, and cannot change a number.
HARMLESS = ("ray", "mlflow")
SHOWN = 5


def is_finished(folder: RunFolder) -> bool:
    """Whether every stage of a run is done."""
    manifest = folder.manifest()
    if "portfolio" in manifest:  # whose report and tracking are those of the whole
        return folder.has_results
    last = "tracking" if folder.spec().tracking.enabled else "report"
    stages = manifest["stages"]
    return bool(
        manifest["status"] == "done"
        and last in stages
        and all(stage["status"] == "done" for stage in stages.values())
    )


def prepared_of(folder: RunFolder, asked: ExperimentSpec | None = None) -> Prepared:
    """What a run began with, read back from its folder.

    Args:
        folder: the run. asked: the spec as its file stands now, where the user gave that.
    Raises:
        UserError: spec, data or a version is not what it was; the sentence shows the difference.
    """
    spec = folder.spec()
    if "origin" in folder.manifest():
        raise UserError(f"{folder.path}: its model was imported, not searched for; import it again")
    differences = [
        *_spec_differences(spec, asked),
        *version_differences(folder.manifest()["versions"], versions()),
    ]
    panel = folder.panel(spec)
    problem = folder.problem(spec, panel)
    if (
        problem.digest != folder.manifest()["problem_digest"]
        or spec.digest != folder.manifest()["spec_digest"]
    ):
        differences.append("spec.yaml or inputs/ of the run folder were edited")
    differences += _data_differences(spec, panel)
    if differences:
        shown = "; ".join(differences[:SHOWN])
        more = f" (and {len(differences) - SHOWN} more)" if len(differences) > SHOWN else ""
        raise UserError(
            f"{folder.path}: not what the run began with: {shown}{more}; put it back, or start anew with --anew"
        )
    return Prepared(spec, panel, folder.studies(spec, panel), problem, folder.noticed())


def _spec_differences(began: ExperimentSpec, asked: ExperimentSpec | None) -> Iterator[str]:
    if asked is None:
        return
    asked = as_run(asked)
    if asked.digest == began.digest:
        return
    then, now = dict(_leaves(began.resolved())), dict(_leaves(asked.resolved()))
    for key in sorted({*then, *now}):
        ignored = key.startswith(("tracking", "execution")) or key.endswith("path")
        if not ignored and then.get(key) != now.get(key):
            yield f"{key} was {_value(then, key)}, is {_value(now, key)}"


def _value(leaves: Mapping[str, Any], key: str) -> str:
    return repr(leaves[key]) if key in leaves else "not given"


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if entries is None:
        yield path, tree
        return
    for key, value in entries:
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def version_differences(began: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for package in sorted({*began, *now} - set(HARMLESS)):
        if began.get(package) != now.get(package):
            yield f"{package} was {began.get(package, 'absent')}, is {now.get(package, 'absent')}"


def _data_differences(spec: ExperimentSpec, began: MediaPanel) -> Iterator[str]:
    """The table itself, where it still lies where it was; a table that is gone is no difference."""
    if "://" not in spec.data.path and not Path(spec.data.path).exists():
        return
    now = load_panel(spec)
    if now.digest == began.digest:
        return
    if len(now.dates) != len(began.dates):
        yield f"{spec.data.path} had {len(began.dates)} rows, has {len(now.dates)}"
        return
    columns = {spec.outcome.column: (began.outcome, now.outcome)}
    columns |= {name: (values, now.numeric[name]) for name, values in began.numeric.items()}
    for name, (then, values) in columns.items():
        changed = np.flatnonzero(then != values)
        if len(changed):
            first = began.dates[changed[0]]
            yield f"{spec.data.path}: {name} differs in {len(changed)} rows, first {first}"
    for name, levels in began.factors.items():
        if levels != now.factors[name]:
            yield f"{spec.data.path}: {name} differs"
