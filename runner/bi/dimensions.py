"""What facts are about, as tables: run, date, component, channel, model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from runner import __version__
from runner.summary import ENSEMBLE

if TYPE_CHECKING:
    from runner.reports.data import ModelView, RunData

INTERCEPT = "intercept"

Row = Mapping[str, Any]


def run_key(run: RunData) -> str:
    """What all tables call the run. Equal runs have equal keys, so no time and no folder is in it.

    The problem's digest is that of all arrays that a candidate meets: data, lift studies, holidays as Prophet saw them.
    """
    return f"{run.spec.name}-{run.manifest['spec_digest'][:8]}-{run.manifest['problem_digest'][:8]}"


def dim_run(run: RunData) -> Iterator[Row]:
    """One row."""
    dates, window = run.panel.dates, run.window
    yield {
        "name": run.spec.name,
        "outcome": run.spec.outcome.column,
        "outcome_kind": str(run.problem.outcome_kind),
        "metric": run.metric,
        "frequency": run.frequency,
        "first_date": dates[0].item(),
        "last_date": dates[-1].item(),
        "window_start": np.datetime64(window[0]).item(),
        "window_end": np.datetime64(window[1]).item(),
        "n_periods": run.problem.n_periods,
        "n_window": run.problem.n_window,
        "spec_digest": run.manifest["spec_digest"],
        "data_digest": run.manifest["data_digest"],
        "problem_digest": run.manifest["problem_digest"],
        "package_version": run.manifest.get("versions", {}).get("mmm-runner", __version__),
    }


def dim_date(run: RunData) -> Iterator[Row]:
    """The periods of the data."""
    for position, day in enumerate(run.panel.dates.astype("datetime64[D]").tolist()):
        iso = day.isocalendar()
        yield {
            "date": day,
            "year": day.year,
            "quarter": (day.month + 2) // 3,
            "month": day.month,
            "iso_year": iso.year,
            "iso_week": iso.week,
            "is_modelled": run.problem.start <= position < run.problem.stop,
        }


def dim_component(run: RunData) -> Iterator[Row]:
    """The intercept and the design columns."""
    yield {"component": INTERCEPT, "role": INTERCEPT, "position": 0}
    for position, (column, role) in enumerate(zip(run.problem.columns, run.problem.roles, strict=True), 1):
        yield {
            "component": column,
            "role": str(role),
            "position": position,
            "colour": run.colours.get(column),
        }


def dim_channel(run: RunData) -> Iterator[Row]:
    """The paid channels."""
    asked = {channel.name: channel for channel in run.spec.channels}
    for position, channel in enumerate(run.problem.paid):
        yield {
            "channel": channel,
            "spend_column": asked[channel].spend,
            "exposure_column": asked[channel].exposure,
            "adstock": str(run.problem.adstock),
            "total_spend": run.problem.total_spend[position],
            "spend_share": run.problem.spend_share[position],
            "position": position + 1,
            "colour": run.colours[channel],
        }


def dim_model(run: RunData) -> Iterator[Row]:
    """The selected models, best first, and the mean of them."""
    if run.models:
        yield {"model": ENSEMBLE, "position": 0, "is_ensemble": True}
    for position, view in enumerate(run.models, 1):
        yield {"position": position, "is_ensemble": False, **_model(run, view)}


def _model(run: RunData, view: ModelView) -> Row:
    train_size = view.model.hyperparameters[run.problem.hyperparameter_names.index("train_size")]
    return {
        "model": view.candidate,
        "cluster": view.cluster,
        "train_size": train_size,
        "lambda": view.model.penalty,
        **view.losses,
    }
