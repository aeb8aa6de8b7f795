"""What was measured, one fact a row: from the tables of the run folder, under the columns of ``schema``.

A maker gives rows or a table, with the columns of its own in any order; None where the run has nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.allocator import efficiency
from runner.bi.dimensions import Row
from runner.bi.schema import FACTS
from runner.summary import ENSEMBLE
from runner.tables import read_table

if TYPE_CHECKING:
    import pyarrow as pa

    from runner.reports.data import ModelView, RunData, ScenarioView


# How the names of hyperparameters end that belong to a design column.
_ENDS = ("alpha", "gamma", "theta", "shape", "scale", "penalty")


def contributions(run: RunData) -> pa.Table | None:
    """``contributions.parquet``."""
    path = run.folder.path / "contributions.parquet"
    return _by_model(read_table(path)) if path.is_file() else None


def fit(run: RunData) -> Iterator[Row]:
    """The outcome beside what each model makes of it."""
    problem = run.problem
    dates = problem.dates[problem.window].astype("datetime64[D]").tolist()
    outcome = problem.outcome[problem.window]
    for view in run.models:
        fitted = view.decomposition.fitted
        for split, rows in view.parts():
            for row in range(rows.start, rows.stop):
                yield {
                    "model": view.candidate,
                    "date": dates[row],
                    "split": split,
                    "outcome": outcome[row],
                    "fitted": fitted[row],
                    "residual": outcome[row] - fitted[row],
                }


def spend(run: RunData) -> Iterator[Row]:
    """Spends and exposures as in the data, all periods."""
    dates = run.panel.dates.astype("datetime64[D]").tolist()
    asked = {channel.name: channel for channel in run.spec.channels}
    for position, channel in enumerate(run.problem.paid):
        exposed = asked[channel].exposure
        exposure = run.panel.numeric[exposed] if exposed else [None] * len(dates)
        for day, money, seen in zip(dates, run.problem.spend[position], exposure, strict=True):
            yield {"date": day, "channel": channel, "spend": money, "exposure": seen}


def channel_results(run: RunData) -> Iterator[Row]:
    """What the channels brought: by the mean of the models, then by each of them."""
    if run.models:
        mean = np.mean([view.contributions for view in run.models], axis=0)
        total = float(np.mean([view.total for view in run.models]))
        yield from _results(run, ENSEMBLE, _paid(run, mean), total)
    for view in run.models:
        for row in _results(run, view.candidate, _paid(run, view.contributions), view.total):
            yield {**row, **_interval(run, view, str(row["channel"]))}


def _paid(run: RunData, contribution: Any) -> Any:
    first = run.problem.first_media
    return contribution[..., first : first + run.problem.n_paid]


def _results(run: RunData, model: str, paid: Any, total: float) -> Iterator[Row]:
    problem, brought = run.problem, float(paid.sum())
    for position, channel in enumerate(problem.paid):
        money, contribution = float(problem.total_spend[position]), float(paid[position])
        yield {
            "model": model,
            "channel": channel,
            "spend": money,
            "contribution": contribution,
            "contribution_share": contribution / total if total else None,
            "effect_share": contribution / brought if brought else None,
            "spend_share": problem.spend_share[position],
            "efficiency": float(efficiency(problem.outcome_kind, money, contribution)),
        }


def _interval(run: RunData, view: ModelView, channel: str) -> Row:
    bar = view.intervals.get(("sampling", run.metric, channel))
    if bar is None:
        return {}
    return {"efficiency_lower": bar.lower, "efficiency_upper": bar.upper, "level": bar.level}


def intervals(run: RunData) -> pa.Table | None:
    """``intervals.parquet``."""
    return _by_model(run.intervals)


def response_curves(run: RunData) -> pa.Table | None:
    """``response_curves.parquet``."""
    return _by_model(run.curves)


def calibration(run: RunData) -> pa.Table | None:
    """``calibration.parquet``."""
    return _by_model(run.calibration)


def refresh(run: RunData) -> pa.Table | None:
    """``refresh.parquet``."""
    return run.moved


def convergence(run: RunData) -> pa.Table | None:
    """``convergence.parquet``, less what its rows repeat."""
    return run.convergence


def plans(run: RunData) -> pa.Table | None:
    """All plans of all scenarios, the one for the mean of the models first."""
    import pyarrow as pa

    parts = [table for scenario in run.scenarios for table in _plans(run, scenario)]
    return pa.concat_tables(parts) if parts else None


def _plans(run: RunData, scenario: ScenarioView) -> Iterator[pa.Table]:
    import pyarrow as pa

    for model in (ENSEMBLE, *(view.candidate for view in run.models)):
        path = run.folder.path / "scenarios" / scenario.name / f"{model}.parquet"
        if path.is_file():
            table = read_table(path)
            names = [
                name.replace(f"_{run.metric}", "_efficiency")
                if name in (f"initial_{run.metric}", f"optimised_{run.metric}")
                else name
                for name in table.column_names
            ]
            yield table.rename_columns(names).append_column("model", pa.array([model] * table.num_rows))


def candidates(run: RunData) -> pa.Table | None:
    """Every candidate, with its losses, and its place on the fronts kept where it has one."""
    import pyarrow as pa

    from runner.reports.data import trial_files

    files = trial_files(run.folder.path)
    if not files:
        return None
    own = [name for name in FACTS["candidates"].columns if name not in ("run", *_placed_columns())]
    table = pa.concat_tables([read_table(path, own) for path in files])
    return _placed(run, table)


def _placed_columns() -> tuple[str, ...]:
    return ("front", "cluster", "error_score", "is_selected")


def _placed(run: RunData, table: pa.Table) -> pa.Table:
    """Front, cluster and selection beside the candidates that have them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known: dict[str, tuple[pa.Table, str]] = {}
    if run.pareto is not None:
        known |= {name: (run.pareto, name) for name in ("front", "error_score")}
    if run.clusters is not None:
        known |= {name: (run.clusters, name) for name in ("cluster", "is_selected")}
    for name, (source, column) in known.items():
        rows = pc.index_in(table["candidate"], value_set=source["candidate"].combine_chunks())
        values = source[column].combine_chunks().take(rows.combine_chunks())
        if pa.types.is_boolean(values.type):
            values = values.fill_null(fill_value=False)
        table = table.append_column(name, values)
    return table


