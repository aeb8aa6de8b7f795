"""Adstock and Hill against unit vectors of R Robyn 3.12.1. Provenance of the numbers: ``golden_data``."""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core import adstock
from mmm_core.saturation import hill, inflexion
from mmm_core.types import Adstock
from tests.golden.golden_data import golden_table, needs_golden

pytestmark = needs_golden
CLOSE = dict(rtol=1e-12, atol=1e-12)


def vectors():
    """((kind, parameters), rows) of each series in the file; the long ones carry their length in the name."""
    table = golden_table("inputs/adstock_vectors")
    for (name, first, second), rows in table.groupby(["fun", "p1", "p2"], dropna=False):
        kind = next(kind for kind in Adstock if name.startswith(kind))
        parameters = (first,) if kind is Adstock.GEOMETRIC else (first, second)
        yield kind, parameters, rows


def test_adstock():
    for kind, parameters, rows in vectors():
        ours = adstock.apply(kind, rows["x"].to_numpy(), parameters)
        np.testing.assert_allclose(ours, rows["adstocked"], **CLOSE, err_msg=f"{kind} {parameters}")


def test_weights_of_the_weibull_curves():
    checked = 0
    for kind, parameters, rows in vectors():
        # Robyn reports no weights where nothing is carried over; geometric ones are powers of theta.
        if kind is not Adstock.GEOMETRIC and all(parameters):
            ours = adstock.weights(kind, parameters, len(rows))
            np.testing.assert_allclose(ours, rows["weight"], **CLOSE, err_msg=f"{kind} {parameters}")
            checked += 1
    assert checked >= 32


def test_immediate_part():
    for kind, parameters, rows in vectors():
        own = adstock.weights(kind, parameters, len(rows))[0]
        np.testing.assert_allclose(
            own * rows["x"], rows["immediate"], **CLOSE, err_msg=f"{kind} {parameters}"
        )


@pytest.mark.parametrize("quantity", [("x", "saturated"), ("x_marginal", "saturated_marginal")])
def test_hill(quantity):
    exposure, saturated = quantity
    for (alpha, gamma), rows in golden_table("inputs/hill_vectors").groupby(["alpha", "gamma"]):
        half = inflexion(rows["x"].to_numpy(dtype=float), gamma)
        np.testing.assert_allclose(half, rows["inflexion"], **CLOSE)
        ours = hill(rows[exposure].to_numpy(dtype=float), alpha, half)
        np.testing.assert_allclose(ours, rows[saturated], **CLOSE, err_msg=f"alpha {alpha}, gamma {gamma}")
