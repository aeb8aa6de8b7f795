"""The frozen bundles that travel: the problem (data), candidates (asked), results (evaluated), models (selected)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmm_core.errors import LabelError, RangeError, ShapeError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
DateArray = NDArray[np.datetime64]


class Adstock(StrEnum):
    """How an exposure is carried into later periods."""

    GEOMETRIC = "geometric"
    WEIBULL_CDF = "weibull_cdf"
    WEIBULL_PDF = "weibull_pdf"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of its hyperparameters, in the order kernels take them."""
        return ("theta",) if self is Adstock.GEOMETRIC else ("shape", "scale")


class InterceptRule(StrEnum):
    """Sign rule of the intercept: non_negative refits without one where it would be negative."""

    NON_NEGATIVE = "non_negative"
    UNCONSTRAINED = "unconstrained"
    NONE = "none"


class Role(StrEnum):
    """What a design column is."""

    BASELINE = "baseline"
    CONTEXT = "context"
    PAID = "paid"
    ORGANIC = "organic"


class OutcomeKind(StrEnum):
    """Revenue is judged by ROAS (outcome per spend), conversions by CPA (spend per outcome)."""

    REVENUE = "revenue"
    CONVERSION = "conversion"

    @property
    def efficiency(self) -> str:
        """Name of the efficiency metric: roas or cpa."""
        return "roas" if self is OutcomeKind.REVENUE else "cpa"


class Scope(StrEnum):
    """What a lift study measured: all that a channel brought in its days, or only what the exposures of these days did.

    A channel that was switched off for a while measures the second; what earlier exposures left over goes on working.
    """

    TOTAL = "total"
    IMMEDIATE = "immediate"


class Convention(StrEnum):
    """How the days of a lift study meet the rows of the data, see ``calibration``."""

    CORRECT = "correct"
    ROBYN = "robyn"


class Solver(StrEnum):
    """How far the ridge is solved: until glmnet would stop, which gives Robyn's numbers, or to its very minimum."""

    GLMNET = "glmnet"
    EXACT = "exact"


# lambda_min in lambda_max: the span of the ridge penalty (Robyn's constant).
SMALLEST_PENALTY_RATIO = 0.0001


class PenaltyScale(StrEnum):
    """How lambda_hp in [0, 1] becomes lambda, see ``ModelProblem.penalty_of``."""

    LINEAR = "linear"
    LOG = "log"

    def of(self, lambda_hp: float, scale: PenaltyScale) -> float:
        """The lambda_hp on this scale that stands for the same lambda as one on another scale."""
        ratio = 1 / SMALLEST_PENALTY_RATIO
        if self is scale:
            return lambda_hp
        if self is PenaltyScale.LOG:
            return math.log1p((ratio - 1) * lambda_hp) / math.log(ratio)
        return math.expm1(lambda_hp * math.log(ratio)) / (ratio - 1)


class RefreshLoss(StrEnum):
    """What a refreshed model is asked to keep of the model before it, see ``ReferenceShares``."""

    ROBYN = "robyn"
    STABLE = "stable"


class FitStatus(StrEnum):
    """How the fit of one candidate ended; travels with the candidate instead of an exception."""

    OK = "ok"
    MAX_SWEEPS = "max_sweeps"
    ALL_MEDIA_ZERO = "all_media_zero"


# Position = the code that kernels return.
FIT_STATUSES = (FitStatus.OK, FitStatus.MAX_SWEEPS, FitStatus.ALL_MEDIA_ZERO)


