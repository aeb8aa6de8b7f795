"""What the page computes and draws with: the run's numbers as plain data, packed where they are many.

Arrays travel as base64 of little-endian numbers: float64 where the desk computes with them, float32 where they are only
drawn. A NaN is null, an infinity the text "inf". Names from the data are data here and become text nodes in the page.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmm_core import adstock
from mmm_core.response import Carryover, Flighting, Horizon, historical_spends, mean_carryover
from mmm_core.types import Adstock, ChannelCurve, FloatArray, ModelProblem, Role
from runner.reports import theme
from runner.reports.data import ModelView, PlanView, RunData, candidate_rows, trial_files
from runner.reports.desk import Ground, desk_draws, draws_carried
from runner.reports.words import catalogue

# Candidates that the cloud shows at most; of more, every so-manieth.
MOST_POINTS = 8_000
# Points of a series over time at most, and bytes of all of them: more periods are added up.
MOST_PERIODS = 400
MOST_SERIES = 1_500_000
# Weibull weights of so many bytes together are cut where they fade, and travel in single precision.
MOST_WEIGHTS = 1_500_000
FADED = 1e-12
CLOUD_QUANTILE = 0.9
ROLE_COLOURS = {Role.BASELINE: theme.BASELINE, Role.CONTEXT: theme.CONTEXT}
LOSSES = (
    "nrmse",
    "nrmse_train",
    "nrmse_val",
    "nrmse_test",
    "decomp_rssd",
    "mape",
    "rsq_train",
    "rsq_val",
    "rsq_test",
)


def payload(run: RunData, language: str) -> dict[str, Any]:
    """Everything that the page's script needs, JSON-ready.

    Args:
        run: what the page is about. language: that it opens in.
    """
    return {
        "language": language,
        **catalogue(),
        "run": _facts(run),
        "components": _components(run),
        "channels": _channels(run),
        "time": _time(run),
        "models": [_model(run, view) for view in run.models],
        "cloud": _cloud(run),
        "fronts": _fronts(run),
        "convergence": _convergence(run),
        "desk": _desk(run),
    }


def as_json(content: Mapping[str, Any]) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def packed(values: NDArray[Any] | Sequence[float], kind: str = "<f4") -> dict[str, str]:
    """An array as base64 of its bytes, row after row; its shape is the reader's to know."""
    with np.errstate(over="ignore"):  # beyond single precision is beyond any picture: infinite
        content = np.ascontiguousarray(values, dtype=kind).tobytes()
    return {"kind": kind[1:], "bytes": base64.b64encode(content).decode("ascii")}


def plain(value: float | None) -> float | str | None:
    """One number: null for NaN, text for an infinity."""
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(value)


def plains(values: NDArray[Any] | Sequence[float]) -> list[float | str | None]:
    """Several of them."""
    return [plain(float(value)) for value in values]


# ----------------------------------------------------------------------------------------------------------------- run


def _facts(run: RunData) -> dict[str, Any]:
    return {
        "id": run.folder.run_id,
        "experiment": theme.printable(run.spec.name),
        "outcome": theme.printable(run.spec.outcome.column),
        "metric": run.metric,
        "frequency": run.frequency,
        "adstock": str(run.problem.adstock),
        "level": run.spec.bootstrap.level,
        "refits": run.spec.bootstrap.refits,
        "has_intervals": run.has_intervals,
        "no_interval": run.no_interval,
        "trials": run.spec.search.trials,
        "no_convergence": "convergence" if run.convergence is None else "search",
        "time_series": run.problem.time_series_validation,
    }


def _components(run: RunData) -> list[dict[str, Any]]:
    """The intercept, then the design columns."""
    rows: list[dict[str, Any]] = [{"name": None, "role": "intercept", "colour": theme.INTERCEPT}]
    for column, role in zip(run.problem.columns, run.problem.roles, strict=True):
        colour = run.colours.get(column) or ROLE_COLOURS[role]
        rows.append({"name": theme.printable(column), "role": str(role), "colour": colour})
    return rows


