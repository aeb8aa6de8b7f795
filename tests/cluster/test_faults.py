"""Whole runs on a real cluster that is hurt meanwhile: every table is that of one core, to the last byte.

All drivers run on the head, which has no CPUs of its own; nodes of one CPU each do the work. Every kill is a SIGKILL.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Cost
from tests.cluster.drivers import Driver
from tests.cluster.nodes import Node, RayCluster, can_make_hosts, ray_cluster
from tests.cluster.processes import survivors
from tests.cluster.whole_runs import ITERATIONS, TRIALS, Work, mmm, processes_of, wait_for
from tests.runner.servers import MlflowServer, free_port

pytestmark = pytest.mark.cluster

KILLS, BLOCKS_PER_KILL = 20, 2
# Work counts as well under way: no worker starts any more, and most is still to be done.
UNDER_WAY = ITERATIONS * TRIALS // 10
needs_hosts = pytest.mark.skipif(
    not can_make_hosts(), reason="only root may make network namespaces, the hosts of this test"
)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work.make(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A head and four workers, all on this host."""
    with ray_cluster(workers=4) as running:
        yield running


@pytest.fixture
def four(cluster: RayCluster) -> RayCluster:
    """The cluster with four workers, whatever was done to it before."""
    if missing := 4 - len(cluster.workers):
        cluster.add_workers(missing)
    return cluster


# Without faults. ----------------------------------------------------------------------------------------------------


def test_four_nodes_give_what_one_core_gives(four: RayCluster, work: Work) -> None:
    with work.run(four, "undisturbed") as run:
        incidents = work.end(run)
        work.undisturbed["four"] = run.seconds()
    assert incidents["deaths"] == incidents["repeated_blocks"] == 0


# Workers and nodes. -------------------------------------------------------------------------------------------------


def test_twenty_random_kills_in_one_run(four: RayCluster, work: Work, costs: list[Cost]) -> None:
    """Of a random process that works, whenever two more blocks have come, and in the refits."""
    chance, kills, done = random.Random(20), 0, UNDER_WAY
    block = ITERATIONS // 5

    def kill_one() -> None:
        nonlocal kills
        busy = wait_for(four.busy)
        with suppress(ProcessLookupError):
            os.kill(chance.choice(busy), signal.SIGKILL)
            kills += 1

    with work.run(four, "kills") as run:
        while kills < KILLS - 2:
            run.until_candidates(done)
            kill_one()
            done += BLOCKS_PER_KILL * block
            done = min(done, ITERATIONS * TRIALS - block)
        run.until_stage("refits")
        while kills < KILLS:
            kill_one()
        incidents = work.end(run)
        costs.append(work.cost(f"{kills} worker processes killed at random", incidents, run, "four"))
    assert incidents["deaths"] >= KILLS - 3  # a process may be hit just after its task


@pytest.mark.parametrize("stage", ["search", "refits"])
def test_a_raylet_is_killed(four: RayCluster, work: Work, costs: list[Cost], stage: str) -> None:
    with work.run(four, f"raylet-{stage}") as run:
        run.until_stage(stage)
        if stage == "search":
            run.until_candidates(UNDER_WAY)
        node = four.workers[0]
        wait_for(node.busy)
        node.kill_raylet()
        four.lose(node)
        incidents = work.end(run)
        fault = f"raylet of one of four nodes killed, {stage}"
        costs.append(work.cost(fault, incidents, run, "four"))
    assert incidents["deaths"] >= 1


def test_a_process_that_stops_is_not_waited_for(four: RayCluster, work: Work, costs: list[Cost]) -> None:
    with work.run(four, "stopped") as run:
        run.until_candidates(UNDER_WAY)
        stopped = wait_for(four.busy)[0]
        os.kill(stopped, signal.SIGSTOP)
        incidents = work.end(run)
        costs.append(work.cost("one worker process stands still, search", incidents, run, "four"))
    with suppress(ProcessLookupError):
        os.kill(stopped, signal.SIGKILL)
    assert incidents["deaths"] + incidents["overdue"] >= 1


