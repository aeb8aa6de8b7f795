"""What one run says, with how sure it is, in the form that runs are compared in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance
from typing import TYPE_CHECKING, Any

from mmm_core.errors import UserError
from runner.model_files import read_record
from runner.run_folder import RunFolder
from runner.spec import ExperimentSpec

if TYPE_CHECKING:
    import pandas as pd

EFFECT_SHARE, PER_PERIOD = "effect_share", "contribution_per_period"


@dataclass(frozen=True)
class Estimate:
    """One number of a run.

    Attributes:
        value: mean over the selected models; null where one of them has none, such as a CPA without effect.
        error: its standard error, null where it is not known. Its square is the mean of the models' sampling variances
            (a sampling interval's width over twice the normal quantile of its level, squared) plus the variance of the
            value among the models: what the data leave open, and what the choice of the model does.
        lower, upper: the smallest and the largest end of the models' sampling intervals.
        n_models: how many models it rests on.
    """

    value: float | None
    error: float | None
    lower: float | None
    upper: float | None
    n_models: int


@dataclass(frozen=True)
class Change:
    """How a number of one run stands to that of the first.

    ``standardised`` counts standard errors of the difference, the root of the sum of both variances: runs on the same
    data share some of their noise, so that this errs on the side of "no change". ``is_beyond_uncertainty`` says whether
    it exceeds the normal quantile of the level; both are null where an error is not known.
    """

    change: float
    relative: float | None
    standardised: float | None
    is_beyond_uncertainty: bool | None


@dataclass(frozen=True, eq=False)
class RunFacts:
    """A finished run, read.

    Attributes:
        folder, spec, manifest, summary: of the run. models: its model files, best error score first.
        sampling: (candidate, quantity, name) -> lower and upper end. panel: its data.
    """

    folder: RunFolder
    spec: ExperimentSpec
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]
    models: tuple[Mapping[str, Any], ...]
    sampling: Mapping[tuple[str, str, str], tuple[float, float]]
    panel: pd.DataFrame

    @property
    def metric(self) -> str:
        """roas or cpa."""
        return self.spec.outcome.kind.efficiency

    @property
    def level(self) -> float:
        """Of its intervals."""
        return self.spec.bootstrap.level

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the paid channels."""
        return tuple(channel.name for channel in self.spec.channels)

    @property
    def components(self) -> tuple[str, ...]:
        """Intercept and design columns."""
        return tuple(component["name"] for component in self.models[0]["components"])

    def efficiency(self, channel: str) -> Estimate | None:
        """ROAS or CPA of a paid channel; None where the run has no such channel."""
        values = [self._channel(model, channel).get(self.metric) for model in self.models]
        return self._estimate(channel, values, self.metric) if channel in self.channels else None

    def effect_share(self, channel: str) -> Estimate | None:
        """Its part of what all paid channels bring; the interval of its contribution says how sure that is."""
        if channel not in self.channels:
            return None
        values = [self._channel(model, channel)[EFFECT_SHARE] for model in self.models]
        totals = [self._component(model, channel)["contribution"] for model in self.models]
        scales = [share / total if total else 0.0 for share, total in zip(values, totals, strict=True)]
        return self._estimate(channel, values, "contribution", scales)

    def per_period(self, component: str) -> Estimate | None:
        """Mean contribution per period of the window."""
        if component not in self.components:
            return None
        scales = [1 / model["window"]["periods"] for model in self.models]
        values = [
            self._component(model, component)["contribution"] * scale
            for model, scale in zip(self.models, scales, strict=True)
        ]
        return self._estimate(component, values, "contribution", scales)

    def _estimate(
        self,
        name: str,
        values: Sequence[float | None],
        quantity: str,
        scales: Iterable[float] | None = None,
    ) -> Estimate:
        """The mean of the models' values, and the errors that the intervals of a quantity say, scaled."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        is_known = len(known) == len(values)
        found = [self.sampling.get((model["candidate"], quantity, name)) for model in self.models]
        ends = [
            (ends[0] * scale, ends[1] * scale)
            for ends, scale in zip(found, scales or [1.0] * len(found), strict=True)
            if ends is not None and all(map(math.isfinite, ends))
        ]
        is_sure = is_known and len(ends) == len(values)
        return Estimate(
            value=fmean(known) if is_known else None,
            error=_error(known, ends, self.level) if is_sure else None,
            lower=min((low for low, _ in ends), default=None) if len(ends) == len(values) else None,
            upper=max((high for _, high in ends), default=None) if len(ends) == len(values) else None,
            n_models=len(values),
        )

    @staticmethod
    def _channel(model: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        return next((channel for channel in model["channels"] if channel["name"] == name), {})

    @staticmethod
    def _component(model: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(c for c in model["components"] if c["name"] == name)
        return found


def _error(values: Sequence[float], ends: Sequence[tuple[float, float]], level: float) -> float:
    reach = 2 * NormalDist().inv_cdf((1 + level) / 2)
    sampling = fmean(((high - low) / reach) ** 2 for low, high in ends)
    return math.sqrt(sampling + (variance(values) if len(values) > 1 else 0.0))


def change_of(before: Estimate | None, after: Estimate | None, level: float) -> Change | None:
    """How the second stands to the first; None where one of them is not known."""
    if before is None or after is None or before.value is None or after.value is None:
        return None
    change = after.value - before.value
    counted: float | None = None
    if before.error is not None and after.error is not None:
        error = math.hypot(before.error, after.error)
        counted = change / error if error else math.copysign(math.inf, change) if change else 0.0
    beyond = None if counted is None else abs(counted) > NormalDist().inv_cdf((1 + level) / 2)
    return Change(change, change / abs(before.value) if before.value else None, counted, beyond)


def read_facts(folder: RunFolder) -> RunFacts:
    """Read a run.

    Raises:
        UserError: it did not finish, or a file is missing or damaged.
    """
    try:
        return _facts(folder)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder.path}: a file of the run is damaged ({type(error).__name__}: {error}); run it again"
        ) from error


def _facts(folder: RunFolder) -> RunFacts:
    if not (folder.path / "summary.json").is_file():
        raise UserError(f"{folder.path}: the run did not finish; go on with: mmm resume {folder.path}")
    paths = [folder.path / "models" / f"{candidate}.json" for candidate in folder.selected()]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: the run has no such model; run it again")
    summary = folder.json("summary")
    if not (isinstance(summary, dict) and {"selected", "plans", "candidates", "converged"} <= set(summary)):
        raise UserError(f"{folder.path / 'summary.json'}: not the summary of a run; run it again")
    models = tuple(read_record(path) for path in paths)
    for path, model in zip(paths, models, strict=True):
        if not {"candidate", "window", "channels", "components"} <= set(model):
            raise UserError(f"{path}: not a model of a run; run it again")
    rows = folder.table("intervals").to_pylist()
    return RunFacts(
        folder=folder,
        spec=folder.spec(),
        manifest=folder.manifest(),
        summary=summary,
        models=models,
        sampling={
            (row["candidate"], row["quantity"], row["name"]): (row["lower"], row["upper"])
            for row in rows
            if row["kind"] == "sampling"
        },
        panel=folder.table("inputs/panel").to_pandas(),
    )
