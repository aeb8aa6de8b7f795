"""What a spec asks of other files, written into the spec itself, so that the run folder's spec says all.

Curves of spend and response become ranges of alpha and gamma; an earlier run to start from becomes points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.curves import calibrate_curves
from runner.dataset import MediaPanel, load_panel
from runner.findings import Finding
from runner.search.warm_start import read_start
from runner.spec import ExperimentSpec

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Resolved:
    """A spec that names no other file than its data, what was noticed, and tables for the run folder by their name."""

    spec: ExperimentSpec
    findings: list[Finding] = field(default_factory=list)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


def resolve(spec: ExperimentSpec, panel: MediaPanel) -> Resolved:
    """The spec with what its curves and its warm start come to.

    Args:
        spec: as decoded. panel: its data.
    Raises:
        UserError: a curve or an earlier run cannot be used.
    """
    findings: list[Finding] = []
    tables: dict[str, pa.Table] = {}
    if spec.curves:
        curves = calibrate_curves(spec, panel)
        findings += curves.findings
        tables["curve_calibration"] = curves.table
        hyperparameters: dict[str, Any] = dict(spec.hyperparameters)
        for channel, bounds in curves.bounds.items():
            hyperparameters[channel] = {**spec.hyperparameters.get(channel, {}), **bounds}  # type: ignore[dict-item]
        spec = spec.model_copy(update={"hyperparameters": hyperparameters, "curves": ()})
    if spec.search.warm_start is not None:
        points, noticed = read_start(spec.search.warm_start.path, spec)
        findings += noticed
        search = spec.search.model_copy(update={"warm_start": None, "start": (*points, *spec.search.start)})
        spec = spec.model_copy(update={"search": search})
    return Resolved(spec, findings, tables)


def as_run(spec: ExperimentSpec) -> ExperimentSpec:
    """The spec as a run of it writes it down: what tells whether a run folder is of this spec.

    Raises:
        UserError: its table, a curve or an earlier run cannot be used.
    """
    if not spec.curves and spec.search.warm_start is None:
        return spec
    return resolve(spec, load_panel(spec)).spec