def candidate_channels(run: RunData) -> Iterator[Row]:
    """Of the candidates on the fronts kept, what each channel brought."""
    for row in _kept(run):
        for channel in run.problem.paid:
            yield {
                "candidate": row["candidate"],
                "channel": channel,
                "contribution": row[f"contribution_{channel}"],
                "effect_share": row[f"effect_share_{channel}"],
                "efficiency": row[f"{run.metric}_{channel}"],
            }


def hyperparameters(run: RunData) -> Iterator[Row]:
    """Of the candidates on the fronts kept."""
    owned = {f"{column}_{end}": (column, end) for column in run.problem.columns for end in _ENDS}
    for row in _kept(run):
        for name in run.problem.hyperparameter_names:
            component, parameter = owned.get(name, (None, name))
            yield {
                "candidate": row["candidate"],
                "hyperparameter": name,
                "component": component,
                "parameter": parameter,
                "value": row[name],
            }


def _kept(run: RunData) -> list[Mapping[str, Any]]:
    """The journal's rows of the candidates on the fronts kept."""
    from runner.reports.data import candidate_rows

    if run.pareto is None:
        return []
    rows = candidate_rows(run.folder.path, run.pareto["candidate"].to_pylist())
    return rows.to_pylist() if rows is not None else []


def findings(run: RunData) -> Iterator[Row]:
    """``findings.json``."""
    for position, record in enumerate(run.findings or (), 1):
        yield {"position": position, **record, "severity": record["status"]}


def _by_model(table: pa.Table | None) -> pa.Table | None:
    """The same rows, the candidate called model: here it stands for one that was selected."""
    if table is None:
        return None
    return table.rename_columns(["model" if name == "candidate" else name for name in table.column_names])


Maker = Callable[["RunData"], "pa.Table | Iterator[Row] | None"]