def read_only(values: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """A C-contiguous copy that cannot be written.

    Read-only on purpose, not only for safety: arrays that come back from a Ray object store are read-only, and numba
    compiles a second version of every kernel for an array whose writability differs.
    """
    array = np.array(values, dtype=dtype, order="C", copy=True)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class _Bundle:
    """Frozen fields that stay so on the way to another process."""

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Arrays from an object store come back read-only and are taken as they are, without a copy; from a plain
        # pickle they come back writable.
        for name, value in state.items():
            if isinstance(value, np.ndarray) and value.flags.writeable:
                value.flags.writeable = False
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class LiftStudies(_Bundle):
    """S lift studies as arrays, ready to be held against every candidate; ``calibration.lift_studies`` makes them.

    Attributes:
        channels: S tuples of media that a study moved together.
        scopes: S scopes.
        first, stop: (S,) rows [first, stop) of the data that a study touches.
        row_weights: (S, T) how much of each row counts for a study, 0 outside its rows.
        estimate: (S,) what a study found, in the outcome's unit, over its whole length; never 0.
        standard_error: (S,) in the same unit, > 0; NaN where it is not known.
        convention: see the enumeration.
    """

    channels: tuple[tuple[str, ...], ...]
    scopes: tuple[Scope, ...]
    first: IntArray
    stop: IntArray
    row_weights: FloatArray
    estimate: FloatArray
    standard_error: FloatArray
    convention: Convention = Convention.CORRECT

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        for name in ("row_weights", "estimate", "standard_error"):
            set_field(self, name, read_only(getattr(self, name)))
        for name in ("first", "stop"):
            set_field(self, name, read_only(getattr(self, name), np.int64))
        set_field(self, "channels", tuple(tuple(names) for names in self.channels))
        set_field(self, "scopes", tuple(Scope(scope) for scope in self.scopes))
        set_field(self, "convention", Convention(self.convention))
        self._check()

    def _check(self) -> None:
        s = len(self.channels)
        if s == 0 or len(self.scopes) != s:
            raise ShapeError(
                f"{len(self.scopes)} scopes for {s} lift studies, expected as many, and at least one"
            )
        for name in ("first", "stop", "estimate", "standard_error"):
            if getattr(self, name).shape != (s,):
                raise ShapeError(f"{name} has shape {getattr(self, name).shape}, expected ({s},)")
        if self.row_weights.ndim != 2 or len(self.row_weights) != s:
            raise ShapeError(f"row_weights has shape {self.row_weights.shape}, expected ({s}, T)")
        if not (np.isfinite(self.estimate) & (self.estimate != 0)).all():
            raise RangeError("estimates of lift studies must be finite and not 0")
        if (self.standard_error <= 0).any() or np.isinf(self.standard_error).any():
            raise RangeError(
                "standard errors of lift studies must be above 0, or NaN where they are not known"
            )
        if any(len(names) == 0 or len(set(names)) < len(names) for names in self.channels):
            raise LabelError("a lift study names no medium, or one twice")
        if not np.isfinite(self.row_weights).all() or (self.row_weights < 0).any():
            raise RangeError("row weights of lift studies must be finite and not negative")

    def __len__(self) -> int:
        return len(self.estimate)

    @cached_property
    def error_weights(self) -> FloatArray:
        """(S,) share of each study in the calibration loss; they sum to 1.

        In proportion to |estimate| / standard_error, so that a study counts the more the better it knows its own
        answer: the loss is then the sum of |predicted - estimate| / standard_error but for a constant. A study without
        a standard error counts like the median of those that have one; without any all count the same (and always in
        Robyn's convention), and the loss is the plain mean of the percentage errors.
        """
        precision = np.abs(self.estimate) / self.standard_error
        known = precision[np.isfinite(precision)]
        if self.convention is Convention.ROBYN or len(known) == 0:
            return read_only(np.full(len(self), 1.0 / len(self)))
        precision = np.where(np.isfinite(precision), precision, np.median(known))
        return read_only(precision / precision.sum())


@dataclass(frozen=True, eq=False)
class ReferenceShares(_Bundle):
    """The model before a refresh; the distance to it takes the place of DecompRSSD.

        distance = M + Q / (1 - periods / W)

    Q is the root mean square of (share - shares) over the intercept and all columns that are not paid media, where a
    share is a contribution over the window in all contributions. M is over the P paid media: ``robyn`` takes the same,
    ``stable`` the root mean square of c(d) with d = (contribution / spend - roas) / scale, each channel's change of
    outcome per unit of spend in a unit of its own, and c(d) = d / sqrt(1 + (d / 10)^2), which no single channel can
    drive beyond 10. There is no penalty on channels without effect.

    Attributes:
        shares: (K + 1,) of the intercept, then of every column in the order of the problem.
        periods: rows of the window that the model before has not seen, 1 <= periods < W.
        loss: see above.
        roas: (P,) outcome per unit of spend of the model before, for conversions too; needed by ``stable`` alone.
        scale: (P,) > 0 in the same unit, such as its standard error; needed by ``stable`` alone.
    Source: Robyn 3.12.1, refresh.R and model.R, for ``robyn``.
    """

    shares: FloatArray
    periods: int
    loss: RefreshLoss = RefreshLoss.ROBYN
    roas: FloatArray = field(default_factory=lambda: np.empty(0))
    scale: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "loss", RefreshLoss(self.loss))
        for name in ("shares", "roas", "scale"):
            set_field(self, name, read_only(getattr(self, name)))
            if not np.isfinite(getattr(self, name)).all():
                raise RangeError(f"{name} of the model before must be finite")
        if self.roas.shape != self.scale.shape:
            raise ShapeError(f"roas has shape {self.roas.shape}, scale {self.scale.shape}, expected the same")
        if (self.scale <= 0).any():
            raise RangeError("scales of a refresh must be above 0")

    @classmethod
    def stable(
        cls, shares: FloatArray, periods: int, roas: FloatArray, standard_error: FloatArray
    ) -> ReferenceShares:
        """The loss ``stable`` with each channel's standard error of its ROAS as its scale.

        Where the error is 0 or not known (NaN) the scale is |roas|, and where that is 0 too, the mean |roas|.

        Raises:
            RangeError: no channel has a ROAS nor a standard error.
        """
        own = np.where(np.nan_to_num(standard_error) > 0, standard_error, np.abs(roas))
        scale = np.where(own > 0, own, np.abs(roas).mean())
        return cls(shares, periods, RefreshLoss.STABLE, roas, scale)

    def check(self, n_columns: int, n_paid: int, n_window: int) -> None:
        """Raise unless this is the model before of a problem with K columns, P paid media and W periods."""
        if self.shares.shape != (n_columns + 1,):
            raise ShapeError(f"shares has shape {self.shares.shape}, expected ({n_columns + 1},)")
        if self.loss is RefreshLoss.STABLE and self.roas.shape != (n_paid,):
            raise ShapeError(f"roas has shape {self.roas.shape}, expected ({n_paid},)")
        if not 1 <= self.periods < n_window:
            raise RangeError(
                f"a refresh adds {self.periods} periods to a window of {n_window}, expected fewer, and 1 or more"
            )


