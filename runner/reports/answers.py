"""The answer in plain sentences: what media brought in, which channel is worth its money, what a plan would change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from runner.reports import theme
from runner.reports.data import Bar, ModelView, RunData, ScenarioView, paid_contribution
from runner.reports.lift_studies import agreement_sentence
from runner.reports.plan_page import outcome_of
from runner.reports.words import day, say

# A change of spend below this part is not worth a word.
UNMOVED = 0.005
MOST_MOVES = MOST_NAMES = 6
# A lift below this is none.
FLAT = 0.0005


def answer_sentences(run: RunData) -> list[str]:
    """All sentences, the most wanted first; plain text."""
    if not run.models:
        return [say("missing.selection")]
    return [
        media_sentence(run),
        *channel_sentences(run),
        *agreement_sentence(run),
        *(plan_sentence(run, scenario) for scenario in run.scenarios),
        *trust_sentences(run),
    ]


def model_sentences(run: RunData, view: ModelView) -> list[str]:
    """What one model says by itself: what paid media brought in, the best and the worst channel for the money."""
    alone = replace(run, models=(view,))
    sentences, values = [media_sentence(alone)], worth(run, view)
    if max(values) > 0:
        which = "best" if run.problem.n_paid > 1 else "only"
        sentences.append(_about_channel(alone, which, int(np.argmax(values))))
    if min(values) > 0 and run.problem.n_paid > 1:
        sentences.append(_about_channel(alone, "worst", int(np.argmin(values))))
    return sentences


# --------------------------------------------------------------------------------------------------------------- media


def media_sentence(run: RunData) -> str:
    """What paid media brought in, with its range over the selected models."""
    brought = [paid_contribution(run.problem, view) for view in run.models]
    shares = [value / view.total for value, view in zip(brought, run.models, strict=True)]
    start, end = run.window
    words = {
        "outcome": theme.printable(run.spec.outcome.column),
        "start": day(start),
        "end": day(end),
        "value": theme.total(brought[0]),
        "share": theme.percent(shares[0]),
        "spend": theme.total(float(run.problem.total_spend.sum())),
    }
    if len(run.models) == 1:
        return say("answer.media.one", **words)
    return say(
        "answer.media",
        **words,
        low=theme.total(min(brought)),
        high=theme.total(max(brought)),
        low_share=theme.percent(min(shares)),
        high_share=theme.percent(max(shares)),
        n=len(run.models),
        candidate=run.models[0].candidate,
    )


# ------------------------------------------------------------------------------------------------------------ channels


def worth(run: RunData, view: ModelView) -> list[float]:
    """(P,) what a unit of money brings: ROAS itself, 1 / CPA."""
    values = [float(value) for value in view.efficiencies]
    return values if run.metric == "roas" else [1 / value if value else math.inf for value in values]


def best_channel(run: RunData, view: ModelView) -> str:
    """The channel that brings most for its money in one model."""
    return run.problem.paid[int(np.argmax(worth(run, view)))]


def channel_sentences(run: RunData) -> list[str]:
    """Best and worst channel for the money, whether the models agree, and where the next unit would go."""
    best_model, values = run.models[0], worth(run, run.models[0])
    idle = [p for p, value in enumerate(values) if value == 0]
    sentences = []
    if len(idle) < len(values):
        which = "best" if run.problem.n_paid > 1 else "only"
        sentences.append(_about_channel(run, which, int(np.argmax(values))))
    if idle:
        sentences.append(_about_idle(run, idle))
    if run.problem.n_paid == 1:
        return sentences
    if not idle:
        sentences.append(_about_channel(run, "worst", int(np.argmin(values))))
        sentences += _overlap(run, best_model)
    if len(run.models) > 1 and len(idle) < len(values):
        sentences.append(_agreement(run))
    return sentences + _about_margins(best_model)


def _about_idle(run: RunData, idle: Sequence[int]) -> str:
    """Channels without effect in the best model; of a single one, how many models say so."""
    names = [theme.called(run.problem.paid[p]) for p in idle]
    if len(idle) == 1 and len(run.models) > 1:
        agree = sum(worth(run, view)[idle[0]] == 0 for view in run.models)
        return say("answer.none.seen", n=len(run.models), k=agree, channel=names[0])
    told = ", ".join(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        told = say("answer.none.more", channels=told, n=len(names) - MOST_NAMES)
    return say("answer.none", channels=told)


def _about_channel(run: RunData, which: str, p: int) -> str:
    channel, view = run.problem.paid[p], run.models[0]
    values = [float(model.efficiencies[p]) for model in run.models]
    bar = view.intervals.get(("sampling", run.metric, channel))
    spread = ""
    if len(values) > 1:
        spread = say("answer.range", low=theme.number(min(values)), high=theme.number(max(values)))
    return say(
        f"answer.{which}",
        channel=theme.called(channel),
        metric=say(run.metric),
        value=theme.number(values[0]),
        interval=interval_words(bar),
        range=spread,
    )


def interval_words(bar: Bar | None) -> str:
    """An interval in brackets, "" if there is none."""
    if bar is None or not bar.is_known:
        return ""
    level = theme.percent(bar.level, 0)
    return say("answer.interval", level=level, low=theme.number(bar.lower), high=theme.number(bar.upper))


def _overlap(run: RunData, view: ModelView) -> list[str]:
    """Whether best and worst are told apart by their sampling intervals; nothing without these."""
    values = worth(run, view)
    ends = [run.problem.paid[int(find(values))] for find in (np.argmax, np.argmin)]
    bars = [view.intervals.get(("sampling", run.metric, channel)) for channel in ends]
    known = [bar for bar in bars if bar is not None and bar.is_known]
    if len(known) < 2 or ends[0] == ends[1]:
        return []
    meet = max(bar.lower for bar in known) <= min(bar.upper for bar in known)
    return [say("answer.overlap" if meet else "answer.apart")]


def _agreement(run: RunData) -> str:
    named = [best_channel(run, view) for view in run.models]
    agree = sum(name == named[0] for name in named)
    if agree == len(named):
        return say("answer.agree.best", n=len(named))
    others = ", ".join(theme.called(name) for name in dict.fromkeys(named) if name != named[0])
    return say(
        "answer.disagree.best", agree=agree, n=len(named), channel=theme.called(named[0]), others=others
    )


def _about_margins(view: ModelView) -> list[str]:
    slopes = {channel: curve.marginal[curve.today] for channel, curve in view.responses.items()}
    known = {channel: float(slope) for channel, slope in slopes.items() if math.isfinite(slope)}
    if len(known) < 2:
        return []
    best, worst = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    return [
        say(
            "answer.marginal",
            best=theme.called(best),
            best_value=theme.number(known[best]),
            worst=theme.called(worst),
            worst_value=theme.number(known[worst]),
        )
    ]


# --------------------------------------------------------------------------------------------------------------- plans


def plan_sentence(run: RunData, view: ScenarioView) -> str:
    """What a scenario's shared plan would change and what it promises, or why there is none."""
    name, shared = theme.printable(view.name), view.shared
    if shared is None:
        return say("missing.plan", scenario=name)
    if not shared.is_answer:
        return say("answer.plan.none", scenario=name, message=outcome_of(view, shared))
    seen = [lift for lift in view.seen.values() if math.isfinite(lift)]
    views = ""
    if len(seen) > 1:
        views = say("answer.views", low=theme.signed_percent(min(seen)), high=theme.signed_percent(max(seen)))
    gained = shared.total("optimised_response") - shared.total("initial_response")
    return say(
        "answer.plan.flat" if abs(shared.lift) < FLAT else "answer.plan",
        scenario=name,
        moves=_moves(run, view),
        lift=theme.signed_percent(shared.lift),
        change=("+" if gained >= 0 else "") + theme.total(gained),
        outcome=theme.printable(run.spec.outcome.column),
        views=views,
    )


