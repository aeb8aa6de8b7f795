"""What ``mmm init`` asks and tells on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from runner.commands.init import Made


def ask(question: str, offered: str | None, problem: str | None) -> str:
    """One question on the terminal; Enter takes what is offered."""
    if problem:
        typer.echo(problem, err=True)
    try:
        answer: str = typer.prompt(question, default=offered, err=True)
    except typer.Abort:  # Ctrl-C, or the end of what can be read
        raise KeyboardInterrupt from None
    return answer.strip()


def print_made(made: Made) -> None:
    """Every guess with its reason, and what to do next."""
    draft = made.draft
    lines = [
        f"{draft.table.path}: {draft.table.n_rows} {draft.frequency} rows, {draft.first} to {draft.last}",
        f"  date      {draft.date.value}: {draft.date.reason}",
        f"  outcome   {draft.outcome.value}: {draft.outcome.reason}; {draft.kind.value}: {draft.kind.reason}",
        *(f"  channel   {c.name} from {c.spend}: {c.reason}" for c in draft.channels),
        *(f"  organic   {medium.column}: {medium.reason}" for medium in draft.organic),
        *(f"  {'factor ' if m.is_factor else 'context'}   {m.column}: {m.reason}" for m in draft.context),
        *(f"  baseline  {name}: {reason}" for name, reason in draft.components),
        _holidays(made),
        *(f"  left out  {name or '(no name)'}: {reason}" for name, reason in draft.left_out),
        *(f"! {note}" for note in draft.notes),
        *(f"! {finding.details} {finding.recommendation}".rstrip() for finding in made.validation.findings),
    ]
    if made.copy is not None:
        lines.append(f"clean copy of the table: {made.copy}")
        lines += [f"  {change}" for change in made.changes]
    lines += [
        f"spec: {made.spec}",
        "read its comments and correct what is wrong, then:",
        f"  mmm validate {_word(str(made.spec))}",
        f"  mmm run {_word(str(made.spec))}",
    ]
    for line in lines:
        typer.echo(line)


def _holidays(made: Made) -> str:
    if made.draft.country is None:
        return "  baseline  no holidays: nothing says whose; give --country to have them"
    return f"  baseline  holidays of {made.draft.country.value}: {made.draft.country.reason}"


def _word(text: str) -> str:
    from shlex import quote

    return quote(text)
