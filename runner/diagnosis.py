"""What a careful analyst would say about a finished search, in findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mmm_core.allocator import PlanStatus
from mmm_core.types import FIT_STATUSES, FitStatus, IntArray, ModelProblem
from mmm_core.zero_effect import without_effect
from runner.findings import Finding, Severity
from runner.no_effect import explain_no_effect
from runner.refits import Uncertainty
from runner.scenarios import ScenarioPlans
from runner.select import Selection

# Validation error this many times the training error is a model that does not carry over to later rows.
OVERFIT_RATIO = 2.0
# ROAS of the selected models further apart than this factor are no answer yet.
SPREAD_RATIO = 2.0


def diagnose(
    problem: ModelProblem,
    statuses: IntArray,
    selection: Selection,
    uncertainty: Uncertainty,
    plans: Sequence[ScenarioPlans],
) -> list[Finding]:
    """All findings about the search, the selected models and their plans."""
    return [
        *_about_search(statuses, selection),
        *_about_fit(selection),
        *explain_no_effect(problem, selection.models),
        *_about_channels(problem, selection),
        *_about_intervals(problem, uncertainty),
        *_about_plans(plans),
    ]


def _about_search(statuses: IntArray, selection: Selection) -> Iterator[Finding]:
    for verdict in selection.convergence.verdicts:
        if not verdict.is_converged:
            yield Finding(
                "not-converged",
                Severity.WARNING,
                f"{verdict.sentence}.",
                "Give the search more iterations, or more trials, before trusting small differences.",
            )
    if selection.pareto.is_short:
        yield Finding(
            "few-candidates",
            Severity.WARNING,
            f"Only {selection.pareto.n_selected} candidates were left to choose from, fewer than wanted; "
            "all were taken.",
            "Raise search.iterations or search.trials.",
        )
    for status, severity in (
        (FitStatus.MAX_SWEEPS, Severity.WARNING),
        (FitStatus.ALL_MEDIA_ZERO, Severity.INFO),
    ):
        share = float((statuses == FIT_STATUSES.index(status)).mean())
        if share > 0.01:
            yield Finding(
                f"candidates-{status}", severity, f"{share:.0%} of the candidates ended with {status}."
            )


def _about_fit(selection: Selection) -> Iterator[Finding]:
    validation, training = selection.batch.loss("nrmse_val"), selection.batch.loss("nrmse_train")
    if not np.isnan(validation).all() and np.isnan(selection.batch.loss("nrmse_test")).any():
        yield Finding(
            "constant-test",
            Severity.WARNING,
            "The outcome has the same value in every test row, so no error can be given there.",
            "Move the window or lower hyperparameters.train_size.",
        )
    for model, later, earlier in zip(selection.models, validation, training, strict=True):
        if later > OVERFIT_RATIO * earlier:
            yield Finding(
                "overfit",
                Severity.WARNING,
                f"Model {model.candidate} misses the validation rows by {later / earlier:.1f} times its training "
                "error.",
                "Prefer models with a similar error in both parts; a fixed smaller set of columns may help.",
            )


def _about_channels(problem: ModelProblem, selection: Selection) -> Iterator[Finding]:
    contributions = selection.batch.contributions
    none = np.array([without_effect(problem, row) for row in contributions])
    for p, channel in enumerate(problem.paid):
        present = contributions[:, problem.first_media + p][~none[:, p]]
        if len(present) > 1 and present.max() > SPREAD_RATIO * present.min():
            yield Finding(
                "models-disagree",
                Severity.WARNING,
                f"The selected models put the contribution of {channel} between {present.min():,.0f} and "
                f"{present.max():,.0f}.",
                "Do not act on one model alone; a lift study of this channel would settle most.",
            )


def _about_intervals(problem: ModelProblem, uncertainty: Uncertainty) -> Iterator[Finding]:
    metric = problem.outcome_kind.efficiency
    rows = [r for r in uncertainty.intervals if r.kind == "sampling" and r.quantity == "contribution"]
    for channel in problem.paid:
        own = [r for r in rows if r.name == channel]
        if own and all(r.lower <= 0 for r in own):
            yield Finding(
                "interval-includes-zero",
                Severity.WARNING,
                f"In every selected model the interval of the contribution of {channel} includes zero, "
                f"and so does its {metric.upper()}.",
                "The data do not show whether it works; vary its spend on purpose, or run a lift study.",
            )


def _about_plans(plans: Sequence[ScenarioPlans]) -> Iterator[Finding]:
    for entry in plans:
        for status in PlanStatus:
            if status is not PlanStatus.SOLVED:
                yield from _unsolved(entry, status)
        lifts = [plan.lift for plan in entry.models.values() if np.isfinite(plan.lift)]
        if lifts and min(lifts) < 0 < max(lifts):
            yield Finding(
                "plans-disagree",
                Severity.WARNING,
                f"Scenario {entry.scenario.name}: the models do not agree whether a better plan exists "
                f"(lift {min(lifts):+.1%} to {max(lifts):+.1%}).",
                "Follow the ensemble's plan in small steps and measure.",
            )


def _unsolved(entry: ScenarioPlans, status: PlanStatus) -> Iterator[Finding]:
    """One finding a scenario, whose models are named; the ensemble speaks for them where it failed too."""
    failed = [candidate for candidate, plan in entry.models.items() if plan.status is status]
    is_ensemble = entry.ensemble.status is status
    if not failed and not is_ensemble:
        return
    message = entry.ensemble.message if is_ensemble else entry.models[failed[0]].message
    models = f"models {', '.join(failed)}" if len(failed) > 1 else f"model {', '.join(failed)}"
    if len(failed) == len(entry.models):
        models = "every model"
    whose = " and ".join(["the ensemble"] * is_ensemble + [models] * bool(failed))
    yield Finding(
        f"plan-{status}",
        Severity.WARNING,
        f"Scenario {entry.scenario.name}, {whose}: {message}.",
        "Change the budget, the target or the bounds of the scenario.",
    )
