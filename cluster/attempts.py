"""Items under way: which attempts at them run, whose word counts, and when another attempt is made.

Pure bookkeeping over an engine that can start an attempt and hear from it, with three rules that hold for any engine:

* What is delivered depends on what was asked alone. Attempts at one item send the same blocks; each is delivered once,
  in order, from whichever attempt sends it first.
* An attempt that died is made again, unless the item's workers died too often without a new block between.
* An item from which nothing is heard for too long gets another attempt elsewhere. The silent one may still answer, then
  the first answer counts: so a wrong guess costs some work and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from cluster.base import Block, Delivery, Done, Incidents, WorkerLost

Handle = TypeVar("Handle")

# An item's attempts that may live beside each other; more would only repeat what already does not answer.
_MOST_ATTEMPTS = 3
# How long one look at the engine takes at most; rules on time are applied between looks.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Began:
    """An attempt's function is called now, at a place that the engine has a name for."""

    place: str


@dataclass(frozen=True, eq=False)
class Sent(Generic[Block]):
    """Block ``number`` (from 0) of the item, and whether it is known to be the last."""

    number: int
    block: Block
    is_last: bool = False


@dataclass(frozen=True)
class Ended:
    """All blocks were sent."""


@dataclass(frozen=True)
class Died:
    """The attempt will send nothing more, through no fault of the function."""

    reason: str
    cause: BaseException | None = None


Message = Began | Sent[Any] | Ended | Died


class Engine(Protocol[Handle]):
    """Starts attempts and hears from them."""

    def submit(self, position: int, item: Any, avoid: Set[str]) -> Handle:
        """Begin an attempt, if possible not at the places named."""
        ...

    def wait(self, handles: list[Handle], seconds: float) -> list[Handle]:
        """Those with something to read; waits for the first at most so long."""
        ...

    def read(self, position: int, handle: Handle) -> Message | None:
        """The next message, None when it is not here yet; raises TaskFailed."""
        ...

    def room(self) -> int:
        """How many attempts may be under way now, running or waiting for a place."""
        ...

    def check(self) -> None:
        """Raise BackendUnavailable when there is no point in waiting."""
        ...

    def give_up(self, position: int) -> None:
        """Nobody waits for the attempts at this item any more."""
        ...

    def give_up_all(self) -> None:
        """Nobody waits for anything any more."""
        ...


@dataclass(eq=False)
class _Attempt(Generic[Handle]):
    """One attempt; times are those of the clock of ``Attempts``."""

    owner: _Asked[Handle]
    handle: Handle
    last_sign: float
    place: str | None = None
    is_overdue: bool = False

    @property
    def is_running(self) -> bool:
        return self.place is not None


@dataclass(eq=False)
class _Asked(Generic[Handle]):
    """An item, and what became of it so far."""

    position: int
    item: Any
    delivery: Delivery = field(default_factory=Delivery)
    attempts: list[_Attempt[Handle]] = field(default_factory=list)
    deaths: int = 0

    def drop(self) -> None:
        """Let go of the handles now, not at the next garbage collection: an engine holds back what nobody reads."""
        self.attempts.clear()

    @property
    def last_sign(self) -> float:
        return max(attempt.last_sign for attempt in self.attempts)