def _channels(run: RunData) -> list[dict[str, Any]]:
    problem = run.problem
    return [
        {
            "name": theme.printable(channel),
            "colour": run.colours[channel],
            "spend": float(problem.total_spend[p]),
            "spend_share": plain(float(problem.spend_share[p])),
        }
        for p, channel in enumerate(problem.paid)
    ]


def _time(run: RunData) -> dict[str, Any]:
    problem = run.problem
    size = _bin(run)
    dates = [str(date) for date in problem.dates[problem.window]]
    return {"dates": dates, "actual": packed(problem.outcome[problem.window]), "bin": size}


def _bin(run: RunData) -> int:
    """Periods that one point of a stacked series stands for: weeks where there are many days."""
    n, rows = run.problem.n_window, (1 + len(run.problem.columns)) * max(len(run.models), 1)
    most = min(MOST_PERIODS, max(50, MOST_SERIES // (4 * rows)))
    if n <= most:
        return 1
    return max(7 if run.frequency == "daily" else 1, -(-n // most))


# -------------------------------------------------------------------------------------------------------------- models


def _model(run: RunData, view: ModelView) -> dict[str, Any]:
    problem, taken = run.problem, view.decomposition
    series = np.vstack([np.full(problem.n_window, view.model.intercept), taken.contributions])
    edges = np.arange(0, problem.n_window, _bin(run))
    return {
        "candidate": view.candidate,
        "cluster": view.cluster,
        "error_score": plain(view.error_score),
        "losses": {name: plain(view.losses[name]) for name in LOSSES},
        "n_train": view.n_train,
        "n_val": view.n_val,
        "fitted": packed(taken.fitted),
        "series": packed(np.add.reduceat(series, edges, axis=1)),
        "totals": plains(series.sum(axis=1)),
        "effect_shares": plains(view.effect_shares),
        "efficiencies": plains(view.efficiencies),
        "bars": [_bars(run, view, channel) for channel in problem.paid],
        "curves": [_curve(view, channel) for channel in problem.paid],
        "adstock": [_decay(problem, curve) for curve in view.curves],
        "immediate": plains(taken.immediate.sum(axis=1)),
        "carryover": plains(taken.carryover.sum(axis=1)),
    }


def _bars(run: RunData, view: ModelView, channel: str) -> dict[str, list[float | str | None]]:
    """Ends of the sampling interval and of the spread over the cluster, where they are known."""
    found = {}
    for kind in ("sampling", "cluster"):
        bar = view.intervals.get((kind, run.metric, channel))
        if bar is not None and bar.is_known:
            found[kind] = [plain(bar.lower), plain(bar.upper)]
    return found


def _curve(view: ModelView, channel: str) -> dict[str, Any] | None:
    curve = view.responses.get(channel)
    if curve is None:
        return None
    rows = [
        curve.spend,
        curve.response,
        curve.marginal,
        *([curve.lower, curve.upper] if curve.has_band else []),
    ]
    return {"points": packed(np.array(rows)), "rows": len(rows), "today": curve.today}


def _decay(problem: ModelProblem, curve: ChannelCurve) -> dict[str, Any]:
    """theta, or how much of a Weibull adstock is left by the period, of its peak; until a hundredth is left."""
    if curve.adstock is Adstock.GEOMETRIC:
        return {"theta": curve.adstock_parameters[0]}
    weights = adstock.weights(curve.adstock, curve.adstock_parameters, problem.n_periods)
    peak = float(weights.max(initial=0.0)) or 1.0
    last = int(np.flatnonzero(weights >= 0.01 * peak).max(initial=0)) + 2
    return {"weights": packed(weights[:last] / peak)}


# -------------------------------------------------------------------------------------------------------------- search


def _cloud(run: RunData) -> dict[str, Any] | None:
    """Losses of all candidates, thinned evenly where they are too many to draw; None without journals."""
    import pyarrow.parquet as pq

    names = ("trial", "iteration", "nrmse", "decomp_rssd")
    tables = [pq.ParquetFile(path).read(columns=list(names)) for path in trial_files(run.folder.path)]
    if not tables:
        return None
    columns = [np.concatenate([table[name].to_numpy() for table in tables]) for name in names]
    known = np.isfinite(columns[2]) & np.isfinite(columns[3])
    n_all = len(known)
    columns = [column[known] for column in columns]
    limits = [
        1.05 * float(np.quantile(losses, CLOUD_QUANTILE)) if len(losses) else 1.0 for losses in columns[2:]
    ]
    n_hidden = (
        n_all - int(((columns[2] <= limits[0]) & (columns[3] <= limits[1])).sum())
        if len(columns[2])
        else n_all
    )
    step = -(-max(len(columns[0]), 1) // MOST_POINTS)
    kinds = ("<i4", "<i4", "<f4", "<f4")
    shown = {
        name: packed(column[::step], kind) for name, column, kind in zip(names, columns, kinds, strict=True)
    }
    return {**shown, "n": n_all, "step": step, "limits": limits, "hidden": n_hidden}


def _fronts(run: RunData) -> list[dict[str, Any]] | None:
    """The candidates on the fronts kept, with what a click on one shows."""
    if run.pareto is None:
        return None
    rows = run.pareto.to_pylist()
    clusters = {
        row["candidate"]: row for row in (run.clusters.to_pylist() if run.clusters is not None else [])
    }
    found = candidate_rows(run.folder.path, [row["candidate"] for row in rows])
    columns = {} if found is None else {name: found[name].to_pylist() for name in found.column_names}
    place = {name: i for i, name in enumerate(columns.get("candidate", []))}
    told = []
    for row in rows:
        i, cluster = place.get(row["candidate"]), clusters.get(row["candidate"], {})
        own = (
            {}
            if i is None
            else {f: [plain(columns[f"{f}_{c}"][i]) for c in run.problem.paid] for f in _per_channel(run)}
        )
        losses = {} if i is None else {name: plain(columns[name][i]) for name in LOSSES}
        kept = {
            "candidate": row["candidate"],
            "front": row["front"],
            "error_score": plain(row["error_score"]),
        }
        told.append(
            {**kept, "cluster": cluster.get("cluster"), "size": cluster.get("size"), "losses": losses, **own}
        )
    return told


def _per_channel(run: RunData) -> tuple[str, str]:
    return run.metric, "effect_share"


def _convergence(run: RunData) -> list[dict[str, Any]] | None:
    if run.convergence is None or run.convergence.num_rows == 0:
        return None
    names = ("first_iteration", "last_iteration", "median", "sd")
    wanted = ("last_median", "median_threshold", "last_sd", "first_sd_mean")
    rows = run.convergence.to_pylist()
    told = []
    for loss in dict.fromkeys(row["loss"] for row in rows):
        own = [row for row in rows if row["loss"] == loss]
        columns: dict[str, Any] = {name: plains([_float(row[name]) for row in own]) for name in names}
        columns |= {name: plain(_float(own[-1][name])) for name in wanted}
        told.append({"loss": loss, "is_converged": bool(own[-1]["is_converged"]), **columns})
    return told


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


# ---------------------------------------------------------------------------------------------------------------- desk


def _desk(run: RunData) -> dict[str, Any] | None:
    """What the page evaluates the formula of ``runner.reports.desk`` from; None without models."""
    if not run.models:
        return None
    problem = run.problem
    media = slice(problem.first_media, problem.first_media + problem.n_paid)
    exposure = problem.design[media]
    window_spend = problem.total_spend
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(window_spend > 0, exposure[:, problem.window].sum(axis=1) / window_spend, 0.0)
    grounds = _grounds(run)
    return {
        "n_periods": problem.n_periods,
        "exposure": packed(exposure, "<f8"),
        "rate": packed(rate, "<f8"),
        "grounds": [_ground(run, ground) for ground in grounds],
        "models": [_desk_model(run, view, grounds) for view in run.models],
        "plans": _plans(run, grounds),
    }


def _grounds(run: RunData) -> list[Ground]:
    """The window, then what the scenarios are about; each once."""
    grounds = [Ground(Horizon.window(run.problem))]
    for scenario in run.scenarios:
        if scenario.shared is not None:
            ground = _ground_of(run, scenario.shared)
            if ground not in grounds:
                grounds.append(ground)
    return grounds


def _ground_of(run: RunData, plan: PlanView) -> Ground:
    horizon = Horizon.between(run.problem, plan.start, plan.end)
    return Ground(
        horizon, Carryover(str(plan.columns["carryover"][0])), Flighting(str(plan.columns["flighting"][0]))
    )


def _ground(run: RunData, ground: Ground) -> dict[str, Any]:
    initial, reference = historical_spends(run.problem, ground.horizon, ground.carryover)
    return {
        "start": ground.horizon.start,
        "stop": ground.horizon.stop,
        "first": str(run.problem.dates[ground.horizon.start]),
        "last": str(run.problem.dates[ground.horizon.stop - 1]),
        "carryover": str(ground.carryover),
        "flighting": str(ground.flighting),
        "spent": packed(run.problem.spend[:, ground.horizon.rows].sum(axis=1), "<f8"),
        "initial": packed(initial, "<f8"),
        "reference": packed(reference, "<f8"),
    }


def _desk_model(run: RunData, view: ModelView, grounds: Sequence[Ground]) -> dict[str, Any]:
    curves = view.curves[: run.problem.n_paid]
    names = ("coef", "alpha", "inflexion")
    told: dict[str, Any] = {name: packed([getattr(curve, name) for curve in curves], "<f8") for name in names}
    told["candidate"] = view.candidate
    told["draws"] = packed(draws_of(run, view), "<f4")
    if run.problem.adstock is Adstock.GEOMETRIC:
        told["theta"] = packed([curve.adstock_parameters[0] for curve in curves], "<f8")
    else:
        is_large = 8 * run.problem.n_periods * len(curves) * len(run.models) > MOST_WEIGHTS
        told["weights"] = [_weights(run.problem, curve, is_large) for curve in curves]
    if any(ground.carryover is Carryover.HISTORICAL for ground in grounds):
        told["carried"] = packed(mean_carryover(run.problem, view.model)[: run.problem.n_paid], "<f8")
    return told


def _weights(problem: ModelProblem, curve: ChannelCurve, is_large: bool) -> dict[str, str]:
    """The weights of an adstock up to the last that counts."""
    weights = adstock.weights(curve.adstock, curve.adstock_parameters, problem.n_periods)
    counts = weights > (FADED * weights.sum() if is_large else 0.0)
    return packed(weights[: int(np.flatnonzero(counts).max(initial=0)) + 1], "<f4" if is_large else "<f8")


def draws_of(run: RunData, view: ModelView) -> FloatArray:
    """(B, P) the coefficients that the desk's band rests on; none where the run has no intervals."""
    if not run.has_intervals:
        return np.empty((0, run.problem.n_paid))
    trial, iteration = (int(part) for part in view.candidate.split("_")[:2])
    n = draws_carried(run.spec.bootstrap.refits, len(run.models), run.problem.n_paid)
    return desk_draws(run.spec, run.problem, view.model, (trial, iteration), n)


def _plans(run: RunData, grounds: Sequence[Ground]) -> list[dict[str, Any]]:
    """The optimised plans: of the mean of the models, and of each model alone."""
    told = []
    for scenario in run.scenarios:
        shared = scenario.shared
        if shared is None:
            continue
        limits = {end: packed(shared[f"{end}_spend"], "<f8") for end in ("lower", "upper")}
        answers = {name: plan for name, plan in [("", shared), *scenario.own.items()] if plan.is_answer}
        told.append(
            {
                "name": theme.printable(scenario.name),
                "ground": grounds.index(_ground_of(run, shared)),
                **limits,
                "answers": [
                    {"candidate": name or None, "spend": packed(plan["optimised_spend"], "<f8")}
                    for name, plan in answers.items()
                ],
            }
        )
    return told
