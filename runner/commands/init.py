"""``mmm init DATA``: from a table to a spec that runs, every guess with its reason."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmm_core.errors import UserError
from runner.commands import validate
from runner.commands.validate import ValidationResult
from runner.drafts.draft import Draft, Told, changes_of, with_channels
from runner.drafts.drafting import draft_of
from runner.drafts.guessing import guess_date, guess_outcome
from runner.drafts.reading import RawTable, read_raw
from runner.drafts.writing import clean_csv, spec_name, spec_text
from runner.tables import write_text

SUFFIXES = (".yaml", ".yml")
# Asked: what, and what is offered; told what was wrong with the last answer, if anything was.
Ask = Callable[[str, str | None, str | None], str]


@dataclass(frozen=True, eq=False)
class Made:
    """A spec that was written, the guesses in it, and what validating it said."""

    spec: Path
    copy: Path | None
    changes: tuple[str, ...]
    draft: Draft
    validation: ValidationResult

    def as_record(self) -> dict[str, Any]:
        """Plain data."""
        draft = self.draft
        return {
            "spec": str(self.spec),
            "table": str(self.copy or draft.table.path),
            "changes": list(self.changes),
            "date": draft.date.value,
            "frequency": str(draft.frequency),
            "outcome": draft.outcome.value,
            "kind": draft.kind.value,
            "channels": [
                {"name": c.name, "spend": c.spend, "exposure": c.exposure, "reason": c.reason}
                for c in draft.channels
            ],
            "organic": [medium.column for medium in draft.organic],
            "context": [medium.column for medium in draft.context],
            "country": draft.country.value if draft.country else None,
            "left_out": dict(draft.left_out),
            "notes": list(draft.notes),
        }


def run(
    data: str,
    *,
    out: str | Path | None = None,
    date: str | None = None,
    outcome: str | None = None,
    kind: str | None = None,
    channels: Sequence[str] | None = None,
    country: str | None = None,
    force: bool = False,
    ask: Ask | None = None,
) -> Made:
    """Write a spec for a table; it has passed ``validate`` before it is there.

    A table that the reader of specs would refuse (semicolons, decimal commas, other dates) gets a clean copy beside the
    spec; the table itself is never touched.

    Args:
        data: CSV or Parquet. out: spec to write; default the table's name with .yaml, in the current folder.
        date, outcome, kind, channels, country: what need not be guessed; channels are columns of spend.
        force: overwrite what is there. ask: asks the user where nothing was told; default nobody is asked.
    Returns:
        Made.
    Raises:
        UserError: the table cannot be modelled, or a file is in the way; nothing is written then.
    """
    table = read_raw(data)
    spec = Path(out) if out is not None else Path(f"{_stem(data)}.yaml")
    copy = spec.with_name(f"{spec.stem}_clean.csv")
    if spec.suffix not in SUFFIXES:
        raise UserError(f"{spec}: a spec ends in .yaml; choose another --out")
    told = Told(date, outcome, kind, tuple(channels) if channels else None, country)
    draft = draft_of(table, _asked(table, told, ask) if ask else told)
    changes = tuple(changes_of(draft))
    _check_free([spec, copy] if changes else [spec], data, force)
    validation = _checked(draft, changes)
    path = copy.name if changes else _relative(data, spec)
    try:
        if changes:
            write_text(copy, clean_csv(draft))
        write_text(spec, spec_text(draft, spec_name(spec.stem), path))
    except OSError as error:
        raise UserError(f"{spec}: cannot be written ({error.strerror}); choose another --out") from error
    return Made(spec, copy if changes else None, changes, draft, validation)


def _asked(table: RawTable, told: Told, ask: Ask) -> Told:
    """What the user says to each guess, one question at a time."""
    if told.date is None and len(table.days) > 1:
        told = replace(told, date=ask("Column of dates", guess_date(table, told).value, None))
    if told.outcome is None:
        told = _until_good(
            told, "outcome", "Outcome to be explained", ask, lambda t: guess_outcome(table, t)[0].value
        )
    if told.kind is None:
        told = _until_good(
            told, "kind", "Is it revenue or conversion", ask, lambda t: guess_outcome(table, t)[1].value
        )
    if told.channels is None:
        told = _until_good(
            told,
            "channels",
            "Columns of spend",
            ask,
            lambda t: ",".join(c.spend for c in draft_of(table, t).channels),
        )
    if told.country is None:
        evident = draft_of(table, told).country
        offered = evident.value if evident else "none"
        told = replace(told, country=ask("Country for holidays, two letters, or none", offered, None))
    return told


def _until_good(told: Told, key: str, question: str, ask: Ask, guess: Callable[[Told], str]) -> Told:
    """Ask until what is answered can be used; the guess is offered, if there is one."""
    try:
        offered: str | None = guess(told)
        problem = None
    except UserError as error:
        offered, problem = None, str(error)
    while True:
        answer = ask(question, offered, problem)
        answered = _with(told, key, answer)
        try:
            guess(answered)
        except UserError as error:
            problem = str(error)
        else:
            return answered


def _with(told: Told, key: str, answer: str) -> Told:
    if key == "outcome":
        return replace(told, outcome=answer)
    return replace(told, kind=answer) if key == "kind" else with_channels(told, answer)


def _check_free(paths: Sequence[Path], data: str, force: bool) -> None:
    for path in paths:
        if path.is_dir():
            raise UserError(f"{path}: is a folder; choose another --out")
        if path.exists() and path.resolve() == Path(data).resolve():
            raise UserError(f"{path}: is the table itself; choose another --out")
        if path.exists() and not force:
            raise UserError(f"{path}: is already there; choose another --out or overwrite it with --force")


def _checked(draft: Draft, changes: Sequence[str]) -> ValidationResult:
    """Validate the spec in a folder of its own, before anything is written where the user will find it."""
    with tempfile.TemporaryDirectory(prefix="mmm-") as folder:
        spec = Path(folder) / "spec.yaml"
        table = draft.table.path
        if changes:
            table = str(Path(folder) / "table.csv")
            write_text(Path(table), clean_csv(draft))
        elif "://" not in table:
            table = str(Path(table).absolute())
        write_text(spec, spec_text(draft, "draft", table))
        try:
            return validate.run(spec)
        except UserError as error:
            reason = str(error).replace(f"{spec}: ", "").replace(f"{table}: ", "")
            raise UserError(f"{draft.table.path}: no spec can be made of it yet: {reason}") from None


def _stem(data: str) -> str:
    return Path(data.rstrip("/")).stem or "mine"


def _relative(data: str, spec: Path) -> str:
    """The table as the spec file finds it."""
    if "://" in data:
        return data
    try:
        return Path(os.path.relpath(data, spec.parent)).as_posix()
    except ValueError:  # another drive
        return str(Path(data).absolute())
