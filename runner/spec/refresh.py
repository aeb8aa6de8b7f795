"""A refresh: the model before it, written out so that the new run needs no other folder."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, StrictFloat, StrictInt, model_validator

from runner.spec.fields import Day, Range, Strict, Text, check_order, fail


class PreviousComponent(Strict):
    """What a component of the model before brought over its window, with the interval of that where it is known."""

    coef: StrictFloat
    contribution: StrictFloat
    lower: StrictFloat | None = None
    upper: StrictFloat | None = None


class PreviousMedium(Strict):
    """A medium of the model before, all that its curve needs on other weeks.

    ``rate`` is currency per exposure (1 where spend or an organic column is modelled), ``spend`` that of the window and
    ``standard_error`` that of outcome per spend; an organic medium has neither.
    """

    inflexion: StrictFloat = Field(ge=0)
    rate: StrictFloat = Field(1.0, gt=0)
    spend: StrictFloat | None = Field(None, gt=0)
    standard_error: StrictFloat | None = Field(None, ge=0)


class PreviousSpec(Strict):
    """The model before: window, rows of its table, hyperparameters, fit and what every component brought."""

    start: Day
    end: Day
    rows: StrictInt = Field(ge=2)
    periods: StrictInt = Field(ge=2)
    level: StrictFloat = Field(0.9, gt=0, lt=1)
    penalty: StrictFloat = Field(ge=0)
    hyperparameters: dict[str, StrictFloat]
    components: dict[str, PreviousComponent]
    media: dict[str, PreviousMedium]

    @model_validator(mode="after")
    def _consistent(self) -> PreviousSpec:
        if self.start is None or self.end is None:
            raise fail("start and end of the window must be given")
        check_order(self.start, self.end)
        if "intercept" not in self.components:
            raise fail("components: the intercept is missing; add it, with contribution 0 if there is none")
        for name in self.media:
            if name not in self.components:
                raise fail(f"media.{name}: has no entry in components; add one")
        return self


class RefreshSpec(Strict):
    """Written by ``mmm refresh``.

    ``lineage`` are the runs before this one, oldest first; the last is ``run``, whose model ``candidate`` is refreshed.
    ``periods`` are new in the window. ``loss`` measures the distance to the model before, ``winner`` says which
    candidate is taken: by the evidence of the new periods against that distance, or the closest one. ``bounds`` are the
    ranges of the first run, from which ``hyperparameters`` was narrowed with ``freedom``.
    """

    run: Text
    candidate: Text
    lineage: tuple[Text, ...] = Field(min_length=1)
    periods: StrictInt = Field(ge=1)
    loss: Literal["stable", "robyn"] = "stable"
    winner: Literal["evidence", "closest"] = "evidence"
    freedom: StrictFloat = Field(gt=0, le=1)
    bounds: dict[str, Range]
    previous: PreviousSpec

    @model_validator(mode="after")
    def _consistent(self) -> RefreshSpec:
        if self.lineage[-1] != self.run:
            raise fail(f"lineage: the last run is {self.lineage[-1]!r}, expected {self.run!r}")
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """Where the run stands in the line of runs, for its manifest and its summary."""
        return {
            "run": self.run,
            "candidate": self.candidate,
            "depth": self.depth,
            "lineage": list(self.lineage),
            "periods": self.periods,
        }

    @property
    def depth(self) -> int:
        """How many refreshes lead from the first run to this one, itself counted."""
        return len(self.lineage)
