"""A selected model on its own: what it says about media that are given to it, without search, run folder or MLflow.

``scoring_files`` are all that a model needs; MLflow keeps them with every model it logs. Three questions:

    decomposition   rows are periods: what every component brings in each, and the outcome they add up to
    media           the same of paid and organic media alone
    response        rows are plans: what paid channels bring over a horizon when their spend there is as given

Media are given under the names of their channels, in the unit that the model works in: currency for paid channels (an
exposure times the mean cost per exposure of the modelling window, or the plain exposure with ``exposures: units``), its
own unit for an organic medium. What a row does not give is taken from the model's own data, by date.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from mmm_core.adstock import carry
from mmm_core.errors import UserError
from mmm_core.response import Carryover, Flighting, Horizon, channel_responses
from mmm_core.saturation import hill
from mmm_core.transforms import channel_curves
from mmm_core.types import DateArray, FittedModel, FloatArray, ModelProblem
from runner.dataset import MediaPanel, next_period, panel_from_table
from runner.model_files import model_of_record
from runner.problem import assemble_problem
from runner.run_folder import RunFolder
from runner.source import Source
from runner.spec import ExperimentSpec, decode

if TYPE_CHECKING:
    import pandas as pd

SPEC, PANEL, DESIGN, MODEL = "spec.yaml", "panel.parquet", "design.parquet", "model.json"
DATE = "date"
# What may be asked, each with its default. Dates are ISO, both ends counted; default the modelling window.
OPTIONS = {
    "what": "decomposition",
    "start": "",
    "end": "",
    "carryover": "plan",
    "flighting": "historical",
    "exposures": "currency",
}
CHOICES = {
    "what": ("decomposition", "media", "response"),
    "carryover": tuple(map(str, Carryover)),
    "flighting": tuple(map(str, Flighting)),
    "exposures": ("currency", "units"),
}


def scoring_files(folder: RunFolder, candidate: str) -> dict[str, bytes]:
    """All that a model needs, by file name. The spec goes without its tracking, which may hold a password."""
    tree = folder.spec().resolved()
    del tree["tracking"]
    return {
        SPEC: yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode(),
        PANEL: (folder.path / "inputs" / PANEL).read_bytes(),
        DESIGN: (folder.path / "inputs" / DESIGN).read_bytes(),
        MODEL: (folder.path / "models" / f"{candidate}.json").read_bytes(),
    }


class Scorer:
    """One model and the data that it was made on."""

    def __init__(
        self, spec: ExperimentSpec, panel: MediaPanel, problem: ModelProblem, record: Mapping[str, Any]
    ):
        self.spec = spec
        self.panel = panel
        self.problem = problem
        self.model: FittedModel = model_of_record(record)
        self._curves = {curve.channel: curve for curve in channel_curves(problem, self.model)}
        self._rates = {
            channel["name"]: channel["currency_per_exposure"]
            for channel in record["channels"]
            if channel["kind"] == "paid" and channel["exposure_column"]
        }

    @classmethod
    def open(cls, folder: Path) -> Scorer:
        """The model whose files lie in a folder."""
        return cls.of(
            {name: (folder / name).read_bytes() for name in (SPEC, PANEL, DESIGN, MODEL)}, str(folder)
        )

    @classmethod
    def of(cls, files: Mapping[str, bytes], where: str) -> Scorer:
        """The model of these files; ``where`` names them in messages."""
        import pandas as pd

        spec = decode(yaml.safe_load(files[SPEC]), f"{where}/{SPEC}")
        panel = panel_from_table(spec, pd.read_parquet(io.BytesIO(files[PANEL])), f"{where}/{PANEL}")
        table = pd.read_parquet(io.BytesIO(files[DESIGN]))
        design = {
            str(name): table[name].to_numpy() for name in table.columns if name not in (DATE, "outcome")
        }
        return cls(spec, panel, assemble_problem(spec, panel, design), json.loads(files[MODEL]))

    # ------------------------------------------------------------------------------------------------------ questions

    def predict(self, table: pd.DataFrame, options: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Answer for a table.

        Args:
            table: columns by name, others are ignored. options: see ``OPTIONS``.
        Returns:
            A row a row: see ``decompose`` and ``respond``.
        Raises:
            UserError: an option, column or date that cannot be used.
        """
        asked = {**OPTIONS, **{key: str(value) for key, value in (options or {}).items()}}
        for name, choices in CHOICES.items():
            if asked[name] not in choices:
                raise UserError(f"{name}: {asked[name]!r}, expected {' or '.join(choices)}")
        media = self._in_currency(self._numbers(table), asked["exposures"])
        if asked["what"] == "response":
            return self.respond(media, asked)
        return self.decompose(self._dates(table), media, len(table), asked["what"] == "media")

    def decompose(
        self, dates: DateArray | None, given: Mapping[str, FloatArray], n: int, media_only: bool = False
    ) -> pd.DataFrame:
        """What every component brings in each of n consecutive periods.

        Args:
            dates: (n,) of the periods; they follow one another, and the first is one of the data or the next after
                them, so that what was carried in is known. None: nothing was before, and all columns are given.
            given: design column -> (n,) values instead of the data's. n: how many.
            media_only: leave baseline, context and intercept out.
        Returns:
            date where given, outcome (the sum) and intercept unless for media only, and a column a component.
        """
        import pandas as pd

        first = self._first_row(dates) if dates is not None else 0
        columns = self.problem.media if media_only else self.problem.columns
        found = {column: self._contribution(column, dates, first, given, n) for column in columns}
        head = {} if dates is None else {DATE: dates.astype(str)}
        if not media_only:
            outcome = self.model.intercept + np.sum(list(found.values()), axis=0)
            head |= {"outcome": outcome, "intercept": np.full(n, self.model.intercept)}
        return pd.DataFrame({**head, **found})

    def respond(self, spends: Mapping[str, FloatArray], asked: Mapping[str, str]) -> pd.DataFrame:
        """What the paid channels bring over a horizon in the data, a plan a row.

        Args:
            spends: channel -> (n,) currency over the whole horizon; one that is not given keeps its historical spend.
            asked: start and end of the horizon, carryover and flighting as in a scenario.
        Returns:
            spend and response, in all and by channel (``response_tv``).
        """
        import pandas as pd

        problem = self.problem
        dates = [str(problem.dates[problem.start]), str(problem.dates[problem.stop - 1])]
        horizon = Horizon.between(problem, asked["start"] or dates[0], asked["end"] or dates[1])
        responses = channel_responses(
            problem, self.model, horizon, Carryover(asked["carryover"]), Flighting(asked["flighting"])
        )
        n = max((len(values) for values in spends.values()), default=1)
        spent = {r.channel: spends.get(r.channel, np.full(n, r.initial_spend)) for r in responses}
        brought = {f"response_{r.channel}": r.response(spent[r.channel]) for r in responses}
        totals = {
            "spend": np.sum(list(spent.values()), axis=0),
            "response": np.sum(list(brought.values()), axis=0),
        }
        return pd.DataFrame({**totals, **brought})

    # --------------------------------------------------------------------------------------------------------- details

    def _numbers(self, table: pd.DataFrame) -> dict[str, FloatArray]:
        """The design columns that a table gives, checked."""
        source = Source.of("input", table)
        found = {name: source.numbers(name) for name in self.problem.columns if name in table.columns}
        for name in self.problem.media:
            if name in found and (found[name] < 0).any():
                raise source.fail(name, "is negative; media cannot be", int(np.argmax(found[name] < 0)))
        return found

    def _in_currency(self, media: dict[str, FloatArray], exposures: str) -> dict[str, FloatArray]:
        if exposures == "currency":
            return media
        return {name: values * self._rates.get(name, 1.0) for name, values in media.items()}

    def _dates(self, table: pd.DataFrame) -> DateArray | None:
        return Source.of("input", table).days(DATE) if DATE in table.columns else None

    def _first_row(self, dates: DateArray) -> int:
        """The row of the model's calendar that the first date is; the others must follow it period by period."""
        known = self.problem.dates
        at = np.searchsorted(known, dates[0])
        first = int(at) if at < len(known) and known[at] == dates[0] else len(known)
        for row, day in enumerate(dates, start=first):
            expected = known[row] if row < len(known) else self._later(row)
            if day != expected:
                raise UserError(
                    f"input: column {DATE!r}: row {row - first + 1} is {day}, expected {expected}; periods follow one "
                    f"another, from one of the data ({known[0]} to {known[-1]}) or from the next after them"
                )
        return first

    def _later(self, row: int) -> np.datetime64:
        known = self.problem.dates
        return next_period(known[-1], self.panel.frequency, row - len(known) + 1)

    def _contribution(
        self, column: str, dates: DateArray | None, first: int, given: Mapping[str, FloatArray], n: int
    ) -> FloatArray:
        """(n,) coef * x; a medium's x is adstocked, from the data's first period on, and saturated."""
        k = self.problem.columns.index(column)
        values = self._values(k, dates, first, given, n)
        if column in self._curves:
            curve = self._curves[column]
            adstocked = carry(curve.adstock, values, curve.adstock_parameters, self.problem.n_periods)
            values = hill(adstocked, curve.alpha, curve.inflexion)
        return np.asarray(self.model.coefs[k] * values[first:])

    def _values(
        self, k: int, dates: DateArray | None, first: int, given: Mapping[str, FloatArray], n: int
    ) -> FloatArray:
        """(first + n,) values of a column: those of the data, and from ``first`` on those given."""
        column, own = self.problem.columns[k], self.problem.design[k]
        if column in given:
            return np.asarray(np.concatenate([own[:first], given[column]]))
        if dates is not None and first + n <= len(own):
            return np.asarray(own[: first + n])
        remedy = "give it" if dates is not None else f"give it, or a column {DATE!r} with dates of the data"
        raise UserError(
            f"input: column {column!r} is missing and these periods are not in the model's data; {remedy}"
        )
