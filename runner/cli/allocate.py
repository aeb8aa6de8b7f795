"""The command ``mmm allocate``; what it does stands in ``runner.commands.allocate``."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.options import DEFAULT_RUNS, AtMost, Json, PlanBounds, PlanGoal, PlanMarginal, RunPath, Runs
from runner.cli.printing import print_json


def allocate(
    source: RunPath,
    goal: PlanGoal = "max_response",
    name: Annotated[str | None, typer.Option(help="Name of the plan; default made from the goal.")] = None,
    target: Annotated[
        float | None, typer.Option(help="ROAS (or CPA), or outcome of the horizon, to reach.")
    ] = None,
    marginal: PlanMarginal = False,
    budget: Annotated[float | None, typer.Option(help="Budget of the horizon; default today's.")] = None,
    budget_per_period: Annotated[float | None, typer.Option(help="Budget per period instead.")] = None,
    at_most: AtMost = False,
    bounds: PlanBounds = None,
    start: Annotated[str | None, typer.Option(help="First date of the horizon.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date of the horizon.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Horizon: the last periods of the window.")] = None,
    flighting: Annotated[str, typer.Option(help="historical or constant.")] = "historical",
    carryover: Annotated[str, typer.Option(help="plan, or historical for Robyn's convention.")] = "plan",
    candidate: Annotated[list[str] | None, typer.Option(help="These models only. Repeatable.")] = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Plan a budget with the selected models of a run.

    Example: `mmm allocate experiments/quickstart.yaml --budget 20000000 --bounds 0.5,2 --bounds tv=0.8,1.2`
    """
    from runner.commands import allocate as command
    from runner.terminal import print_plans

    result = command.run(
        source,
        runs=runs,
        candidates=candidate,
        scenario=command.scenario_options(
            name=name,
            goal=goal,
            target=target,
            measure="marginal" if marginal else None,
            total_budget=budget,
            budget_per_period=budget_per_period,
            constraint="at_most" if at_most else "equal",
            bounds=bounds,
            start=start,
            end=end,
            last=last,
            flighting=flighting,
            carryover=carryover,
        ),
    )
    if as_json:
        print_json(result.as_record())
    else:
        print_plans(result)
