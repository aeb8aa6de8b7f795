"""The page: one self-contained HTML file, the answer first.

What is said and tabled stands in it as HTML, once in each language; what is drawn and played with is made by its script
from the numbers of ``payload``. Everything from the data is escaped or a text node, and the policy in the head of the
page lets no script run but the one written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from runner.reports import theme
from runner.reports.answers import answer_sentences, has_estimate_outside
from runner.reports.data import Bar, PlanView, RunData, ScenarioView
from runner.reports.figures.plans import change
from runner.reports.frame import asset, whole_page
from runner.reports.html import Markup, bullets, definitions, join, swatch, table, tag
from runner.reports.lift_studies import studies_section
from runner.reports.moved import moved_section
from runner.reports.payload import as_json, payload
from runner.reports.plan_page import asked_of, outcome_of
from runner.reports.tiles import tiles
from runner.reports.words import LANGUAGES, day, say, speaking, spoken

# In the order in which they use one another.
SCRIPTS = ("format.js", "svg.js", "search.js", "model.js", "desk.js", "page.js")


def page_html(run: RunData, tables: Sequence[str], pages: Sequence[str] = ()) -> str:
    """The whole page, which opens in the language that is spoken here.

    Args:
        run: what it is about. tables: names of the CSV files. pages: files of one-pagers, beside the page.
    """
    sections: dict[str, Markup] = {
        "answer": join([_said(lambda: _answer(run)), tag("div", id="overview")]),
        "findings": _said(lambda: _findings(run)),
        **({"moved": _said(lambda: moved_section(run))} if run.spec.refresh is not None else {}),
        "desk": Markup(),
        "plans": _said(lambda: _plans(run)),
        "search": Markup(),
        "models": Markup(),
        **({"studies": _said(lambda: studies_section(run))} if run.spec.calibration is not None else {}),
        "provenance": _said(lambda: _provenance(run, tables, pages)),
    }
    links = (tag("li", tag("a", say(f"nav.{s}"), href=f"#{s}", data_say=f"nav.{s}")) for s in sections)
    body = join(
        [
            tag("header", _switch(), _said(lambda: _head(run)), class_="top"),
            tag("nav", tag("ul", *links), aria_label=say("page.title", experiment=run.spec.name)),
            tag("noscript", tag("p", say("page.noscript"), class_="missing")),
            tag("main", *(tag("section", content, id=name) for name, content in sections.items())),
            tag("footer", _said(lambda: join([say("provenance.lead")]))),
        ]
    )
    return _filled(run, body)


def _filled(run: RunData, body: Markup) -> str:
    script = "\n".join(asset(name) for name in SCRIPTS)
    # A scope of its own: nothing of the page's words or numbers becomes a name of the window, but for what it says.
    script = f'(() => {{\n"use strict";\n{script}}})();\n'
    return whole_page(
        say("page.title", experiment=run.spec.name),
        body,
        language=spoken(),
        script=script,
        data=as_json(payload(run, spoken())),
    )


def _said(make: Callable[[], Markup]) -> Markup:
    """Content in every language; the one that is spoken here is shown, the script shows another."""
    opened, parts = spoken(), []
    for language in LANGUAGES:
        with speaking(language):
            hidden = {} if language == opened else {"hidden": ""}
            parts.append(tag("div", make(), lang=language, data_language=language, **hidden))
    return join(parts)


def _switch() -> Markup:
    """The choice of the language; the script fills it."""
    label = tag("label", say("page.language"), for_="language", data_say="page.language")
    return tag("div", label, " ", tag("select", id="language"), class_="switch")


def _missing(key: str, **values: object) -> Markup:
    return tag("p", say(f"missing.{key}", **values), class_="missing")


def _head(run: RunData) -> Markup:
    manifest, (start, end) = run.manifest, run.window
    lead = say(
        "page.lead",
        run=run.folder.run_id,
        created=_moment(str(manifest.get("created", say("nothing")))),
        version=manifest.get("versions", {}).get("mmm-runner", say("nothing")),
        periods=run.problem.n_window,
        many=say(f"{run.frequency}.many"),
        start=day(start),
        end=day(end),
    )
    parts = [tag("h1", say("page.title", experiment=run.spec.name)), tag("p", lead, class_="lead")]
    if manifest.get("status") == "failed":
        parts.append(tag("p", say("page.lead.unfinished"), class_="missing"))
    return join(parts)


def _moment(created: str) -> str:
    """2024-03-09T14:54:03+00:00 as a day and a time."""
    date, _, time = created.partition("T")
    return f"{day(date)} {time[:5]} UTC" if time.endswith("+00:00") else created


# -------------------------------------------------------------------------------------------------------------- answer


def _answer(run: RunData) -> Markup:
    glance = [tiles(run)] if run.models else []
    said = tag("div", bullets(answer_sentences(run)), class_="answer")
    parts = [tag("h2", say("answer.title")), *glance, said]
    if run.models:
        caution = [say("answer.caution"), *([say("answer.outside")] if has_estimate_outside(run) else [])]
        parts.append(tag("p", " ".join(caution), class_="note"))
        parts.append(_channel_table(run))
        if not run.has_intervals:
            parts.append(_missing(run.no_interval))
    return join(parts)


def _channel_table(run: RunData) -> Markup:
    best, first = run.models[0], run.problem.first_media
    metric = say(run.metric)
    heads = [
        say("head.channel"),
        say("head.spend"),
        say("head.spend_share"),
        say("head.contribution"),
        say("head.effect_share"),
        metric,
        say("head.interval"),
        say("head.range"),
        say(f"m{run.metric}"),
    ]
    rows = []
    for p, channel in enumerate(run.problem.paid):
        bar = best.intervals.get(("sampling", run.metric, channel))
        over = [float(view.efficiencies[p]) for view in run.models]
        curve = best.responses.get(channel)
        rows.append(
            [
                _named(run, channel),
                theme.amount(float(run.problem.total_spend[p])),
                theme.percent(float(run.problem.spend_share[p])),
                theme.amount(float(best.contributions[first + p])),
                theme.percent(float(best.effect_shares[p])),
                theme.number(over[0]),
                _range(bar),
                f"{theme.number(min(over))} – {theme.number(max(over))}" if len(over) > 1 else say("nothing"),
                theme.number(float(curve.marginal[curve.today])) if curve else say("nothing"),
            ]
        )
    return table(heads, rows, caption=say("answer.channels", candidate=best.candidate))


def _named(run: RunData, channel: str) -> Markup:
    """A channel with its colour; the whole of a long name is told where one points."""
    whole, told = theme.printable(channel), theme.called(channel)
    return join([swatch(run.colours[channel]), told if told == whole else tag("span", told, title=whole)])


def _range(bar: Bar | None) -> str:
    if bar is None or not bar.is_known:
        return say("nothing")
    return f"{theme.number(bar.lower)} – {theme.number(bar.upper)}"


# ------------------------------------------------------------------------------------------------------------ findings


def _findings(run: RunData) -> Markup:
    title = join([tag("h2", say("findings.title")), tag("p", _health(run), class_="lead")])
    if run.findings is None:
        return join([title, _missing("findings")])
    if not run.findings:
        return join([title, tag("p", say("findings.none"))])
    order = ("problem", "warning", "info")
    found = sorted(run.findings, key=lambda f: order.index(f["status"]))
    note = [] if spoken() == "en" else [tag("p", say("findings.language"), class_="note")]
    return join([title, *note, tag("ul", *map(_finding, found), class_="findings")])


def _health(run: RunData) -> str:
    """What the data are."""
    problem, (start, end) = run.problem, run.window
    return say(
        "findings.health",
        periods=problem.n_window,
        many=say(f"{run.frequency}.many"),
        start=day(start),
        end=day(end),
        rows=problem.n_periods,
        paid=problem.n_paid,
        organic=len(problem.media) - problem.n_paid,
        others=problem.first_media,
    )


def _finding(finding: Mapping[str, Any]) -> Markup:
    status = str(finding["status"])
    words = tag("strong", say(f"finding.{status}"))
    details = str(finding["details"]).rstrip()
    stop = "" if details.endswith((".", "!", "?")) else "."
    told = tag("span", f"{details}{stop} {finding['recommendation']}".rstrip(), lang="en")
    return tag("li", words, ": ", told, " ", tag("code", finding["case"]), class_=status)


# --------------------------------------------------------------------------------------------------------------- plans


def _plans(run: RunData) -> Markup:
    title = tag("h2", say("plans.title"))
    if not run.scenarios:
        return join([title, tag("p", say("plans.none"))])
    return join([title, *(_plan(run, view) for view in run.scenarios)])


def _plan(run: RunData, view: ScenarioView) -> Markup:
    heading = tag("h3", say("plan.title", scenario=view.name))
    if view.shared is None:
        return tag("article", heading, _missing("plan", scenario=view.name))
    asked = tag("p", " · ".join(asked_of(run, view, view.shared)), class_="lead")
    kind = "good" if view.shared.status == "solved" else "bad"
    parts = [heading, asked, tag("p", outcome_of(view, view.shared), class_=kind)]
    if view.shared.is_answer:
        parts.append(_plan_table(run, view.shared))
    if view.notes:
        parts.append(bullets(view.notes))
    return tag("article", *parts)


def _plan_table(run: RunData, plan: PlanView) -> Markup:
    heads = ["channel", "today", "planned", "change", "bounds", "response_today", "response_planned"]
    heads += ["marginal_today", "marginal_planned"]
    rows: list[list[object]] = []
    for p, channel in enumerate(run.problem.paid):
        before, after = plan["initial_spend"][p], plan["optimised_spend"][p]
        bounds = (theme.number(float(plan[f"{end}_spend"][p])) for end in ("lower", "upper"))
        numbers = ("initial_response", "optimised_response")
        rows.append(
            [
                _named(run, channel),
                theme.amount(before),
                theme.amount(after),
                change(before, after),
                " – ".join(bounds),
                *(theme.amount(float(plan[name][p])) for name in numbers),
                *(theme.number(float(plan[f"{when}_marginal"][p])) for when in ("initial", "optimised")),
            ]
        )
    spends = [plan.total(f"{when}_spend") for when in ("initial", "optimised")]
    responses = [theme.amount(plan.total(f"{when}_response")) for when in ("initial", "optimised")]
    rows.append([say("plans.total"), *map(theme.amount, spends), change(*spends), "", *responses, "", ""])
    return table([say(f"head.{head}") for head in heads], rows, caption=say("plans.shared"))


# ---------------------------------------------------------------------------------------------------------- provenance


def _provenance(run: RunData, tables: Sequence[str], pages: Sequence[str]) -> Markup:
    manifest = run.manifest
    machine = ", ".join(f"{key} {value}" for key, value in manifest.get("machine", {}).items())
    keys = ("status", "created", "spec_digest", "data_digest", "problem_digest", "seed")
    pairs: list[tuple[object, object]] = [(say("provenance.run"), run.folder.run_id)]
    pairs += [(say(f"provenance.{key}"), manifest.get(key, say("nothing"))) for key in keys]
    versions = list(manifest.get("versions", {}).items())
    left = tag("div", tag("h3", say("provenance.stages")), *_stages(run))
    version_table = table([say("head.package"), say("head.version")], versions, left=2)
    right = tag("div", tag("h3", say("provenance.versions")), version_table)
    parts = [
        tag("h2", say("provenance.title")),
        definitions([*pairs, (say("provenance.machine"), machine)]),
        tag("div", left, right, class_="columns"),
        tag("h3", say("provenance.tables")),
        table([say("head.file"), say("head.holds")], [_table_row(run, name) for name in tables], left=2),
    ]
    if pages:
        parts += [
            tag("h3", say("provenance.pages")),
            bullets([tag("a", name, href=quote(name)) for name in pages]),
        ]
    return join(parts)


def _stages(run: RunData) -> list[Markup]:
    seconds = (run.timings or {}).get("stages", {})
    stages = run.manifest.get("stages", {})
    rows = [
        [
            name,
            ": ".join(str(v) for v in (stage.get("status"), stage.get("message")) if v),
            f"{seconds[name]:.1f}" if name in seconds else say("nothing"),
        ]
        for name, stage in stages.items()
        if name != "report"  # it is still at work while it writes this
    ]
    heads = [say("head.stage"), say("provenance.status"), say("head.seconds")]
    missing = [] if run.timings is not None else [_missing("timings")]
    return [table(heads, rows, left=2), *missing]


def _table_row(run: RunData, name: str) -> list[object]:
    file = f"{name}.csv"
    return [tag("a", file, href=f"../tables/{file}"), say(f"table.{name}", metric=say(run.metric))]
