"""The debug form of a backend: everything in this process, in order, so that a breakpoint stops inside the function."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from cluster.base import Backend, BackendError, Block, Done, Item, Result, Shared, TaskFailed, Value

Carried = TypeVar("Carried")


def carry(value: Carried) -> Carried:
    """A copy as it would arrive in another process: pickled and read back, its arrays read-only.

    Without it a function that writes to its argument, or to a block after yielding it, would work here and fail, or
    give other numbers, on a cluster.
    """
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    copy: Carried = pickle.loads(body, buffers=[bytes(buffer.raw()) for buffer in buffers])
    return copy


class SerialBackend(Backend):
    """Runs items one after the other where it is called."""

    def __init__(self) -> None:
        super().__init__()
        self._is_closed = False

    @property
    def workers(self) -> int:
        """Always one."""
        return 1

    @property
    def is_here(self) -> bool:
        """Always."""
        return True

    def start(self) -> None:
        """Nothing to start.

        Raises:
            BackendError: it was closed.
        """
        if self._is_closed:
            raise BackendError("the backend is closed")

    def warm_up(self) -> None:
        """Nothing to warm."""

    def prepare(self, function: Callable[[], object]) -> None:
        """Nothing either: loading takes as long now as with the first item."""

    def share(self, value: Value) -> Shared[Value]:
        """Copy the value once; see ``Backend.share``."""
        self.start()
        return Shared(carry(value))

    def map(
        self,
        function: Callable[[Any, Item], Result],
        items: Iterable[Item],
        *,
        shared: Shared[Any] | None = None,
    ) -> list[Result]:
        """See ``Backend.map``."""
        self.start()
        value = None if shared is None else shared.handle
        results = []
        for position, item in enumerate(items):
            try:
                results.append(carry(function(value, carry(item))))
            except Exception as error:
                raise TaskFailed(position, traceback.format_exc()) from error
        return results

    def stream(
        self,
        function: Callable[[Any, Item], Iterable[Block]],
        items: Iterable[Item],
        *,
        shared: Shared[Any] | None = None,
    ) -> Iterator[tuple[int, Block | Done]]:
        """See ``Backend.stream``; an item runs only as far as its blocks are read."""
        self.start()
        value = None if shared is None else shared.handle
        for position, item in enumerate(items):
            n_blocks = 0
            for block in _blocks(position, function, value, item):
                yield position, block
                n_blocks += 1
            yield position, Done(n_blocks)

    def close(self) -> None:
        """See ``Backend.close``."""
        self._is_closed = True


def _blocks(
    position: int, function: Callable[[Any, Item], Iterable[Block]], value: Any, item: Item
) -> Iterator[Block]:
    """Blocks of one item; apart from ``stream`` so that what its reader raises is not taken for a failed task."""
    try:
        for block in function(value, carry(item)):
            yield carry(block)
    except Exception as error:
        raise TaskFailed(position, traceback.format_exc()) from error
