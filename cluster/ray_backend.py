"""The verbs of a backend on Ray; ``cluster.attempts`` decides what runs when, ``cluster.ray_session`` where.

Ray is imported when a session starts, not with this module, see ``RayBackend.warm_up``.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from cluster.attempts import Attempts, Began, Died, Ended, Message, Sent
from cluster.base import Backend, BackendUnavailable, Block, Done, Item, Result, Shared, TaskFailed, Value
from cluster.config import ClusterConfig, usable_cpus
from cluster.ray_session import KEEPALIVE, ONE_THREAD, Session

__all__ = ["KEEPALIVE", "ONE_THREAD", "RayBackend"]

_COLOURS = re.compile(r"\x1b\[\d+m")
# How long a message to tasks that nobody waits for may keep us when the cluster does not answer.
_FAREWELL_SECONDS = 2.0
# To read a message that is on this host.
_FETCH_SECONDS = 5.0


class RayBackend(Backend):
    """Runs items as Ray tasks of one CPU each, spread over the hosts, and again when their worker dies or is silent."""

    def __init__(self, config: ClusterConfig) -> None:
        super().__init__()
        self.config = config
        self._session = Session(config)
        self._preparing: list[Any] = []

    @property
    def is_here(self) -> bool:
        """See ``Backend.is_here``."""
        return self.config.is_local

    @property
    def workers(self) -> int:
        """CPUs of the local Ray, or those of the joined cluster that have the memory; at most ``config.workers``."""
        if self.config.is_local:
            return self.config.workers or usable_cpus()
        self.start()
        in_cluster = max(1, self._session.watch.places)
        return min(in_cluster, self.config.workers or in_cluster)

    def start(self) -> None:
        """See ``Backend.start``."""
        self._session.wait()

    def warm_up(self) -> None:
        """See ``Backend.warm_up``."""
        self._session.launch()

    def prepare(self, function: Callable[[], object]) -> None:
        """See ``Backend.prepare``: a task for every CPU, so that each goes to a process of its own."""
        self.start()
        import ray

        as_task: Any = ray.remote
        with _connected():
            task = as_task(**_options(self.config))(_prepared)
            # Kept, for a result that nobody refers to is cancelled.
            self._preparing += [task.remote(function) for _ in range(self.workers)]

    def share(self, value: Value) -> Shared[Value]:
        """Put the value in Ray's object store; workers on one host read one copy of its arrays."""
        self.start()
        import ray

        with _connected():
            return Shared(ray.put(value))

    def map(
        self,
        function: Callable[[Any, Item], Result],
        items: Iterable[Item],
        *,
        shared: Shared[Any] | None = None,
    ) -> list[Result]:
        """See ``Backend.map``."""
        results: dict[int, Result] = {}
        for position, result in self._run(_result, function, items, shared):
            if not isinstance(result, Done):
                (results[position],) = result
        return [results[position] for position in range(len(results))]

    def stream(
        self,
        function: Callable[[Any, Item], Iterable[Block]],
        items: Iterable[Item],
        *,
        shared: Shared[Any] | None = None,
    ) -> Iterator[tuple[int, Block | Done]]:
        """See ``Backend.stream``; under ``ray://`` an item's blocks arrive together when it ends."""
        return self._run(_blocks, function, items, shared)

    def _run(
        self,
        blocks: Callable[..., Iterator[Sent[Any] | Ended]],
        function: Callable[[Any, Item], Any],
        items: Iterable[Item],
        shared: Shared[Any] | None,
    ) -> Iterator[tuple[int, Any]]:
        self.start()
        value = None if shared is None else shared.handle
        engine = _RayEngine(self.config, self._session, self._room, (blocks, function, value))
        attempts = Attempts(
            engine,
            items,
            retries=self.config.max_retries,
            overdue=self.config.overdue_seconds,
            incidents=self.incidents,
        )
        try:
            yield from attempts.run()
        except KeyboardInterrupt:
            self._session.forget_interrupt()
            raise

    def _room(self) -> int:
        """Tasks under way: as many again as run, so that no CPU waits for the next, unless the user set a number.

        A local Ray has no more CPUs than the user set; a joined cluster is held to the number here. It is asked anew
        each time since a cluster may grow and shrink.
        """
        is_capped_here = self.config.workers is not None and not self.config.is_local
        return self.workers if is_capped_here else 2 * self.workers

    def close(self) -> None:
        """See ``Backend.close``; stops a local Ray, leaves a joined cluster running."""
        self._session.close()


