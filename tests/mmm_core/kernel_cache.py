"""What a process compiled and what it found on disk, as JSON; run as a program by ``test_warm_up``.

python -m tests.mmm_core.kernel_cache warm-up | run FOLDER | nowhere
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any


def run(folder: str) -> None:
    """Small experiments through all stages, by both engines and with several adstocks."""
    import runner
    from tests.runner.small import SCENARIOS, write_small

    for changes in (
        {},
        {"adstock": "weibull_pdf"},
        {"search__engine": "nevergrad", "adstock": "weibull_cdf"},
    ):
        spec = write_small(Path(folder), scenarios=SCENARIOS, **changes)
        runner.run(spec, runs=Path(folder) / "runs")


def warm_up() -> None:
    from mmm_core.warm_up import warm_up as compile_all

    compile_all()


def nowhere() -> None:
    """As where neither the installation nor a home can be written: one kernel, small."""
    from numba.core import caching

    def refuse(self: Any) -> None:
        raise OSError(30, "Read-only file system")

    for locator in (caching._SourceFileBackedLocatorMixin, caching._CacheLocator):
        locator.ensure_cache_path = refuse
    from mmm_core import _kernels

    assert _kernels.two_of(5, 0.1, 0.9) is not None


def main() -> None:
    {"warm-up": warm_up, "run": run, "nowhere": nowhere}[sys.argv[1]](*sys.argv[2:])
    from numba.core.dispatcher import Dispatcher

    found = [o for o in gc.get_objects() if isinstance(o, Dispatcher)]
    kernels = [kernel for kernel in found if kernel.py_func.__module__.startswith("mmm_core")]
    compiled = [k.py_func.__name__ for k in kernels if sum(k.stats.cache_misses.values())]
    loaded = sum(sum(k.stats.cache_hits.values()) for k in kernels)
    print(json.dumps({"compiled": compiled, "loaded": loaded, "kernels": len(kernels)}))


if __name__ == "__main__":
    main()
