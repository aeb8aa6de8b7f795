"""Settings of a backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster import ClusterConfig
from cluster.config import usable_cpus


@pytest.mark.parametrize(
    "address", ["local", "auto", "head:6379", "10.0.0.1:6379", "ray://head:10001", "[::1]:6379"]
)
def test_addresses_that_can_be_meant(address: str) -> None:
    assert ClusterConfig(address=address).is_local == (address == "local")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"address": "head"}, "address 'head' is not one of local, auto, host:port and ray://host:port"),
        ({"address": "http://head:8265"}, "is not one of"),
        ({"address": ""}, "is not one of"),
        ({"workers": 0}, "workers is 0; expected at least 1"),
        ({"max_retries": -1}, "max_retries is -1; expected 0 or more"),
        ({"buffered_blocks": 0}, "buffered_blocks is 0; expected at least 1"),
        ({"object_store_bytes": 1000}, "object_store_bytes is 1000; expected at least 78643200"),
    ],
)
def test_settings_that_cannot(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is compared literally, not as a pattern
        ClusterConfig(**settings)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", None),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("9900000 100000", None),
        ("odd", None),
    ],
)
def test_cpus_stay_within_the_quota_of_a_container(tmp_path: Path, quota: str, expected: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota + "\n")
    without = usable_cpus(tmp_path / "absent")
    assert without >= 1
    assert usable_cpus(file) == (expected or without)
