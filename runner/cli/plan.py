"""The command ``mmm plan``; what it does stands in ``runner.commands.plan``."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.options import (
    DEFAULT_RUNS,
    AtMost,
    Json,
    PlanBounds,
    PlanGoal,
    PlanMarginal,
    PlanModels,
    RunPath,
    Runs,
)
from runner.cli.printing import print_json


def plan(
    source: RunPath,
    start: Annotated[str, typer.Option("--from", help="First date, such as 2025-01-06.", show_default=False)],
    end: Annotated[str, typer.Option("--to", help="Last date.", show_default=False)],
    budget: Annotated[float | None, typer.Option(help="Of these dates; default the reference spend.")] = None,
    at_most: AtMost = False,
    goal: PlanGoal = "max_response",
    target: Annotated[float | None, typer.Option(help="ROAS (or CPA), or outcome of these dates.")] = None,
    marginal: PlanMarginal = False,
    flighting: Annotated[str, typer.Option(help="kept (as a year before), constant or free.")] = "kept",
    bounds: PlanBounds = None,
    period_bounds: Annotated[
        list[str] | None, typer.Option(help="The same of every single period's reference spend. Repeatable.")
    ] = None,
    reach: Annotated[
        float | None,
        typer.Option(
            help="Free flighting: how far a period may be from the kept plan, in parts of it; 0.3 by default, inf for "
            "anywhere.",
            show_default=False,
        ),
    ] = None,
    fixed: Annotated[list[str] | None, typer.Option(help="channel=amount. Repeatable.")] = None,
    table: Annotated[
        str | None, typer.Option("--plan", help="CSV of amounts: date, channel, spend (fixed), lower, upper.")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="CSV of what is to come: date, context and organic columns.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the plan.")] = None,
    candidates: PlanModels = None,
    runs: Runs = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Plan dates to come by channel and period, with the outcome to expect.

    Example: `mmm plan experiments/quickstart.yaml --from 2025-01-06 --to 2025-06-30 --budget 4000000`
    """
    from runner.commands import plan as command
    from runner.plans.show import print_plan

    question = command.question_options(
        bounds, period_bounds, fixed, candidates, budget=budget, at_most=at_most, goal=goal, target=target,
        marginal=marginal, flighting=flighting, reach=reach, table=table, context=context, name=name,
    )  # fmt: skip
    result = command.run(source, start, end, runs=runs, **question)
    if as_json:
        print_json({**result.as_record(), "path": str(result.path)})
    else:
        print_plan(result)
