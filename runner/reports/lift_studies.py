"""Lift studies on the page: what each found, what each selected model predicts for it, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.reports import theme
from runner.reports.data import ModelView, RunData
from runner.reports.html import Markup, join, table, tag
from runner.reports.words import day, say

# Rows of a study that a model was trained on.
ALL, SOME, NONE = "all", "some", "none"


@dataclass(frozen=True)
class StudyView:
    """One study and what the selected models say of it, best model first.

    Attributes:
        number: from 1, its place in the table. weight: its share in the calibration error.
        predicted, is_inside, trained: by candidate; ``is_inside`` is None where the study has no interval.
    """

    number: int
    channel: str
    scope: str
    start: str
    end: str
    estimate: float
    lower: float
    upper: float
    weight: float
    source: str
    predicted: Mapping[str, float]
    is_inside: Mapping[str, bool | None]
    trained: Mapping[str, str]

    @property
    def has_interval(self) -> bool:
        """Whether one can say that a model agrees."""
        return not math.isnan(self.lower)

    @property
    def days(self) -> int:
        """Its length, first and last day counted."""
        return int((np.datetime64(self.end) - np.datetime64(self.start)).astype(int)) + 1


def study_views(run: RunData) -> tuple[StudyView, ...]:
    """The studies of a run in the order of their table; none if it was not calibrated or did not get that far."""
    if run.calibration is None or run.problem.studies is None:
        return ()
    rows: dict[int, list[Mapping[str, Any]]] = {}
    for row in run.calibration.to_pylist():
        rows.setdefault(row["study"], []).append(row)
    return tuple(_view(run, number, own) for number, own in sorted(rows.items()))


def _view(run: RunData, number: int, rows: Sequence[Mapping[str, Any]]) -> StudyView:
    first = rows[0]
    models = {view.candidate: view for view in run.models}
    known = {row["candidate"]: row for row in rows if row["candidate"] in models}
    return StudyView(
        number=number,
        channel=theme.printable(first["channel"]),
        scope=first["scope"],
        start=str(first["start"]),
        end=str(first["end"]),
        estimate=first["estimate"],
        lower=_number(first["lower"]),
        upper=_number(first["upper"]),
        weight=first["weight"],
        source=theme.printable(first["source"]) if first["source"] else "",
        predicted={c: row["predicted"] for c, row in known.items()},
        is_inside={c: row["is_inside"] for c, row in known.items()},
        trained={c: _trained(run, models[c], number - 1) for c in known},
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _trained(run: RunData, view: ModelView, s: int) -> str:
    """How many rows of a study are among those that a model was trained on: the first ones of the window."""
    studies = run.problem.studies
    assert studies is not None  # study_views saw to it
    end = run.problem.start + view.n_train
    if studies.stop[s] <= end:
        return ALL
    return NONE if studies.first[s] >= end else SOME


# ----------------------------------------------------------------------------------------------------------- in a word


def agreement_sentence(run: RunData) -> list[str]:
    """Whether the best model agrees with the studies; nothing where there are none."""
    studies = study_views(run)
    if not studies or not run.models:
        return []
    best = run.models[0].candidate
    judged = [study for study in studies if study.has_interval]
    if not judged:
        errors = [abs(s.predicted[best] - s.estimate) / abs(s.estimate) for s in studies]
        error = theme.percent(float(np.average(errors, weights=[s.weight for s in studies])), 0)
        return [say("answer.studies.error", n=len(studies), candidate=best, error=error)]
    against = [study for study in judged if not study.is_inside[best]]
    words = {"candidate": best, "n": len(judged), "k": len(judged) - len(against)}
    if not against:
        return [say("answer.studies.one" if len(judged) == 1 else "answer.studies.all", **words)]
    names = ", ".join(
        say("answer.studies.miss", channel=s.channel, predicted=theme.total(s.predicted[best]),
            estimate=theme.total(s.estimate))
        for s in against
    )  # fmt: skip
    return [say("answer.studies.some", **words, studies=names)]


# ------------------------------------------------------------------------------------------------------------- section


def studies_section(run: RunData) -> Markup:
    """The studies and the models' predictions as tables."""
    studies = study_views(run)
    title = tag("h2", say("studies.title"))
    if not studies:
        return join([title, tag("p", say("missing.calibration"), class_="missing")])
    assert run.problem.studies is not None  # there are views
    lead = say("studies.lead", convention=say(f"studies.convention.{run.problem.studies.convention}"))
    told = " ".join(agreement_sentence(run))
    is_weighed = len({study.weight for study in studies}) > 1
    notes = [*([say("studies.weights")] if is_weighed else []), *_unseen(studies)]
    return join(
        [
            title,
            tag("p", told, class_="answer"),
            tag("p", lead, class_="lead"),
            _study_table(studies),
            _prediction_table(run, studies),
            *(tag("p", note, class_="note") for note in notes),
        ]
    )


def _study_table(studies: Sequence[StudyView]) -> Markup:
    heads = ["study", "channel", "days", "scope", "found", "interval", "weight", "source"]
    rows = [
        [
            study.number,
            study.channel,
            say("studies.days", start=day(study.start), end=day(study.end), n=study.days),
            say(f"studies.scope.{study.scope}"),
            theme.amount(study.estimate),
            _interval(study),
            theme.percent(study.weight),
            study.source or say("nothing"),
        ]
        for study in studies
    ]
    return table(
        [say(f"studies.head.{head}") for head in heads], rows, left=4, caption=say("studies.caption")
    )


def _interval(study: StudyView) -> str:
    if not study.has_interval:
        return say("nothing")
    return f"{theme.number(study.lower)} – {theme.number(study.upper)}"


def _prediction_table(run: RunData, studies: Sequence[StudyView]) -> Markup:
    """A row a study, a column a model, as for ROAS."""
    candidates = [view.candidate for view in run.models]
    heads = [say("studies.head.study"), say("studies.head.found"), *candidates]
    rows = [
        [f"{study.number} {study.channel}", theme.amount(study.estimate)]
        + [_prediction(study, candidate) for candidate in candidates]
        for study in studies
    ]
    return table(heads, rows, caption=say("studies.predictions"))


def _prediction(study: StudyView, candidate: str) -> Markup:
    if candidate not in study.predicted:
        return join([say("nothing")])
    value, inside = theme.amount(study.predicted[candidate]), study.is_inside[candidate]
    marks = [say("studies.untrained")] if study.trained[candidate] == NONE else []
    if inside is None:
        shown: object = value
    else:
        shown = tag("span", value, class_="good" if inside else "bad")
        marks.insert(0, say("studies.inside" if inside else "studies.outside"))
    return join([shown, *([" ", tag("small", ", ".join(marks))] if marks else [])])


def _unseen(studies: Sequence[StudyView]) -> list[str]:
    """Studies in rows that no selected model was trained on, and those that some were not."""
    told = []
    for study in studies:
        unseen = sum(how == NONE for how in study.trained.values())
        words = {"number": study.number, "channel": study.channel, "n": len(study.trained), "k": unseen}
        if unseen == len(study.trained):
            told.append(say("studies.unseen.all", **words))
        elif unseen:
            told.append(say("studies.unseen.some", **words))
    return told
