"""Plans for dates to come (or past, or both), by channel and period, with the outcome to expect."""

from runner.plans.planner import PlanResult, plan
from runner.plans.request import PlanRequest

__all__ = ["PlanRequest", "PlanResult", "plan"]
