"""``mmm evaluate SPEC --candidates IN.csv --out OUT.parquet``: given hyperparameters, no search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmm_core.errors import RangeError, UserError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import FloatArray, ModelProblem
from runner.dataset import load_panel
from runner.journal import candidates_table
from runner.problem import build_problem
from runner.run_folder import RunFolder
from runner.source import read_table
from runner.spec import ExperimentSpec, load_spec
from runner.tables import write_atomically, write_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def run(
    source: str | Path,
    *,
    candidates: str | Path,
    out: str | Path | None = None,
    data: str | None = None,
    overrides: Sequence[str] = (),
) -> pa.Table:
    """Evaluate given hyperparameters on a spec's data, or on those of a run.

    Args:
        source: a spec file, or a run folder (then its baseline is used and Prophet is not fitted again).
        candidates: CSV or Parquet, a column per hyperparameter that the spec does not fix, and lambda_hp or lambda
            (the glmnet-scaled penalty itself). Other columns are ignored, but trial and iteration name the rows.
        out: where to write the table, Parquet or (by suffix) CSV.
        data: replaces data.path of a spec. overrides: key=value, for a spec.
    Returns:
        A table with the columns of a run's candidates, in the order of the rows given.
    Raises:
        UserError: spec, data or candidates cannot be used.
    """
    spec, problem = _problem(Path(source), data, overrides)
    table = read_table(str(candidates))
    hyperparameters, penalty = hyperparameter_matrix(spec, problem, table, str(candidates))
    try:
        batch = evaluate_candidates(problem, hyperparameters, penalty)
    except RangeError as error:
        raise UserError(f"{candidates}: {error}") from None
    result = candidates_table(problem, batch, *_labels(table))
    if out is not None:
        _write(Path(out), result)
    return result


def _problem(source: Path, data: str | None, overrides: Sequence[str]) -> tuple[ExperimentSpec, ModelProblem]:
    if source.is_dir():
        if data is not None or overrides:
            raise UserError(
                f"{source}: --data and --set need a spec file; a run folder has its data and spec inside"
            )
        folder = RunFolder.open(source)
        spec = folder.spec()
        return spec, folder.problem(spec, folder.panel(spec))
    spec = load_spec(source, data=data, overrides=overrides)
    return spec, build_problem(spec, load_panel(spec))[0]


def hyperparameter_matrix(
    spec: ExperimentSpec, problem: ModelProblem, table: pd.DataFrame, path: str
) -> tuple[FloatArray, FloatArray | None]:
    """((N, H) matrix in the problem's order, (N,) penalties or None) from a table of the user's.

    Raises:
        UserError: a column is missing or a cell is no number.
    """
    ranges = spec.ranges(problem.hyperparameter_names)
    penalty = None
    columns = []
    for name in problem.hyperparameter_names:
        low, high = ranges[name]
        if name in table:
            columns.append(_column(table, name, path))
        elif low == high:
            columns.append(np.full(len(table), low))
        elif name == "lambda_hp" and "lambda" in table:
            penalty = _column(table, "lambda", path)
            least, most = problem.lambda_range
            columns.append((penalty - least) / (most - least))
        else:
            also = " (or lambda)" if name == "lambda_hp" else ""
            raise UserError(
                f"{path}: the column {name!r}{also} is missing; every searched hyperparameter needs one"
            )
    matrix = np.column_stack(columns)
    if penalty is not None:
        # Only the penalty itself counts; one outside the range searched here is legal.
        position = problem.hyperparameter_names.index("lambda_hp")
        matrix[:, position] = np.clip(matrix[:, position], 0.0, 1.0)
    return matrix, penalty


def _column(table: pd.DataFrame, name: str, path: str) -> FloatArray:
    out = np.empty(len(table))
    for i, cell in enumerate(table[name].tolist()):
        try:
            out[i] = float(cell)
        except (TypeError, ValueError):
            raise UserError(f"{path}: column {name!r}: row {i + 1} is {cell!r}, expected a number") from None
        if not np.isfinite(out[i]):
            raise UserError(f"{path}: column {name!r}: row {i + 1} is {cell!r}, expected a finite number")
    return out


def _labels(table: pd.DataFrame) -> tuple[list[int], list[int]]:
    """trial and iteration of each row: as given, else trial 0 (no search) and the row number."""
    try:
        return [int(t) for t in table["trial"]], [int(i) for i in table["iteration"]]
    except (KeyError, TypeError, ValueError):
        return [0] * len(table), list(range(1, len(table) + 1))


def _write(out: Path, table: pa.Table) -> None:
    try:
        if out.suffix.lower() == ".csv":
            write_atomically(out, lambda p: table.to_pandas().to_csv(p, index=False))
        else:
            write_table(out, table)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror or error}); choose another --out"
        ) from error
