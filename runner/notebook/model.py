"""One selected model of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.notebook.picture import Picture
from runner.notebook.show import block
from runner.reports.data import ModelView, RunData
from runner.reports.theme import number

if TYPE_CHECKING:
    import pandas as pd

    from runner.reports.sheet import Sheet

WIDTH, HEIGHT = 9.0, 5.0


class Model:
    """A selected model: losses, hyperparameters, what every component brought, response curves, pictures.

    Args:
        run: the data of its run. view: the model.
    """

    def __init__(self, run: RunData, view: ModelView) -> None:
        self._run, self._view = run, view

    @property
    def candidate(self) -> str:
        """Its name, trial and iteration: ``3_120``."""
        return self._view.candidate

    @property
    def losses(self) -> dict[str, float]:
        """nrmse, decomp_rssd, rsq_train and the others, by name."""
        return dict(self._view.losses)

    @property
    def hyperparameters(self) -> dict[str, float]:
        """By name, such as ``tv_theta``; lambda is the penalty used."""
        model = self._view.model
        values = dict(
            zip(self._run.problem.hyperparameter_names, map(float, model.hyperparameters), strict=True)
        )
        return {**values, "lambda": float(model.penalty)}

    @property
    def channels(self) -> pd.DataFrame:
        """A row a paid channel: spend, contribution, effect share, roas (or cpa) and its sampling interval."""
        import pandas as pd

        run, view, metric = self._run, self._view, self._run.metric
        rows = []
        for p, name in enumerate(run.problem.media[: run.problem.n_paid]):
            bar = view.intervals.get(("sampling", metric, name))
            rows.append(
                {
                    "channel": name,
                    "spend": float(run.problem.spend[p, run.problem.window].sum()),
                    "contribution": float(view.contributions[run.problem.columns.index(name)]),
                    "effect_share": float(view.effect_shares[p]),
                    metric: float(view.efficiencies[p]),
                    "lower": bar.lower if bar else float("nan"),
                    "upper": bar.upper if bar else float("nan"),
                }
            )
        return pd.DataFrame(rows).set_index("channel")

    @property
    def contributions(self) -> pd.DataFrame:
        """(W, K + 2) what each component and the intercept brought in each period, and the fitted outcome; by date."""
        import pandas as pd

        problem, parts = self._run.problem, self._view.decomposition
        dates = pd.DatetimeIndex(problem.dates[problem.window], name="date")
        frame = pd.DataFrame(parts.contributions.T, index=dates, columns=list(problem.columns))
        return frame.assign(intercept=float(self._view.model.intercept), fitted=parts.fitted)

    @property
    def response_curves(self) -> pd.DataFrame:
        """Response per period at multiples of today's spend, a row a channel and multiple, with the interval."""
        import pandas as pd

        parts = [
            pd.DataFrame(
                {
                    "channel": name,
                    "multiplier": curve.multipliers,
                    "spend": curve.spend,
                    "response": curve.response,
                    "marginal": curve.marginal,
                    "lower": curve.lower,
                    "upper": curve.upper,
                }
            )
            for name, curve in self._view.responses.items()
        ]
        return pd.concat(parts, ignore_index=True)

    def one_pager(self) -> Picture:
        """The whole page of the report about this model."""
        from runner.reports.one_pager import one_pager

        return Picture(one_pager(self._run, self._view))

    def plot_fit(self) -> Picture:
        """Outcome and fit over time, with the residuals and the split."""
        from runner.reports.figures.fit import draw_fit

        return self._drawn(draw_fit)

    def plot_waterfall(self) -> Picture:
        """What every component brought, as shares of the outcome."""
        from runner.reports.figures.waterfall import draw_waterfall

        return self._drawn(draw_waterfall)

    def plot_efficiency(self) -> Picture:
        """roas (or cpa) of every channel with its interval."""
        from runner.reports.figures.shares import draw_efficiency

        return self._drawn(draw_efficiency)

    def plot_curves(self) -> Picture:
        """Response curves of the paid channels, with today's spend."""
        from runner.reports.figures.curves import Grid, draw_curves
        from runner.reports.sheet import Box, Sheet

        width = 1.4 * WIDTH
        grid = Grid.of(self._run.problem.n_paid, width - 0.6)
        sheet = Sheet(width, grid.height + 0.6)
        draw_curves(sheet, Box(0.3, 0.3, width - 0.6, grid.height), self._run, self._view, grid)
        return Picture(sheet)

    def _drawn(self, draw: object) -> Picture:
        from runner.reports.sheet import Box, Sheet

        sheet: Sheet = Sheet(WIDTH, HEIGHT)
        assert callable(draw)
        draw(sheet, Box(0.3, 0.3, WIDTH - 0.6, HEIGHT - 0.6), self._run, self._view)
        return Picture(sheet)

    @property
    def _fit(self) -> str:
        return f"nrmse {self.losses['nrmse']:.4f}, decomp_rssd {self.losses['decomp_rssd']:.4f}"

    def __repr__(self) -> str:
        return f"Model({self.candidate}, {self._fit})"

    def _repr_html_(self) -> str:
        frame, metric = self.channels, self._run.metric
        rows = [
            [
                name,
                number(row["spend"]),
                number(row["contribution"]),
                *(number(row[k]) for k in (metric, "lower", "upper")),
            ]
            for name, row in frame.iterrows()
        ]
        heads = ["channel", "spend", "contribution", metric, "from", "to"]
        return block(f"Model {self.candidate}", self._fit, heads, rows, [])