# The driver. --------------------------------------------------------------------------------------------------------


def test_a_driver_that_is_killed_twice_is_resumed(four: RayCluster, work: Work, costs: list[Cost]) -> None:
    """In the search once a trial is done, and, resumed, in the refits."""
    with work.run(four, "driver") as run:
        run.until_candidates(UNDER_WAY)
        folder = run.folder
        wait_for(lambda: [*folder.glob("candidates/trial-*.parquet")])
        os.kill(run.driver.pid, signal.SIGKILL)
        assert run.driver.end()[0] == -signal.SIGKILL
        kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("candidates/trial-*.parquet")}
        with Driver(four, *mmm(four, "resume", folder, "--quiet")) as again:
            wait_for(lambda: '"refits"' in (folder / "manifest.json").read_text())
            os.kill(again.pid, signal.SIGKILL)
            assert again.end()[0] == -signal.SIGKILL
        work.resume(four, folder)
        now = {path.name: path.stat().st_mtime_ns for path in folder.glob("candidates/trial-*.parquet")}
        assert kept.items() <= now.items()
        costs.append(
            Cost(
                "driver killed in the search, and again in the refits",
                "mmm resume goes on",
                f"{TRIALS - len(kept)} of {TRIALS} trials, the refits",
                run.seconds(),
                work.undisturbed.get("four"),
            )
        )


def test_a_driver_is_killed_at_a_random_moment(four: RayCluster, work: Work, costs: list[Cost]) -> None:
    with work.run(four, "moment") as run:
        run.until_stage("search")
        time.sleep(random.Random(7).uniform(0, 0.8) * work.undisturbed.get("four", 30.0) / 2)
        os.kill(run.driver.pid, signal.SIGKILL)
        run.driver.end()
        kept = len([*run.folder.glob("candidates/trial-*.parquet")])
        work.resume(four, run.folder)
        costs.append(
            Cost(
                "driver killed at a random moment",
                "mmm resume goes on",
                f"{TRIALS - kept} of {TRIALS} trials",
                run.seconds(),
                work.undisturbed.get("four"),
            )
        )


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    four: RayCluster, work: Work, costs: list[Cost]
) -> None:
    runs = work.folder / "ctrl-c"
    began = time.monotonic()
    with Driver(four, *mmm(four, "run", work.spec, "--runs", runs)) as driver:
        wait_for(lambda: [*runs.glob("*/candidates/trial-*.parquet")])
        (folder,) = (path.parent for path in runs.glob("*/manifest.json"))
        mine = processes_of(driver)
        pressed = time.monotonic()
        os.kill(driver.pid, signal.SIGINT)
        status, errors = driver.end()
        took = time.monotonic() - pressed
    assert status == 130
    assert errors == f"stopped; what was done is kept, go on with: mmm resume {folder}\n"
    assert not survivors(mine)
    wait_for(lambda: not four.busy())
    kept = len([*folder.glob("candidates/trial-*.parquet")])
    work.resume(four, folder)
    costs.append(
        Cost(
            "Ctrl-C in the search",
            f"stopped after {took:.1f} s; mmm resume goes on",
            f"{TRIALS - kept} of {TRIALS} trials",
            time.monotonic() - began,
            work.undisturbed.get("four"),
        )
    )


# What a run talks to. -----------------------------------------------------------------------------------------------


