"""In words, why a channel or organic medium has no effect in selected models; one finding a medium and reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mmm_core.types import FittedModel, ModelProblem, Role
from mmm_core.zero_effect import Flatness, ZeroEffect, ZeroReason, zero_effects
from runner.findings import Finding, Severity

# Models are named in a sentence up to this many.
MOST_NAMED = 5

FLAT_WORDS: Mapping[Flatness, tuple[str, str]] = {
    Flatness.NO_EXPOSURE: (
        "the rows that it is trained on have no exposure of it",
        "Train on rows where it ran: move the window, or set validation.time_series: false.",
    ),
    Flatness.CONSTANT_EXPOSURE: (
        "its exposure is the same in every row that is trained on",
        "Nothing can be learnt from a constant: vary its spend on purpose, or leave it out of the model.",
    ),
    Flatness.SATURATED: (
        "its curve is flat where its exposures lie: each of the training rows is worth the most there is",
        "Lower the upper bound of its alpha or raise the lower one of its gamma, so that the curve can rise there.",
    ),
    Flatness.BELOW_THE_CURVE: (
        "its exposures in the rows that are trained on are too small for its curve: each is worth nothing",
        "Lower the upper bounds of its alpha and gamma, or train on rows with larger exposures.",
    ),
}


def explain_no_effect(problem: ModelProblem, models: Sequence[FittedModel]) -> Iterator[Finding]:
    """Findings about media without effect: models that share a reason share a finding.

    Args:
        problem: the data. models: the selected ones.
    """
    groups: dict[tuple[object, ...], list[ZeroEffect]] = {}
    for model in models:
        for zero in zero_effects(problem, model):
            groups.setdefault((zero.medium, zero.reason, zero.flatness, zero.partners), []).append(zero)
    order = {medium: m for m, medium in enumerate(problem.media)}
    for zeros in sorted(groups.values(), key=lambda zeros: (order[zeros[0].medium], -len(zeros))):
        why, recommendation = _reason(problem, zeros)
        yield Finding(
            f"no-effect-{zeros[0].reason.replace('_', '-')}",
            _severity(problem, zeros, len(models)),
            f"{zeros[0].medium} has no effect in {_which(zeros, len(models))}: {why}.",
            recommendation,
        )


def _severity(problem: ModelProblem, zeros: Sequence[ZeroEffect], n_models: int) -> Severity:
    is_paid = zeros[0].medium in problem.paid
    if len(zeros) == n_models:
        return Severity.PROBLEM if is_paid else Severity.WARNING
    return Severity.WARNING if 2 * len(zeros) >= n_models else Severity.INFO


def _which(zeros: Sequence[ZeroEffect], n_models: int) -> str:
    if len(zeros) == n_models:
        return "the selected model" if n_models == 1 else f"any of the {n_models} selected models"
    names = ", ".join(zero.candidate for zero in zeros[:MOST_NAMED])
    more = f" and {len(zeros) - MOST_NAMED} more" if len(zeros) > MOST_NAMED else ""
    return f"{len(zeros)} of {n_models} selected models ({names}{more})"


def _reason(problem: ModelProblem, zeros: Sequence[ZeroEffect]) -> tuple[str, str]:
    """(why, what to do) of models that share a reason."""
    first = zeros[0]
    if first.flatness is not None:
        return FLAT_WORDS[first.flatness]
    words = {
        ZeroReason.EARLY_STOP: _early_stop,
        ZeroReason.COLLINEAR: _collinear,
        ZeroReason.PENALTY: _penalty,
        ZeroReason.BOUND: _bound,
        ZeroReason.SMALL: _small,
    }
    return words[first.reason](problem, zeros)


def _early_stop(_problem: ModelProblem, zeros: Sequence[ZeroEffect]) -> tuple[str, str]:
    exact = _span([zero.exact_effect for zero in zeros])
    names = f", which {_and(zeros[0].partners)} can hardly be told from" if zeros[0].partners else ""
    why = f"glmnet stopped before it was reached; the exact minimum of the same objective gives it {exact}{names}"
    return why, "Set search.solver: exact, or raise the lower bound of hyperparameters.lambda_hp."


def _collinear(problem: ModelProblem, zeros: Sequence[ZeroEffect]) -> tuple[str, str]:
    medium, partners = zeros[0].medium, zeros[0].partners
    explained = _span([100 * zero.partners_r2 for zero in zeros])
    explain = "explain" if len(partners) > 1 else "explains"
    why = (
        f"{_and(partners)} {explain} {explained} % of what varies in its column over the training rows. Together they "
        f"bring {_span([zero.joint_effect for zero in zeros])}, which the model gives to {_and(partners)}; without "
        f"{'these' if len(partners) > 1 else 'that column'} {medium} would bring "
        f"{_span([zero.alone_effect for zero in zeros])}"
    )
    roles = dict(zip(problem.columns, problem.roles, strict=True))
    if all(roles[name] in (Role.PAID, Role.ORGANIC) for name in partners):
        return why, (
            "These data cannot tell them apart: merge them into one channel, vary their spends apart on purpose, or "
            "bring a lift study of one of them."
        )
    return why, (
        f"These data cannot tell them apart: ask whether {_and(partners)} should be in the model at all, vary the "
        f"spend of {medium} on purpose, or bring a lift study of it."
    )


def _penalty(problem: ModelProblem, zeros: Sequence[ZeroEffect]) -> tuple[str, str]:
    taken = _span([100 * zero.shrinkage for zero in zeros])
    effect = _span([zero.unpenalised_effect for zero in zeros])
    why = f"the ridge penalty takes it; without the penalty it would bring {effect}, of which {taken} % are taken"
    factor = " or the one of its penalty factor" if problem.penalty_factors else ""
    return why, (
        f"Lower the upper bound of hyperparameters.lambda_hp{factor}, or let the search look closer at small penalties "
        "(search.penalty_scale: log)."
    )


def _bound(problem: ModelProblem, zeros: Sequence[ZeroEffect]) -> tuple[str, str]:
    medium = zeros[0].medium
    is_lower = problem.lower[problem.columns.index(medium)] == 0
    sign = "positive" if is_lower else "negative"
    why = (
        f"its sign bound ({sign}) stops it; without the bound it would bring "
        f"{_span([zero.free_effect for zero in zeros])}, and any {sign} effect makes the fit worse "
        f"(slope {_span([zero.slope for zero in zeros], '.2g')})"
    )
    return why, (
        f"Ask what else moved the outcome when {medium} was up, such as a price, a competitor or the season, and bring "
        f"it as context; a lift study of {medium} would settle it."
    )


def _small(_problem: ModelProblem, zeros: Sequence[ZeroEffect]) -> tuple[str, str]:
    most = max(abs(zero.unpenalised_effect) for zero in zeros)
    seen = f"{_number(most)} even without the penalty" if most else "none even without the penalty"
    why = f"the training rows hold next to no effect of it, {seen}"
    return why, (
        "That is no evidence against it, only none for it; vary its spend on purpose, or bring a lift study."
    )


def _and(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def _span(values: Sequence[float], form: str = "") -> str:
    """Values as text: one, or the range that they lie in."""
    low, high = (format(v, form) if form else _number(v) for v in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    """A number for a sentence: whole from a hundred on, three digits below."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
