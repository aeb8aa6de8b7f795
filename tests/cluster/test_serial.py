"""The debug form: in this process, in order, and yet with the semantics of a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cluster import SerialBackend, TaskFailed
from cluster.serial import carry


def test_everything_runs_here_so_that_a_breakpoint_stops() -> None:
    assert SerialBackend().map(lambda shared, item: os.getpid(), [1]) == [os.getpid()]


def test_an_item_runs_no_further_than_its_blocks_are_read() -> None:
    begun = []

    def note(shared: None, item: int) -> Iterator[int]:
        begun.append(item)
        yield item

    stream = SerialBackend().stream(note, [1, 2, 3])
    assert begun == []
    assert next(stream) == (0, 1)
    assert begun == [1]


def test_what_the_reader_raises_is_not_a_failed_task() -> None:
    def read() -> None:
        for _ in SerialBackend().stream(lambda shared, item: iter([item]), [1]):
            raise KeyError("the reader's own")

    with pytest.raises(KeyError):
        read()


def test_writing_to_a_shared_array_fails_as_it_would_elsewhere() -> None:
    def write(shared: np.ndarray, item: int) -> None:
        shared[0] = item

    backend = SerialBackend()
    with pytest.raises(TaskFailed, match="read-only"):
        backend.map(write, [1], shared=backend.share(np.zeros(3)))


def test_a_copy_is_equal_and_apart() -> None:
    value = {"a": np.arange(6.0).reshape(2, 3).T, "b": [1, 2], "c": "text"}
    copy = carry(value)
    value["a"][0, 0] = 99.0
    value["b"].append(3)
    assert copy["a"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert copy["b"] == [1, 2]
    assert not copy["a"].flags.writeable


def test_neither_the_contract_nor_the_serial_form_loads_ray() -> None:
    code = "import sys, cluster; cluster.open_backend('ray'); raise SystemExit('ray' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
