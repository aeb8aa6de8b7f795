"""The spec that the guesses make, each with its reason in a comment, and a clean copy of the table."""

from __future__ import annotations

import csv
import io
import re
import textwrap

import numpy as np
import yaml

from runner.dataset import Frequency
from runner.drafts.draft import Channel, Draft, Medium
from runner.drafts.words import tokens

WIDTH = 110
SHAPE = "alpha: [0.5, 3], gamma: [0.3, 1]"


def spec_text(draft: Draft, name: str, data_path: str) -> str:
    """A spec in YAML; ``data_path`` is as the spec file will find the table."""
    parts = [
        _comment(
            f"Made by mmm init from {draft.table.path}. Every guess has its reason beside it: read them, correct what "
            "is wrong, then mmm validate and mmm run. What is not written here takes a documented default."
        ),
        f"name: {name}\n",
        _head(draft, data_path),
        _channels(draft),
        *_media("organic", "Media without spend.", draft.organic),
        *_media("context", "Not marketing: what else moves the outcome.", draft.context),
        *_left_out(draft),
        _baseline(draft),
        _hyperparameters(draft),
        "search: {trials: 5, iterations: 2000, seed: 123}          # fewer for a first look, more for a decision\n",
        *(_comment(f"Note: {note}.") for note in draft.notes),
    ]
    return "\n".join(parts)


def _head(draft: Draft, data_path: str) -> str:
    rows = f"{draft.table.n_rows} {draft.frequency} rows, {draft.first} to {draft.last}"
    return (
        _comment(f"date: {draft.date.reason}; {rows}.")
        + f"data: {{path: {scalar(data_path)}, date: {scalar(draft.date.value)}}}\n"
        + _comment(f"outcome: {draft.outcome.reason}. kind: {draft.kind.reason}.")
        + f"outcome: {{column: {scalar(draft.outcome.value)}, kind: {draft.kind.value}}}\n"
    )


def _channels(draft: Draft) -> str:
    lines = [
        _comment("Paid media: what each cost and, where there is one, what people saw of it."),
        "channels:\n",
    ]
    for channel in draft.channels:
        lines += [_comment(f"{channel.reason}.", "  "), _channel(channel)]
    return "".join(lines)


def _channel(channel: Channel) -> str:
    seen = f", exposure: {scalar(channel.exposure)}" if channel.exposure else ""
    return f"  - {{name: {scalar(channel.name)}, spend: {scalar(channel.spend)}{seen}}}\n"


def _media(key: str, what: str, media: tuple[Medium, ...]) -> list[str]:
    if not media:
        return []
    lines = [_comment(what), f"{key}:\n"]
    for medium in media:
        column = scalar(medium.column)
        entry = f"{{name: {column}, kind: factor}}" if medium.is_factor else column
        lines += [_comment(f"{medium.reason}.", "  "), f"  - {entry}\n"]
    return ["".join(lines)]


def _left_out(draft: Draft) -> list[str]:
    if not draft.left_out:
        return []
    lines = [_comment("Left out:")]
    lines += [_comment(f"{name or '(no name)'}: {reason}.", "#   ") for name, reason in draft.left_out]
    return ["".join(lines)]


def _baseline(draft: Draft) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in draft.components)
    names = [name for name, _ in draft.components]
    if draft.country is None:
        reasons += ". No holidays, as nothing says whose: to have them, add holiday to the components and country: DE"
        country = ""
    else:
        names.append("holiday")
        reasons += f". country: {draft.country.reason}"
        country = f"  country: {scalar(draft.country.value)}\n"
    return _comment(f"{reasons}.") + f"baseline:\n  components: [{', '.join(names)}]\n" + country


def _hyperparameters(draft: Draft) -> str:
    unit = (
        "week"
        if draft.frequency is Frequency.WEEKLY
        else draft.frequency.replace("ily", "y").removesuffix("ly")
    )
    text = (
        "geometric adstock: each period keeps the part theta of what the one before had. Its ranges are what is usual "
        f"of each kind of medium, per {unit}"
    )
    if draft.frequency is not Frequency.WEEKLY:
        text += " (the usual weekly ones, to the power of weeks a period)"
    lines = [_comment(f"{text}."), "adstock: geometric\n", "hyperparameters:\n"]
    for name, theta in [(c.name, c.theta) for c in draft.channels] + [
        (o.column, o.theta) for o in draft.organic
    ]:
        lines.append(f"  {scalar(name)}: {{theta: [{theta[0]:g}, {theta[1]:g}], {SHAPE}}}\n")
    return "".join(lines)


def scalar(text: str) -> str:
    """Text as a value in YAML's flow style, quoted where it must be."""
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text) and yaml.safe_load(text) == text:
        return text
    return yaml.safe_dump([text], default_flow_style=True, width=10**9, allow_unicode=True).strip()[1:-1]


def _comment(text: str, indent: str = "") -> str:
    mark = indent if indent.startswith("#") else f"{indent}# "
    flat = " ".join(text.split()).replace("..", ".")
    return "".join(
        f"{line}\n" for line in textwrap.wrap(flat, WIDTH, initial_indent=mark, subsequent_indent=mark)
    )


def spec_name(stem: str) -> str:
    """A name that can be part of a file name."""
    return "_".join(tokens(stem)).lower()[:60] or "mine"


def clean_csv(draft: Draft) -> str:
    """The table as the reader of specs takes it: commas, points, dates like 2024-01-29."""
    table = draft.table
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [name for name in table.columns if name]
    writer.writerow(names)
    columns = [_clean_cells(draft, name) for name in names]
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _clean_cells(draft: Draft, name: str) -> list[str]:
    table = draft.table
    if name == draft.date.value:
        days = table.days[name]
        return [str(day) for day in days.starts]
    numbers = table.numbers.get(name)
    if numbers is None or numbers.wrong is not None:
        return table.columns[name]
    empty = "0" if name in draft.zeros else ""
    return [repr(float(v)).removesuffix(".0") if np.isfinite(v) else empty for v in numbers.values]
