"""A budget plan of a run, for the mean of its models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runner.notebook.picture import Picture
from runner.notebook.show import block
from runner.reports.data import RunData, ScenarioView
from runner.reports.theme import number, signed_percent

if TYPE_CHECKING:
    import pandas as pd


class Plan:
    """One scenario answered.

    Args:
        run: the data of its run. view: the scenario.
    """

    def __init__(self, run: RunData, view: ScenarioView) -> None:
        self._run, self._view = run, view

    @property
    def name(self) -> str:
        """Name of the scenario."""
        return self._view.name

    @property
    def status(self) -> str:
        """solved, infeasible, not_converged, or missing where its stage did not finish."""
        return self._view.shared.status if self._view.shared else "missing"

    @property
    def lift(self) -> float:
        """Response of the plan over today's, less 1, as promised; NaN where there is no plan."""
        return self._view.shared.lift if self._view.shared else float("nan")

    @property
    def channels(self) -> pd.DataFrame:
        """A row a channel: spends, responses and efficiencies before and after, and bounds."""
        import pandas as pd

        shared = self._view.shared
        return pd.DataFrame(dict(shared.columns)).set_index("channel") if shared else pd.DataFrame()

    def plot(self) -> Picture:
        """The report's page about this plan.

        Raises:
            ValueError: its stage did not finish.
        """
        from runner.reports.plan_page import plan_page

        sheet = plan_page(self._run, self._view)
        if sheet is None:
            raise ValueError(f"the plan {self.name} has nothing to show: its stage did not finish")
        return Picture(sheet)

    def __repr__(self) -> str:
        told = f", response {self.lift:+.1%}" if math.isfinite(self.lift) else ""
        return f"Plan({self.name}, {self.status}{told})"

    def _repr_html_(self) -> str:
        shared = self._view.shared
        rows = []
        if shared is not None and shared.is_answer:
            before, after = shared["initial_spend"], shared["optimised_spend"]
            rows = [
                [name, number(b), number(a), signed_percent(a / b - 1) if b else "new"]
                for name, b, a in zip(self.channels.index, before, after, strict=True)
            ]
        facts = f"{self.status}, response {signed_percent(self.lift)}" if rows else self.status
        notes = [note for note in (self._view.message, *self._view.notes) if note]
        return block(f"Plan {self.name}", facts, ["channel", "spend today", "planned", "change"], rows, notes)
