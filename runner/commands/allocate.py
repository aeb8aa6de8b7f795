"""``mmm allocate RUN …``: a budget plan with the selected models of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmm_core.errors import UserError
from runner.latest import find_run
from runner.run_folder import RunFolder
from runner.scenarios import ScenarioPlans, check_scenario, solve_scenario
from runner.spec import DEFAULT_BOUNDS, ScenarioSpec, sentence
from runner.summary import plan_record, write_plans


@dataclass(frozen=True, eq=False)
class Allocation:
    """Plans of one scenario, and the folder that they were written to."""

    folder: RunFolder
    plans: ScenarioPlans

    def as_record(self) -> dict[str, Any]:
        """Plain data: totals and channels of every plan."""
        entries = [*self.plans.models.items(), ("ensemble", self.plans.ensemble)]
        name = self.plans.scenario.name
        return {
            "run_folder": str(self.folder.path),
            "scenario": self.plans.scenario.model_dump(mode="json"),
            "plans": {key: {**plan_record(plan), "channels": plan.table(name)} for key, plan in entries},
        }

    def _repr_html_(self) -> str:
        from runner.notebook import load_run

        return load_run(self.folder).plans[self.plans.scenario.name]._repr_html_()


def run(
    source: str | Path,
    *,
    scenario: ScenarioSpec | Mapping[str, Any],
    runs: str | Path = "runs",
    candidates: Sequence[str] | None = None,
) -> Allocation:
    """Solve a scenario with a run's selected models and keep the plans in its ``scenarios/``.

    Args:
        source: a run folder, or a spec file for its newest run.
        scenario: the question, as ``scenarios`` of a spec have it, such as {"name": "more", "total_budget": 2_000_000}.
        runs: where runs of a spec file are looked for.
        candidates: plan for these selected models only.
    Returns:
        Allocation; look at the plans' status first.
    Raises:
        UserError: no such run or candidate, or a budget that the bounds cannot hold.
    """
    if not isinstance(scenario, ScenarioSpec):
        scenario = _decoded(scenario)
    folder = find_run(source, runs)
    spec = folder.spec()
    if scenario.name in [own.name for own in spec.scenarios]:
        raise UserError(f"--name {scenario.name}: the run has a scenario of this name; choose another one")
    problem = folder.problem(spec, folder.panel(spec))
    models = folder.models()
    if candidates:
        known = [model.candidate for model in models]
        for candidate in candidates:
            if candidate not in known:
                raise UserError(
                    f"{folder.path}: {candidate!r} is not a selected model; there are {', '.join(known)}"
                )
        models = [model for model in models if model.candidate in candidates]
    spec_of_scenario = spec.model_copy(update={"scenarios": (scenario,)})
    check_scenario(spec_of_scenario, scenario, problem)
    plans = solve_scenario(spec_of_scenario, scenario, problem, models)
    write_plans(folder, plans)
    return Allocation(folder, plans)


def scenario_options(
    *,
    name: str | None,
    bounds: Sequence[str] | None,
    start: str | None,
    end: str | None,
    last: int | None,
    **keys: Any,
) -> ScenarioSpec:
    """A scenario from the flags of the command line, refused with the sentence of the spec."""
    tree: dict[str, Any] = {key: value for key, value in keys.items() if value is not None}
    tree["name"] = name or f"{keys['goal']}-{keys['carryover']}".replace("_", "-")
    horizon = {"start": start, "end": end, "last": last}
    if any(value is not None for value in horizon.values()):
        tree["horizon"] = {key: value for key, value in horizon.items() if value is not None}
    if bounds:
        rest = DEFAULT_BOUNDS.get(keys["goal"], (0.0, 1.0))  # an unknown goal is refused below
        tree["bounds"] = {"default": list(rest), **_parse_bounds(bounds)}
    return _decoded(tree)


def _decoded(tree: Mapping[str, Any]) -> ScenarioSpec:
    try:
        return ScenarioSpec.model_validate(dict(tree))
    except ValidationError as error:
        raise UserError(f"allocate: {sentence(error)}") from None


def _parse_bounds(texts: Sequence[str]) -> dict[str, list[float]]:
    own: dict[str, list[float]] = {}
    for text in texts:
        channel, equals, pair = text.rpartition("=")
        try:
            low, high = (float(number) for number in pair.split(","))
        except ValueError:
            raise UserError(
                f"--bounds {text}: expected low,high or channel=low,high, such as 0.7,1.5"
            ) from None
        own[channel if equals else "default"] = [low, high]
    return own
