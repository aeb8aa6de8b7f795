"""The answer at a glance: a few large numbers above the sentences, each with its range or interval."""

from __future__ import annotations

import math

import numpy as np

from mmm_core.allocator import efficiency
from runner.reports import theme
from runner.reports.answers import worth
from runner.reports.data import RunData, ScenarioView, paid_contribution
from runner.reports.html import Markup, swatch, tag
from runner.reports.words import say


def tiles(run: RunData) -> Markup:
    """The row of tiles; of a run without models there is none."""
    found = [_media(run), _efficiency(run)]
    values = worth(run, run.models[0])
    if run.problem.n_paid > 1 and max(values) > 0:
        found += [
            _channel(run, "best", int(np.argmax(values))),
            _channel(run, "worst", int(np.argmin(values))),
        ]
    answers = [view for view in run.scenarios if view.shared is not None and view.shared.is_answer]
    found += [_plan(view) for view in answers[:1] if math.isfinite(_lift(view))]
    return tag("div", *found, class_="tiles")


def _tile(what: object, value: object, *under: object) -> Markup:
    lines = (tag("span", line, class_="between") for line in under if line)
    return tag(
        "div", tag("span", what, class_="what"), tag("span", value, class_="value"), *lines, class_="big"
    )


def _range(values: list[float], how: theme.Writer) -> str:
    """Over the models, where there are several."""
    return say("tile.models", range=f"{how(min(values))} – {how(max(values))}") if len(values) > 1 else ""


def _media(run: RunData) -> Markup:
    brought = [paid_contribution(run.problem, view) for view in run.models]
    share = theme.percent(brought[0] / run.models[0].total)
    under = say("tile.media.under", share=share, outcome=theme.printable(run.spec.outcome.column))
    return _tile(say("tile.media"), theme.total(brought[0]), under, _range(brought, theme.total))


def _efficiency(run: RunData) -> Markup:
    spend = float(run.problem.total_spend.sum())
    kind = run.problem.outcome_kind
    values = [float(efficiency(kind, spend, paid_contribution(run.problem, view))) for view in run.models]
    what = say("tile.efficiency", metric=say(run.metric))
    return _tile(what, theme.number(values[0]), _range(values, theme.number))


def _channel(run: RunData, which: str, p: int) -> Markup:
    channel, view = run.problem.paid[p], run.models[0]
    bar = view.intervals.get(("sampling", run.metric, channel))
    told = f"{say(run.metric)} {theme.number(float(view.efficiencies[p]))}"
    if bar is not None and bar.is_known:
        told += f" ({theme.number(bar.lower)} – {theme.number(bar.upper)})"
    what = tag("span", swatch(run.colours[channel]), theme.elide(theme.printable(channel), 30))
    over = [float(model.efficiencies[p]) for model in run.models]
    return _tile(say(f"tile.{which}"), what, told, _range(over, theme.number))


def _lift(view: ScenarioView) -> float:
    assert view.shared is not None  # tiles saw to it
    return view.shared.lift


def _plan(view: ScenarioView) -> Markup:
    seen = [lift for lift in view.seen.values() if math.isfinite(lift)]
    what = say("tile.plan", scenario=theme.elide(theme.printable(view.name), 40))
    return _tile(
        what, theme.signed_percent(_lift(view)), say("tile.plan.under"), _range(seen, theme.signed_percent)
    )
