"""What every backend promises, run over each of them."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from cluster import Backend, BackendError, ClusterConfig, Done, TaskFailed, WorkerLost, open_backend
from tests.cluster import work
from tests.cluster.processes import descendants, survivors


@pytest.fixture(scope="module", params=["serial", "ray"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """One backend of each kind for the whole module: a local Ray takes seconds to start."""
    before = descendants()
    with open_backend(request.param, ClusterConfig(workers=2, max_retries=1, buffered_blocks=4)) as opened:
        opened.start()
        yield opened
    assert not survivors(descendants() - before)


# What one process cannot show: items at the same time, a worker's death.
on_ray = pytest.mark.parametrize("backend", ["ray"], indirect=True, scope="module")


def by_item(stream: Iterator[tuple[int, Any]]) -> dict[int, list[Any]]:
    """Blocks of each item in the order of their arrival."""
    blocks: dict[int, list[Any]] = defaultdict(list)
    for position, block in stream:
        blocks[position].append(block)
    return dict(sorted(blocks.items()))


# before the first item ----------------------------------------------------------------------------------------------


@on_ray
def test_every_worker_is_prepared_before_its_first_item(backend: Backend, tmp_path: Path) -> None:
    backend.prepare(partial(work.sign_in, tmp_path))
    workers = set(backend.map(work.own_process, range(4)))
    assert {int(path.name) for path in tmp_path.iterdir()} == workers
    assert len(workers) == 2


def test_a_preparation_that_fails_costs_nothing(backend: Backend) -> None:
    backend.prepare(work.refuse)
    assert backend.map(work.add, range(4)) == [0, 1, 2, 3]
    assert backend.incidents.deaths == 0


# map ----------------------------------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_items(backend: Backend) -> None:
    assert backend.map(work.slow_first, range(9)) == list(range(9))


def test_items_may_be_any_iterable_and_outnumber_the_workers(backend: Backend) -> None:
    assert backend.map(work.add, (n for n in range(60))) == list(range(60))


def test_nothing_to_do_gives_nothing(backend: Backend) -> None:
    assert backend.map(work.add, []) == []
    assert list(backend.stream(work.blocks, [])) == []


def test_the_shared_value_arrives_with_every_item(backend: Backend) -> None:
    shared = backend.share(100)
    assert backend.map(work.add, [1, 2, 3], shared=shared) == [101, 102, 103]
    assert backend.map(work.add, [4], shared=shared) == [104]


@pytest.mark.parametrize("size", [3, 200_000])
def test_arrays_arrive_read_only_and_unchanged(backend: Backend, size: int) -> None:
    weights, item = np.arange(size, dtype=float), np.full(size, 0.5)
    shared = backend.share({"weights": weights})
    weights[0] = 1e9
    total, can_write_weights, can_write_item = backend.map(work.weigh, [item], shared=shared)[0]
    assert total == 0.5 * np.arange(size).sum()
    assert not can_write_weights
    assert not can_write_item


def test_workers_are_counted(backend: Backend) -> None:
    assert 1 <= backend.workers <= 2


# stream -------------------------------------------------------------------------------------------------------------


def test_a_stream_delivers_the_blocks_of_each_item_in_order_and_then_its_end(backend: Backend) -> None:
    counts = [3, 0, 7, 1, 20]
    got = by_item(backend.stream(work.blocks, counts, shared=backend.share(5)))
    expected = [[*((n + 5, number) for number in range(n)), Done(n)] for n in counts]
    assert list(got.values()) == expected


def test_blocks_come_while_their_item_runs(backend: Backend, tmp_path: Path) -> None:
    stream = backend.stream(work.count_up, [tmp_path / "count"])
    assert list(islice(stream, 3)) == [(0, 0), (0, 1), (0, 2)]
    stream.close()


def test_streams_of_one_item_after_the_other_or_of_several_at_once(backend: Backend) -> None:
    order = [position for position, _ in backend.stream(work.blocks, [2] * 6)]
    assert sorted(order) == [position for position in range(6) for _ in range(3)]


@on_ray
def test_items_run_at_the_same_time_and_their_blocks_interleave(backend: Backend, tmp_path: Path) -> None:
    stream = backend.stream(work.meet, [0, 1], shared=backend.share(tmp_path))
    order = [position for position, _ in stream]
    assert sorted(order) == [0, 0, 0, 1, 1, 1]
    assert order not in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])


def test_a_function_cannot_run_far_ahead_of_its_reader(backend: Backend, tmp_path: Path) -> None:
    counter = tmp_path / "count"
    stream = backend.stream(work.count_up, [counter])
    assert next(stream) == (0, 0)
    # A second item shares the machine meanwhile: time enough for the first to run ahead, without sleeping on a guess.
    assert backend.map(work.slow_first, [0]) == [0]
    assert int(counter.read_text()) <= 6
    stream.close()


def test_a_block_is_delivered_as_it_was_when_it_was_yielded(backend: Backend) -> None:
    got = by_item(backend.stream(work.reused_array, [0, 1]))
    for item, blocks in got.items():
        assert [block.tolist() for block in blocks[:-1]] == [[10.0 * item + n] * 3 for n in range(4)]
        assert not blocks[0].flags.writeable


def test_large_blocks(backend: Backend) -> None:
    got = by_item(backend.stream(work.large_blocks, range(4)))
    for item, blocks in got.items():
        assert [(block[0], block[-1], block.size) for block in blocks[:-1]] == [
            (10.0 * item + n, 10.0 * item + n, 500_000) for n in range(3)
        ]


def test_leaving_a_stream_early_stops_its_items(backend: Backend, tmp_path: Path) -> None:
    counters = [tmp_path / "0", tmp_path / "1"]
    for _, block in backend.stream(work.count_up, counters):
        if block == 10:
            break
    assert backend.map(work.add, range(4)) == [0, 1, 2, 3]  # both workers are free again


# failures -----------------------------------------------------------------------------------------------------------


def test_an_exception_comes_home_with_its_item_and_its_trace(backend: Backend) -> None:
    with pytest.raises(TaskFailed, match="item 3 failed") as caught:
        backend.map(work.refuse_three, range(6))
    failure = caught.value
    assert failure.item == 3
    assert "in refuse_three" in failure.remote_traceback
    assert "ValueError: three is refused" in str(failure)
    assert "\x1b" not in str(failure)
    assert isinstance(failure.__cause__, ValueError)
    assert str(pickle.loads(pickle.dumps(failure))) == str(failure)


def test_blocks_before_an_exception_are_delivered(backend: Backend) -> None:
    stream = backend.stream(work.refuse_after_two, ["a"])
    assert list(islice(stream, 2)) == [(0, 0), (0, 1)]
    with pytest.raises(TaskFailed, match="no third block"):
        next(stream)


def test_an_exception_that_does_not_pickle_still_tells_its_story(backend: Backend) -> None:
    with pytest.raises(TaskFailed, match="Refusal: 7: not today") as caught:
        backend.map(work.refuse_unpicklably, [7])
    assert "in refuse_unpicklably" in caught.value.remote_traceback


def test_a_result_that_does_not_pickle_is_a_failure_of_its_item(backend: Backend) -> None:
    with pytest.raises(TaskFailed, match="cannot pickle 'generator' object"):
        backend.map(work.unpicklable, [2])


def test_a_backend_goes_on_after_a_failure(backend: Backend) -> None:
    with pytest.raises(TaskFailed):
        backend.map(work.refuse_three, range(20))
    assert backend.map(work.add, [1, 2]) == [1, 2]


def test_items_may_fail_together_and_often(backend: Backend) -> None:
    """Tasks that are given up at the moment they end: Ray's own way to cancel them would abort this process."""
    for _ in range(40):
        with pytest.raises(TaskFailed):
            backend.map(work.refuse_three, [3, 1, 3])
        with pytest.raises(TaskFailed):
            list(backend.stream(work.refuse_after_two, [1, 2, 3]))