def _options(config: ClusterConfig) -> dict[str, Any]:
    """Of every task. Ray's own retries are off: who repeats must know what was delivered and what is under way."""
    options: dict[str, Any] = {"num_cpus": 1, "max_retries": 0, "scheduling_strategy": "SPREAD"}
    if config.memory_request:
        options["memory"] = config.memory_request
    return options


# What runs on the workers. ------------------------------------------------------------------------------------------


def _prepared(function: Callable[[], object]) -> None:
    """A preparation, whose result stays where it is."""
    function()


def _result(function: Callable[[Any, Item], Result], value: Any, item: Item) -> Iterator[Sent[tuple[Result]]]:
    """The one result of ``map``; in a tuple, so that it is never taken for a ``Done``."""
    yield Sent(0, (function(value, item),), is_last=True)


def _blocks(
    function: Callable[[Any, Item], Iterable[Block]], value: Any, item: Item
) -> Iterator[Sent[Block] | Ended]:
    for number, block in enumerate(function(value, item)):
        yield Sent(number, block)
    yield Ended()


def _messages(
    sign: _StopSign, blocks: Callable[..., Iterator[Message]], function: Any, value: Any, item: Any
) -> Iterator[Message]:
    """All that an attempt has to say, until nobody waits for it any more."""
    import ray

    if sign.is_up():
        return
    yield Began(ray.get_runtime_context().get_node_id())
    for message in blocks(function, value, item):
        yield message
        if sign.is_up():
            return


def _all_messages(
    sign: _StopSign, blocks: Callable[..., Iterator[Message]], function: Any, value: Any, item: Any
) -> list[Message]:
    return list(_messages(sign, blocks, function, value, item))


class _StopSign:
    """Tells tasks that nobody waits for them any more: keys in the table that Ray keeps for all its processes.

    Not ``ray.cancel``: cancelling a task at the moment it ends aborts the whole driver with "Tried to complete task
    that was not pending" (Ray 2.60; a sibling of that race was mended in ray-project/ray pull request 54798). Items
    that fail together, as they do when the function has a mistake, meet that moment within seconds.

    Args:
        key: put up for all items of one call. position: of the item, whose own key begins with it.
    """

    # Looking takes about 1 ms on a busy machine.
    _seconds_between_looks = 0.2

    def __init__(self, key: str, position: int) -> None:
        self._key, self._position = key, position
        self._next_look = 0.0

    def __reduce__(self) -> tuple[type[_StopSign], tuple[str, int]]:
        return _StopSign, (self._key, self._position)

    @staticmethod
    def of_item(key: str, position: int) -> str:
        """The key of one item."""
        return f"{key}-{position}"

    def is_up(self) -> bool:
        """Whether one of the keys was put up, known with a short delay."""
        from ray.experimental.internal_kv import _internal_kv_list

        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + self._seconds_between_looks
        own = {self._key.encode(), self.of_item(self._key, self._position).encode()}
        return not own.isdisjoint(_internal_kv_list(self._key))


def _put_up(key: str) -> None:
    """Have tasks end at their next block, those that have not begun at once."""
    from ray.exceptions import RayError
    from ray.experimental.internal_kv import _internal_kv_put

    def put() -> None:
        # A cluster that has gone stops its tasks by itself, and what it went with is already on its way up.
        with suppress(RayError, ConnectionError):
            _internal_kv_put(key, b"")

    # Aside, because a head that does not answer keeps the call for minutes.
    farewell = threading.Thread(target=put, name="ray-farewell", daemon=True)
    farewell.start()
    farewell.join(_FAREWELL_SECONDS)


# What runs in the driver. -------------------------------------------------------------------------------------------


