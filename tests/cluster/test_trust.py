"""A cluster elsewhere is given work only when it asks those who come for a token."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cluster import BackendUnavailable, ClusterConfig, open_backend, trust
from cluster.trust import asks_for_token, check_trust, is_loopback_host
from tests.cluster.nodes import ROOT, RayCluster, ray_cluster
from tests.cluster.whole_runs import wait_for


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False),
     ("localhost.example.org", False), ("", False)],
)  # fmt: skip
def test_what_only_this_machine_can_reach(host: str, expected: bool) -> None:
    assert is_loopback_host(host) is expected


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1", "ray://localhost:1", "[::1]:1"])
def test_nobody_is_asked_on_this_machine(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "asks_for_token", lambda address: pytest.fail("asked"))
    check_trust(address)


@pytest.fixture(params=["token", "disabled"])
def head(request: pytest.FixtureRequest) -> Iterator[tuple[RayCluster, bool]]:
    """A head, and whether it asks for a token."""
    with ray_cluster(workers=0, variables={"RAY_AUTH_MODE": request.param}) as running:
        yield running, request.param == "token"


@pytest.mark.cluster
def test_an_open_cluster_elsewhere_is_refused_unless_told(
    head: tuple[RayCluster, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, asks = head
    client = f"ray://127.0.0.1:{cluster.ports['client']}"
    assert asks_for_token(cluster.address) is asks
    if asks:
        wait_for(lambda: asks_for_token(client))
    else:
        assert not asks_for_token(client)
    monkeypatch.setattr(trust, "is_loopback_host", lambda host: False)
    if asks:
        check_trust(cluster.address)
        return
    for address in (cluster.address, client):
        with pytest.raises(BackendUnavailable, match=rf"{address} asks nobody for a token.*MMM_INSECURE=1"):
            check_trust(address)
    with (
        open_backend("ray", ClusterConfig(address=cluster.address)) as backend,
        pytest.raises(BackendUnavailable, match="asks nobody for a token"),
    ):
        backend.start()


LOCAL = """
import ray
from cluster import ClusterConfig, open_backend
from cluster.trust import asks_for_token

with open_backend("ray", ClusterConfig(workers=1, dashboard=True)) as backend:
    backend.start()
    print(asks_for_token(ray.get_runtime_context().gcs_address), ray._private.worker.get_dashboard_url())
"""


@pytest.mark.integration
def test_the_ray_of_a_laptop_asks_for_a_token_and_shows_its_dashboard_to_nobody_else() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", LOCAL], cwd=ROOT, env=kept, capture_output=True, text=True, check=True
    )
    asks, dashboard = done.stdout.split()
    assert asks == "True"
    assert is_loopback_host(dashboard.partition(":")[0])