def test_every_backend_gives_the_same(backend: Backend) -> None:
    """Each against the serial one, in results and in what an item's stream holds."""
    with open_backend("serial") as serial:
        items = [np.linspace(0, n, 5) for n in range(6)]
        value = {"weights": np.array([0.1, 0.2, 0.3, 0.4, 0.5])}
        for carrier in (backend, serial):
            results = [total for total, *_ in carrier.map(work.weigh, items, shared=carrier.share(value))]
            assert results == [float(value["weights"] @ item) for item in items]
        assert by_item(backend.stream(work.blocks, range(7))) == by_item(serial.stream(work.blocks, range(7)))


# workers that die ---------------------------------------------------------------------------------------------------


@on_ray
def test_an_item_whose_worker_is_killed_runs_again(backend: Backend, tmp_path: Path) -> None:
    got = backend.map(work.die_once, range(5), shared=backend.share(tmp_path))
    assert got == [n * n for n in range(5)]
    assert (tmp_path / "died-0").exists()
    assert (tmp_path / "died-3").exists()


@on_ray
def test_blocks_are_delivered_once_whenever_the_worker_is_killed(backend: Backend, tmp_path: Path) -> None:
    """Before the first block, within the buffer, beyond it, and at the last; none is missing or repeated."""
    items = [0, 2, 5, 7]
    got = by_item(backend.stream(work.stream_and_die_once, items, shared=backend.share(tmp_path)))
    assert list(got.values()) == [[*((item, n) for n in range(8)), Done(8)] for item in items]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"died-{item}" for item in items]


@on_ray
def test_an_item_that_kills_every_worker_is_lost(backend: Backend) -> None:
    with pytest.raises(WorkerLost, match="the worker of item 0 died on every attempt") as caught:
        backend.map(work.die, ["a"])
    assert caught.value.item == 0
    with pytest.raises(WorkerLost):
        list(backend.stream(work.die_streaming, ["a"]))


# the end ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["serial", "ray"])
def test_close_may_be_repeated_and_ends_the_verbs(kind: Literal["serial", "ray"]) -> None:
    closed = open_backend(kind)
    closed.close()
    closed.close()
    for verb in (
        closed.start,
        lambda: closed.share(1),
        lambda: closed.map(work.add, [1]),
        lambda: list(closed.stream(work.blocks, [1])),
    ):
        with pytest.raises(BackendError, match="closed"):
            verb()


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="expected ray or serial"):
        open_backend("dask")
