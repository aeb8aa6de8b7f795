"""``mmm validate SPEC``: read spec and data, check everything that can be checked without a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmm_core.errors import UserError
from runner.baseline import check_baseline, unused_settings
from runner.dataset import MediaPanel, load_panel
from runner.findings import Finding
from runner.resolve import resolve
from runner.scenarios import check_scenarios
from runner.search.nevergrad_searcher import check_optimizer
from runner.source import read_table
from runner.spec import ExperimentSpec, load_spec
from runner.studies import load_studies

if TYPE_CHECKING:
    import pandas as pd

    from runner.portfolio import PortfolioSpec

# Dimensions that an optimizer is tried in; how many a search will have is known once Prophet has made the columns.
N_PROBED = 10


@dataclass(frozen=True)
class ValidatedModel:
    """One of several models: what can be said of it, or in a sentence why it cannot be run."""

    name: str
    result: ValidationResult | None
    message: str = ""


def run_models(
    spec: str | Path, *, data: str | None = None, overrides: Sequence[str] = (), models: Sequence[str] = ()
) -> list[ValidatedModel]:
    """Check each model of a spec that names several.

    Args:
        spec, data, overrides: as of ``run``. models: these alone.
    Raises:
        UserError: the spec itself cannot be used.
    """
    from runner.portfolio import load_portfolio

    portfolio = load_portfolio(spec, data=data, overrides=overrides)
    return check_members(portfolio.only(models) if models else portfolio)


def check_members(portfolio: PortfolioSpec) -> list[ValidatedModel]:
    """Each model of a portfolio: what can be said of it, or why it cannot be run."""
    found = []
    for member in portfolio.members:
        try:
            found.append(ValidatedModel(member.name, validate_spec(member.spec, portfolio.read)))
        except UserError as error:
            found.append(ValidatedModel(member.name, None, str(error)))
    return found


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
    return validate_spec(load_spec(spec, data=data, overrides=overrides))


def validate_spec(
    decoded: ExperimentSpec, read: Callable[[str], pd.DataFrame] = read_table
) -> ValidationResult:
    """``run`` for a spec that is decoded; ``read`` as of ``load_panel``."""
    from runner.problem import check_panel_rows

    panel = load_panel(decoded, read)
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
