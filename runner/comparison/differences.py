"""The differences of runs as plain data; the first run is what the others are held against."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import LOSS_COLUMNS
from runner.comparison.facts import (
    EFFECT_SHARE,
    PER_PERIOD,
    Change,
    Estimate,
    RunFacts,
    change_of,
    read_facts,
)
from runner.run_folder import RunFolder
from runner.tables import read_table
from runner.tracking.contents import flat

if TYPE_CHECKING:
    import pandas as pd

LOSSES = (*(name for name in LOSS_COLUMNS if name != "intercept"), "error_score")
# Where a run is tracked and executed changes no number.
NOT_COMPARED = ("tracking", "execution")


@dataclass(frozen=True)
class Row:
    """One quantity of one channel or component in every run; changes are against the first run that has it."""

    name: str
    role: str
    quantity: str
    estimates: tuple[Estimate | None, ...]
    changes: tuple[Change | None, ...]

    @property
    def first(self) -> int:
        """The run that changes are against; the first of all where none has it."""
        return next((i for i, estimate in enumerate(self.estimates) if estimate is not None), 0)


@dataclass(frozen=True)
class SpecDifference:
    """A key of the spec and what it is in every run; null where a run has no such key."""

    key: str
    values: tuple[str | None, ...]


@dataclass(frozen=True)
class DataDifference:
    """The data of a run beside those of the first.

    ``changed`` counts, for every column of both, the common rows whose cell is another one, and the largest relative
    change of a number among them.
    """

    is_same: bool
    rows: int
    first: str
    last: str
    window: tuple[str, str]
    added_rows: int = 0
    removed_rows: int = 0
    added_columns: tuple[str, ...] = ()
    removed_columns: tuple[str, ...] = ()
    changed: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanRow:
    """One scenario in every run: the ensemble's plan, null where there is none.

    ``moved`` is the part of the budget that lies elsewhere than in the first run's plan: half the sum of the absolute
    differences of the channels' shares.
    """

    scenario: str
    plans: tuple[Mapping[str, Any] | None, ...]
    moved: tuple[float | None, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs and how they differ."""

    runs: tuple[RunFacts, ...]
    level: float
    spec: tuple[SpecDifference, ...]
    data: tuple[DataDifference, ...]
    losses: Mapping[str, tuple[float | None, ...]]
    rows: tuple[Row, ...]
    plans: tuple[PlanRow, ...]
    is_same_search: tuple[bool, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """A letter a run."""
        return tuple(label(i) for i in range(len(self.runs)))

    def is_repetition(self, i: int) -> bool:
        """Whether a run was asked and found just what the first did."""
        is_asked = all(one.values[i] == one.values[0] for one in self.spec)
        return is_asked and self.data[i].is_same and self.is_same_search[i]

    def of(self, quantity: str) -> list[Row]:
        """The rows of one quantity."""
        return [row for row in self.rows if row.quantity == quantity]

    def as_record(self) -> dict[str, Any]:
        """Plain data; infinities become null when it is written."""
        from runner.comparison.words import sentences

        return {
            "runs": [
                {"label": name, **_about(run)} for name, run in zip(self.labels, self.runs, strict=True)
            ],
            "level": self.level,
            "said": sentences(self),
            "spec": [asdict(one) for one in self.spec],
            "data": [asdict(one) for one in self.data],
            "losses": {name: list(values) for name, values in self.losses.items()},
            "quantities": [asdict(row) for row in self.rows],
            "plans": [asdict(row) for row in self.plans],
            "is_same_search": list(self.is_same_search),
        }


def label(position: int) -> str:
    """A, B, …, Z, A2, B2, …"""
    return chr(ord("A") + position % 26) + (str(position // 26 + 1) if position >= 26 else "")


def compare_runs(folders: Sequence[RunFolder]) -> Comparison:
    """Compare finished runs with the first of them, whatever their channels and data are.

    Args:
        folders: two or more.
    Raises:
        UserError: fewer, or a run that did not finish.
    """
    if len(folders) < 2:
        raise UserError(
            "compare needs two runs or more; give their folders, or spec files for their newest runs"
        )
    runs = tuple(map(read_facts, folders))
    level = min(run.level for run in runs)
    searches = [_search_digest(run) for run in runs]
    return Comparison(
        runs=runs,
        level=level,
        spec=tuple(_spec_differences(runs)),
        data=tuple(_data_difference(runs[0], run) for run in runs),
        losses={name: tuple(_loss(run, name) for run in runs) for name in LOSSES},
        rows=tuple(_rows(runs, level)),
        plans=tuple(_plan_rows(runs)),
        is_same_search=tuple(digest == searches[0] for digest in searches),
    )


def _about(run: RunFacts) -> dict[str, Any]:
    summary, manifest = run.summary, run.manifest
    return {
        "run_id": manifest["run_id"],
        "run_folder": str(run.folder.path),
        "created": manifest["created"],
        "version": manifest["versions"]["mmm-runner"],
        "outcome": run.spec.outcome.column,
        "metric": run.metric,
        "candidates": summary["candidates"],
        "converged": summary["converged"],
        "selected": [model["candidate"] for model in run.models],
        "spec_digest": manifest["spec_digest"],
        "data_digest": manifest["data_digest"],
    }


# ------------------------------------------------------------------------------------------------- spec, data, search


def _spec_differences(runs: Sequence[RunFacts]) -> Iterable[SpecDifference]:
    trees = []
    for run in runs:
        tree = run.spec.resolved()
        trees.append(dict(flat({key: value for key, value in tree.items() if key not in NOT_COMPARED})))
    for key in dict.fromkeys(key for tree in trees for key in tree):
        values = tuple(tree.get(key) for tree in trees)
        # A scenario or channel that a run has not brings a dozen keys, and those of no value say nothing more.
        if len({None if value == "null" else value for value in values}) > 1:
            yield SpecDifference(key, values)


def _data_difference(first: RunFacts, run: RunFacts) -> DataDifference:
    mine, window = _by_date(run), run.models[0]["window"]
    facts = (len(mine), str(mine.index[0]), str(mine.index[-1]), (window["start"], window["end"]))
    if run.manifest["data_digest"] == first.manifest["data_digest"]:
        return DataDifference(True, *facts)
    theirs = _by_date(first)
    common = mine.index.intersection(theirs.index)
    changed = {}
    for column in theirs.columns.intersection(mine.columns):
        n, largest = _cells(theirs.loc[common, column], mine.loc[common, column])
        if n:
            changed[str(column)] = (n, largest)
    return DataDifference(
        False,
        *facts,
        added_rows=len(mine.index.difference(theirs.index)),
        removed_rows=len(theirs.index.difference(mine.index)),
        added_columns=tuple(str(c) for c in mine.columns if c not in theirs.columns),
        removed_columns=tuple(str(c) for c in theirs.columns if c not in mine.columns),
        changed=changed,
    )


def _by_date(run: RunFacts) -> pd.DataFrame:
    panel = run.panel.copy()
    panel.index = panel.pop(run.spec.data.date).astype(str)
    return panel


def _cells(before: pd.Series[Any], after: pd.Series[Any]) -> tuple[int, float | None]:
    """How many cells differ, and the largest relative change among numbers that were not 0."""
    a, b = before.to_numpy(), after.to_numpy()
    differs = a.astype(str) != b.astype(str) if "O" in (a.dtype.kind, b.dtype.kind) else a != b
    if a.dtype.kind not in "if" or b.dtype.kind not in "if":
        return int(np.sum(differs)), None
    known = differs & (a != 0)
    largest = np.abs(b[known] / a[known] - 1).max() if known.any() else None
    return int(np.sum(differs)), None if largest is None else float(largest)


def _search_digest(run: RunFacts) -> str:
    """Of every candidate, as it was found."""
    digest = hashlib.sha256()
    for path in sorted((run.folder.path / "candidates").glob("trial-*.parquet")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


# -------------------------------------------------------------------------------------------------------------- results


def _loss(run: RunFacts, name: str) -> float | None:
    value = run.summary["selected"][0].get(name)
    return None if value is None else float(value)


def _rows(runs: Sequence[RunFacts], level: float) -> Iterable[Row]:
    """Efficiencies, effect shares, contributions; in the order of the first run, then what others have besides."""
    channels = _union(run.channels for run in runs)
    for metric in dict.fromkeys(run.metric for run in runs):
        yield from (_row(runs, name, "paid", metric, _of_kind(metric), level) for name in channels)
    for name in channels:
        yield _row(runs, name, "paid", EFFECT_SHARE, lambda run, channel: run.effect_share(channel), level)
    roles = {c["name"]: c["role"] for run in reversed(runs) for c in run.models[0]["components"]}
    for name in _union(run.components for run in runs):
        yield _row(runs, name, roles[name], PER_PERIOD, lambda run, part: run.per_period(part), level)


def _union(names: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for some in names for name in some))


def _of_kind(metric: str) -> Callable[[RunFacts, str], Estimate | None]:
    """ROAS of the runs that have a ROAS, CPA of the others."""
    return lambda run, channel: run.efficiency(channel) if run.metric == metric else None


def _row(
    runs: Sequence[RunFacts],
    name: str,
    role: str,
    quantity: str,
    ask: Callable[[RunFacts, str], Estimate | None],
    level: float,
) -> Row:
    estimates = tuple(ask(run, name) for run in runs)
    row = Row(name, role, quantity, estimates, ())
    changes = tuple(
        change_of(estimates[row.first], estimate, level) if i > row.first else None
        for i, estimate in enumerate(estimates)
    )
    return replace(row, changes=changes)


def _plan_rows(runs: Sequence[RunFacts]) -> Iterable[PlanRow]:
    for scenario in _union(run.summary["plans"] for run in runs):
        plans = tuple(_plan(run, scenario) for run in runs)
        first = next((plan for plan in plans if plan is not None), None)
        yield PlanRow(scenario, plans, tuple(_moved(first, plan) for plan in plans))


def _plan(run: RunFacts, scenario: str) -> dict[str, Any] | None:
    entry = run.summary["plans"].get(scenario)
    if entry is None:
        return None
    plan = entry["ensemble"]
    names = ("status", "start", "end", "initial_spend", "optimised_spend", "optimised_response", "lift")
    path = run.folder.path / plan["file"]
    rows = read_table(path).to_pylist() if path.is_file() else []
    spends = {row["channel"]: row["optimised_spend"] for row in rows}
    return {"goal": entry["goal"], **{name: plan.get(name) for name in names}, "spends": spends}


def _moved(first: Mapping[str, Any] | None, plan: Mapping[str, Any] | None) -> float | None:
    if first is None or plan is None or first is plan:
        return None
    shares = [_shares(one["spends"]) for one in (first, plan)]
    if not all(shares):
        return None
    return sum(abs(shares[0].get(c, 0.0) - shares[1].get(c, 0.0)) for c in _union(shares)) / 2


def _shares(spends: Mapping[str, float]) -> dict[str, float]:
    total = sum(spends.values())
    return {channel: spend / total for channel, spend in spends.items()} if total else {}
