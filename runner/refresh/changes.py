"""What moved between the model before and the refreshed one, by how much, and why: ``refresh.parquet``.

A change of contribution per period, ROAS or CPA is taken apart along a chain in which one thing changes at a time. Each
link is what a model brings on the weeks of the NEW window; only the first is the number that the run before reported.

    reported        the model before, on its own window
    window          the same coefficients and curves on the new window: other weeks, other spends, other season
    data            fitted again to the old window of the new table, hyperparameters as before: restated rows, a new
                    baseline, a new cost per exposure
    new_rows        fitted to the old window and the new rows
    old_rows        fitted to the new window: the oldest rows have left
    hyperparameters the refreshed model

The parts add up to the change exactly. Lambda is that of the model before up to the last link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mmm_core import adstock, saturation
from mmm_core.evaluate import evaluate_candidates
from mmm_core.transforms import channel_curves
from mmm_core.types import FittedModel, FloatArray, ModelProblem, OutcomeKind
from runner.dataset import MediaPanel
from runner.journal import model_from_batch
from runner.refits import Uncertainty
from runner.refresh.reference import brought_before, hyperparameters_now
from runner.spec import ChannelSpec, ExperimentSpec, OrganicSpec, PreviousComponent, RefreshSpec

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = ("window", "data", "new_rows", "old_rows", "hyperparameters")
PER_PERIOD = "contribution_per_period"
# Component of what belongs to the model as a whole: train_size, lambda_hp, lambda.
MODEL = "model"
# Parts of a change that is smaller than this part of its own terms are rounding.
NOTHING = 1e-9

Bounds = tuple[float, float] | None


@dataclass(frozen=True)
class Change:
    """One quantity of one component, before and after.

    ``previous`` is null for what the model before did not have. ``standardised_change`` counts standard errors of the
    previous value, which are half of its interval's width over the normal quantile of the level;
    ``is_beyond_uncertainty`` says whether it exceeds that quantile. (Intervals say where the truth may be and so lie
    beside an estimate that the ridge shrank; a change of estimates is held against their width.) Both are null where
    there is no interval. Parts are null where the change is not taken apart; ``reason`` is the largest of them.
    """

    component: str
    role: str
    quantity: str
    previous: float | None
    new: float | None
    change: float | None
    previous_lower: float | None
    previous_upper: float | None
    new_lower: float | None
    new_upper: float | None
    level: float
    standardised_change: float | None
    is_beyond_uncertainty: bool | None
    window: float | None = None
    data: float | None = None
    new_rows: float | None = None
    old_rows: float | None = None
    hyperparameters: float | None = None
    reason: str = ""


COLUMNS = tuple(column.name for column in fields(Change))


@dataclass(frozen=True, eq=False)
class Refreshed:
    """A refreshed model, its data, and the uncertainty of it; ``chain`` is (len(PARTS), K + 1) per period."""

    spec: ExperimentSpec
    refresh: RefreshSpec
    problem: ModelProblem
    model: FittedModel
    uncertainty: Uncertainty
    chain: FloatArray

    @property
    def components(self) -> tuple[str, ...]:
        """Intercept, then the design columns."""
        return ("intercept", *self.problem.columns)

    @property
    def metric(self) -> str:
        """roas or cpa."""
        return self.problem.outcome_kind.efficiency

    def interval(self, quantity: str, name: str) -> Bounds:
        """The sampling interval of the refreshed model."""
        found = self.uncertainty.of(self.model.candidate, quantity, name)
        return None if found is None else (found.lower, found.upper)


def changes(
    spec: ExperimentSpec,
    panel: MediaPanel,
    problem: ModelProblem,
    model: FittedModel,
    uncertainty: Uncertainty,
) -> list[Change]:
    """Every change from the model before to the refreshed one.

    Args:
        spec: with its section ``refresh``. panel, problem: the new table. model: the refreshed one.
        uncertainty: holds its sampling intervals, where there are any.
    """
    assert spec.refresh is not None  # the caller saw to it
    chain = _chain(spec, spec.refresh, panel, problem, model)
    told = Refreshed(spec, spec.refresh, problem, model, uncertainty, chain)
    return [*_of_paid(told), *_of_components(told), *_of_hyperparameters(told)]


def changes_table(rows: Sequence[Change]) -> pa.Table:
    """``refresh.parquet``."""
    import pyarrow as pa

    kinds = {"component": pa.string(), "role": pa.string(), "quantity": pa.string(), "reason": pa.string()}
    kinds["is_beyond_uncertainty"] = pa.bool_()
    columns = {
        name: pa.array([getattr(row, name) for row in rows], kinds.get(name, pa.float64()))
        for name in COLUMNS
    }
    return pa.table(columns)


# ----------------------------------------------------------------------------------------------------------- the chain


def _chain(
    spec: ExperimentSpec, refresh: RefreshSpec, panel: MediaPanel, problem: ModelProblem, model: FittedModel
) -> FloatArray:
    """(len(PARTS), K + 1) contribution per period on the new window, after each link."""
    first, last = (np.datetime64(day, "D") for day in (refresh.previous.start, refresh.previous.end))
    start = int(np.searchsorted(problem.dates, first, side="left"))
    stop = int(np.searchsorted(problem.dates, last, side="right"))
    plain = replace(problem, studies=None, reference=None)
    windows = ((start, stop), (start, problem.stop), (problem.start, problem.stop))
    fits = [_refit(spec, refresh, replace(plain, start=a, stop=b)) for a, b in windows]
    links = [_curves_before(spec, refresh, panel, problem)]
    links += [_on_window(problem, *fit) for fit in [*fits, (plain, model)]]
    return np.array(links)


def _refit(
    spec: ExperimentSpec, refresh: RefreshSpec, problem: ModelProblem
) -> tuple[ModelProblem, FittedModel]:
    """The hyperparameters and the lambda of the model before, fitted to a window of the new table."""
    values = hyperparameters_now(spec, refresh, problem.n_periods)
    names = problem.hyperparameter_names
    # A column that the model before had not is penalised like any other; train_size is 1 where nothing is validated.
    point = np.array([[values.get(name, 1.0) for name in names]])
    if not problem.time_series_validation:
        point[0, names.index("train_size")] = 1.0
    batch = evaluate_candidates(problem, point, np.array([refresh.previous.penalty]))
    return problem, model_from_batch(batch, 0, refresh.candidate)


def _on_window(problem: ModelProblem, own: ModelProblem, model: FittedModel) -> FloatArray:
    """(K + 1,) what a model fitted to another window of the same table brings per period of the problem's window."""
    rows = problem.window
    means = problem.design[:, rows].mean(axis=1)
    for m, curve in enumerate(channel_curves(own, model)):
        carried = adstock.apply(
            own.adstock, problem.design[problem.first_media + m], curve.adstock_parameters
        )
        means[problem.first_media + m] = saturation.hill(carried[rows], curve.alpha, curve.inflexion).mean()
    return np.concatenate([[model.intercept], model.coefs * means])


