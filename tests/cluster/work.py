"""Functions that tests send to workers: module-level, so that they travel by name."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def add(shared: int | None, item: int) -> int:
    return (shared or 0) + item


def slow_first(shared: None, item: int) -> int:
    """Items end in another order than they begin."""
    time.sleep(0.2 if item == 0 else 0.0)
    return item


def weigh(shared: dict[str, Any], item: np.ndarray) -> tuple[float, bool, bool]:
    return float(shared["weights"] @ item), shared["weights"].flags.writeable, item.flags.writeable


def blocks(shared: int | None, item: int) -> Iterator[tuple[int, int]]:
    """As many blocks as the item says."""
    for number in range(item):
        yield (shared or 0) + item, number


def meet(shared: Path, item: int) -> Iterator[str]:
    """Waits for the other of two items, so that both run at the same time or neither ends."""
    yield "waiting"
    (shared / str(item)).touch()
    while not (shared / str(1 - item)).exists():
        time.sleep(0.01)
    yield "met"


def sign_in(folder: Path) -> None:
    """Leaves the name of its process; long enough that no other of two processes could do it too."""
    (folder / str(os.getpid())).touch()
    time.sleep(0.5)


def own_process(shared: None, item: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def refuse() -> None:
    raise ValueError("not prepared")


def reused_array(shared: None, item: int) -> Iterator[np.ndarray]:
    """Writes the next block into the array of the last."""
    array = np.empty(3)
    for number in range(4):
        array[:] = 10 * item + number
        yield array


def large_blocks(shared: None, item: int) -> Iterator[np.ndarray]:
    for number in range(3):
        yield np.full(500_000, 10.0 * item + number)


class Refusal(ValueError):
    """An exception that does not pickle: its arguments are not those of its constructor."""

    def __init__(self, item: int, reason: str) -> None:
        super().__init__(f"{item}: {reason}")


def refuse_three(shared: None, item: int) -> int:
    if item == 3:
        raise ValueError("three is refused")
    return item


def refuse_after_two(shared: None, item: int) -> Iterator[int]:
    yield 0
    yield 1
    raise ValueError("no third block")


def refuse_unpicklably(shared: None, item: int) -> int:
    raise Refusal(item, "not today")


def unpicklable(shared: None, item: int) -> Any:
    return (_ for _ in range(item))


def once(marker: Path) -> bool:
    """True the first time it is asked, in whichever process."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die_once(shared: Path, item: int) -> int:
    if item % 3 == 0 and once(shared / f"died-{item}"):
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def stream_and_die_once(shared: Path, item: int) -> Iterator[tuple[int, int]]:
    """Dies on its first attempt after as many blocks as the item says."""
    for number in range(8):
        if number == item and once(shared / f"died-{item}"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        yield item, number


def die(shared: None, item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_streaming(shared: None, item: int) -> Iterator[int]:
    yield 0
    os.kill(os.getpid(), signal.SIGKILL)


def count_up(shared: None, item: Path) -> Iterator[int]:
    """Endless; notes in a file how far it got."""
    number = 0
    while True:
        item.write_text(str(number))
        yield number
        number += 1


def busy_forever(shared: None, item: Path) -> Iterator[int]:
    """Endless, after one block."""
    yield os.getpid()
    while True:
        item.write_text(str(time.monotonic_ns()))
        time.sleep(0.02)


def surroundings(shared: None, item: int) -> dict[str, Any]:
    """What a worker sees of its machine."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAY_grpc_client_keepalive_time_ms", "GREETING")
    return {"path": sys.path, "pid": os.getpid(), **{name: os.environ.get(name) for name in names}}