class Attempts(Generic[Handle]):
    """Carries items through an engine; ``run`` yields what ``Backend.stream`` promises."""

    def __init__(
        self,
        engine: Engine[Handle],
        items: Iterable[Any],
        *,
        retries: int,
        overdue: float,
        incidents: Incidents | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing begins before ``run``.

        Args:
            engine: where. items: what, in order; read only as far as there is room.
            retries: deaths of an item's workers, without a new block between, that are made good.
            overdue: seconds without a sign after which an item gets another attempt; more where items are seen to be
                slower than that.
            incidents: counts what went wrong. clock: seconds.
        """
        self._engine = engine
        self._items = enumerate(items)
        self._retries = retries
        self._overdue = overdue
        self._incidents = incidents or Incidents()
        self._clock = clock
        # Time spent waiting: a reader that takes long over a block does not make the workers late.
        self._now = 0.0
        self._longest_silence = 0.0
        self._most_running = 0
        self._last_begin = 0.0
        self._asked: dict[int, _Asked[Handle]] = {}

    def run(self) -> Iterator[tuple[int, Any | Done]]:
        """(position, block) and (position, Done) as they come; leaving early gives up what is under way.

        Raises:
            TaskFailed, WorkerLost, BackendUnavailable: as ``Backend.stream``.
        """
        try:
            while self._fill():
                for attempt in self._wait():
                    yield from self._heed(attempt)
                self._engine.check()
                self._hurry()
        finally:
            if self._asked:
                self._engine.give_up_all()
                for asked in self._asked.values():
                    asked.drop()

    def _live(self) -> Iterator[_Attempt[Handle]]:
        return (attempt for asked in self._asked.values() for attempt in asked.attempts)

    # --------------------------------------------------------------------------------------------- begin, wait, read

    def _fill(self) -> bool:
        """Ask for items while there is room; False when nothing is left. Overdue attempts take no room."""
        room = self._engine.room() - sum(not attempt.is_overdue for attempt in self._live())
        for position, item in islice(self._items, max(0, room)):
            self._asked[position] = asked = _Asked[Handle](position, item)
            self._attempt(asked)
        return bool(self._asked)

    def _attempt(self, asked: _Asked[Handle], avoid: Set[str] = frozenset()) -> None:
        handle = self._engine.submit(asked.position, asked.item, avoid)
        asked.attempts.append(_Attempt(asked, handle, self._now))

    def _wait(self) -> list[_Attempt[Handle]]:
        attempts = {attempt.handle: attempt for attempt in self._live()}
        before = self._clock()
        ready = self._engine.wait(list(attempts), _LOOK_SECONDS)
        self._now += self._clock() - before
        return [attempts[handle] for handle in ready]

    def _heed(self, attempt: _Attempt[Handle]) -> Iterator[tuple[int, Any | Done]]:
        """One message of an attempt, so that none is starved by one that sends much."""
        asked = attempt.owner
        if asked.position not in self._asked:  # another attempt ended it since
            return
        message = self._engine.read(asked.position, attempt.handle)
        if message is None:
            return
        if isinstance(message, Died):
            self._bury(attempt, message)
            return
        self._note_sign(attempt)
        if isinstance(message, Began):
            attempt.place = message.place
            self._note_begin()
            return
        if isinstance(message, Sent):
            yield from self._deliver(asked, message)
        if isinstance(message, Ended) or message.is_last:
            self._retire(asked)
            yield asked.position, Done(asked.delivery.blocks)

    def _deliver(self, asked: _Asked[Handle], message: Sent[Any]) -> Iterator[tuple[int, Any]]:
        if asked.delivery.is_due(message.number):
            asked.deaths = 0
            yield asked.position, message.block
        else:
            self._incidents.repeated_blocks += 1

    def _retire(self, asked: _Asked[Handle]) -> None:
        del self._asked[asked.position]
        if len(asked.attempts) > 1:
            self._engine.give_up(asked.position)
        asked.drop()

    def _bury(self, attempt: _Attempt[Handle], message: Died) -> None:
        asked = attempt.owner
        asked.attempts.remove(attempt)
        asked.deaths += 1
        self._incidents.deaths += 1
        self._incidents.note_silence(self._now - attempt.last_sign)
        if asked.deaths > self._retries:
            raise WorkerLost(asked.position, message.reason) from message.cause
        if not asked.attempts:
            self._attempt(asked)

    # --------------------------------------------------------------------------------------------------- what is late

    @property
    def _limit(self) -> float:
        """Silence after which an item is overdue."""
        return max(self._overdue, 2 * self._longest_silence)

    def _note_sign(self, attempt: _Attempt[Handle]) -> None:
        """Learn how long silence may last; by a factor at a time, since it can also be that of a stopped process."""
        if attempt.is_running:
            silence = self._now - attempt.last_sign
            self._longest_silence = max(self._longest_silence, min(silence, 2 * self._limit))
        attempt.last_sign = self._now
        attempt.is_overdue = False

    def _note_begin(self) -> None:
        self._last_begin = self._now
        self._most_running = max(self._most_running, self._running())

    def _running(self) -> int:
        return sum(attempt.is_running and not attempt.is_overdue for attempt in self._live())

    def _hurry(self) -> None:
        """Make another attempt at items that are overdue."""
        for asked in list(self._asked.values()):
            patience = self._limit * 2.0 ** (len(asked.attempts) - 1)
            is_running = all(attempt.is_running for attempt in asked.attempts)
            if is_running and self._now - asked.last_sign > patience:
                self._repeat(asked)
        self._hurry_waiting()

    def _hurry_waiting(self) -> None:
        """Repeat attempts that wait for a place while places stand idle: their request got lost on the way.

        Places stand idle when fewer attempts run than once did, and none began for long.
        """
        idle = self._most_running - self._running()
        if idle <= 0 or self._now - self._last_begin <= self._limit:
            return
        waiting = [
            a.owner for a in self._live() if not a.is_running and self._now - a.last_sign > self._limit
        ]
        for asked in waiting[:idle]:
            self._repeat(asked)
        # The places may be gone for good; what begins from now on tells.
        self._most_running, self._last_begin = self._running(), self._now

    def _repeat(self, asked: _Asked[Handle]) -> None:
        if len(asked.attempts) >= _MOST_ATTEMPTS:
            return
        for attempt in asked.attempts:
            attempt.is_overdue = True
        self._incidents.overdue += 1
        self._incidents.note_silence(self._now - asked.last_sign)
        self._attempt(asked, frozenset(a.place for a in asked.attempts if a.place is not None))
