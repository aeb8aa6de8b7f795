"""What every backend promises, and how its work can fail.

A backend carries a module-level function and its data to a place where it runs, and carries the results home. It knows
nothing of what it carries. Two promises hold for every backend, so that results cannot depend on which one is used:

* Arguments and results travel by value. Arrays arrive read-only; a function that changes its argument changes a copy.
* Results are keyed by the position of their item. When they arrive differs from run to run; what arrives does not, as
  long as the function is deterministic. A task may run more than once (its worker died), a block is delivered once.

    BackendError
    ├── BackendUnavailable   no place to run: the address does not answer, or Ray does not start
    ├── TaskFailed           the function raised; carries the item and the remote traceback
    └── WorkerLost           the worker died on every attempt; carries the item and the reason
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Value = TypeVar("Value")
Item = TypeVar("Item")
Result = TypeVar("Result")
Block = TypeVar("Block")


class BackendError(Exception):
    """Base of everything a backend raises on purpose."""


class BackendUnavailable(BackendError):
    """There is nowhere to run: one sentence that names the address and the remedy."""


class TaskFailed(BackendError):
    """The function raised an exception.

    Attributes:
        item: position of the item, from 0.
        remote_traceback: the traceback as text, from the process where it happened. ``__cause__`` is the exception.
    """

    def __init__(self, item: int, remote_traceback: str) -> None:
        super().__init__(item, remote_traceback)
        self.item = item
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        return f"item {self.item} failed where it ran:\n{self.remote_traceback.rstrip()}"


class WorkerLost(BackendError):
    """The process that ran the item died, and so did those of all its retries.

    Attributes:
        item: position of the item, from 0.
        reason: what the engine knows about the end of the last worker.
    """

    def __init__(self, item: int, reason: str) -> None:
        super().__init__(item, reason)
        self.item = item
        self.reason = reason

    def __str__(self) -> str:
        return f"the worker of item {self.item} died on every attempt: {self.reason}"


@dataclass(frozen=True)
class Done:
    """End of an item in a stream: all of its blocks have been delivered."""

    blocks: int


@dataclass
class Incidents:
    """What went wrong below a backend and was made good, since it began.

    Attributes:
        deaths: attempts at items whose process, host or link died.
        overdue: attempts made because nothing was heard of an item for too long.
        repeated_blocks: blocks that were computed again and dropped.
        longest_silence: seconds without a sign of an attempt before it was given up for dead or overdue.
    """

    deaths: int = 0
    overdue: int = 0
    repeated_blocks: int = 0
    longest_silence: float = 0.0

    def note_silence(self, seconds: float) -> None:
        """An attempt was given up after so long."""
        self.longest_silence = max(self.longest_silence, seconds)


@dataclass(frozen=True, eq=False)
class Shared(Generic[Value]):
    """A value that workers can read; made by ``Backend.share`` and meaningful to that backend alone."""

    handle: Any


class Backend(ABC):
    """Moves functions and data; a context manager that leaves nothing running behind.

    Functions are called as ``function(shared_value, item)``; without ``shared`` their first argument is None. They,
    the items and the results must pickle.
    """

    def __init__(self) -> None:
        self.incidents = Incidents()

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many items can run at the same time."""

    @property
    @abstractmethod
    def is_here(self) -> bool:
        """Whether the workers are on this machine alone, and find what this process keeps on its disk."""

    @abstractmethod
    def start(self) -> None:
        """Be ready to run, however often and from whichever thread it is called; other verbs call it themselves.

        Raises:
            BackendUnavailable: there is no place to run.
        """

    @abstractmethod
    def warm_up(self) -> None:
        """Begin to start and return at once; a failure appears in the next ``start`` or other verb."""

    @abstractmethod
    def prepare(self, function: Callable[[], object]) -> None:
        """Have the workers call a function before their first item, without waiting for it.

        For what every worker loads once, while the caller still does something else. Nothing depends on it: a worker
        that comes later loads when it must, and a failure is that of the first item.

        Raises:
            BackendUnavailable: there is no place to run.
        """

    @abstractmethod
    def share(self, value: Value) -> Shared[Value]:
        """Put a value where all workers can read it, once, instead of sending it along with every item."""

    @abstractmethod
    def map(
        self,
        function: Callable[[Any, Item], Result],
        items: Iterable[Item],
        *,
        shared: Shared[Any] | None = None,
    ) -> list[Result]:
        """Results of ``function(shared_value, item)`` in the order of the items.

        Raises:
            TaskFailed: the function raised; items not yet run are given up.
            WorkerLost: an item's worker died on every attempt.
            BackendUnavailable: there is no place to run.
        """

    @abstractmethod
    def stream(
        self,
        function: Callable[[Any, Item], Iterable[Block]],
        items: Iterable[Item],
        *,
        shared: Shared[Any] | None = None,
    ) -> Iterator[tuple[int, Block | Done]]:
        """Blocks of the generator ``function(shared_value, item)`` as they arrive, as (position of the item, block).

        Blocks of one item come in their order, those of different items interleave, and ``(position, Done(n))``
        follows the last of the item's n blocks. Items under way and blocks not yet read are bounded: a function that
        is too far ahead of its reader waits. Leaving the loop early stops the items under way.

        Raises:
            TaskFailed, WorkerLost, BackendUnavailable: as ``map``; blocks delivered before stay valid.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop what was started; harmless when repeated. Afterwards the verbs raise BackendError."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Delivery:
    """Which block of one item is due, so that a retried task delivers none twice and skips none.

    An engine that repeats a task repeats its blocks under the same numbers; those seen before are dropped.
    """

    def __init__(self) -> None:
        self.blocks = 0

    def is_due(self, number: int) -> bool:
        """True the first time block ``number`` (from 0) arrives, False when it is a repetition.

        Raises:
            BackendError: a block before it never arrived.
        """
        if number > self.blocks:
            raise BackendError(f"block {number} arrived where block {self.blocks} was due")
        is_new = number == self.blocks
        self.blocks += is_new
        return is_new
