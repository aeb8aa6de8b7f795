"""The one function a worker runs: a batch of hyperparameters in, fits, decompositions and losses out."""

from __future__ import annotations

import numpy as np

from mmm_core import _kernels
from mmm_core.adstock import KIND_CODES
from mmm_core.errors import RangeError, ShapeError
from mmm_core.limits import describe_limits, legal_ranges, parameter_of
from mmm_core.types import (
    Adstock,
    CandidateBatch,
    Convention,
    FloatArray,
    IntArray,
    InterceptRule,
    ModelProblem,
    RefreshLoss,
    Scope,
    Solver,
    read_only,
)

INTERCEPT_CODES = {
    InterceptRule.NON_NEGATIVE: _kernels.NON_NEGATIVE,
    InterceptRule.UNCONSTRAINED: _kernels.UNCONSTRAINED,
    InterceptRule.NONE: _kernels.NO_INTERCEPT,
}
SOLVER_CODES = {Solver.GLMNET: _kernels.GLMNET, Solver.EXACT: _kernels.EXACT}
# Of the very types that studies have, or numba would compile a second kernel.
NO_STUDIES = _kernels.Studies(
    is_about=read_only(np.empty((0, 0)), np.bool_),
    is_immediate=read_only([], np.bool_),
    first=read_only([], np.int64),
    stop=read_only([], np.int64),
    row_weights=read_only(np.empty((0, 0))),
    estimate=read_only([]),
    error_weights=read_only([]),
    is_series_of_its_own=False,
)

NO_REFERENCE = _kernels.Reference(
    shares=read_only([]), other_weight=1.0, roas=read_only([]), spend=read_only([])
)


def media_parameters(problem: ModelProblem, hyperparameters: FloatArray) -> FloatArray:
    """(N, M, 4): alpha, gamma, then theta and 0, or shape and scale, of each medium."""
    positions = problem.media_positions
    out = np.zeros((len(hyperparameters), len(positions), 4))
    out[:, :, : positions.shape[1]] = hyperparameters[:, positions]
    return out


def split_window(n_window: int, train_size: FloatArray) -> tuple[IntArray, IntArray]:
    """(n_train, n_val) for each train_size: the first rows of the window train, the next validate, the rest test.

    n_train = floor(1 + (W - 1) p), n_val = floor((1 - p) / 2 * W); p = 1 trains on everything.
    Source: Robyn 3.12.1, model.R, robyn_mmm.
    """
    n_train = np.floor(1 + (n_window - 1) * train_size).astype(np.int64)
    n_val = np.floor((1 - train_size) / 2 * n_window).astype(np.int64)
    everything = train_size >= 1
    return np.where(everything, n_window, n_train), np.where(everything, 0, n_val)


def split_rows(problem: ModelProblem, train_size: FloatArray) -> tuple[IntArray, IntArray]:
    """(n_train, n_val) of each candidate of a problem, see ``split_window``."""
    return split_window(problem.n_window, train_size)


def penalty_factors(problem: ModelProblem, hyperparameters: FloatArray) -> FloatArray:
    """(N, K) penalty factor of each column, 1 unless they are searched."""
    if not problem.penalty_factors:
        return np.ones((len(hyperparameters), len(problem.columns)))
    return hyperparameters[:, -len(problem.columns) :].copy()


def kernel_studies(problem: ModelProblem) -> _kernels.Studies:
    """The lift studies of a problem as kernels take them."""
    studies = problem.studies
    if studies is None:
        return NO_STUDIES
    return _kernels.Studies(
        is_about=problem.study_media,
        is_immediate=read_only([scope is Scope.IMMEDIATE for scope in studies.scopes], np.bool_),
        first=studies.first,
        stop=studies.stop,
        row_weights=studies.row_weights,
        estimate=studies.estimate,
        error_weights=studies.error_weights,
        is_series_of_its_own=studies.convention is Convention.ROBYN,
    )


