"""What is loaded while a run waits for something else."""

from __future__ import annotations

import sys
import time

import pytest

from cluster import SerialBackend
from cluster.base import BackendUnavailable
from runner import readiness
from runner.readiness import load_beside, make_ready
from runner.search.engine import load


class Noting(SerialBackend):
    """Says in which order it was asked."""

    def __init__(self, is_here: bool, fails: bool = False) -> None:
        super().__init__()
        self.order: list[object] = []
        self._is_here, self._fails = is_here, fails

    @property
    def is_here(self) -> bool:
        return self._is_here

    def prepare(self, function) -> None:
        self.order.append(function)
        if self._fails:
            raise BackendUnavailable("nobody there")


@pytest.mark.parametrize(("is_here", "order"), [(True, ["compile", load]), (False, [load, "compile"])])
@pytest.mark.parametrize("fails", [False, True])
def test_workers_of_this_machine_wait_for_its_kernels_and_others_do_not(is_here, order, fails, monkeypatch):
    backend = Noting(is_here, fails)
    monkeypatch.setattr(readiness, "compile_kernels", lambda: backend.order.append("compile"))
    make_ready(backend)
    assert backend.order == order


def test_modules_are_loaded_beside_and_a_missing_one_is_told_where_it_is_needed(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    load_beside("no_such_module_here", "colorsys")
    deadline = time.monotonic() + 10
    while "colorsys" not in sys.modules and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "colorsys" in sys.modules