class _RayEngine:
    """Attempts as Ray tasks: a streaming generator each, or under Ray Client, which has none, a list of messages."""

    def __init__(
        self, config: ClusterConfig, session: Session, room: Callable[[], int], work: tuple[Any, ...]
    ) -> None:
        import ray

        self._session = session
        self._work = work
        self._key = f"stop-{secrets.token_hex(16)}"
        self._turn = count()
        self.room = room
        options = _options(config)
        streaming = {
            "num_returns": "streaming",
            "_generator_backpressure_num_objects": config.buffered_blocks,
        }
        as_task: Any = ray.remote
        self._remote: Any = (
            as_task(**options)(_all_messages)
            if session.is_client
            else as_task(**options, **streaming)(_messages)
        )

    def submit(self, position: int, item: Any, avoid: Set[str]) -> _Task:
        """See ``Engine``; the places are Ray's nodes."""
        sign = _StopSign(self._key, position)
        with _connected():
            handle = self._elsewhere(avoid).remote(sign, *self._work, item)
        return _WholeTask(handle) if self._session.is_client else _StreamingTask(handle)

    def _elsewhere(self, avoid: Set[str]) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in self._session.watch.nodes if node not in avoid]
        if not avoid or not nodes:
            return self._remote
        # Soft, and not waiting for that node when it is busy: the cluster may look different by now.
        node = nodes[next(self._turn) % len(nodes)]
        strategy = NodeAffinitySchedulingStrategy(node, soft=True, _spill_on_unavailable=True)
        return self._remote.options(scheduling_strategy=strategy)

    def wait(self, handles: list[_Task], seconds: float) -> list[_Task]:
        """See ``Engine``."""
        import ray

        saying = [handle for handle in handles if handle.has_more]
        waited = [handle.awaited for handle in handles if not handle.has_more]
        if saying:
            return saying
        with _connected():
            ready, others = ray.wait(waited, num_returns=1, timeout=seconds)
            if ready and others:
                # All that are ready, not the first of them alone: the next in line would starve.
                ready += ray.wait(others, num_returns=len(others), timeout=0)[0]
        found = set(ready)
        return [handle for handle in handles if handle.awaited in found]

    def read(self, position: int, handle: _Task) -> Message | None:
        """See ``Engine``."""
        with _connected():
            return handle.read(position)

    def check(self) -> None:
        """See ``Engine``."""
        self._session.check()

    def give_up(self, position: int) -> None:
        """See ``Engine``."""
        _put_up(_StopSign.of_item(self._key, position))

    def give_up_all(self) -> None:
        """See ``Engine``."""
        _put_up(self._key)


@contextmanager
def _connected() -> Iterator[None]:
    """Around every call to Ray: the ways in which it says that the cluster is gone, as BackendUnavailable.

    A lost raylet has an error of its own, or is an ``OSError`` that says no more than "Broken pipe".
    """
    from ray.exceptions import LocalRayletDiedError, RaySystemError

    try:
        yield
    except (OSError, LocalRayletDiedError, RaySystemError) as error:
        raise BackendUnavailable(f"the connection to Ray was lost: {_first_line(error)}") from error


class _StreamingTask:
    """A task that sends messages one by one."""

    has_more = False

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        # A message that was announced and is not here yet: fetched without waiting for its host, which may be silent.
        self._coming: Any = None

    @property
    def awaited(self) -> Any:
        return self._generator if self._coming is None else self._coming

    def read(self, position: int) -> Message | None:
        """The next message if it is here."""
        patience = _FETCH_SECONDS
        if self._coming is None:
            try:
                self._coming, patience = next(self._generator), 0.0
            except StopIteration:  # it found the sign up, so nobody is here to ask
                return Died("it was given up")
        message: Message | None = _get(position, self._coming, patience)
        if message is not None:
            self._coming = None
        return message


class _WholeTask:
    """A task whose messages come together when it ends."""

    def __init__(self, reference: Any) -> None:
        self.awaited = reference
        # From the driver a queued task looks like a running one.
        self._messages: deque[Message] = deque([Began("")])

    @property
    def has_more(self) -> bool:
        return bool(self._messages)

    def read(self, position: int) -> Message | None:
        """The next message if it is here."""
        if not self._messages:
            got = _get(position, self.awaited, None)
            self._messages.extend([got] if isinstance(got, Died) else got[1:])
        return self._messages.popleft() if self._messages else Died("it was given up")


_Task = _StreamingTask | _WholeTask


def _get(position: int, reference: Any, patience: float | None) -> Any:
    """The value of a reference, None when it is not here within ``patience``; Ray's errors as ours."""
    import ray
    from ray.exceptions import (
        GetTimeoutError,
        RayError,
        RaySystemError,
        RayTaskError,
        UnserializableException,
    )

    try:
        return ray.get(reference, timeout=patience)
    except GetTimeoutError:
        return None
    except RayTaskError as error:
        raise TaskFailed(position, _plain(error)) from error.cause
    except UnserializableException as error:
        # The function's own exception cannot be read back; its text came along.
        raise TaskFailed(position, _plain(error).partition("Original exception:\n")[2]) from error
    except RaySystemError:
        raise
    except RayError as error:
        # What follows names a file that may be on another host, or gone.
        return Died(_first_line(error).partition(" Check ")[0], error)


def _plain(error: BaseException) -> str:
    """An error's text without terminal colours."""
    return _COLOURS.sub("", str(error))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
