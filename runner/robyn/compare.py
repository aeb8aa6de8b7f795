"""Our numbers beside those of a model file: what agrees, what differs, and what that means for the channels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mmm_core.decomposition import decompose
from mmm_core.evaluate import split_rows
from mmm_core.types import LOSS_COLUMNS, CandidateBatch, FittedModel, ModelProblem, OutcomeKind
from runner.findings import Finding, Severity
from runner.robyn import names
from runner.robyn.reading import RobynModel

# R writes ten decimals: half a unit of the last one tells nothing.
ROUNDING = 0.5e-10
# What counts as the same model. Beyond it something other than rounding is at work.
AGREES = 1e-6
# A difference of ROAS from which on a reader should know before he acts.
MATTERS = 0.01


@dataclass(frozen=True)
class Difference:
    """One number of the file and ours.

    ``relative`` is |ours - theirs| / max(|ours|, |theirs|), less what ten decimals leave open. ``quantity`` is coef,
    contribution, share or loss.
    """

    quantity: str
    name: str
    theirs: float
    ours: float
    relative: float


@dataclass(frozen=True)
class ColumnDifference:
    """A column of Prophet's: its mean over the rows of the file's decomposition, there and here."""

    name: str
    theirs: float
    ours: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """All of it.

    Attributes:
        differences: number by number. unmatched: predictors that only one side has.
        columns: Prophet's columns, where the file tells them (its coefficient is not 0).
        roas: channel -> (contribution per spend by the file's contribution, ours), or the CPA.
        unit: roas or cpa.
    """

    differences: tuple[Difference, ...]
    unmatched: tuple[str, ...]
    columns: tuple[ColumnDifference, ...]
    roas: Mapping[str, tuple[float, float]]
    unit: str

    @property
    def worst(self) -> Difference:
        """The largest relative difference."""
        return max(self.differences, key=lambda d: d.relative)

    @property
    def agrees(self) -> bool:
        """Whether this is the file's model."""
        return not self.unmatched and self.worst.relative <= AGREES

    @property
    def worst_efficiency(self) -> tuple[str, float]:
        """(channel, relative difference) of the ROAS or CPA that moved most."""
        moved = {channel: relative_difference(*pair) for channel, pair in self.roas.items()}
        channel = max(moved, key=lambda name: moved[name])
        return channel, moved[channel]

    def as_record(self) -> dict[str, Any]:
        """Plain data, number by number."""
        return {
            "agrees": self.agrees,
            "largest_relative_difference": self.worst.relative,
            "differences": [asdict(d) for d in self.differences],
            "unmatched": list(self.unmatched),
            "baseline_means": [asdict(c) for c in self.columns],
            self.unit: {c: {"file": theirs, "run": ours} for c, (theirs, ours) in self.roas.items()},
        }


def relative_difference(theirs: float, ours: float) -> float:
    """|ours - theirs| / max(|ours|, |theirs|), 0 where ten decimals explain it or neither is known."""
    if theirs == ours or (math.isnan(theirs) and math.isnan(ours)):
        return 0.0
    if not (math.isfinite(theirs) and math.isfinite(ours)):
        return math.inf
    apart = max(abs(ours - theirs) - ROUNDING, 0.0)
    return apart / max(abs(ours), abs(theirs)) if apart else 0.0


def compare(
    model: RobynModel,
    labels: Mapping[str, str],
    problem: ModelProblem,
    fitted: FittedModel,
    batch: CandidateBatch,
) -> Comparison:
    """Hold a rebuilt model against its file.

    Args:
        model: the file. labels: predictor by Robyn's name -> our column. problem, fitted, batch: the model here.
    """
    columns = {predictor: labels.get(predictor, predictor) for predictor in model.summary}
    ours = _ours(model, problem, fitted)
    known = {predictor: column for predictor, column in columns.items() if column in ours}
    missing = [p for p in columns if p not in known and not _is_nothing(model, p)]
    # A predictor that the file leaves out had no effect there.
    missing += [c for c in problem.columns if c not in known.values() and ours[c][0] != 0]
    differences = [
        Difference(quantity, column, theirs, mine, relative_difference(theirs, mine))
        for predictor, column in known.items()
        for quantity, theirs, mine in zip(
            ("coef", "contribution", "share"), _theirs(model, predictor), ours[column], strict=True
        )
        if not math.isnan(theirs)
    ]
    differences += _losses(model, problem, batch)
    return Comparison(
        differences=tuple(differences),
        unmatched=tuple(missing),
        columns=_columns(model, problem, known),
        roas=_efficiencies(model, problem, known, ours),
        unit=problem.outcome_kind.efficiency,
    )


def _is_nothing(model: RobynModel, predictor: str) -> bool:
    return model.summary[predictor].coef == 0


def _theirs(model: RobynModel, predictor: str) -> tuple[float, float, float]:
    row = model.summary[predictor]
    return row.coef, row.contribution, row.share


def _ours(
    model: RobynModel, problem: ModelProblem, fitted: FittedModel
) -> dict[str, tuple[float, float, float]]:
    """Column -> (coef, contribution, share): the contribution over the rows that the file sums, the share over all."""
    taken = decompose(problem, fitted)
    rows = _summed_rows(model, problem)
    whole = float(taken.fitted.sum())
    found = {
        names.INTERCEPT: (
            fitted.intercept,
            fitted.intercept * int(rows.sum()),
            fitted.intercept * problem.n_window / whole,
        )
    }
    for k, column in enumerate(problem.columns):
        contribution = taken.contributions[k]
        found[column] = (
            float(fitted.coefs[k]),
            float(contribution[rows].sum()),
            float(contribution.sum() / whole),
        )
    return found


def _summed_rows(model: RobynModel, problem: ModelProblem) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(W,) rows of the window that decompAgg sums: those from refreshAddedStart on, which is all without a refresh."""
    dates = problem.dates[problem.window]
    everything = np.ones(len(dates), dtype=np.bool_)
    if not model.inputs.is_refresh or model.inputs.added_start is None:
        return everything
    added: np.ndarray[Any, np.dtype[np.bool_]] = dates >= np.datetime64(model.inputs.added_start, "D")
    return added if added.any() else everything


def _losses(model: RobynModel, problem: ModelProblem, batch: CandidateBatch) -> list[Difference]:
    ours = dict(zip(LOSS_COLUMNS, batch.losses[0].tolist(), strict=True))
    found = []
    for name, theirs in model.errors.items():
        if name == "decomp_rssd" and model.inputs.is_refresh:
            continue  # of another kind, see robyn-method section 22
        if name == "mape" and problem.studies is None and theirs != 0:
            continue  # the studies of the file could not be taken over
        mine = ours[name]
        if name in ("nrmse", "nrmse_val", "nrmse_test"):
            theirs = _as_mean(theirs, mine, _part_length(name, problem, batch))
        found.append(Difference("loss", name, theirs, mine, relative_difference(theirs, mine)))
    return found


def _part_length(name: str, problem: ModelProblem, batch: CandidateBatch) -> int:
    n_train, n_val = split_rows(
        problem, batch.hyperparameters[:, problem.hyperparameter_names.index("train_size")]
    )
    rest = problem.n_window - int(n_train[0]) - int(n_val[0])
    if name == "nrmse_test":
        return rest
    return int(n_val[0]) or int(n_train[0])


def _as_mean(theirs: float, ours: float, n_rows: int) -> float:
    """Their loss, made the root of a mean where it is the root of a sum, as in versions that forgot to divide."""
    if n_rows > 1 and ours and abs(theirs / ours / math.sqrt(n_rows) - 1) < AGREES:
        return theirs / math.sqrt(n_rows)
    return theirs


def _columns(
    model: RobynModel, problem: ModelProblem, known: Mapping[str, str]
) -> tuple[ColumnDifference, ...]:
    """Means of Prophet's columns: contribution / coef gives the file's own, without knowing the column itself."""
    rows = _summed_rows(model, problem)
    n = int(rows.sum())
    prophet = {*model.inputs.prophet, *model.inputs.factors}
    found = []
    for predictor, column in known.items():
        row = model.summary[predictor]
        if predictor not in prophet or not row.coef or math.isnan(row.contribution):
            continue
        ours = problem.design[problem.columns.index(column), problem.window][rows]
        found.append(ColumnDifference(column, row.contribution / row.coef / n, float(ours.mean())))
    return tuple(found)


def _efficiencies(
    model: RobynModel,
    problem: ModelProblem,
    known: Mapping[str, str],
    ours: Mapping[str, tuple[float, float, float]],
) -> dict[str, tuple[float, float]]:
    """Channel -> (by the file's contribution, ours), both over the spend of the same rows."""
    rows = _summed_rows(model, problem)
    found = {}
    for predictor, column in known.items():
        if column in problem.paid:
            spend = float(problem.spend[problem.paid.index(column), problem.window][rows].sum())
            pair = (model.summary[predictor].contribution, ours[column][1])
            found[column] = (_efficiency(problem, pair[0], spend), _efficiency(problem, pair[1], spend))
    return found


def _efficiency(problem: ModelProblem, contribution: float, spend: float) -> float:
    if problem.outcome_kind is OutcomeKind.REVENUE:
        return contribution / spend if spend else math.nan
    return spend / contribution if contribution else math.inf


# ------------------------------------------------------------------------------------------------------------- findings


def findings_of(
    model: RobynModel,
    labels: Mapping[str, str],
    problem: ModelProblem,
    comparison: Comparison,
    *,
    money: Sequence[str],
    is_refitted: bool,
) -> list[Finding]:
    """What the analyst should know.

    Args:
        model, labels, problem, comparison: as above. money: channels whose spend the data hold, period by period.
        is_refitted: Prophet was fitted here.
    """
    found = [_verdict(comparison, is_refitted=is_refitted)]
    if model.inputs.is_refresh:
        found.append(_about_refresh(model))
    found += _about_performance(model, labels, problem, money)
    return found


def _verdict(comparison: Comparison, *, is_refitted: bool) -> Finding:
    worst, n = comparison.worst, len(comparison.differences)
    said = f"{_told(worst)}: {worst.theirs:.10g} there, {worst.ours:.10g} here"
    if comparison.agrees:
        return Finding(
            "robyn-agrees",
            Severity.INFO,
            f"The rebuilt model agrees with the file: the largest relative difference among {n} coefficients, "
            f"contributions, shares and losses is {worst.relative:.1g} ({_told(worst)}).",
        )
    if comparison.unmatched:
        return Finding(
            "robyn-predictors",
            Severity.PROBLEM,
            f"The file and the rebuilt model do not have the same predictors: {', '.join(comparison.unmatched)}.",
            "Give Robyn's own columns with --baseline.",
        )
    if is_refitted and comparison.columns:
        return _refitted(comparison, said)
    return Finding(
        "robyn-disagrees",
        Severity.PROBLEM,
        f"The rebuilt model is not quite that of the file: the largest relative difference is {worst.relative:.1g} "
        f"({said}).",
        "Check that the data are those that the model was made on, rows outside the window among them.",
    )


def _refitted(comparison: Comparison, said: str) -> Finding:
    channel, moved = comparison.worst_efficiency
    unit = comparison.unit.upper()
    told = ", ".join(f"{c.name} {c.theirs:,.0f} there and {c.ours:,.0f} here" for c in comparison.columns)
    theirs, ours = comparison.roas[channel]
    at_most = f"No {unit} moves by more than {moved:.1g} of itself ({channel})"
    if moved > MATTERS:
        at_most = f"The {unit} of {channel} moves most, from {theirs:.4g} there to {ours:.4g} here"
    return Finding(
        "robyn-baseline-refitted",
        Severity.WARNING if moved > MATTERS else Severity.INFO,
        f"Prophet was fitted again and its columns are not quite the file's. On average over the window: {told}. "
        f"{at_most}. The largest relative difference of all is {comparison.worst.relative:.1g} ({said}).",
        "To rebuild the model to the last digit give Robyn's own columns with --baseline: "
        "write.csv(InputCollect$dt_mod, row.names = FALSE) in R.",
    )


def _told(difference: Difference) -> str:
    return f"{difference.quantity} of {difference.name}" if difference.quantity != "loss" else difference.name


def _about_refresh(model: RobynModel) -> Finding:
    return Finding(
        "robyn-refreshed",
        Severity.INFO,
        f"The model came out of robyn_refresh() (chain {' to '.join((*model.inputs.chain, model.solution))}). Its "
        "DECOMP.RSSD measures the distance to the model before it, which this file does not hold, and is not compared; "
        "the run's own decomp_rssd is that of a model by itself. decompAgg covers the new periods only, and was "
        "compared with the sum over these.",
    )


def _about_performance(
    model: RobynModel, labels: Mapping[str, str], problem: ModelProblem, money: Sequence[str]
) -> list[Finding]:
    """Where the file's own ROAS is not contribution / spend of the window: by what it was divided."""
    odd: list[str] = []
    explained: list[str] = []
    for predictor, row in model.summary.items():
        channel = labels.get(predictor, predictor)
        if channel not in money or not math.isfinite(row.performance):
            continue
        p = problem.paid.index(channel)
        right = _efficiency(problem, row.contribution, _spend_of_rows(model, problem, p))
        if relative_difference(row.performance, right) <= AGREES:
            continue
        over_all = _efficiency(problem, row.contribution, float(problem.spend[p].sum()))
        (explained if relative_difference(row.performance, over_all) <= AGREES else odd).append(
            f"{channel} {row.performance:.4g} in the file, {right:.4g} here"
        )
    unit = problem.outcome_kind.efficiency.upper()
    findings = []
    if explained:
        findings.append(
            Finding(
                "robyn-performance-all-rows",
                Severity.INFO,
                f"The {unit} that the file states sets the response of the window against the spend of all rows; this "
                f"run reports it over the window: {'; '.join(explained)}.",
                "Compare plans and reports with the numbers of this run, not with those of the file.",
            )
        )
    if odd:
        findings.append(
            Finding(
                "robyn-performance",
                Severity.INFO,
                f"The {unit} that the file states is not its contribution over its spend: {'; '.join(odd)}.",
            )
        )
    return findings


def _spend_of_rows(model: RobynModel, problem: ModelProblem, p: int) -> float:
    return float(problem.spend[p, problem.window][_summed_rows(model, problem)].sum())
