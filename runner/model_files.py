"""One JSON file a selected model: all that is needed to rebuild it, score it or read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmm_core.transforms import channel_curves
from mmm_core.types import LOSS_COLUMNS, CandidateBatch, ChannelCurve, FittedModel, ModelProblem
from runner.dataset import MediaPanel
from runner.journal import efficiencies
from runner.problem import cost_per_exposure
from runner.refits import Uncertainty
from runner.spec import ChannelSpec, ExperimentSpec
from runner.tables import write_json

FORMAT = 1


def model_record(
    spec: ExperimentSpec,
    panel: MediaPanel,
    problem: ModelProblem,
    batch: CandidateBatch,
    model: FittedModel,
    facts: Mapping[str, Any],
    uncertainty: Uncertainty,
) -> dict[str, Any]:
    """A model as plain data.

    Args:
        spec, panel, problem: where it comes from. batch: its one row of results. model: the same as a model.
        facts: trial, iteration, cluster, error_score. uncertainty: intervals of its efficiencies.
    """
    losses = dict(zip(LOSS_COLUMNS, batch.losses[0].tolist(), strict=True))
    del losses["intercept"]
    return {
        "format": FORMAT,
        "candidate": model.candidate,
        **facts,
        "adstock": str(problem.adstock),
        "intercept_rule": str(problem.intercept),
        "outcome": {"column": spec.outcome.column, "kind": str(problem.outcome_kind)},
        "window": {
            "start": str(problem.dates[problem.start]),
            "end": str(problem.dates[problem.stop - 1]),
            "periods": problem.n_window,
        },
        "hyperparameters": dict(
            zip(problem.hyperparameter_names, model.hyperparameters.tolist(), strict=True)
        ),
        "lambda": model.penalty,
        "intercept": model.intercept,
        "coefficients": dict(zip(problem.columns, model.coefs.tolist(), strict=True)),
        "losses": losses,
        "components": _components(problem, batch, model),
        "channels": _channels(spec, panel, problem, batch, model, uncertainty),
    }


def _components(problem: ModelProblem, batch: CandidateBatch, model: FittedModel) -> list[dict[str, Any]]:
    names = ("intercept", *problem.columns)
    roles = ("intercept", *problem.roles)
    totals = np.concatenate([[model.intercept * problem.n_window], batch.contributions[0]])
    whole = totals.sum()
    return [
        {"name": name, "role": str(role), "contribution": float(total), "share": float(total / whole)}
        for name, role, total in zip(names, roles, totals, strict=True)
    ]


def _channels(
    spec: ExperimentSpec,
    panel: MediaPanel,
    problem: ModelProblem,
    batch: CandidateBatch,
    model: FittedModel,
    uncertainty: Uncertainty,
) -> list[dict[str, Any]]:
    efficiency = efficiencies(problem, batch.contributions)[0]
    records = []
    for m, curve in enumerate(channel_curves(problem, model)):
        record: dict[str, Any] = {"name": curve.channel, **_curve(curve)}
        record["contribution"] = float(batch.contributions[0, problem.first_media + m])
        if m < problem.n_paid:
            metric = problem.outcome_kind.efficiency
            interval = uncertainty.of(model.candidate, metric, curve.channel)
            record |= {
                "kind": "paid",
                **_columns(panel, problem, spec.channels[m]),
                "spend": float(problem.total_spend[m]),
                "effect_share": float(batch.effect_shares[0, m]),
                "spend_share": float(problem.spend_share[m]),
                metric: float(efficiency[m]),
                "lower": interval and interval.lower,
                "upper": interval and interval.upper,
            }
        else:
            organic = spec.organic[m - problem.n_paid]
            record |= {"kind": "organic", "exposure_column": organic.column}
        records.append(record)
    return records


def _columns(panel: MediaPanel, problem: ModelProblem, channel: ChannelSpec) -> dict[str, Any]:
    spend = panel.numeric[channel.spend]
    exposure = panel.numeric.get(channel.exposure or channel.spend, spend)
    rate = 1.0 if channel.exposure is None else cost_per_exposure(spend, exposure, problem.window)
    return {
        "spend_column": channel.spend,
        "exposure_column": channel.exposure,
        "currency_per_exposure": rate,
    }


def _curve(curve: ChannelCurve) -> dict[str, Any]:
    return {
        "coef": curve.coef,
        "alpha": curve.alpha,
        "gamma": curve.gamma,
        "inflexion": curve.inflexion,
        **dict(zip(curve.adstock.parameters, curve.adstock_parameters, strict=True)),
    }


def write_model(path: Path, record: Mapping[str, Any]) -> None:
    """Write a model file."""
    write_json(path, record)


def read_record(path: Path) -> dict[str, Any]:
    """A model file as plain data."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def read_model(path: Path) -> FittedModel:
    """A model file as a model; JSON numbers read back to the very doubles that were written."""
    return model_of_record(read_record(path))


def model_of_record(record: Mapping[str, Any]) -> FittedModel:
    """The same, of a model file that is in memory."""
    return FittedModel(
        candidate=record["candidate"],
        hyperparameters=np.array(list(record["hyperparameters"].values())),
        penalty=record["lambda"],
        intercept=record["intercept"],
        coefs=np.array(list(record["coefficients"].values())),
    )
