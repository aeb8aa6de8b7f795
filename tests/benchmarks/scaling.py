"""How far one driver's search scales: measured costs, and what they mean for a cluster.

    python -m tests.benchmarks.scaling                    measures, then simulates (two minutes)
    python -m tests.benchmarks.scaling --simulate FILE    the cluster alone, from costs measured before
    python -m tests.benchmarks.scaling --speedup          two workers beside one core, on a job of 20 s
    python -m tests.benchmarks.scaling --search 10 100000 one search, its time and memory as JSON

The simulated cluster is up to 64 hosts of 32 cores. A worker computes blocks of candidates and is at most some blocks
ahead of its reader; the driver takes one block at a time: receives it through its link, and writes it into the journal.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster import open_backend
from cluster.base import Backend, Done
from cluster.config import ClusterConfig
from runner.dataset import load_panel
from runner.journal import trial_path
from runner.pool import Pool
from runner.problem import build_problem
from runner.progress import Silent
from runner.run_folder import RunFolder
from runner.search.base import BATCHES_PER_BLOCK, SearchJob, run_trial
from runner.search.engine import Arriving, TrialBlock, search, search_job, trial_blocks
from runner.spec import load_spec
from runner.tables import GrowingFile

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"
CORES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
BLOCK_BYTES = (1_000, 100_000, 1_000_000, 4_000_000)


@dataclass(frozen=True)
class Costs:
    """What was measured, in seconds; those of the driver are its CPU time.

    Attributes:
        candidate: worker, per candidate, evaluation and search. block_candidates, block_bytes: of one block.
        task: from asking for an empty task to its result, one after another. driver_task: of it, the driver's.
        driver_block, driver_byte: driver, per block, and per byte received and written.
        driver_wait: driver, per task under way, to look which have something to say.
        link: bytes per second of a host's network (assumed, 10 Gbit/s).
    """

    candidate: float
    block_candidates: int
    block_bytes: float
    task: float
    driver_task: float
    driver_block: float
    driver_byte: float
    driver_wait: float
    link: float = 1.25e9

    @property
    def driver_per_block(self) -> float:
        """Seconds of the driver for one block: what bounds the whole."""
        return self.driver_block + self.driver_byte * self.block_bytes

    @property
    def most_cores(self) -> float:
        """Cores that one driver keeps up with: time of a worker for a block, in that of the driver."""
        return self.candidate * self.block_candidates / self.driver_per_block

    @property
    def most_cores_of_link(self) -> float:
        """Cores whose blocks the driver's link carries."""
        return self.candidate * self.block_candidates / (self.block_bytes / self.link)


# ----------------------------------------------------------------------------------------------------------- simulation


