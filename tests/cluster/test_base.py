"""What does not depend on where the work runs."""

from __future__ import annotations

import pytest

from cluster.base import BackendError, Delivery


def test_repeated_blocks_are_dropped_and_new_ones_counted() -> None:
    delivery = Delivery()
    arriving = [0, 1, 2, 0, 1, 2, 3, 2, 3, 4]
    assert [number for number in arriving if delivery.is_due(number)] == [0, 1, 2, 3, 4]
    assert delivery.blocks == 5


def test_a_missing_block_is_an_error() -> None:
    delivery = Delivery()
    delivery.is_due(0)
    with pytest.raises(BackendError, match="block 2 arrived where block 1 was due"):
        delivery.is_due(2)