def _curves_before(
    spec: ExperimentSpec, refresh: RefreshSpec, panel: MediaPanel, problem: ModelProblem
) -> FloatArray:
    """(K + 1,) what the coefficients and curves of the model before bring per period of the new window."""
    before, rows = refresh.previous.components, problem.window
    coefs = [before[name].coef if name in before else 0.0 for name in problem.columns]
    brought = np.array(coefs) * problem.design[:, rows].mean(axis=1)
    media: list[ChannelSpec | OrganicSpec] = [*spec.channels, *spec.organic]
    for m, medium in enumerate(media):
        total = brought_before(spec, refresh, panel, rows, medium)
        brought[problem.first_media + m] = total / problem.n_window
    return np.concatenate([[before["intercept"].coef], brought])


# ------------------------------------------------------------------------------------------------------------ the rows


def _change(
    told: Refreshed,
    component: str,
    role: str,
    quantity: str,
    values: tuple[float | None, float],
    bounds: tuple[Bounds, Bounds] = (None, None),
    links: Sequence[float] | None = None,
) -> Change:
    """A row; ``values`` and ``bounds`` are (previous, new), ``links`` the quantity after each link of the chain."""
    previous, new = (_finite(value) for value in values)
    before, after = ((_finite(ends[0]), _finite(ends[1])) if ends else (None, None) for ends in bounds)
    moved = None if previous is None or new is None else new - previous
    error = _standard_error(before, told.refresh.previous.level)
    counted = None if moved is None or error is None else moved / error
    parts = _parts(previous, links)
    return Change(
        component=component,
        role=role,
        quantity=quantity,
        previous=previous,
        new=new,
        change=moved,
        previous_lower=before[0],
        previous_upper=before[1],
        new_lower=after[0],
        new_upper=after[1],
        level=told.refresh.previous.level,
        standardised_change=counted,
        is_beyond_uncertainty=None if counted is None else abs(counted) > _z(told.refresh.previous.level),
        reason=_reason(parts, previous, new),
        **parts,
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _z(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)


def _standard_error(ends: tuple[float | None, float | None], level: float) -> float | None:
    """That of a normal whose interval is as wide; None where there is none."""
    lower, upper = ends
    if lower is None or upper is None or upper <= lower:
        return None
    return (upper - lower) / (2 * _z(level))


def _parts(previous: float | None, links: Sequence[float] | None) -> dict[str, float | None]:
    if previous is None or links is None or not np.isfinite(links).all():
        return dict.fromkeys(PARTS)
    return dict(zip(PARTS, np.diff([previous, *links]).tolist(), strict=True))


def _reason(parts: Mapping[str, float | None], previous: float | None, new: float | None) -> str:
    known = {name: abs(part) for name, part in parts.items() if part is not None}
    if not known or max(known.values()) <= NOTHING * (abs(previous or 0.0) + abs(new or 0.0)):
        return ""
    return max(known, key=lambda name: known[name])


def _of_paid(told: Refreshed) -> Iterator[Change]:
    """ROAS or CPA of every paid channel."""
    before = told.refresh.previous
    for p, name in enumerate(told.problem.paid):
        at, spend = 1 + told.problem.first_media + p, float(told.problem.total_spend[p])
        known, spent = before.components[name], before.media[name].spend or np.nan
        links = [_efficiency(told, link[at] * told.problem.n_window, spend) for link in told.chain]
        ends: Bounds = None
        if known.lower is not None and known.upper is not None:
            low, high = sorted(_efficiency(told, end, spent) for end in (known.lower, known.upper))
            ends = low, high
        yield _change(
            told,
            name,
            "paid",
            told.metric,
            (_efficiency(told, known.contribution, spent), links[-1]),
            (ends, told.interval(told.metric, name)),
            links,
        )


def _efficiency(told: Refreshed, contribution: float, spend: float) -> float:
    if told.problem.outcome_kind is OutcomeKind.REVENUE:
        return contribution / spend
    return spend / contribution if contribution > 0 else np.inf


def _of_components(told: Refreshed) -> Iterator[Change]:
    """Contribution per period, share and coefficient of everything."""
    before, n = told.refresh.previous, told.problem.n_window
    whole, new_whole = sum(c.contribution for c in before.components.values()), told.chain[-1].sum()
    coefs = np.concatenate([[told.model.intercept], told.model.coefs])
    for at, (name, role) in enumerate(zip(told.components, ("intercept", *told.problem.roles), strict=True)):
        known, new = before.components.get(name), float(told.chain[-1, at])
        interval = told.interval("contribution", name)
        after = None if interval is None else (interval[0] / n, interval[1] / n)
        ends: Bounds = None
        if known is not None and known.lower is not None and known.upper is not None:
            ends = known.lower / before.periods, known.upper / before.periods
        previous = None if known is None else known.contribution / before.periods
        links = told.chain[:, at].tolist()
        yield _change(told, name, str(role), PER_PERIOD, (previous, new), (ends, after), links)
        share = None if known is None else known.contribution / whole
        yield _change(told, name, str(role), "share", (share, new / new_whole))
        yield _change(
            told,
            name,
            str(role),
            "coef",
            (None if known is None else known.coef, float(coefs[at])),
            (_coef_ends(known), told.interval("coef", name)),
        )


def _coef_ends(known: PreviousComponent | None) -> Bounds:
    """A contribution is its coefficient times a known sum, and so are the ends of their intervals."""
    if known is None or known.lower is None or known.upper is None or known.contribution == 0:
        return None
    ratio = known.coef / known.contribution
    low, high = sorted((known.lower * ratio, known.upper * ratio))
    return low, high


def _of_hyperparameters(told: Refreshed) -> Iterator[Change]:
    before = told.refresh.previous.hyperparameters
    roles = dict(zip(told.problem.columns, told.problem.roles, strict=True))
    names = told.problem.hyperparameter_names
    for name, value in zip(names, told.model.hyperparameters.tolist(), strict=True):
        component, _, quantity = name.rpartition("_")
        role = str(roles.get(component, MODEL))
        if role == MODEL:
            component, quantity = MODEL, name
        yield _change(told, component, role, quantity, (before.get(name), value))
    penalties = told.refresh.previous.penalty, told.model.penalty
    yield _change(told, MODEL, MODEL, "lambda", penalties)
