"""Attempts at items over an engine that loses, delays and stops them as told; its clock is a number."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.attempts import Attempts, Began, Died, Ended, Message, Sent
from cluster.base import BackendUnavailable, Done, Incidents, WorkerLost

FOREVER = float("inf")


@dataclass(eq=False)
class FakeTask:
    """What one attempt will say, and when."""

    position: int
    avoid: frozenset[str]
    messages: list[tuple[float, Message]]


@dataclass
class FakeEngine:
    """Attempts whose messages come at given seconds after their submission; the clock moves only in ``wait``."""

    scripts: dict[int, list[list[tuple[float, Message]]]]
    places: int = 100
    now: float = 0.0
    submitted: list[FakeTask] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    is_given_up: bool = False
    is_lost: bool = False

    def submit(self, position: int, item: Any, avoid: Set[str]) -> FakeTask:
        script = self.scripts[position]
        messages = script.pop(0) if len(script) > 1 else list(script[0])
        task = FakeTask(position, frozenset(avoid), [(self.now + delay, m) for delay, m in messages])
        self.submitted.append(task)
        return task

    def wait(self, handles: list[FakeTask], seconds: float) -> list[FakeTask]:
        first = min((task.messages[0][0] for task in handles if task.messages), default=FOREVER)
        self.now = max(self.now, min(first, self.now + seconds))
        return [task for task in handles if task.messages and task.messages[0][0] <= self.now]

    def read(self, position: int, handle: FakeTask) -> Message | None:
        assert handle.position == position
        return handle.messages.pop(0)[1]

    def room(self) -> int:
        return self.places

    def check(self) -> None:
        if self.is_lost:
            raise BackendUnavailable("lost")

    def give_up(self, position: int) -> None:
        self.given_up.append(position)

    def give_up_all(self) -> None:
        self.is_given_up = True

    def clock(self) -> float:
        return self.now


def script(
    blocks: int, *, step: float = 1.0, place: str = "a", dies_after: int | None = None, silent: bool = False
) -> list[tuple[float, Message]]:
    """An attempt that begins at once and sends a block every ``step`` seconds; it may die or fall silent on the way."""
    sent = blocks if dies_after is None else dies_after
    said: list[tuple[float, Message]] = [
        (0.0, Began(place)),
        *((step * (number + 1), Sent(number, f"block {number}")) for number in range(sent)),
    ]
    if silent:
        return said
    at = said[-1][0] + step
    return [*said, (at, Ended() if dies_after is None else Died("killed"))]


def attempts(engine: FakeEngine, count: int, **settings: Any) -> Attempts[FakeTask]:
    chosen = {"retries": 3, "overdue": 20.0, **settings}
    return Attempts(engine, range(count), clock=engine.clock, **chosen)


def by_item(stream: Iterable[tuple[int, Any]]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for position, block in stream:
        found[position].append(block)
    return dict(sorted(found.items()))


def whole(blocks: int) -> list[Any]:
    return [*(f"block {number}" for number in range(blocks)), Done(blocks)]


def test_blocks_of_each_item_in_order_and_its_end() -> None:
    engine = FakeEngine({0: [script(2)], 1: [script(0)], 2: [script(3, step=0.1)]})
    assert by_item(attempts(engine, 3).run()) == {0: whole(2), 1: whole(0), 2: whole(3)}
    assert [task.position for task in engine.submitted] == [0, 1, 2]
    assert not engine.is_given_up


def test_no_more_is_under_way_than_there_is_room_for() -> None:
    engine = FakeEngine({n: [script(1)] for n in range(9)}, places=2)
    items = iter(range(9))
    stream = Attempts(engine, items, retries=0, overdue=20.0, clock=engine.clock).run()
    next(stream)
    assert len(engine.submitted) == 2
    assert next(items) == 2
    stream.close()
    assert engine.is_given_up


@given(st.integers(0, 2**32 - 1))
def test_whatever_dies_or_falls_silent_the_delivery_is_the_same(seed: int) -> None:
    """As long as one attempt in four comes through, all blocks arrive, each once and in order."""
    draw = random.Random(seed)
    counts = [draw.randint(0, 6) for _ in range(draw.randint(1, 8))]

    def story(blocks: int) -> list[list[tuple[float, Message]]]:
        bad = [
            script(
                blocks,
                step=draw.choice([0.1, 1, 7]),
                dies_after=draw.randint(0, blocks),
                silent=draw.random() < 0.3,
            )
            for _ in range(draw.randint(0, 2))
        ]
        return [*bad, script(blocks, step=draw.choice([0.1, 1, 7]))]

    engine = FakeEngine({n: story(count) for n, count in enumerate(counts)}, places=draw.randint(1, 4))
    got = by_item(attempts(engine, len(counts)).run())
    assert got == {n: whole(count) for n, count in enumerate(counts)}


def test_an_item_whose_workers_die_again_and_again_is_lost() -> None:
    engine = FakeEngine({0: [script(4, dies_after=2)]})
    incidents = Incidents()
    stream = attempts(engine, 1, retries=3, incidents=incidents).run()
    with pytest.raises(WorkerLost, match="item 0 died on every attempt: killed"):
        list(stream)
    # The first two blocks were progress; what followed was none.
    assert len(engine.submitted) == 4
    assert incidents == Incidents(deaths=4, repeated_blocks=6, longest_silence=1.0)


def test_an_item_that_gets_further_every_time_is_not_lost() -> None:
    engine = FakeEngine({0: [script(9, dies_after=n) for n in range(1, 9)] + [script(9)]})
    assert by_item(attempts(engine, 1, retries=1).run()) == {0: whole(9)}
    assert len(engine.submitted) == 9


def test_a_silent_item_gets_another_attempt_elsewhere_and_the_first_answer_counts() -> None:
    silent = script(5, dies_after=2, silent=True, place="a")
    engine = FakeEngine({0: [silent, script(5, place="b")]})
    incidents = Incidents()
    assert by_item(attempts(engine, 1, incidents=incidents).run()) == {0: whole(5)}
    assert [task.avoid for task in engine.submitted] == [frozenset(), frozenset({"a"})]
    assert engine.given_up == [0]
    assert incidents == Incidents(overdue=1, repeated_blocks=2, longest_silence=20.5)
    # Two blocks, 20 seconds of patience, then five blocks and an end.
    assert engine.now == pytest.approx(2 + 20 + 6, abs=1.0)


def test_a_late_answer_of_the_first_attempt_counts_as_well() -> None:
    late = [(0.0, Began("a")), (25.0, Sent(0, "block 0")), (26.0, Ended())]
    engine = FakeEngine({0: [late, [(0.0, Began("b"))]]})
    assert by_item(attempts(engine, 1).run()) == {0: whole(1)}
    assert len(engine.submitted) == 2
    assert engine.given_up == [0]


def test_what_is_seen_to_take_long_is_given_longer() -> None:
    """Items of 15 s each: the limit of 20 s would not have touched them, and grows; those of 35 s are then in time."""
    engine = FakeEngine({0: [script(1, step=15)], 1: [script(1, step=29)], 2: [script(1, step=55)]}, places=1)
    assert by_item(attempts(engine, 3).run()) == {n: whole(1) for n in range(3)}
    assert len(engine.submitted) == 3


def test_attempts_at_one_item_are_few_and_ever_rarer() -> None:
    engine = FakeEngine(
        {0: [[(0.0, Began("a"))], [(0.0, Began("b"))], [(0.0, Began("c")), (999.0, Ended())]]}
    )
    assert by_item(attempts(engine, 1).run()) == {0: whole(0)}
    times = [task.messages for task in engine.submitted]
    assert len(times) == 3
    assert engine.submitted[2].avoid == {"a", "b"}


def test_a_reader_that_takes_long_makes_nobody_late() -> None:
    engine = FakeEngine({0: [script(3)], 1: [script(3)]})

    def slowly(stream: Iterator[Any]) -> Iterator[Any]:
        for entry in stream:
            engine.now += 500.0
            yield entry

    assert by_item(slowly(attempts(engine, 2).run())) == {0: whole(3), 1: whole(3)}
    assert len(engine.submitted) == 2


def test_a_request_that_got_lost_is_made_again_once_places_stand_idle() -> None:
    """Two places; the second request vanishes: when the first place is free and nothing begins, it is repeated."""
    engine = FakeEngine({0: [script(1)], 1: [[], script(1)]}, places=2)
    assert by_item(attempts(engine, 2).run()) == {0: whole(1), 1: whole(1)}
    assert [task.position for task in engine.submitted] == [0, 1, 1]
    assert engine.submitted[2].avoid == frozenset()


def test_what_waits_behind_long_work_is_left_alone() -> None:
    engine = FakeEngine({0: [script(9, step=15)], 1: [[(140.0, Began("a")), (141.0, Ended())]]}, places=2)
    assert by_item(attempts(engine, 2).run()) == {0: whole(9), 1: whole(0)}
    assert len(engine.submitted) == 2


def test_what_is_overdue_takes_no_room() -> None:
    """Both places are held by processes that stopped: the work still goes on."""
    stuck = [(0.0, Began("a"))]
    engine = FakeEngine({n: [stuck, script(1)] for n in range(2)} | {2: [script(1)]}, places=2)
    assert by_item(attempts(engine, 3).run()) == {n: whole(1) for n in range(3)}


def test_a_lost_cluster_ends_the_waiting() -> None:
    engine = FakeEngine({0: [[]]}, is_lost=True)
    with pytest.raises(BackendUnavailable, match="lost"):
        list(attempts(engine, 1).run())
    assert engine.is_given_up
