"""A real cluster that is hurt while it works: the results are those of an undisturbed run, to the last bit.

All drivers run on the head, which has no CPUs of its own; nodes of one CPU each do the work.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Cost
from tests.cluster.drivers import Driver
from tests.cluster.nodes import ROOT, Node, RayCluster, can_make_hosts, ray_cluster
from tests.runner.small import SCENARIOS, write_small

pytestmark = pytest.mark.cluster

# 12 trials of 5 blocks: one kill after every second or third block.
TRIALS, ITERATIONS, KILLS, BLOCKS_PER_KILL = 12, 1500, 20, 2
# Work counts as well under way: no worker starts any more, and most is still to be done.
UNDER_WAY = {"search": 6, "refits": 20}
needs_hosts = pytest.mark.skipif(
    not can_make_hosts(), reason="only root may make network namespaces, the hosts of this test"
)


@dataclass
class Work:
    """The same work for all tests of a module: what one process alone computes, and how long a cluster takes."""

    spec: Path
    expected: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)

    def driver(self, cluster: RayCluster, work: str) -> Driver:
        return Driver(cluster, "-m", "tests.cluster.fault_driver", work, cluster.address, str(self.spec))

    def hurt(self, cluster: RayCluster, work: str) -> Driver:
        """A driver that is well under way."""
        driver = self.driver(cluster, work)
        while driver.until("steps")["steps"] < UNDER_WAY[work]:
            pass
        return driver

    def end(self, driver: Driver, work: str) -> dict[str, Any]:
        """What the driver reports at its end, which is what one process alone computes."""
        facts = driver.until("digest")
        assert facts["digest"] == self.expected[work]
        status, errors = driver.end()
        assert (status, errors) == (0, "")
        return facts


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("work")
    # The slower engine: there has to be time to hurt it.
    search = {"trials": TRIALS, "iterations": ITERATIONS, "seed": 7, "engine": "nevergrad"}
    spec = write_small(folder, scenarios=SCENARIOS, search=search)
    return Work(spec, {name: alone(name, spec) for name in UNDER_WAY})


def alone(work: str, spec: Path) -> str:
    command = [sys.executable, "-m", "tests.cluster.fault_driver", work, "serial", str(spec)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    facts: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return facts["digest"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """One node at first; tests add and kill others."""
    with ray_cluster(workers=1) as running:
        yield running


@pytest.fixture
def four(cluster: RayCluster) -> RayCluster:
    """The cluster with four nodes."""
    if missing := 4 - len(cluster.workers):
        cluster.add_workers(missing)
    return cluster


def repeated(facts: dict[str, Any]) -> str:
    return f"{facts['deaths'] + facts['overdue']} tasks ({facts['repeated_blocks']} blocks)"


# Without faults. ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNDER_WAY)
def test_one_node_gives_what_one_process_gives(cluster: RayCluster, work: Work, name: str) -> None:
    with work.driver(cluster, name) as driver:
        facts = work.end(driver, name)
    assert (facts["workers"], facts["deaths"]) == (1, 0)


@pytest.mark.parametrize("name", UNDER_WAY)
def test_four_nodes_give_the_same(four: RayCluster, work: Work, name: str) -> None:
    with work.driver(four, name) as driver:
        facts = work.end(driver, name)
    assert (facts["workers"], facts["deaths"]) == (4, 0)
    work.seconds[name] = facts["seconds"]


def test_a_whole_run_gives_the_same_bytes(four: RayCluster, work: Work, tmp_path: Path) -> None:
    spec = write_small(tmp_path, scenarios=SCENARIOS, bootstrap__refits=20_000)
    command = ["-m", "runner.cli", "run", str(spec), "--json", "--runs"]
    with Driver(four, *command, str(tmp_path / "c"), "--backend", "ray", "--address", four.address) as driver:
        status, errors = driver.end(120)
    assert status == 0, errors
    subprocess.run([sys.executable, *command, str(tmp_path / "s")], cwd=ROOT, capture_output=True, check=True)
    on_cluster, alone = tables(tmp_path / "c"), tables(tmp_path / "s")
    assert len(alone) > 10
    assert on_cluster == alone


def tables(runs: Path) -> dict[str, bytes]:
    (run,) = (path for path in runs.iterdir() if path.is_dir())
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.parquet"))}


# With faults. -------------------------------------------------------------------------------------------------------


def test_twenty_random_kills_in_one_run(four: RayCluster, work: Work, costs: list[Cost]) -> None:
    """SIGKILL of a random process that works, whenever two more blocks have come."""
    chance, kills, steps = random.Random(20), 0, 0
    with work.hurt(four, "search") as driver:
        while kills < KILLS:
            if not (busy := four.busy()):
                time.sleep(0.1)
                continue
            with suppress(ProcessLookupError):
                os.kill(chance.choice(busy), signal.SIGKILL)
                kills += 1
                steps += BLOCKS_PER_KILL
            while driver.until("steps")["steps"] < UNDER_WAY["search"] + steps:
                pass
        facts = work.end(driver, "search")
    assert facts["deaths"] >= KILLS - 2  # a process may be hit just after its task
    fault = f"SIGKILL of {kills} worker processes at random, search"
    costs.append(Cost(fault, repeated(facts), facts["seconds"], work.seconds["search"]))


@pytest.mark.parametrize("name", UNDER_WAY)
def test_a_raylet_is_killed(four: RayCluster, work: Work, costs: list[Cost], name: str) -> None:
    with work.hurt(four, name) as driver:
        node = four.workers[0]
        node.kill_raylet()
        four.lose(node)
        facts = work.end(driver, name)
    assert facts["deaths"] >= 1
    costs.append(Cost(f"SIGKILL of a raylet, {name}", repeated(facts), facts["seconds"], work.seconds[name]))


def test_a_process_that_stops_is_not_waited_for(four: RayCluster, work: Work, costs: list[Cost]) -> None:
    with work.hurt(four, "search") as driver:
        stopped = four.busy()[0]
        os.kill(stopped, signal.SIGSTOP)
        facts = work.end(driver, "search")
    with suppress(ProcessLookupError):
        os.kill(stopped, signal.SIGKILL)
    assert facts["deaths"] + facts["overdue"] >= 1
    fault = "SIGSTOP of a worker process, search"
    costs.append(Cost(fault, repeated(facts), facts["seconds"], work.seconds["search"]))


def test_a_cluster_whose_head_dies_is_told_in_one_sentence(
    four: RayCluster, work: Work, costs: list[Cost]
) -> None:
    """The last test of this cluster: nothing of it is left."""
    with work.hurt(four, "search") as driver:
        began = time.monotonic()
        four.head.kill()
        refusal = driver.until("refused")["refused"]
        status, errors = driver.end()
    assert "the head of the Ray cluster at" in refusal
    assert "has not answered for" in refusal
    assert (status, errors) == (0, "")
    costs.append(Cost("SIGKILL of the head, search", "ends with one sentence", time.monotonic() - began))


# Hosts with cables. -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hosts() -> Iterator[RayCluster]:
    """Each node in a network namespace, as a host of its own."""
    with ray_cluster(workers=3, hosts=True) as running:
        yield running


def lose_cable(hosts: RayCluster, node: Node) -> None:
    hosts.cut(node)
    hosts.lose(node)


def lose_power(hosts: RayCluster, node: Node) -> None:
    """Its processes vanish and its kernel says no word about it."""
    hosts.cut(node)
    node.kill()
    hosts.lose(node)


@needs_hosts
@pytest.mark.parametrize(
    ("fault", "happens", "name"),
    [
        ("a cable is pulled", lose_cable, "search"),
        ("a host loses power", lose_power, "refits"),
    ],
    ids=["cable", "power"],
)
def test_a_host_is_lost_without_a_word(
    hosts: RayCluster, work: Work, costs: list[Cost], fault: str, happens: Any, name: str
) -> None:
    with work.hurt(hosts, name) as driver:
        began = time.monotonic()
        happens(hosts, hosts.workers[0])
        facts = work.end(driver, name)
    assert facts["deaths"] + facts["overdue"] >= 1
    # The rest of the work included; Ray's defaults take 425 s.
    costs.append(Cost(f"{fault}, {name}", repeated(facts), facts["seconds"], work.seconds[name]))
    assert time.monotonic() - began < 120
