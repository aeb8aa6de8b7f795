"""What the page of a run in MLflow begins with: a few lines of Markdown, so that nobody has to know where to look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.reports.theme import number, percent, signed_percent
from runner.run_folder import RunFolder
from runner.spec import ExperimentSpec

# MLflow's name for the description of a run or an experiment.
NOTE = "mlflow.note.content"
# Of models, findings and plans a note names so many; the report has them all.
NAMED = 10

EXPERIMENT_NOTE = (
    "Marketing mix models. One run for each `mmm run`; below it (the plus sign) one for each trial, with the history "
    "of every candidate, one for each selected model, and the other candidates of the kept fronts.\n\n"
    '- Good models: search `tags.selected = "true"` and sort by `nrmse` or `decomp_rssd`.\n'
    '- Runs side by side: search `tags.mmm.kind = "run"`, tick them, *Compare*.\n'
)


def run_note(folder: RunFolder, spec: ExperimentSpec, summary: Mapping[str, Any]) -> str:
    """Of a whole run: its models and plans, what was noticed, where the report is. Empty while there are no results."""
    if "selected" not in summary:
        return ""
    trials = f"{spec.search.trials} trial{'s' if spec.search.trials > 1 else ''}"
    parts = [f"**{summary['candidates']:,} candidates** in {trials}, window {_window(spec)}."]
    parts += _models(summary["selected"], spec)
    parts += _plans(summary.get("plans", {}))
    parts += _findings(folder)
    parts.append(
        "The whole report: artifact `report/index.html`. The chosen models: runs with the tag `selected`."
    )
    return "\n\n".join(parts)


def trial_note(name: str, n: int) -> str:
    """Of a trial: what its charts are."""
    return (
        f"The search {name} on its own: the charts show every one of its {n:,} candidates by iteration, losses, effect "
        "shares and efficiency by channel. The columns of all candidates are in the table "
        f"`candidates/{name}.parquet` of the run above."
    )


def model_note(record: Mapping[str, Any]) -> str:
    """Of a selected model: each paid channel with what it brought."""
    paid = [channel for channel in record["channels"] if channel["kind"] == "paid"]
    metric = "roas" if paid and "roas" in paid[0] else "cpa"
    rows = [
        (
            channel["name"],
            f"{channel['spend']:,.0f}",
            f"{channel['contribution']:,.0f}",
            number(channel.get(metric)),
            _interval(channel),
            percent(channel.get("effect_share")),
            percent(channel.get("spend_share")),
        )
        for channel in paid
    ]
    head = ("channel", "spend", "contribution", metric.upper(), "interval", "effect share", "spend share")
    losses = record["losses"]
    fit = f"nrmse {number(losses['nrmse'])}, decomp_rssd {number(losses['decomp_rssd'])}"
    return "\n\n".join(
        [
            f"**Selected model {record['candidate']}**, the best of cluster {record['cluster']}: {fit}.",
            _table(head, rows),
            "The model itself is under *Models*: load it with `mlflow.pyfunc.load_model`, register it, serve it.",
        ]
    )


def _window(spec: ExperimentSpec) -> str:
    return f"{spec.window.start or 'first row'} to {spec.window.end or 'last row'}"


def _models(selected: Sequence[Mapping[str, Any]], spec: ExperimentSpec) -> Iterator[str]:
    metric = spec.outcome.kind.efficiency
    channels = [channel.name for channel in spec.channels][:NAMED]
    head = ("model", "cluster", "nrmse", "decomp_rssd", *(f"{metric} {name}" for name in channels))
    rows = [
        (
            one["candidate"],
            str(one["cluster"]),
            number(one.get("nrmse")),
            number(one.get("decomp_rssd")),
            *(number(one.get(metric, {}).get(name)) for name in channels),
        )
        for one in selected[:NAMED]
    ]
    yield _table(head, rows)


def _plans(plans: Mapping[str, Any]) -> Iterator[str]:
    lines = []
    for name, plan in list(plans.items())[:NAMED]:
        lift = plan["ensemble"].get("lift")
        lines.append(f"- Plan {name}: " + ("no plan" if lift is None else f"response {signed_percent(lift)}"))
    if lines:
        yield "\n".join(lines)


def _findings(folder: RunFolder) -> Iterator[str]:
    if not (folder.path / "findings.json").is_file():
        return
    found = [one for one in folder.json("findings") if one["status"] != "info"]
    if found:
        yield "\n".join(f"- **{one['case']}**: {one['details']}" for one in found[:NAMED])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _interval(channel: Mapping[str, Any]) -> str:
    ends = [channel.get("lower"), channel.get("upper")]
    return "–" if None in ends else " to ".join(number(end) for end in ends)