# A digest passes over these fields at their default, so that problems without them keep the digest they had.
OPTION = {"is_option": True}


@dataclass(frozen=True, eq=False)
class ModelProblem(_Bundle):
    """Everything a candidate needs to know about the data: one bundle, shared once with every worker.

    Attributes:
        dates: (T,) datetime64[D], first day of each period, ascending and regular.
        outcome: (T,) the KPI, in its own unit per period.
        columns: K labels; a medium's column carries the name of its channel.
        roles: K roles, in the order baseline, context, paid, organic.
        design: (K, T) raw columns before adstock; a channel modelled on exposure is scaled to currency.
        spend: (P, T) currency per period, in the order of the paid columns.
        lower, upper: (K,) bounds of the coefficients, original units.
        start, stop: rows [start, stop) are the modelling window.
        adstock, intercept, outcome_kind: see the enumerations.
        time_series_validation: split the window in train, validation and test by ``train_size``.
        penalty_factors: every column has a searched penalty factor.
        zero_penalty: inflate DecompRSSD by the share of paid channels without effect.
        studies: lift studies that a candidate is also judged by, as a third objective; None for none.
        reference: the model before a refresh: ``decomp_rssd`` then is the distance to it; None for none.
        solver, penalty_scale: see the enumerations; the defaults are Robyn's.
    """

    dates: DateArray
    outcome: FloatArray
    columns: tuple[str, ...]
    roles: tuple[Role, ...]
    design: FloatArray
    spend: FloatArray
    lower: FloatArray
    upper: FloatArray
    start: int
    stop: int
    adstock: Adstock = Adstock.GEOMETRIC
    intercept: InterceptRule = InterceptRule.NON_NEGATIVE
    outcome_kind: OutcomeKind = OutcomeKind.REVENUE
    time_series_validation: bool = False
    penalty_factors: bool = False
    zero_penalty: bool = True
    studies: LiftStudies | None = None
    reference: ReferenceShares | None = field(default=None, metadata=OPTION)
    solver: Solver = field(default=Solver.GLMNET, metadata=OPTION)
    penalty_scale: PenaltyScale = field(default=PenaltyScale.LINEAR, metadata=OPTION)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "dates", read_only(self.dates, "datetime64[D]"))
        for name in ("outcome", "design", "spend", "lower", "upper"):
            set_field(self, name, read_only(getattr(self, name)))
        set_field(self, "columns", tuple(self.columns))
        set_field(self, "roles", tuple(Role(role) for role in self.roles))
        set_field(self, "adstock", Adstock(self.adstock))
        set_field(self, "intercept", InterceptRule(self.intercept))
        set_field(self, "outcome_kind", OutcomeKind(self.outcome_kind))
        set_field(self, "solver", Solver(self.solver))
        set_field(self, "penalty_scale", PenaltyScale(self.penalty_scale))
        self._check()

    def _check(self) -> None:
        t, k = len(self.outcome), len(self.columns)
        expected = {
            "dates": (t,),
            "design": (k, t),
            "spend": (self.n_paid, t),
            "lower": (k,),
            "upper": (k,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        if len(self.roles) != k:
            raise ShapeError(f"{len(self.roles)} roles for {k} columns")
        if len(set(self.columns)) != k:
            raise LabelError("design columns have duplicate names")
        order = list(Role)
        if sorted(self.roles, key=order.index) != list(self.roles):
            raise LabelError("design columns must come in the order baseline, context, paid, organic")
        if not 0 <= self.start < self.stop <= t:
            raise RangeError(f"window rows [{self.start}, {self.stop}) lie outside the {t} rows of data")
        if self.n_paid == 0:
            raise LabelError("a problem needs at least one paid channel")
        for name in ("outcome", "design", "spend"):
            if not np.isfinite(getattr(self, name)).all():
                raise RangeError(f"{name} must be finite")
        if (self.design[self.first_media :] < 0).any():
            raise RangeError("exposures must not be negative")
        if self.studies is not None:
            self._check_studies(self.studies)
        if self.reference is not None:
            self.reference.check(k, self.n_paid, self.n_window)

    def _check_studies(self, studies: LiftStudies) -> None:
        if studies.row_weights.shape[1] != self.n_periods:
            raise ShapeError(
                f"row_weights of lift studies has shape {studies.row_weights.shape}, expected "
                f"({len(studies)}, {self.n_periods})"
            )
        for names in studies.channels:
            for name in names:
                if name not in self.media:
                    raise LabelError(f"a lift study is about {name!r}, which is no medium of the problem")
        inside = (studies.first >= self.start) & (studies.first < studies.stop) & (studies.stop <= self.stop)
        if not inside.all():
            raise RangeError("lift studies must lie inside the window and have at least one row")

    @property
    def n_periods(self) -> int:
        """T."""
        return len(self.outcome)

    @property
    def n_window(self) -> int:
        """W."""
        return self.stop - self.start

    @property
    def window(self) -> slice:
        """Rows of the modelling window."""
        return slice(self.start, self.stop)

    @cached_property
    def n_paid(self) -> int:
        """P."""
        return self.roles.count(Role.PAID)

    @cached_property
    def first_media(self) -> int:
        """Position of the first medium among the columns; media stand at the end."""
        return sum(role in (Role.BASELINE, Role.CONTEXT) for role in self.roles)

    @property
    def media(self) -> tuple[str, ...]:
        """M names: paid channels, then organic ones."""
        return self.columns[self.first_media :]

    @property
    def paid(self) -> tuple[str, ...]:
        """P names of the paid channels."""
        return self.media[: self.n_paid]

    @cached_property
    def trend_column(self) -> int:
        """Position of the baseline's trend, -1 if there is none (its bounds depend on its sign)."""
        for j, (name, role) in enumerate(zip(self.columns, self.roles, strict=True)):
            if name == "trend" and role is Role.BASELINE:
                return j
        return -1

    @cached_property
    def total_spend(self) -> FloatArray:
        """(P,) spend over the window."""
        return read_only(self.spend[:, self.window].sum(axis=1))

    @cached_property
    def spend_share(self) -> FloatArray:
        """(P,) share of each paid channel in the spend of the window."""
        return read_only(self.total_spend / self.total_spend.sum())

    @cached_property
    def study_media(self) -> NDArray[np.bool_]:
        """(S, M) whether a lift study is about a medium; no rows without studies."""
        channels = () if self.studies is None else self.studies.channels
        about = [[medium in names for medium in self.media] for names in channels]
        return read_only(np.reshape(about, (len(channels), len(self.media))), np.bool_)

    @property
    def objectives(self) -> tuple[str, ...]:
        """Losses that a search minimises; the calibration loss is one only where there are lift studies."""
        return ("nrmse", "decomp_rssd", "mape") if self.studies is not None else ("nrmse", "decomp_rssd")

    @cached_property
    def lambda_range(self) -> tuple[float, float]:
        """(lambda_min, lambda_max): the span of the ridge penalty.

        lambda_max = 0.1 * max_j |sum_i z_ij y_i| / (0.001 n) over ALL rows of the raw columns, z standardised with
        divisor n, y as it is; lambda_min = 1e-4 of it. Source: Robyn 3.12.1, model.R, lambda_seq and robyn_mmm.
        """
        centred = self.design - self.design.mean(axis=1, keepdims=True)
        sd = np.sqrt((centred**2).mean(axis=1))
        constant = np.ptp(self.design, axis=1) == 0
        products = np.abs((centred * self.outcome).sum(axis=1))
        ratios = np.where(constant, 0.0, products / np.where(constant, 1.0, sd))
        top = 0.1 * float(ratios.max()) / (0.001 * self.n_periods)
        return SMALLEST_PENALTY_RATIO * top, top

    def penalty_of(self, lambda_hp: FloatArray) -> FloatArray:
        """lambda for each lambda_hp in [0, 1], any shape.

        linear: lambda_min + (lambda_max - lambda_min) * h, so that 99 % of the range is above lambda_max / 100; log:
        lambda_min^(1 - h) * lambda_max^h. Source: Robyn 3.12.1, model.R, for ``linear``.
        """
        low, high = self.lambda_range
        if self.penalty_scale is PenaltyScale.LINEAR or low == 0:
            return low + (high - low) * lambda_hp
        return low * (high / low) ** lambda_hp

    def lambda_hp_of(self, penalty: FloatArray) -> FloatArray:
        """The lambda_hp of each lambda, the inverse of ``penalty_of``; 0 or 1 for one outside the range."""
        low, high = self.lambda_range
        position: FloatArray
        if low == 0:
            position = np.zeros_like(penalty)
        elif self.penalty_scale is PenaltyScale.LINEAR:
            position = (penalty - low) / (high - low)
        else:
            position = np.log(np.maximum(penalty, low) / low) / np.log(high / low)
        return np.clip(position, 0.0, 1.0)

    @cached_property
    def hyperparameter_names(self) -> tuple[str, ...]:
        """H names in the fixed order of every hyperparameter matrix.

        Media hyperparameters alphabetically, then train_size, lambda_hp and, with penalty factors, the penalties in
        column order (Robyn's order of the search vector; train_size is 1 without validation).
        """
        per_medium = ("alpha", "gamma", *self.adstock.parameters)
        names = sorted(f"{medium}_{parameter}" for medium in self.media for parameter in per_medium)
        names += ["train_size", "lambda_hp"]
        if self.penalty_factors:
            names += [f"{column}_penalty" for column in self.columns]
        return tuple(names)

    @cached_property
    def media_positions(self) -> IntArray:
        """(M, 3 or 4) where in ``hyperparameter_names`` alpha, gamma and the adstock's parameters of a medium stand."""
        position = {name: i for i, name in enumerate(self.hyperparameter_names)}
        per_medium = ("alpha", "gamma", *self.adstock.parameters)
        rows = [[position[f"{medium}_{parameter}"] for parameter in per_medium] for medium in self.media]
        positions: IntArray = read_only(rows, np.int64)
        return positions

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything in the problem, hex."""
        h = hashlib.sha256()
        for name, value in _leaves(self):
            h.update(name.encode())
            if isinstance(value, np.ndarray):
                h.update(str(value.dtype).encode() + str(value.shape).encode() + value.tobytes())
            else:
                h.update(repr(value if not isinstance(value, StrEnum) else str(value)).encode())
        return h.hexdigest()


def _leaves(bundle: _Bundle) -> Iterator[tuple[str, Any]]:
    """(name, value) of every field, bundles inside taken apart, options at their default left out."""
    for f in fields(bundle):
        value = getattr(bundle, f.name)
        if f.metadata.get("is_option") and value is f.default:
            continue
        if isinstance(value, _Bundle):
            yield from ((f"{f.name}.{name}", leaf) for name, leaf in _leaves(value))
        else:
            yield f.name, value


@dataclass(frozen=True, eq=False)
class CandidateBatch:
    """Results of N candidates, as arrays in the order asked.

    ``nrmse`` is the search's objective: validation NRMSE with time-series validation, else the training one. Values
    of parts that do not exist are NaN; ``decomp_rssd`` is infinite where no paid channel has any effect; ``mape`` is
    the error against the lift studies, 0 without any.
    """

    hyperparameters: FloatArray  # (N, H)
    penalty: FloatArray  # (N,) lambda, glmnet-scaled
    losses: FloatArray  # (N, len(LOSS_COLUMNS))
    coefs: FloatArray  # (N, K) original units
    contributions: FloatArray  # (N, K) sums over the window
    effect_shares: FloatArray  # (N, P)
    statuses: IntArray  # (N,) codes, see FIT_STATUSES

    def __len__(self) -> int:
        return len(self.penalty)

    def __getitem__(self, rows: slice | IntArray | Sequence[int]) -> CandidateBatch:
        return CandidateBatch(*(getattr(self, f.name)[rows] for f in fields(self)))

    def loss(self, name: str) -> FloatArray:
        """(N,) one of LOSS_COLUMNS."""
        return self.losses[:, LOSS_COLUMNS.index(name)]

    @classmethod
    def concatenate(cls, batches: Sequence[CandidateBatch]) -> CandidateBatch:
        """Batches after one another, as one."""
        return cls(*(np.concatenate([getattr(b, f.name) for b in batches]) for f in fields(cls)))


LOSS_COLUMNS = (
    "nrmse",
    "nrmse_train",
    "nrmse_val",
    "nrmse_test",
    "decomp_rssd",
    "mape",
    "rsq_train",
    "rsq_val",
    "rsq_test",
    "intercept",
)


@dataclass(frozen=True, eq=False)
class FittedModel:
    """One evaluated candidate, enough (with its problem) to take apart, score and plan with."""

    candidate: str  # "3_120": trial, iteration
    hyperparameters: FloatArray  # (H,)
    penalty: float  # lambda, glmnet-scaled
    intercept: float
    coefs: FloatArray  # (K,)


@dataclass(frozen=True, eq=False)
class MediaTransform:
    """Adstock and Hill of every medium with one candidate's hyperparameters, over the window."""

    adstocked: FloatArray  # (M, W) what enters the Hill curve
    own_weight: FloatArray  # (M,) weight of an exposure's own period in its adstock (1 but for weibull_pdf)
    inflexion: FloatArray  # (M,)
    saturated: FloatArray  # (M, W)


@dataclass(frozen=True, eq=False)
class Decomposition:
    """One candidate taken apart, period by period over the window.

    Columns of ``contributions`` sum, with the intercept, to ``fitted``; row sums are the candidate's contributions.
    """

    fitted: FloatArray  # (W,)
    contributions: FloatArray  # (K, W)
    immediate: FloatArray  # (M, W) a medium's contribution less its carryover part
    carryover: FloatArray  # (M, W) what the carried-over exposure alone would bring


@dataclass(frozen=True)
class ChannelCurve:
    """Response of one medium in one model: coef * hill(adstock(exposure), alpha, inflexion), per period."""

    channel: str
    coef: float
    alpha: float
    gamma: float
    inflexion: float
    adstock: Adstock
    adstock_parameters: tuple[float, ...]  # (theta,) or (shape, scale)
