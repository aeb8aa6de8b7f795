"""How often the bootstrap's intervals hold the true coefficients, on simulated panels whose hyperparameters are known.

python -m tests.benchmarks.bootstrap_coverage
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mmm_core.bootstrap import BootstrapDraws, bootstrap_model, coefficient_intervals
from mmm_core.evaluate import evaluate_candidates
from mmm_core.limits import parameter_of
from mmm_core.transforms import design_matrix
from mmm_core.types import FittedModel, FloatArray, ModelProblem, Role

LEVEL = 0.9
MEDIA = ("tv", "search", "social", "print", "mail")
TRUE_INTERCEPT = 800.0
# trend, season, price, then the media.
TRUE_COEFS = np.array([0.8, 0.6, -15.0, 400.0, 600.0, 200.0, 300.0, 150.0])
NOISE_TO_SIGNAL = 0.4  # R2 = 1 / (1 + 0.4^2) = 0.86


def make_problem(seed: int, n_periods: int) -> tuple[ModelProblem, FloatArray]:
    """A panel without outcome (all 1) and the hyperparameters (H,) that are the truth; media share the season."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_periods)
    season = np.sin(2 * np.pi * t / 52)
    always_on = np.array([False, True, True, False, True])
    media = rng.gamma(2, 100, (5, n_periods)) * (1 + 0.4 * season)
    media *= always_on[:, np.newaxis] | (rng.random(media.shape) < 0.55)
    problem = ModelProblem(
        dates=np.datetime64("2020-01-06") + 7 * t,
        outcome=np.ones(n_periods),
        columns=("trend", "season", "price", *MEDIA),
        roles=(Role.BASELINE, Role.BASELINE, Role.CONTEXT, *[Role.PAID] * 4, Role.ORGANIC),
        design=np.vstack([100 + 0.5 * t, 300 * season, rng.normal(10, 1, n_periods), media]),
        spend=media[:4],
        lower=np.array([0, 0, -np.inf, *[0] * 5]),
        upper=np.array([1, 1, *[np.inf] * 6]),
        start=4,
        stop=n_periods,
    )
    ranges = {
        "alpha": (0.7, 2.5),
        "gamma": (0.3, 1),
        "theta": (0.1, 0.6),
        "train_size": (1, 1),
        "lambda_hp": (0, 0),
    }
    truth = [rng.uniform(*ranges[parameter_of(name)]) for name in problem.hyperparameter_names]
    return problem, np.array(truth)


def noise_series(rng: np.random.Generator, n: int, rho: float) -> FloatArray:
    """AR(1) with standard deviation 1."""
    steps = rng.normal(size=n + 50) * np.sqrt(1 - rho**2)
    out = np.zeros(n + 50)
    for i in range(1, n + 50):
        out[i] = rho * out[i - 1] + steps[i]
    return out[50:]


def fit(problem: ModelProblem, truth: FloatArray, penalty: float) -> FittedModel:
    batch = evaluate_candidates(problem, truth[np.newaxis, :], penalty=np.array([penalty]))
    return FittedModel("1_1", truth, penalty, float(batch.loss("intercept")[0]), batch.coefs[0])


def plain_quantiles(
    problem: ModelProblem, model: FittedModel, draws: BootstrapDraws, level: float
) -> tuple[FloatArray, FloatArray]:
    """The quantiles of the refits as they are."""
    lower, upper = np.quantile(draws.coefs, ((1 - level) / 2, (1 + level) / 2), axis=0)
    return lower, upper


def basic(
    problem: ModelProblem, model: FittedModel, draws: BootstrapDraws, level: float
) -> tuple[FloatArray, FloatArray]:
    """The quantiles reflected at the estimate, cut at the bounds."""
    lower, upper = plain_quantiles(problem, model, draws, level)
    ends = np.clip((2 * model.coefs - upper, 2 * model.coefs - lower), problem.lower, problem.upper)
    return ends[0], ends[1]


def hits(
    seed: int,
    n_periods: int,
    rho: float,
    relative_penalty: float,
    *,
    simulations: int,
    refits: int,
    method: Callable[..., tuple[FloatArray, ...]] = coefficient_intervals,
) -> FloatArray:
    """(simulations, 5): 1 where the interval of a medium's coefficient holds the truth."""
    problem, truth = make_problem(seed, n_periods)
    signal = TRUE_INTERCEPT + design_matrix(problem, truth) @ TRUE_COEFS
    rng = np.random.default_rng(seed)
    out = np.zeros((simulations, len(MEDIA)))
    for s in range(simulations):
        outcome = np.ones(n_periods)
        noise = noise_series(rng, problem.n_window, rho)
        outcome[problem.window] = signal + NOISE_TO_SIGNAL * signal.std() * noise
        drawn = replace(problem, outcome=outcome)
        model = fit(drawn, truth, relative_penalty * outcome[problem.window].std())
        draws = bootstrap_model(drawn, model, refits, np.random.SeedSequence([seed, s]))
        lower, upper = method(drawn, model, draws, LEVEL)[:2]
        out[s] = ((lower <= TRUE_COEFS) & (upper >= TRUE_COEFS))[3:]
    return out


def main() -> None:
    panels = ((1, 60), (2, 110), (3, 210))
    print(f"coverage of 5 media's coefficients at level {LEVEL}, mean (worst medium of any panel)")
    for method in (coefficient_intervals, plain_quantiles, basic):
        print(method.__name__)
        for relative_penalty in (0.0005, 0.03, 0.15, 0.3):
            cells = []
            for rho in (0.0, 0.3, 0.6):
                found = [
                    hits(*panel, rho, relative_penalty, simulations=200, refits=400, method=method).mean(
                        axis=0
                    )
                    for panel in panels
                ]
                cells.append(f"AR {rho}: {np.mean(found):.2f} ({np.min(found):.2f})")
            print(f"  lambda / sd(y) {relative_penalty:<7}", *cells, sep="  ", flush=True)


if __name__ == "__main__":
    main()
