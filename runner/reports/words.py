"""Every English word of the report, in one place: ``say(key, ...)`` is the only way to a sentence.

Keys are grouped by where they stand. Placeholders are filled with text that is already formatted.
"""

from __future__ import annotations

WORDS: dict[str, str] = {
    # periods of the data: one, many
    "daily.one": "day",
    "daily.many": "days",
    "weekly.one": "week",
    "weekly.many": "weeks",
    "monthly.one": "month",
    "monthly.many": "months",
    # words of the model
    "roas": "ROAS",
    "cpa": "CPA",
    "mroas": "marginal ROAS",
    "mcpa": "marginal response",
    "geometric": "geometric adstock",
    "weibull_cdf": "Weibull CDF adstock",
    "weibull_pdf": "Weibull PDF adstock",
    "train": "train",
    "val": "validation",
    "test": "test",
    "intercept": "intercept",
    "nothing": "–",
    # one-pager
    "model.title": "Model {candidate}",
    "model.subtitle": (
        "{experiment}  ·  {start} to {end}, {periods} {period}  ·  {adstock}  ·  cluster {cluster}"
    ),
    "model.head.rows": "rows",
    "model.head.nrmse": "NRMSE",
    "model.head.rsq": "adj. R²",
    "model.scores": "Decomp.RSSD {rssd}   ·   error score {score}",
    "model.mape": "   ·   MAPE {mape}",
    "waterfall.title": "What the outcome is made of",
    "waterfall.subtitle": (
        "Contribution of each component to {outcome} over the window, and its share of the fitted total"
    ),
    "waterfall.total": "fitted total",
    "fit.title": "Actual against fitted",
    "fit.subtitle": "{outcome} per {one}; the model has learnt from the training rows only",
    "fit.subtitle.all": "{outcome} per {one}; the model has learnt from all rows of the window",
    "fit.actual": "actual",
    "fit.fitted": "fitted",
    "fit.residual": "actual − fitted",
    "fit.rmse": "{part}: RMSE {rmse}",
    "shares.title": "Share of spend against share of effect",
    "shares.subtitle": "Among the paid channels, with the {metric} that follows",
    "shares.spend": "share of spend",
    "shares.effect": "share of effect",
    "efficiency.title": "{metric} and how sure it is",
    "efficiency.subtitle": "Line: {level} sampling interval, hyperparameters given ({n} refits)",
    "efficiency.subtitle.none": "No sampling interval: {reason}",
    "efficiency.cluster": "grey: {level} spread over the {n} models of cluster {cluster}",
    "efficiency.cluster.none": "no grey band: cluster {cluster} has fewer than three models",
    "efficiency.axis.roas": "{outcome} per unit of spend",
    "efficiency.axis.cpa": "spend per unit of {outcome} (smaller is better)",
    "adstock.title": "How long an exposure goes on working",
    "adstock.subtitle.geometric": "Part that survives one {one} (theta), and the half-life that follows",
    "adstock.subtitle.weibull": (
        "Weight of an exposure by {many} since it was seen, each curve scaled to its peak"
    ),
    "adstock.axis.geometric": "theta",
    "adstock.axis.weibull": "{many} since the exposure",
    "adstock.halflife": "half-life {time} {many}",
    "adstock.instant": "no carryover",
    "adstock.half": "half of it within {time} {many}",
    "carryover.title": "Immediate and carried-over effect",
    "carryover.subtitle": "Share of a contribution that earlier exposures bring",
    "carryover.immediate": "immediate",
    "carryover.carryover": "carryover",
    "carryover.none": "no effect in this model",
    "residuals.title": "Residuals against fitted",
    "residuals.subtitle": "A pattern here is something the model does not know",
    "residuals.axis": "fitted {outcome} per {one}",
    "curves.title": "Response curves",
    "curves.subtitle": (
        "Mean {outcome} per {one} against mean spend per {one}, historical flighting scaled; dot = today"
    ),
    "curves.band": "band: {level} sampling interval",
    "curves.band.none": "no band: {reason}",
    "curves.today": "today {spend} → {response}",
    "curves.marginal": "next unit of spend → {marginal}",
    "curves.flat": "no effect in this model",
    # plan page
    "plan.title": "Plan {scenario}",
    "plan.goal.max_response": "Most response for a budget of {budget}{rule}",
    "plan.goal.max_response.own": "Most response for today's budget{rule}",
    "plan.rule.at_most": " at most",
    "plan.goal.average.roas": "Most response at a ROAS of at least {target}",
    "plan.goal.average.cpa": "Most response at a CPA of at most {target}",
    "plan.goal.marginal.roas": "Most response as long as the last unit of money earns {target}",
    "plan.goal.marginal.cpa": "Most response as long as the last one costs no more than {target}",
    "plan.goal.outcome": "Least money for an outcome of {target}",
    "plan.goal.other.max_response": "Most response for a budget",
    "plan.goal.other.target_efficiency": "Most response at a wanted efficiency",
    "plan.goal.other.target_outcome": "Least money for a wanted outcome",
    "plan.horizon": "{start} to {end}, {n} {many}",
    "plan.bounds": "bounds {low} to {high} × today",
    "plan.bounds.own": "bounds by channel, {low} to {high} × today",
    "plan.carryover.plan": "carryover: that of the plan itself",
    "plan.carryover.historical": "carryover: the past's mean (Robyn's convention)",
    "plan.flighting.historical": "flighting: as in these {many} of the past",
    "plan.flighting.constant": "flighting: even over the {many}",
    "plan.status.solved": "solved",
    "plan.status.infeasible": "infeasible",
    "plan.status.not_converged": "not converged",
    "plan.status.missing": "missing",
    "plan.ensemble": "mean of the models",
    "plan.infeasible": (
        "infeasible: no spends within the bounds ({low} to {high} in total) do what was asked; change the "
        "budget, the target or the bounds"
    ),
    "plan.not_converged": (
        "not converged: a further shift of spend would still pay; take the numbers as a direction"
    ),
    "plan.solved": "solved: a response of {response}, {lift} against today",
    "plan.totals.title": "Totals over the horizon",
    "plan.totals.subtitle": "The shared plan (mean of the models) and what each model would plan for itself",
    "plan.totals.none": "There is no plan: only today's numbers can be shown",
    "plan.head.model": "plan of",
    "plan.head.status": "status",
    "plan.head.spend": "spend",
    "plan.head.response": "response",
    "plan.head.change": "change",
    "plan.today": "today",
    "plan.planned": "planned",
    "plan.limits": "bounds",
    "plan.views.title": "What the shared plan brings, model by model",
    "plan.views.subtitle": "Change of response if that model is right; grey: the model's own plan",
    "plan.spend.title": "Spend",
    "plan.spend.subtitle": "Currency per {one}; grey bar: bounds",
    "plan.response.title": "Response",
    "plan.response.subtitle": "{outcome} per {one}",
    "plan.marginal.title": "Marginal response",
    "plan.marginal.subtitle": "{outcome} that one more unit of spend brings",
    "plan.efficiency.title": "{metric}",
    "plan.efficiency.subtitle": "Over the horizon",
    "plan.curves.title": "Response curves over the horizon",
    "plan.curves.subtitle": (
        "Mean {outcome} per {one}; bold: mean of the models, thin: each model; shaded: spends within the "
        "bounds"
    ),
    "plan.notes.more": "and {n} more such notes on the page of the run",
    # overview figures
    "overview.axis": "{metric} over the window",
    "cloud.x": "NRMSE",
    "cloud.y": "Decomp.RSSD",
    "cloud.iteration": "place in the search",
    "cloud.early": "early",
    "cloud.late": "late",
    "cloud.front": "first front",
    "cloud.kept": "other fronts kept",
    "cloud.selected": "selected (number = cluster)",
    "convergence.median": "Median of each twentieth of the iterations, ± one standard deviation.",
    "convergence.threshold": "wanted below",
    "convergence.yes": "{loss}: converged",
    "convergence.no": "{loss}: not converged",
    "convergence.axis": "iteration of a trial",
    # losses
    "loss.nrmse": "NRMSE",
    "loss.decomp_rssd": "Decomp.RSSD",
    "loss.mape": "MAPE",
    # page: head and navigation
    "page.title": "{experiment}: marketing mix report",
    "page.lead": "Run {run}, made {created} with mmm-runner {version}. {periods} {many}, {start} to {end}.",
    "page.lead.unfinished": "The run did not finish: this page shows what there is.",
    "nav.answer": "Answer",
    "nav.findings": "Findings",
    "nav.moved": "What moved",
    "nav.search": "Search",
    "nav.models": "Models",
    "nav.studies": "Lift studies",
    "nav.plans": "Plans",
    "nav.provenance": "Provenance",
    # page: answer
    "answer.title": "The answer",
    "answer.media": (
        "Paid media brought in {low} to {high} of {outcome} from {start} to {end}, {low_share} to "
        "{high_share} of all of it, depending on which of the {n} selected models is right; {spend} was "
        "spent on them. The best model, {candidate}, says {value} ({share})."
    ),
    "answer.media.one": (
        "Paid media brought in {value} of {outcome} from {start} to {end}, {share} of all of it; {spend} "
        "was spent on them."
    ),
    "answer.best": "Best for its money is {channel}, with a {metric} of {value}{interval}{range}.",
    "answer.only": "{channel} has a {metric} of {value}{interval}{range}.",
    "answer.worst": "Least for its money brings {channel}, with a {metric} of {value}{interval}{range}.",
    "answer.none": "The best model finds no effect at all of {channels}.",
    "answer.none.seen": "Of the {n} selected models {k} find no effect at all of {channel}.",
    "answer.none.more": "{channels} and {n} more",
    "answer.interval": " ({level} sampling interval {low} to {high})",
    "answer.range": "; over the selected models {low} to {high}",
    "answer.overlap": (
        "Their intervals overlap: these data do not settle which of the two brings more for its money."
    ),
    "answer.apart": "Their intervals do not overlap.",
    "answer.agree.best": "All {n} selected models agree on the best channel.",
    "answer.disagree.best": (
        "{agree} of {n} selected models name {channel} as the best; the others name {others}."
    ),
    "answer.marginal": (
        "At today's spends the next unit of money would bring most in {best} ({best_value}) and least in "
        "{worst} ({worst_value})."
    ),
    "answer.plan": (
        "Plan {scenario} {moves}. It promises {lift} response from paid media ({change} {outcome}){views}."
    ),
    "answer.plan.flat": (
        "Plan {scenario} {moves}. It promises practically the same response from paid media ({change} "
        "{outcome}){views}."
    ),
    "answer.plan.none": "Plan {scenario}: {message}.",
    "answer.plan.same": "keeps the total spend at {spend} over {n} {many}: {channels}",
    "answer.plan.more": "spends {planned} instead of {spend} over {n} {many}: {channels}",
    "answer.plan.still": "leaves every channel where it is",
    "answer.views": "; single models see {low} to {high} in it",
    "answer.studies.one": "The best model, {candidate}, agrees with the lift study.",
    "answer.studies.all": "The best model, {candidate}, agrees with all {n} lift studies that have an interval.",
    "answer.studies.some": (
        "The best model, {candidate}, agrees with {k} of {n} lift studies that have an interval; {studies}."
    ),
    "answer.studies.miss": "for {channel} it predicts {predicted} where {estimate} was found",
    "answer.studies.error": (
        "Whether the best model, {candidate}, agrees with the lift studies cannot be judged without their intervals; "
        "its mean error over the {n} is {error}."
    ),
    "answer.unconverged": "The search has not settled ({losses}): more iterations could move these numbers.",
    "answer.converged": "The search has settled: more iterations would hardly move these numbers.",
    "answer.findings": "{n} findings below deserve a look before money moves.",
    "answer.findings.one": "One finding below deserves a look before money moves.",
    "answer.caution": (
        "A sampling interval says how far the noise of these data could have moved a model's number, its "
        "hyperparameters given; the range over models says how far the choice of model moves it. Neither "
        "covers what no model here knows."
    ),
    "answer.outside": (
        "An estimate can lie outside its interval: the ridge shrinks estimates, the interval says where the"
        " truth may be."
    ),
    "answer.channels": "Paid channels in the best model, {candidate}",
    "answer.overview": (
        "{metric} of each channel in each selected model. Thick: the best model. Lines: {level} sampling "
        "intervals."
    ),
    "answer.overview.none": "{metric} of each channel in each selected model. Large: the best model.",
    "head.channel": "channel",
    "head.spend": "spend",
    "head.spend_share": "share of spend",
    "head.effect_share": "share of effect",
    "head.contribution": "contribution",
    "head.interval": "sampling interval",
    "head.range": "range over models",
    # page: findings
    "findings.title": "Findings",
    "findings.none": "Nothing was noticed that needs a decision.",
    "finding.info": "for information",
    "finding.warning": "warning",
    "finding.problem": "problem",
    # page: what a refresh moved
    "moved.title": "What moved",
    "moved.lead": (
        "A refresh of model {candidate} of run {before}, whose window was {start} to {end}, with {periods} new {many}."
    ),
    "moved.channels": "{metric} of the paid channels; bold: the largest part, and changes beyond sampling uncertainty",
    "moved.components": "Contribution per {one} of every component",
    "moved.parts": (
        "The parts of a change, one thing changing at a time, each measured on the weeks of the new window; they add "
        "up to the change. Standard errors are those of the value before."
    ),
    "moved.window": "window",
    "moved.window.means": "the same coefficients and curves on the new window: other weeks, other spends",
    "moved.data": "data",
    "moved.data.means": (
        "fitted again to the old window of the new table: restated rows, a newly fitted baseline, a new cost per "
        "exposure"
    ),
    "moved.new_rows": "new rows",
    "moved.new_rows.means": "fitted to the old window and the new rows",
    "moved.old_rows": "old rows",
    "moved.old_rows.means": "fitted to the new window, which the oldest rows have left",
    "moved.hyperparameters": "hyperparameters",
    "moved.hyperparameters.means": "those of the refreshed model instead of those before",
    "moved.lineage": "The line of runs: {runs}.",
    "head.component": "component",
    "head.before": "before",
    "head.now": "now",
    "head.errors": "standard errors",
    # page: search
    "search.title": "How the models were found",
    "search.lead": (
        "{n} candidates in {trials} independent trials; {kept} on the fronts kept; {selected} selected."
    ),
    "convergence.title": "Has the search settled?",
    "convergence.caption": "Losses over the course of the search, all trials pooled.",
    "plans.shared": "The shared plan (mean of the models), totals over the horizon",
    "pareto.title": "All candidates",
    "pareto.caption": (
        "Fit (NRMSE) against plausibility (Decomp.RSSD) of all candidates; both are better when smaller. "
        "{hidden} of them lie outside the picture."
    ),
    "clusters.title": "Clusters",
    "clusters.lead": (
        "Candidates on the fronts, grouped by their hyperparameters; the best of each group is a selected "
        "model."
    ),
    "head.loss": "loss",
    "head.verdict": "verdict",
    "head.last_median": "last median",
    "head.median_wanted": "wanted below",
    "head.last_sd": "last sd",
    "head.sd_wanted": "wanted below",
    "verdict.yes": "converged",
    "verdict.no": "not converged",
    "head.cluster": "cluster",
    "head.size": "candidates",
    "head.winner": "selected model",
    "head.error_score": "error score",
    "head.distance": "distance to centre",
    # page: models
    "models.title": "Selected models",
    "models.lead": (
        "Best error score first. {metric} by channel with its sampling interval, where there is one."
    ),
    "models.caption": "One-pager of model {candidate}.",
    "models.alt": (
        "Model {candidate} on one page: contributions, fit, shares, {metric} with intervals, adstock, "
        "carryover, response curves and residuals."
    ),
    "models.numbers": (
        "Numbers in the pictures stand for names that the fonts of the machine cannot draw: {names}."
    ),
    "head.model": "model",
    "head.nrmse_train": "NRMSE train",
    "head.nrmse_val": "validation",
    "head.nrmse_test": "test",
    "head.rsq_train": "adj. R² train",
    "head.decomp_rssd": "Decomp.RSSD",
    "head.mape": "MAPE",
    # page: lift studies
    "studies.title": "Lift studies",
    "studies.lead": (
        "What experiments found and what the selected models predict for the same channels and days. {convention}"
    ),
    "studies.convention.correct": (
        "First and last day of a study count, and a period counts by its share of days in the study."
    ),
    "studies.convention.robyn": (
        "Days count as in R Robyn: a study's rows are the dates in it, and the one before where it does not start on "
        "a date; sums are scaled by (last day − first day) / (last date − first date)."
    ),
    "studies.caption": "The studies",
    "studies.predictions": "What each selected model predicts; in brackets whether it lies in the study's interval",
    "studies.days": "{start} to {end}, {n} days",
    "studies.scope.immediate": "immediate: what the exposures of these days brought in these days",
    "studies.scope.total": "total: all that was brought in these days, also by earlier exposures",
    "studies.inside": "inside",
    "studies.outside": "outside",
    "studies.untrained": "not trained on",
    "studies.weights": (
        "The weight is a study's share in the calibration error (MAPE): the better a study knows its own answer, the "
        "more it counts."
    ),
    "studies.unseen.all": (
        "Study {number} ({channel}) lies in rows that no selected model was trained on: it judged the models and "
        "taught them nothing."
    ),
    "studies.unseen.some": (
        "Study {number} ({channel}) lies in rows that {k} of {n} selected models were not trained on."
    ),
    "studies.head.study": "study",
    "studies.head.channel": "channel",
    "studies.head.days": "days",
    "studies.head.scope": "scope",
    "studies.head.found": "found",
    "studies.head.interval": "interval",
    "studies.head.weight": "weight",
    "studies.head.source": "source",
    # page: plans
    "plans.title": "Plans",
    "plans.none": "The spec asks for no scenario, so there is no plan; mmm allocate makes one from this run.",
    "plans.caption": "Plan {scenario}.",
    "plans.alt": (
        "Plan {scenario} on one page: totals, spends with bounds, response and marginal response, response "
        "curves."
    ),
    "head.today": "spend today",
    "head.planned": "planned",
    "head.change": "change",
    "head.bounds": "bounds",
    "head.response_today": "response today",
    "head.response_planned": "planned",
    "head.marginal_today": "marginal today",
    "head.marginal_planned": "planned",
    "plans.total": "total",
    "plans.new": "new",
    # page: provenance
    "provenance.title": "Provenance",
    "provenance.lead": (
        "Everything on this page follows from the run folder; the same spec, data and versions give it again."
    ),
    "provenance.run": "run",
    "provenance.status": "status",
    "provenance.created": "created",
    "provenance.spec_digest": "spec digest",
    "provenance.data_digest": "data digest",
    "provenance.problem_digest": "problem digest",
    "provenance.seed": "seed",
    "provenance.machine": "machine",
    "provenance.stages": "Stages",
    "provenance.versions": "Versions",
    "provenance.tables": "Tables for spreadsheets",
    "head.stage": "stage",
    "head.seconds": "seconds",
    "head.package": "package",
    "head.version": "version",
    "head.file": "file",
    "head.holds": "holds",
    # tables
    "table.contributions": "what each component brought, by model and date",
    "table.intervals": "intervals of coefficients, contributions and {metric}, by kind",
    "table.response_curves": "response curves of the paid channels, by model",
    "table.pareto": "candidates on the fronts kept, with losses and cluster",
    "table.convergence": "losses over the course of the search",
    "table.refresh": "what a refresh moved: every quantity before and after, and the parts of its change",
    "table.calibration": "what each selected model predicts for each lift study, beside what the study found",
    "table.plans": "every plan, a row a channel, by scenario and model",
    "table.candidates": "everything about the candidates on the fronts kept",
    # what is missing
    "missing.selection": "There are no selected models: the run did not get that far.",
    "missing.convergence": "There is no convergence table: the run did not get that far.",
    "missing.search": "Nothing was searched: the model was brought along.",
    "missing.pareto": "There is no table of Pareto fronts: the run did not get that far.",
    "missing.clusters": "There is no table of clusters: the run did not get that far.",
    "missing.moved": "There is no table of what moved: the run did not get that far.",
    "missing.calibration": "There is no calibration table: the run did not get that far.",
    "missing.intervals": "There are no sampling intervals: the run has no intervals.parquet.",
    "missing.refits": "There are no sampling intervals: the spec asks for no refits.",
    "missing.findings": "Findings were not written: the run did not get that far.",
    "missing.timings": "Timings were not written: the run did not get that far.",
    "missing.plan": "There is no plan for scenario {scenario}: the run did not get that far.",
    "missing.reason.intervals": "the run has no intervals.parquet",
    "missing.reason.refits": "the spec asks for no refits",
    "missing.reason.curves": "the run has no interval of this curve",
}


def say(key: str, **values: object) -> str:
    """The words of a key, filled in."""
    return WORDS[key].format(**values)