def test_the_mlflow_server_is_killed(four: RayCluster, costs: list[Cost], tmp_path: Path) -> None:
    """The run does not mind; ``mmm track`` fills MLflow when it is back. Fewer candidates: all of them go there."""
    work = Work.make(tmp_path, search={"trials": 2, "iterations": 300, "seed": 7})
    store, port = f"sqlite:///{tmp_path}/mlflow.db", free_port()
    server = MlflowServer(store, tmp_path / "artifacts", port)
    with work.run(four, "mlflow", server.url) as run:
        run.until_stage("refits")
        server.kill()
        incidents = work.end(run, without=("findings.json",))
        costs.append(work.cost("MLflow server killed, refits", incidents, run, "four"))
    assert "mmm track" in (run.folder / "findings.json").read_text()
    server = MlflowServer(store, tmp_path / "artifacts", port)
    try:
        track = ["-m", "runner.cli", "track", str(run.folder), "--tracking-uri", server.url]
        with Driver(four, *track) as driver:
            assert driver.end(180) == (0, "")
        assert [len(history) for history in trials_of(server.url, "nrmse")] == [300, 300]
    finally:
        server.kill()
    work.check(run.folder, without=("findings.json",))


def trials_of(url: str, metric: str) -> list[list[Any]]:
    """The history of a metric in every trial that a server shows."""
    from mlflow import MlflowClient

    client = MlflowClient(url)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, "tags.`mmm.kind` = 'trial'")
    return [client.get_metric_history(run.info.run_id, metric) for run in runs]


def test_a_cluster_whose_head_dies_is_told_in_one_sentence(
    four: RayCluster, work: Work, costs: list[Cost]
) -> None:
    """The last test of this cluster: nothing of it is left. The run goes on elsewhere, here in one process."""
    with work.run(four, "head") as run:
        run.until_candidates(UNDER_WAY)
        began = time.monotonic()
        four.head.kill()
        refusal = run.driver.until("refused")["refused"]
        noticed = time.monotonic() - began
        status, errors = run.driver.end()
        # Whoever notices first: the watch of the head, or a call on its way to it.
        assert re.search("the head of the Ray cluster at|the connection to Ray was lost", refusal)
        assert f"what was done is kept, go on with: mmm resume {run.folder}" in refusal
        assert (status, errors) == (0, "")
        kept = len([*run.folder.glob("candidates/trial-*.parquet")])
        with Driver(four, "-m", "runner.cli", "resume", str(run.folder), "--backend", "serial") as driver:
            assert driver.end(300) == (0, "")
        work.check(run.folder)
        costs.append(
            Cost(
                "head killed, search",
                "one sentence; mmm resume goes on, anywhere",
                f"{TRIALS - kept} of {TRIALS} trials",
                run.seconds(),
                work.undisturbed.get("four"),
                noticed,
            )
        )


# Hosts with cables. -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hosts(work: Work) -> Iterator[RayCluster]:
    """Each node in a network namespace, as a host of its own, without a file of the driver's or of another host."""
    with ray_cluster(workers=3, hosts=True, hidden=(work.folder.parent,)) as running:
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
def test_hosts_that_share_no_file_give_what_one_core_gives(hosts: RayCluster, work: Work) -> None:
    with work.run(hosts, "hosts") as run:
        incidents = work.end(run)
        work.undisturbed["hosts"] = run.seconds()
    assert incidents["deaths"] == 0


@needs_hosts
@pytest.mark.parametrize(
    ("fault", "happens", "stage"),
    [("cable of a host pulled", lose_cable, "search"), ("host without power", lose_power, "refits")],
    ids=["cable", "power"],
)
def test_a_host_is_lost_without_a_word(
    hosts: RayCluster, work: Work, costs: list[Cost], fault: str, happens: Any, stage: str
) -> None:
    if missing := 3 - len(hosts.workers):
        hosts.add_workers(missing)
    with work.run(hosts, f"lost-{stage}") as run:
        run.until_stage(stage)
        if stage == "search":
            run.until_candidates(UNDER_WAY)
        node = hosts.workers[0]
        wait_for(node.busy)
        happens(hosts, node)
        incidents = work.end(run)
        costs.append(work.cost(f"{fault}, {stage}", incidents, run, "hosts"))
    assert incidents["deaths"] + incidents["overdue"] >= 1
