"""Questions to the allocator, as a spec asks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictFloat, StrictInt, model_validator

from runner.spec.fields import Day, FileName, Strict, check_order, fail, located, parse_range

# Multiples of today's spend. Narrower than Robyn's (0.5 to 2, and 0.1 to 10): a curve knows little outside the spends
# it was fitted on.
DEFAULT_BOUNDS = {"max_response": (0.7, 1.5), "target_efficiency": (0.1, 3.0), "target_outcome": (0.1, 3.0)}

# Goals that aim at a number, and what number.
TARGETS = {
    "target_efficiency": "a ROAS, or a CPA for conversions",
    "target_outcome": "the outcome over the whole horizon, baseline included",
}


class HorizonSpec(Strict):
    """Dates that a plan is for; default: the window. ``last`` counts periods back from the window's end."""

    start: Day = None
    end: Day = None
    last: StrictInt | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> HorizonSpec:
        if self.last is not None and (self.start or self.end):
            raise fail("give either last or start and end, not both")
        check_order(self.start, self.end)
        return self


def _bounds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(channel): located(f".{channel}", _bound_pair, pair) for channel, pair in value.items()}
    return _bound_pair(value)


def _bound_pair(value: Any) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        low, high = parse_range(value)
        if low < 0:
            raise fail(f"lower bound {low:g} is negative; spend cannot be")
        return low, high
    raise fail("expected [low, high] as multiples of today's spend, for example [0.7, 1.5]")


Bounds = Annotated[tuple[float, float] | dict[str, tuple[float, float]], BeforeValidator(_bounds)]


class ScenarioSpec(Strict):
    """One question to the allocator.

    ``max_response`` spends a budget as well as can be. ``target_efficiency`` finds the most response at a ROAS (or CPA)
    of all the money or, with ``measure: marginal``, of the last unit of it. ``target_outcome`` finds the least money
    for an outcome.

    ``bounds`` are multiples of the spend in the horizon, for all channels or by channel (``default`` names the rest).
    ``flighting`` tells how a channel's money is spread over the horizon; ``carryover`` whose adstock counts: the
    plan's own, or Robyn's constant of the past.
    """

    name: FileName
    goal: Literal["max_response", "target_efficiency", "target_outcome"] = "max_response"
    target: StrictFloat | None = Field(None, gt=0)
    measure: Literal["average", "marginal"] = "average"
    total_budget: StrictFloat | None = Field(None, ge=0)
    budget_per_period: StrictFloat | None = Field(None, ge=0)
    constraint: Literal["equal", "at_most"] = "equal"
    bounds: Bounds | None = None
    flighting: Literal["historical", "constant"] = "historical"
    carryover: Literal["plan", "historical"] = "plan"
    horizon: HorizonSpec = HorizonSpec()

    @model_validator(mode="after")
    def _consistent(self) -> ScenarioSpec:
        if self.goal in TARGETS:
            if self.target is None:
                raise fail(f"goal {self.goal} needs target ({TARGETS[self.goal]})")
            if self.total_budget is not None or self.budget_per_period is not None:
                raise fail(f"goal {self.goal} finds the budget itself; remove the budget")
        elif self.target is not None:
            raise fail("target belongs to the goals target_efficiency and target_outcome")
        if self.measure == "marginal" and self.goal != "target_efficiency":
            raise fail("measure marginal belongs to goal target_efficiency")
        if self.total_budget is not None and self.budget_per_period is not None:
            raise fail("give either total_budget or budget_per_period, not both")
        return self

    @property
    def resolved_bounds(self) -> tuple[float, float] | dict[str, tuple[float, float]]:
        """The bounds, or the goal's default ones."""
        return self.bounds if self.bounds is not None else DEFAULT_BOUNDS[self.goal]