def _moves(run: RunData, view: ScenarioView) -> str:
    """How the spends change, the largest amounts first."""
    shared = view.shared
    assert shared is not None  # plan_sentence saw to it
    before, after = shared["initial_spend"], shared["optimised_spend"]
    moved = np.abs(after - before) > UNMOVED * np.maximum(before, after)
    if not moved.any():
        return say("answer.plan.still")
    order = [p for p in np.argsort(-np.abs(after - before), kind="stable") if moved[p]][:MOST_MOVES]
    changes = ", ".join(
        f"{theme.called(run.problem.paid[p])} "
        + (theme.signed_percent(after[p] / before[p] - 1, 0) if before[p] > 0 else say("plans.new"))
        for p in order
    )
    is_same = math.isclose(before.sum(), after.sum(), rel_tol=UNMOVED)
    return say(
        "answer.plan.same" if is_same else "answer.plan.more",
        spend=theme.total(float(before.sum())),
        planned=theme.total(float(after.sum())),
        n=shared.n_periods,
        many=say(f"{run.frequency}.many"),
        channels=changes,
    )


# --------------------------------------------------------------------------------------------------------------- trust


def trust_sentences(run: RunData) -> list[str]:
    """Whether the search has settled and what else to look at before acting."""
    sentences = []
    if run.convergence is not None and run.convergence.num_rows:
        verdicts = dict(zip(*(run.convergence[c].to_pylist() for c in ("loss", "is_converged")), strict=True))
        open_ones = [say(f"loss.{loss}") for loss, settled in verdicts.items() if not settled]
        sentences.append(
            say("answer.unconverged", losses=", ".join(open_ones)) if open_ones else say("answer.converged")
        )
    grave = count_grave(run.findings or ())
    if grave:
        sentences.append(say("answer.findings.one") if grave == 1 else say("answer.findings", n=grave))
    return sentences


def has_estimate_outside(run: RunData) -> bool:
    """Whether the best model has an estimate outside its sampling interval, which surprises those who see it."""
    return any(
        not bar.lower <= bar.estimate <= bar.upper
        for (kind, quantity, _), bar in run.models[0].intervals.items()
        if kind == "sampling" and quantity == run.metric and bar.is_known
    )


def count_grave(findings: Sequence[object]) -> int:
    """Findings above mere information."""
    return sum(isinstance(f, dict) and f.get("status") in ("warning", "problem") for f in findings)
