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
from runner.source import Source, read_table
from runner.spec import ExperimentSpec, load_spec
from runner.tables import write_atomically, write_table

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".csv")
REMEDY = "fill it or delete the row"
MOST = 2**31 - 1


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
    if out is not None and Path(out).suffix.lower() not in SUFFIXES:
        raise UserError(f"{out}: written are .parquet and .csv; choose one of these endings for --out")
    given = Source.of(str(candidates), read_table(str(candidates), "give the table of hyperparameters"))
    spec, problem = _problem(Path(source), data, overrides)
    hyperparameters, penalty = hyperparameter_matrix(spec, problem, given)
    trials, iterations = _labels(given)
    try:
        batch = evaluate_candidates(problem, hyperparameters, penalty)
    except RangeError as error:
        raise UserError(f"{candidates}: {error}") from None
    result = candidates_table(problem, batch, trials, iterations)
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
    spec: ExperimentSpec, problem: ModelProblem, source: Source
) -> tuple[FloatArray, FloatArray | None]:
    """((N, H) matrix in the problem's order, (N,) penalties or None) from a table of the user's.

    Raises:
        UserError: a column is missing or a cell is no number.
    """
    ranges = spec.ranges(problem.hyperparameter_names)
    columns = []
    penalty = None
    for name in problem.hyperparameter_names:
        low, high = ranges[name]
        if name in source.table:
            columns.append(source.numbers(name, REMEDY))
        elif name == "lambda_hp" and "lambda" in source.table:
            penalty = _penalties(source)
            # Only the penalty counts; what stands beside it in the table may lie outside the range and is cut.
            columns.append(problem.lambda_hp_of(penalty))
        elif low == high:
            columns.append(np.full(len(source.table), low))
        else:
            also = " (or lambda)" if name == "lambda_hp" else ""
            raise UserError(
                f"{source.path}: the column {name!r}{also} is missing; every searched hyperparameter needs one"
            )
    return np.column_stack(columns), penalty


def _penalties(source: Source) -> FloatArray:
    penalty = source.numbers("lambda", REMEDY)
    for i in np.flatnonzero(penalty < 0):
        raise source.fail("lambda", f"is {penalty[i]:g}, expected a penalty of at least 0", int(i))
    return penalty


def _labels(source: Source) -> tuple[list[int], list[int]]:
    """trial and iteration of each row: as given, else trial 0 (no search) and the row number."""
    n = len(source.table)
    if "trial" not in source.table or "iteration" not in source.table:
        return [0] * n, list(range(1, n + 1))
    return _whole_numbers(source, "trial"), _whole_numbers(source, "iteration")


def _whole_numbers(source: Source, column: str) -> list[int]:
    values = source.numbers(column, REMEDY)
    for i in np.flatnonzero((values != np.floor(values)) | (values < 0) | (values > MOST)):
        raise source.fail(
            column, f"is {values[i]:g}, expected a whole number; correct it or drop the column", int(i)
        )
    return [int(value) for value in values]


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