def simulate(costs: Costs, cores: int, trials: int, candidates: int, ahead: int = 16) -> float:
    """Seconds until the last candidate of a search is in the journal.

    Args:
        costs: measured. cores: W workers. trials, candidates: of the search, candidates per trial.
        ahead: blocks that a worker may be ahead of its reader.
    """
    blocks = -(-candidates // costs.block_candidates)
    compute = costs.candidate * candidates / blocks
    service = max(costs.driver_per_block, costs.block_bytes / costs.link)
    # (time, order, worker): a worker's next block is ready. taken: when the driver took each of its blocks.
    started = min(cores, trials)
    left = [blocks] * started
    taken: list[list[float]] = [[] for _ in range(started)]
    done_at = [0.0] * started
    waiting = trials - started
    ready = [(costs.task + compute, worker) for worker in range(started)]
    heapq.heapify(ready)
    free = started * costs.driver_task  # tasks are sent one by one
    while ready:
        at, worker = heapq.heappop(ready)
        free = max(free, at) + service
        taken[worker].append(free)
        left[worker] -= 1
        if left[worker] == 0 and waiting:
            waiting -= 1
            left[worker], done_at[worker] = blocks, at
            free += costs.driver_task
            heapq.heappush(ready, (at + costs.task + compute, worker))
        elif left[worker]:
            # With too many blocks under way the worker waits until the driver has taken one.
            behind = taken[worker][-ahead] if len(taken[worker]) >= ahead else 0.0
            heapq.heappush(ready, (max(at, behind) + compute, worker))
    return free


def efficiency(costs: Costs, cores: int, candidates: int = 100_000) -> float:
    """Part of the cores' time that goes into candidates, with one trial a core."""
    ideal = costs.candidate * candidates
    return ideal / simulate(costs, cores, cores, candidates)


def variants(costs: Costs) -> dict[str, Costs]:
    """The search as it is, slower candidates, and what would move the limit."""
    # As it was: 5 us of the driver to encode a candidate, whose block is 528 bytes of numbers.
    before = replace(costs, block_bytes=528.0 * costs.block_candidates)
    before = replace(before, driver_block=costs.driver_block + 5e-6 * costs.block_candidates)
    losses_only = replace(costs, block_bytes=88.0 * costs.block_candidates)
    daily = {"candidate": 15 * costs.candidate, "block_bytes": 3 * costs.block_bytes}
    return {
        "weekly, driver encodes (as before)": before,
        "weekly": costs,
        "daily (15 times the work, 3 times the bytes)": replace(costs, **daily),
        "weekly, losses alone come home": losses_only,
    }


def simulation_table(costs: Costs) -> Iterator[str]:
    """Efficiency by cores, in Markdown."""
    found = variants(costs)
    yield "| cores | " + " | ".join(found) + " |"
    yield "| --- " * (len(found) + 1) + "|"
    for cores in CORES:
        cells = [f"{efficiency(variant, cores):.0%}" for variant in found.values()]
        yield f"| {cores:,} | " + " | ".join(cells) + " |"
    limits = [f"{variant.most_cores:,.0f}" for variant in found.values()]
    yield "| limit of the driver | " + " | ".join(limits) + " |"
    limits = [f"{variant.most_cores_of_link:,.0f}" for variant in found.values()]
    yield "| limit of its link | " + " | ".join(limits) + " |"


# ---------------------------------------------------------------------------------------------------------- measurement


def nothing(shared: Any, item: int) -> int:
    """An empty task."""
    return item


def blocks_of_bytes(shared: Any, item: tuple[int, int]) -> Iterator[np.ndarray]:
    """``item[0]`` blocks of ``item[1]`` bytes."""
    for _ in range(item[0]):
        yield np.zeros(item[1], dtype=np.uint8)


def quickstart_job(iterations: int, trials: int = 1) -> SearchJob:
    """The quickstart's search without Prophet."""
    spec = load_spec(
        QUICKSTART, overrides=["baseline=none", f"search.iterations={iterations}", f"search.trials={trials}"]
    )
    return search_job(spec, build_problem(spec, load_panel(spec))[0])


def clocked(action: Callable[[], Any]) -> tuple[float, float]:
    """(wall seconds, CPU seconds of this process)."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def median_of(action: Callable[[], Any], repeats: int = 5) -> tuple[float, float]:
    """Medians of ``clocked``, after one that does not count."""
    action()
    found = [clocked(action) for _ in range(repeats)]
    return statistics.median(w for w, _ in found), statistics.median(c for _, c in found)


def per_task(backend: Backend, n: int = 100) -> tuple[float, float]:
    """(wall seconds, driver's CPU seconds) of an empty task."""
    wall, cpu = median_of(lambda: backend.map(nothing, range(n)))
    return wall / n, cpu / n


def per_block(backend: Backend, n: int = 40) -> tuple[float, float]:
    """(driver's CPU seconds per block, per byte): a line through blocks of several sizes."""
    cpu = [
        median_of(lambda s=size: _drain(backend.stream(blocks_of_bytes, [(n, s)])))[1] / n
        for size in BLOCK_BYTES
    ]
    slope, fixed = np.polyfit(BLOCK_BYTES, cpu, 1)
    return max(float(fixed), min(cpu)), max(float(slope), 0.0)


def _drain(stream: Iterator[tuple[int, Any]]) -> float:
    # Read as the journal would: every byte is fetched into the cache of the driver.
    return sum(float(block.sum()) for _, block in stream if not isinstance(block, Done))


def per_wait(backend: Backend, n: int = 2000) -> float:
    """Driver's CPU seconds, per task under way, for one look at who has something to say."""
    import ray

    backend.start()
    pending = [ray.put(i) for i in range(n)]
    return median_of(lambda: ray.wait(pending, num_returns=n, timeout=0))[1] / n


def per_written_byte(blocks: Sequence[TrialBlock], repeats: int = 5) -> float:
    """Driver's CPU seconds per byte: to append blocks to the trial's file, and to keep their losses."""

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            arriving = Arriving(GrowingFile(Path(folder) / "trial"))
            for block in blocks:
                arriving.append(block)
            arriving.close()

    return median_of(write, repeats)[1] / sum(map(size_of, blocks))


def size_of(block: TrialBlock) -> int:
    """Bytes of a block on its way."""
    return block.data.nbytes + block.losses.nbytes + block.statuses.nbytes


def measure() -> Costs:
    """All costs, on this machine."""
    candidates = 30_000
    job = quickstart_job(candidates)
    blocks: list[TrialBlock] = [block for block in trial_blocks(job, 1) if isinstance(block, TrialBlock)]
    seconds = median_of(lambda: list(trial_blocks(job, 1)), 3)[1] / candidates
    written = per_written_byte(blocks)
    with open_backend("ray", ClusterConfig(workers=1)) as backend:
        task, driver_task = per_task(backend)
        block, byte = per_block(backend)
        wait = per_wait(backend)
    per_block_candidates = BATCHES_PER_BLOCK["compiled"] * job.batch_size
    return Costs(
        candidate=seconds,
        block_candidates=per_block_candidates,
        block_bytes=sum(map(size_of, blocks)) / candidates * per_block_candidates,
        task=task,
        driver_task=driver_task,
        driver_block=block,
        driver_byte=byte + written,
        driver_wait=wait,
    )


def speedup(candidates: int, rounds: int, trials: int = 8) -> Iterator[str]:
    """A search on one core and on two, in Markdown.

    A round times all ways one after the other, and its ratios are those of that round: a machine shared with others
    changes its speed from minute to minute. Two processes that have nothing to do with each other are what the machine
    can give; two cores that share a memory, or are threads of one, are not twice one. Ray's own start is not counted,
    as it hides behind Prophet.
    """
    job = quickstart_job(candidates // trials, trials)
    ways = {
        "one process": lambda: processes(job, trials, 1),
        "two processes, each for itself": lambda: processes(job, trials, 2),
        "Ray, one worker": lambda: by_ray(job, trials, 1),
        "Ray, two workers": lambda: by_ray(job, trials, 2),
    }
    seconds = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    for name in ways:
        walls = sorted(one[name] for one in seconds)
        wall = statistics.median(walls)
        ratios = [statistics.median(one[first] / one[name] for one in seconds) for first in list(ways)[:2]]
        yield (
            f"| {name} | {wall:.1f} s ({walls[0]:.1f} to {walls[-1]:.1f}) | {candidates / wall:,.0f} "
            f"| {ratios[0]:.2f} | {ratios[1]:.0%} |"
        )


def by_ray(job: SearchJob, trials: int, workers: int) -> float:
    """Seconds of a search by Ray workers, from asking for it to the last table and the losses in memory."""
    with (
        open_backend("ray", ClusterConfig(workers=workers)) as backend,
        tempfile.TemporaryDirectory() as d,
    ):
        backend.start()
        backend.map(warm, range(workers), shared=backend.share(quickstart_job(300)))
        return clocked(lambda: search(backend, job, trials, RunFolder(Path(d)), Silent()))[0]


def processes(job: SearchJob, trials: int, workers: int) -> float:
    """Seconds that plain processes need for the same trials and tables, shared out beforehand."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    started = [
        context.Process(target=one_process, args=(job, range(first + 1, trials + 1, workers), barrier))
        for first in range(workers)
    ]
    for process in started:
        process.start()
    barrier.wait()
    began = time.perf_counter()
    for process in started:
        process.join()
        assert process.exitcode == 0
    return time.perf_counter() - began


def one_process(job: SearchJob, trials: Sequence[int], barrier: Any) -> None:
    """Trials and their tables, once all processes are loaded."""
    warm(quickstart_job(300), 0)
    with tempfile.TemporaryDirectory() as d:
        barrier.wait()
        for trial in trials:
            file = GrowingFile(trial_path(Path(d), trial))
            for block in trial_blocks(job, trial):
                assert isinstance(block, TrialBlock)
                file.append(block.data.data)
            file.close()


def one_search(trials: int, candidates: int, workers: int) -> dict[str, float | bool]:
    """A search by Ray workers on this machine, from asking for it to the last table and the losses in memory.

    The tables must be those of the same trials in one process: the last one's is compared.
    """
    job = quickstart_job(candidates, trials)
    with open_backend("ray", ClusterConfig(workers=workers)) as backend, tempfile.TemporaryDirectory() as d:
        backend.start()
        backend.map(warm, range(workers), shared=backend.share(quickstart_job(300)))
        folder = RunFolder(Path(d))
        pools: list[Pool] = []
        wall, cpu = clocked(lambda: pools.append(search(backend, job, trials, folder, Silent())))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        alone = b"".join(block.data.tobytes() for block in trial_blocks(job, trials))
        same = alone == trial_path(folder.path, trials).read_bytes()
    return {
        "candidates": len(pools[0]),
        "seconds": wall,
        "driver_cpu_seconds": cpu,
        "driver_peak_megabytes": peak,
        "same_bytes_as_alone": same,
    }


def warm(job: SearchJob, item: int) -> int:
    """What a worker does once: imports, and kernels from their cache."""
    return sum(len(block) for block in run_trial(job, item + 1))


def main() -> None:
    """Print costs, model and simulation, in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the measured costs to this file too")
    parser.add_argument("--simulate", type=Path, help="costs that were measured before")
    parser.add_argument("--speedup", action="store_true", help="measure two workers beside one core")
    parser.add_argument(
        "--search",
        type=int,
        nargs=2,
        metavar=("TRIALS", "CANDIDATES"),
        help="time one search, candidates per trial",
    )
    parser.add_argument("--workers", type=int, default=2, help="of --search")
    parser.add_argument("--candidates", type=int, default=640_000, help="of the job of --speedup")
    parser.add_argument("--rounds", type=int, default=3, help="of --speedup")
    asked = parser.parse_args()
    if asked.speedup:
        print("| way | wall, median (spread) | candidates per second | times one process | of two alone |")
        print("| --- " * 5 + "|")
        for line in speedup(asked.candidates, asked.rounds):
            print(line, flush=True)
        return
    if asked.search:
        print(json.dumps(one_search(*asked.search, asked.workers)))
        return
    costs = Costs(**json.loads(asked.simulate.read_text())) if asked.simulate else measure()
    for name, value in asdict(costs).items():
        print(f"{name:18} {value:.4g}")
    print("\n".join(simulation_table(costs)))
    if asked.json:
        asked.json.write_text(json.dumps(asdict(costs), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
