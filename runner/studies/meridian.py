"""Results of Google's geo experiments as the neutral table: one row a treatment cell, written by the user.

    channel      of the spec or one of its columns; no result knows it
    start, end   first and last day that the analysis counts, cooldown included
    effect       lift.point_estimate, or incremental_response: the outcome that the test brought
    its interval lift.lower_bound and upper_bound, or incremental_response_lower and _upper
    efficiency   icpd.point_estimate, iroas, or estimate: outcome per unit of money
    its interval icpd.lower_bound and upper_bound, lower and upper, or conf_interval_low and _up
    cost         incremental_cost, or spend: the money that effect and efficiency are about
    standard deviations   lift.standard_deviation, icpd.standard_deviation, or standard_error (of the efficiency)
    alpha or level        of the intervals; GeoX's own default is alpha 0.1
    metric, source, scope as in the neutral table; scope is immediate where it is not given

**Effect from efficiency.** Where no effect is given it is efficiency x cost; where no cost is given either, efficiency
x what the data spent on the channels in these days, which states the result of some regions for the whole market. That
is said in a finding.

**Which standard error.** That of the interval, from its lower end alone where the upper one is infinite (a one-sided
test); else the standard deviation.

**A test that took money away** has, in matched_markets and trimmed_match, a negative effect of a negative cost. Both
signs are turned: what the money would have brought. Meridian GeoX turns them itself (ExperimentType.GO_DARK).

**Why immediate.** As in ``geolift``.

Sources: meridian-geox 1.0.1, api.py (AnalysisMetrics, Estimate); google/matched_markets, tbr_iroas.py
(TBRiROAS.summary); google/trimmed_match, trimmed_match_post_analysis.py (TrimmedMatchResults); google-meridian 2.1,
prior_builder.py (CalibrationBuilder.with_incrementality_experiment_result).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmm_core.types import Scope
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.spec import ExperimentSpec
from runner.studies.adapting import Adapted, Columns, error_from_interval, media_of_cell, taken_as
from runner.studies.geolift import level_of, unusable_interval
from runner.studies.records import period_ends
from runner.studies.robyn import BETWEEN
from runner.studies.sources import StudySource

TOOL = "results of Meridian GeoX"
SPELLINGS = {
    "channel": ("channel", "media_channel", "channel_name"),
    "start": ("start", "start_date", "test_start", "test_start_date", "analysis_start_date", "experiment_start_date"),
    "end": ("end", "end_date", "test_end", "test_end_date", "analysis_end_date", "experiment_end_date"),
    "effect": ("lift_point_estimate", "lift", "incremental_response"),
    "lower end of the effect": ("lift_lower_bound", "incremental_response_lower"),
    "upper end of the effect": ("lift_upper_bound", "incremental_response_upper"),
    "standard deviation of the effect": ("lift_standard_deviation", "lift_standard_error"),
    "efficiency": ("icpd_point_estimate", "icpd", "iroas", "iroas_point_estimate", "roi", "point_estimate", "estimate"),
    "lower end of the efficiency": ("icpd_lower_bound", "iroas_lower", "iroas_lower_bound", "lower",
                                    "conf_interval_low", "lower_bound"),
    "upper end of the efficiency": ("icpd_upper_bound", "iroas_upper", "iroas_upper_bound", "upper",
                                    "conf_interval_up", "upper_bound"),
    "standard deviation of the efficiency": ("icpd_standard_deviation", "iroas_standard_error", "standard_error"),
    "cost": ("incremental_cost", "cost", "spend", "experiment_total_spend"),
    "alpha": ("alpha",),
    "level": ("level", "confidence", "confidence_level"),
    "metric": ("metric",),
    "scope": ("scope",),
    "source": ("source",),
}  # fmt: skip
# A table with one of these is Meridian's, unless it is another's too.
MARKS = (
    "lift_point_estimate",
    "icpd_point_estimate",
    "icpd",
    "iroas",
    "iroas_point_estimate",
    "incremental_response",
    "experiment_start_date",
)


@dataclass(frozen=True)
class _Effect:
    """What one row says of the whole effect; NaN where it says nothing."""

    estimate: float
    lower: float
    upper: float
    error: float
    spend: float

    def times(self, factor: float) -> _Effect:
        """The same in another unit; a negative factor turns the interval round."""
        lower, upper = self.lower * factor, self.upper * factor
        if factor < 0:
            lower, upper = upper, lower
        return _Effect(self.estimate * factor, lower, upper, self.error * abs(factor), self.spend)


def adapt_meridian(source: StudySource, spec: ExperimentSpec, panel: MediaPanel) -> Adapted:
    """The neutral table of a table of results.

    Args:
        source: the table. spec: whose channels are meant. panel: the data, whose spends stand in for a missing cost.
    Raises:
        UserError: a column is missing, or a cell cannot be used.
    """
    import pandas as pd

    columns = Columns(source, SPELLINGS)
    for meaning in ("channel", "start", "end"):
        columns.require(meaning, TOOL, "the result does not hold it, add it to the table")
    if "effect" not in columns:
        columns.require("efficiency", TOOL, "give it or an effect (lift.point_estimate)")
    days = source.days(columns.found["start"]), source.days(columns.found["end"])
    findings = taken_as(columns, TOOL)
    rows: list[dict[str, Any]] = []
    for i in range(len(source.table)):
        media = media_of_cell(spec, source, i, columns.found["channel"], BETWEEN)
        market = _market(spec, panel, media, days[0][i], days[1][i])
        effect, noticed = _effect(columns, i, market)
        known, dropped = _error(columns, i, effect)
        findings += [*noticed, *dropped]
        rows.append({"channel": "+".join(media), "estimate": effect.estimate, **known, "spend": effect.spend})
    table = pd.DataFrame(rows, dtype=object)
    for neutral, otherwise in (
        ("start", ""), ("end", ""), ("scope", str(Scope.IMMEDIATE)), ("metric", ""), ("source", "Meridian GeoX")
    ):  # fmt: skip
        table[neutral] = columns.cells(neutral, otherwise)
    return Adapted(table, _names(columns), tuple(findings))


def _names(columns: Columns) -> dict[str, str]:
    """Neutral column -> column of the file."""
    effect = "effect" if "effect" in columns else "efficiency"
    pairs = {"estimate": effect, "lower": f"lower end of the {effect}", "upper": f"upper end of the {effect}"}
    pairs |= {"spend": "cost"}
    pairs |= {name: name for name in ("channel", "start", "end", "metric", "scope", "source", "level")}
    return {neutral: columns.found[meaning] for neutral, meaning in pairs.items() if meaning in columns}


def _market(
    spec: ExperimentSpec, panel: MediaPanel, media: Sequence[str], start: np.datetime64, end: np.datetime64
) -> float:
    """What the data spent on the media of a study in its days; a row counts by its share of days."""
    last = period_ends(panel)
    days = (np.minimum(last, end) - np.maximum(panel.dates, start)).astype(np.int64) + 1
    shares = np.maximum(days, 0) / ((last - panel.dates).astype(np.int64) + 1)
    return float(sum(shares @ panel.numeric[c.spend] for c in spec.channels if c.name in media))


def _given(columns: Columns, i: int, of: str) -> _Effect:
    """One row's own numbers of the effect or of the efficiency."""
    lower, upper = (columns.number(f"{end} end of the {of}", i) for end in ("lower", "upper"))
    error = columns.number(f"standard deviation of the {of}", i)
    return _Effect(columns.number(of, i), lower, upper, error, columns.number("cost", i))