def kernel_reference(problem: ModelProblem) -> _kernels.Reference:
    """The model before a refresh as kernels take it."""
    reference = problem.reference
    if reference is None:
        return NO_REFERENCE
    is_stable = reference.loss is RefreshLoss.STABLE
    # A channel without spend brings nothing by it: its change is that of its contribution, counted as if one unit.
    spend = np.where(problem.total_spend > 0, problem.total_spend, 1.0)
    return _kernels.Reference(
        shares=reference.shares,
        other_weight=1 / (1 - reference.periods / problem.n_window),
        roas=read_only(reference.roas / reference.scale if is_stable else []),
        spend=read_only(spend * reference.scale if is_stable else []),
    )


def check_hyperparameters(problem: ModelProblem, hyperparameters: FloatArray) -> FloatArray:
    """A contiguous (N, H) matrix whose every value is legal, or an error that names row and column."""
    values = np.ascontiguousarray(hyperparameters, dtype=np.float64)
    names = problem.hyperparameter_names
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ShapeError(f"hyperparameters have shape {values.shape}, expected (N, {len(names)})")
    smallest, largest = legal_ranges(names)
    legal = (values >= smallest) & (values <= largest)
    if not legal.all():
        j, row = (int(place[0]) for place in np.nonzero(~legal.T))
        limits = describe_limits(parameter_of(names[j]))
        raise RangeError(f"row {row + 1}: {names[j]} is {values[row, j]:g}, expected {limits}")
    train_size = values[:, names.index("train_size")]
    if not problem.time_series_validation and (train_size != 1).any():
        raise RangeError("train_size below 1 needs time-series validation to be on")
    return values


def evaluate_candidates(
    problem: ModelProblem, hyperparameters: FloatArray, penalty: FloatArray | None = None
) -> CandidateBatch:
    """Fit, decompose and judge N candidates: adstock on all T rows, window, Hill, bounded ridge, decomposition, losses.

    Where the problem has lift studies, ``mape`` says how far the candidate is from them (see ``calibration``). Where it
    has the model before a refresh, ``decomp_rssd`` says how far from that one (see ``types.ReferenceShares``).

    Every number is that of glmnet's own coordinate descent (see ``ridge``), so results agree with R Robyn to rounding,
    unless the problem asks for the exact solver.

    Args:
        problem: the data.
        hyperparameters: shape (N, H), columns in the order of ``problem.hyperparameter_names``, each in its LIMITS.
        penalty: shape (N,), the glmnet-scaled lambda itself instead of the one that lambda_hp stands for (to rebuild
            a saved model, whose lambda is absolute).
    Returns:
        CandidateBatch in the order of the rows.
    Raises:
        ShapeError, RangeError: hyperparameters do not fit the problem or lie outside their limits.
    Source: Robyn 3.12.1, model.R, robyn_iterations and model_decomp.
    """
    values = check_hyperparameters(problem, hyperparameters)
    names = problem.hyperparameter_names
    if penalty is None:
        penalty = problem.penalty_of(values[:, names.index("lambda_hp")])
    n, k = len(values), len(problem.columns)
    n_train, n_val = split_rows(problem, values[:, names.index("train_size")])
    losses = np.empty((n, _kernels.N_LOSSES))
    coefs, contributions = np.empty((n, k)), np.empty((n, k))
    effect_shares = np.empty((n, problem.n_paid))
    statuses = np.empty(n, dtype=np.int64)
    _kernels.evaluate_batch(
        KIND_CODES[problem.adstock],
        SOLVER_CODES[problem.solver],
        INTERCEPT_CODES[problem.intercept],
        problem.zero_penalty,
        problem.outcome,
        problem.design,
        problem.first_media,
        problem.n_paid,
        problem.spend_share,
        problem.start,
        problem.stop,
        problem.lower,
        problem.upper,
        problem.trend_column,
        media_parameters(problem, values),
        n_train,
        n_val,
        np.array(penalty, dtype=np.float64),
        penalty_factors(problem, values),
        kernel_studies(problem),
        kernel_reference(problem),
        losses,
        coefs,
        contributions,
        effect_shares,
        statuses,
    )
    return CandidateBatch(values, np.asarray(penalty), losses, coefs, contributions, effect_shares, statuses)


def adstock_parameters(kind: Adstock, values: FloatArray) -> tuple[float, ...]:
    """(theta,) or (shape, scale) from one row of ``media_parameters``."""
    return tuple(float(v) for v in values[2 : 2 + len(kind.parameters)])
