"""``mmm validate SPEC``: read spec and data, check everything that can be checked without a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.baseline import check_baseline, unused_settings
from runner.dataset import MediaPanel, load_panel
from runner.findings import Finding
from runner.resolve import resolve
from runner.scenarios import check_scenarios
from runner.search.nevergrad_searcher import check_optimizer
from runner.spec import ExperimentSpec, load_spec
from runner.studies import load_studies

# Dimensions that an optimizer is tried in; how many a search will have is known once Prophet has made the columns.
N_PROBED = 10


@dataclass(frozen=True)
class ValidationResult:
    """A spec that can be run, its data, and what was noticed."""

    spec: ExperimentSpec
    panel: MediaPanel
    findings: tuple[Finding, ...]


def run(spec: str | Path, *, data: str | None = None, overrides: Sequence[str] = ()) -> ValidationResult:
    """Check a spec and its data: columns, dates, numbers, window, rows, studies, holidays,
    scenarios, optimizer. Prophet is not fitted.

    Args:
        spec: path of a spec file. data: replaces data.path. overrides: key=value.
    Raises:
        UserError: the first thing that cannot be used.
    """
    from runner.problem import check_panel_rows

    decoded = load_spec(spec, data=data, overrides=overrides)
    panel = load_panel(decoded)
    resolved = resolve(decoded, panel)
    decoded = resolved.spec
    findings = [
        *panel.findings,
        *resolved.findings,
        *unused_settings(decoded),
        *check_panel_rows(decoded, panel),
    ]
    studies = load_studies(decoded, panel)
    findings += studies.findings if studies else ()
    check_baseline(decoded, panel)
    check_scenarios(decoded, panel)
    _check_optimizer(decoded)
    return ValidationResult(decoded, panel, tuple(findings))


def _check_optimizer(spec: ExperimentSpec) -> None:
    asked = spec.search
    if asked.engine == "compiled":
        return
    n_objectives = 2 if spec.calibration is None else 3
    check_optimizer(asked.optimizer, N_PROBED, asked.batch_size, asked.objective_weights, n_objectives)
