"""What the model before says about the new window: the measure of how far a refreshed model is from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmm_core import adstock, saturation
from mmm_core.errors import UserError
from mmm_core.types import Adstock, FloatArray, ReferenceShares
from runner.dataset import MediaPanel
from runner.spec import ChannelSpec, ExperimentSpec, OrganicSpec, RefreshSpec

# No channel's ROAS is asked to stay closer than this part of itself, or of the mean ROAS, whatever its standard error:
# one that had no effect, and hardly an error, must be able to find one.
SMALLEST_SCALE = 0.1
# Nor is it free to move by more than this part of itself for one unit, however little the data tell of it: where they
# tell nothing, there is nothing to move it for, and it would wander until it goes out (docs/refresh.md).
LARGEST_SCALE = 0.25


def hyperparameters_now(spec: ExperimentSpec, refresh: RefreshSpec, n_rows: int) -> dict[str, float]:
    """Hyperparameters of the model before, for a table of so many rows.

    A Weibull scale is a share of the table's length, so in a longer table the same number is a longer memory; it is
    taken down so that the memory stays. Robyn leaves it, and so does its loss.
    """
    values = dict(refresh.previous.hyperparameters)
    if spec.adstock is Adstock.GEOMETRIC or refresh.loss == "robyn":
        return values
    for medium in spec.media_names:
        values[f"{medium}_scale"] *= (refresh.previous.rows - 1) / (n_rows - 1)
    return values


def brought_before(
    spec: ExperimentSpec,
    refresh: RefreshSpec,
    panel: MediaPanel,
    rows: slice,
    medium: ChannelSpec | OrganicSpec,
) -> float:
    """What a medium brings in some rows if its curve is that of the model before: nothing is fitted.

    sum over the rows of coef * hill(adstock(exposure)), cost per exposure and inflexion those of then.
    """
    values = hyperparameters_now(spec, refresh, len(panel.dates))
    before = refresh.previous.media[medium.name]
    column = medium.modelled if isinstance(medium, ChannelSpec) else medium.column
    parameters = tuple(values[f"{medium.name}_{p}"] for p in spec.adstock.parameters)
    carried = adstock.apply(spec.adstock, panel.numeric[column] * before.rate, parameters)[rows]
    response = saturation.hill(carried, values[f"{medium.name}_alpha"], before.inflexion)
    return refresh.previous.components[medium.name].coef * float(response.sum())


def roas_before(spec: ExperimentSpec, refresh: RefreshSpec, panel: MediaPanel, rows: slice) -> FloatArray:
    """(P,) outcome per unit of spend in some rows by the curves of the model before; 0 where nothing was spent."""
    found = []
    for channel in spec.channels:
        spend = float(panel.numeric[channel.spend][rows].sum())
        brought = brought_before(spec, refresh, panel, rows, channel)
        found.append(brought / spend if spend > 0 else 0.0)
    return np.array(found)


def scales(spec: ExperimentSpec, refresh: RefreshSpec) -> FloatArray:
    """(P,) the unit of each channel's change of ROAS: its standard error between two parts of the ROAS itself."""
    before = refresh.previous
    spend = np.array([before.media[c.name].spend or 1.0 for c in spec.channels])
    brought = np.array([before.components[c.name].contribution for c in spec.channels])
    roas, mean = brought / spend, brought.sum() / spend.sum()
    errors = [before.media[c.name].standard_error for c in spec.channels]
    known = np.array([abs(r) if e is None else e for e, r in zip(errors, roas, strict=True)])
    known = np.minimum(known, LARGEST_SCALE * np.abs(roas))
    floor = SMALLEST_SCALE * np.maximum(np.abs(roas), abs(mean))
    # Of a model without any effect of paid media nothing is known; one unit of outcome per unit of spend is a scale.
    return np.where(np.maximum(known, floor) > 0, np.maximum(known, floor), 1.0)


def shares_before(refresh: RefreshSpec, columns: Sequence[str]) -> FloatArray:
    """(K + 1,) share of the intercept, then of each column, in all that the model before explained; 0 if it is new."""
    brought: Mapping[str, float] = {
        name: component.contribution for name, component in refresh.previous.components.items()
    }
    whole = sum(brought.values())
    return np.array([brought.get(name, 0.0) / whole for name in ("intercept", *columns)])


def reference_shares(
    spec: ExperimentSpec, refresh: RefreshSpec, panel: MediaPanel, columns: Sequence[str]
) -> ReferenceShares:
    """The reference of a problem with these design columns.

    Raises:
        UserError: a channel that the model before does not know.
    """
    for name in spec.media_names:
        if name not in refresh.previous.media:
            raise UserError(
                f"refresh: the model {refresh.candidate} of {refresh.run} has no channel {name!r}; a refresh keeps the "
                "channels, run the experiment anew to change them"
            )
    shares = shares_before(refresh, columns)
    if refresh.loss == "robyn":
        return ReferenceShares(shares, refresh.periods)
    roas = roas_before(spec, refresh, panel, slice(panel.start, panel.stop))
    return ReferenceShares.stable(shares, refresh.periods, roas, scales(spec, refresh))