def _effect(columns: Columns, i: int, market: float) -> tuple[_Effect, list[Finding]]:
    """The whole effect of one row, from what it gives, in money and outcome that were added."""
    effect, efficiency = _given(columns, i, "effect"), _given(columns, i, "efficiency")
    if math.isnan(effect.estimate):
        return _from_efficiency(columns, i, efficiency, market)
    cost = effect.spend
    if math.isnan(cost) and efficiency.estimate:
        cost = effect.estimate / efficiency.estimate
    if math.isnan(effect.lower) and math.isnan(effect.error) and not math.isnan(cost):
        effect = replace(efficiency.times(cost), estimate=effect.estimate)
    return _turned(columns, i, replace(effect, spend=cost))


def _from_efficiency(
    columns: Columns, i: int, efficiency: _Effect, market: float
) -> tuple[_Effect, list[Finding]]:
    if math.isnan(efficiency.estimate):
        raise columns.source.fail(
            columns.found.get("effect", columns.found.get("efficiency", "effect")),
            "is missing, and so is the other of effect and efficiency; fill one or delete the row",
            i,
        )
    cost, findings = efficiency.spend, []
    if math.isnan(cost):
        if market <= 0:
            problem = "has no cost beside it, and the data have no spend of the channel in these days; give the cost"
            raise columns.source.fail(columns.found["efficiency"], problem, i)
        cost = market
        findings.append(_stated_for_the_market(columns, i, cost))
    effect, turned = _turned(columns, i, replace(efficiency.times(cost), spend=cost))
    return effect, findings + turned


def _turned(columns: Columns, i: int, effect: _Effect) -> tuple[_Effect, list[Finding]]:
    """A test that took money away, as what the money would have brought."""
    if not (effect.spend < 0 and effect.estimate < 0):
        return effect, []
    finding = Finding(
        "study-went-dark",
        Severity.INFO,
        f"{_label(columns, i)} took {-effect.spend:,.0f} of spend away and lost {-effect.estimate:,.0f}: both signs "
        "are turned, to what the money would have brought.",
    )
    return replace(effect.times(-1), spend=-effect.spend), [finding]


def _error(columns: Columns, i: int, effect: _Effect) -> tuple[dict[str, Any], list[Finding]]:
    """Interval, level and standard error of one row for the neutral table."""
    level, lower, upper, error = level_of(columns, i), effect.lower, effect.upper, effect.error
    findings = []
    if not math.isnan(lower + upper) and not lower < effect.estimate < upper:
        findings.append(unusable_interval(columns, i, (lower, upper), effect.estimate))
        lower = upper = math.nan
    if not math.isnan(lower + upper) and 0 < level < 1:
        error = error_from_interval(effect.estimate, lower, upper, level)
    if math.isinf(upper) or math.isinf(lower) or math.isnan(lower + upper):
        lower = upper = math.nan  # the neutral table makes an interval of the standard error
    return {"lower": lower, "upper": upper, "level": level, "standard_error": error}, findings


def _label(columns: Columns, i: int) -> str:
    channel, start = (columns.cells(meaning)[i] for meaning in ("channel", "start"))
    return f"The test of {channel} from {start}"


def _stated_for_the_market(columns: Columns, i: int, spend: float) -> Finding:
    return Finding(
        "study-stated-for-market",
        Severity.INFO,
        f"{_label(columns, i)} gives its effect per unit of money and no cost: it is stated for the {spend:,.0f} that "
        "the data spent on its channels in these days.",
        "Give the cost of the test if it is not to stand for the whole market.",
    )
