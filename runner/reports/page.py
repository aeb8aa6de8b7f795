"""The page: one self-contained HTML file, the answer first, everything from the data escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote

from runner.reports import theme
from runner.reports.answers import answer_sentences, has_estimate_outside
from runner.reports.data import Bar, ModelView, PlanView, RunData, ScenarioView
from runner.reports.figures.plans import change
from runner.reports.html import Markup, bullets, data_uri, definitions, figure, join, swatch, table, tag
from runner.reports.lift_studies import studies_section
from runner.reports.moved import moved_section
from runner.reports.pictures import Pictures, model_file, plan_file
from runner.reports.plan_page import asked_of, outcome_of
from runner.reports.words import say

# Pictures are put into the page up to this many bytes (a third more as text), so that it stays below 8 MB; the others
# are taken from the files beside it.
EMBEDDED_BYTES = 5_500_000


def page_html(run: RunData, pictures: Pictures, tables: Sequence[str]) -> str:
    """The whole page.

    Args:
        run: what it is about. pictures: drawn before. tables: names of the CSV files beside it.
    """
    embedder = _Embedder()
    sections = {
        "answer": _answer(run, pictures, embedder),
        "findings": _findings(run),
        **({"moved": moved_section(run)} if run.spec.refresh is not None else {}),
        "search": _search(run, pictures, embedder),
        "models": _models(run, pictures, embedder),
        **({"studies": studies_section(run)} if run.spec.calibration is not None else {}),
        "plans": _plans(run, pictures, embedder),
        "provenance": _provenance(run, tables),
    }
    body = join(
        [
            _head(run),
            tag("nav", tag("ul", *(tag("li", tag("a", say(f"nav.{s}"), href=f"#{s}")) for s in sections))),
            tag("main", *(tag("section", content, id=name) for name, content in sections.items())),
            tag("footer", say("provenance.lead")),
        ]
    )
    folder = files("runner.reports.templates")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    page = Template(folder.joinpath("page.html").read_text(encoding="utf-8"))
    title = tag("title", say("page.title", experiment=run.spec.name))
    return page.substitute(title=title, style=style, body=body)


class _Embedder:
    """Puts pictures into the page until there are enough bytes in it."""

    def __init__(self) -> None:
        self._left = EMBEDDED_BYTES

    def source(self, png: bytes, file: str = "") -> str:
        """Where the page finds a picture: in itself, or in a file beside it."""
        if file and len(png) > self._left:
            return quote(file)
        self._left -= len(png)
        return data_uri(png)


def _missing(key: str, **values: object) -> Markup:
    return tag("p", say(f"missing.{key}", **values), class_="missing")


def _head(run: RunData) -> Markup:
    manifest, (start, end) = run.manifest, run.window
    lead = say(
        "page.lead",
        run=run.folder.run_id,
        created=manifest.get("created", say("nothing")),
        version=manifest.get("versions", {}).get("mmm-runner", say("nothing")),
        periods=run.problem.n_window,
        many=say(f"{run.frequency}.many"),
        start=start,
        end=end,
    )
    parts = [tag("h1", say("page.title", experiment=run.spec.name)), tag("p", lead, class_="lead")]
    if manifest.get("status") == "failed":
        parts.append(tag("p", say("page.lead.unfinished"), class_="missing"))
    return tag("header", *parts, class_="top")


# -------------------------------------------------------------------------------------------------------------- answer


def _answer(run: RunData, pictures: Pictures, embedder: _Embedder) -> Markup:
    parts = [tag("h2", say("answer.title")), tag("div", bullets(answer_sentences(run)), class_="answer")]
    if run.models:
        caution = [say("answer.caution"), *([say("answer.outside")] if has_estimate_outside(run) else [])]
        parts.append(tag("p", " ".join(caution), class_="note"))
        parts.append(_channel_table(run))
        if not run.has_intervals:
            parts.append(_missing(run.no_interval))
    if pictures.efficiency is not None:
        key = "answer.overview" if run.has_intervals else "answer.overview.none"
        caption = say(key, metric=say(run.metric), level=theme.percent(run.spec.bootstrap.level, 0))
        parts.append(figure(embedder.source(pictures.efficiency), caption, caption))
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
    return join([swatch(run.colours[channel]), theme.printable(channel)])


def _range(bar: Bar | None) -> str:
    if bar is None or not bar.is_known:
        return say("nothing")
    return f"{theme.number(bar.lower)} – {theme.number(bar.upper)}"


# ------------------------------------------------------------------------------------------------------------ findings


def _findings(run: RunData) -> Markup:
    title = tag("h2", say("findings.title"))
    if run.findings is None:
        return join([title, _missing("findings")])
    if not run.findings:
        return join([title, tag("p", say("findings.none"))])
    order = ("problem", "warning", "info")
    found = sorted(run.findings, key=lambda f: order.index(f["status"]))
    return join([title, tag("ul", *map(_finding, found), class_="findings")])


def _finding(finding: Mapping[str, Any]) -> Markup:
    status = str(finding["status"])
    words = tag("strong", say(f"finding.{status}"))
    details = str(finding["details"]).rstrip()
    stop = "" if details.endswith((".", "!", "?")) else "."
    told = f": {details}{stop} {finding['recommendation']}".rstrip() + " "
    return tag("li", words, told, tag("code", finding["case"]), class_=status)


# -------------------------------------------------------------------------------------------------------------- search


def _search(run: RunData, pictures: Pictures, embedder: _Embedder) -> Markup:
    kept = 0 if run.pareto is None else run.pareto.num_rows
    counts = {"n": f"{pictures.n_candidates:,}", "trials": run.spec.search.trials, "kept": kept}
    parts = [
        tag("h2", say("search.title")),
        tag("p", say("search.lead", **counts, selected=len(run.models)), class_="lead"),
        tag("h3", say("convergence.title")),
        *_convergence(run, pictures, embedder),
        tag("h3", say("pareto.title")),
    ]
    if pictures.cloud is not None:
        caption = say("pareto.caption", hidden=f"{pictures.n_hidden:,}")
        parts.append(figure(embedder.source(pictures.cloud), caption, caption))
    if run.pareto is None:
        parts.append(_missing("pareto"))
    parts += [tag("h3", say("clusters.title")), *_clusters(run)]
    return join(parts)


def _convergence(run: RunData, pictures: Pictures, embedder: _Embedder) -> list[Markup]:
    if run.convergence is not None and run.convergence.num_rows == 0:
        return [_missing("search")]
    if run.convergence is None or pictures.convergence is None:
        return [_missing("convergence")]
    last = {row["loss"]: row for row in run.convergence.to_pylist()}
    heads = ("loss", "verdict", "last_median", "median_wanted", "last_sd", "sd_wanted")
    rows = []
    for loss, row in last.items():
        word = ("yes", "good") if row["is_converged"] else ("no", "bad")
        verdict = tag("span", say(f"verdict.{word[0]}"), class_=word[1])
        numbers = (row[key] for key in ("last_median", "median_threshold", "last_sd", "first_sd_mean"))
        rows.append([say(f"loss.{loss}"), verdict, *(theme.number(value) for value in numbers)])
    caption = say("convergence.caption")
    return [
        table([say(f"head.{head}") for head in heads], rows, left=2, caption=caption),
        figure(embedder.source(pictures.convergence), caption, say("convergence.median")),
    ]


def _clusters(run: RunData) -> list[Markup]:
    if run.clusters is None:
        return [_missing("clusters")]
    rows = [row for row in run.clusters.to_pylist() if row["is_selected"]]
    rows.sort(key=lambda row: (row["cluster"], row["error_score"]))
    heads = ("cluster", "winner", "size", "error_score", "distance")
    cells = [
        [
            row["cluster"],
            tag("a", row["candidate"], href=f"#model-{quote(row['candidate'])}"),
            row["size"],
            f"{row['error_score']:.4f}",
            f"{row['distance']:.3f}",
        ]
        for row in rows
    ]
    return [table([say(f"head.{head}") for head in heads], cells, left=2, caption=say("clusters.lead"))]


# -------------------------------------------------------------------------------------------------------------- models


def _models(run: RunData, pictures: Pictures, embedder: _Embedder) -> Markup:
    title = tag("h2", say("models.title"))
    if not run.models:
        return join([title, _missing("selection")])
    metric = say(run.metric)
    parts = [
        title,
        tag("p", say("models.lead", metric=metric), class_="lead"),
        _loss_table(run),
        _efficiency_table(run),
    ]
    if not run.has_intervals:
        parts.append(_missing(run.no_interval))
    if run.names.numbered:
        names = ", ".join(f"#{number} = {name}" for number, name in run.names.numbered.items())
        parts.append(tag("p", say("models.numbers", names=names), class_="note"))
    for view in run.models:
        file, png = model_file(view.candidate), pictures.models[view.candidate]
        caption = [say("models.caption", candidate=view.candidate), " ", tag("a", file, href=quote(file))]
        alt = say("models.alt", candidate=view.candidate, metric=metric)
        shown = figure(embedder.source(png, file), alt, join(caption), wide=True)
        heading = tag("h3", say("model.title", candidate=view.candidate))
        parts.append(tag("article", heading, shown, id=f"model-{view.candidate}"))
    return join(parts)


def _loss_table(run: RunData) -> Markup:
    names = ["nrmse_train", "nrmse_val", "nrmse_test", "rsq_train", "decomp_rssd"]
    if any(view.losses["mape"] > 0 for view in run.models):
        names.append("mape")
    heads = ["model", "cluster", "error_score", *names]
    rows = [
        [
            tag("a", view.candidate, href=f"#model-{quote(view.candidate)}"),
            view.cluster,
            f"{view.error_score:.4f}",
            *(_loss(view, name) for name in names),
        ]
        for view in run.models
    ]
    return table([say(f"head.{head}") for head in heads], rows, caption=say("models.title"), best=0)


def _loss(view: ModelView, name: str) -> str:
    value = view.losses[name]
    return f"{value:.4f}".replace("-", "−") if math.isfinite(value) else say("nothing")


def _efficiency_table(run: RunData) -> Markup:
    """A row a channel, a column a model: readable with many channels."""
    heads = [say("head.channel"), *(view.candidate for view in run.models)]
    rows = [
        [_named(run, channel), *(_with_interval(run, view, p) for view in run.models)]
        for p, channel in enumerate(run.problem.paid)
    ]
    return table(heads, rows, caption=say("overview.axis", metric=say(run.metric)))


def _with_interval(run: RunData, view: ModelView, p: int) -> Markup:
    bar = view.intervals.get(("sampling", run.metric, run.problem.paid[p]))
    value = theme.number(float(view.efficiencies[p]))
    if bar is None or not bar.is_known:
        return join([value])
    return join([value, " ", tag("small", f"[{_range(bar)}]")])


# --------------------------------------------------------------------------------------------------------------- plans


def _plans(run: RunData, pictures: Pictures, embedder: _Embedder) -> Markup:
    title = tag("h2", say("plans.title"))
    if not run.scenarios:
        return join([title, tag("p", say("plans.none"))])
    return join([title, *(_plan(run, view, pictures, embedder) for view in run.scenarios)])


def _plan(run: RunData, view: ScenarioView, pictures: Pictures, embedder: _Embedder) -> Markup:
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
    file, png = plan_file(view.name), pictures.plans[view.name]
    caption = [say("plans.caption", scenario=view.name), " ", tag("a", file, href=quote(file))]
    shown = figure(embedder.source(png, file), say("plans.alt", scenario=view.name), join(caption), wide=True)
    return tag("article", *parts, shown)


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


def _provenance(run: RunData, tables: Sequence[str]) -> Markup:
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
