"""Carries functions and data to where they run, and results home; knows nothing of marketing.

    with open_backend("ray", ClusterConfig(workers=4)) as backend:
        problem = backend.share(value)
        for position, block in backend.stream(generator_function, items, shared=problem):
            ...

``base`` states the contract, ``serial`` is its debug form in this process, ``ray_backend`` runs on Ray.
"""

from __future__ import annotations

from typing import Literal

from cluster.base import Backend, BackendError, BackendUnavailable, Done, Shared, TaskFailed, WorkerLost
from cluster.config import ClusterConfig
from cluster.serial import SerialBackend

__all__ = [
    "Backend",
    "BackendError",
    "BackendUnavailable",
    "ClusterConfig",
    "Done",
    "SerialBackend",
    "Shared",
    "TaskFailed",
    "WorkerLost",
    "open_backend",
]


def open_backend(kind: Literal["ray", "serial"], config: ClusterConfig | None = None) -> Backend:
    """A backend, not yet started: the first verb, ``start`` or ``warm_up`` does that.

    Args:
        kind: "ray", or "serial" for this process alone, which takes no settings.
        config: where to run; default: a private Ray on this machine.
    Raises:
        ValueError: unknown kind.
    """
    if kind == "serial":
        return SerialBackend()
    if kind == "ray":
        # Imported here: a serial run never loads the module that knows Ray.
        from cluster.ray_backend import RayBackend

        return RayBackend(config or ClusterConfig())
    raise ValueError(f"unknown backend {kind!r}; expected ray or serial")
