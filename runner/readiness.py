"""What a run loads while it waits for something else, so that nobody waits for it afterwards."""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress

from cluster.base import Backend, BackendUnavailable
from mmm_core.warm_up import warm_up as compile_kernels
from runner.search.engine import load


def make_ready(backend: Backend) -> None:
    """Compile the kernels here, or read them from disk, and have the workers load what a trial needs.

    Workers of this machine come after, since each would compile for itself what is on disk a moment later; those
    elsewhere compile at the same time. That there is no place to run is told by ``Backend.start``.
    """
    if backend.is_here:
        compile_kernels()
    with suppress(BackendUnavailable):
        backend.prepare(load)
    if not backend.is_here:
        compile_kernels()


def load_beside(*modules: str) -> None:
    """Begin to import modules that are slow to import, while this process waits for something else."""

    def load_all() -> None:
        for module in modules:
            with suppress(ImportError):  # told where it is needed
                importlib.import_module(module)

    threading.Thread(target=load_all, name="loading", daemon=True).start()
