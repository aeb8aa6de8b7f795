"""A whole run whose cluster is hurt while it goes on; tells how far it is.

    python -m tests.cluster.run_driver SPEC RUNS ADDRESS [TRACKING_URI]

Prints JSON lines: ``{"stage": name}`` when one begins, ``{"candidates": n}`` while the search goes on, at the end
``{"run": folder}``, or ``{"refused": sentence}``. ADDRESS is that of a cluster, ``local`` or ``serial``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mmm_core.errors import UserError
from runner.commands.run import with_execution
from runner.orchestrate import run_experiment
from runner.spec import load_spec

# Few runs in MLflow beside the trials: how it is filled is not what is looked at.
TRACKED = ["tracking.enabled=true", "tracking.candidates=selected"]


def report(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


class Reporter:
    """The progress of a run, as JSON lines."""

    def stage(self, name: str) -> None:
        report(stage=name)

    def candidates(self, done: int, total: int, best: dict[str, float]) -> None:
        report(candidates=done)

    def close(self) -> None:
        pass


def main(spec_path: str, runs: str, address: str, tracking_uri: str | None = None) -> None:
    serial = address == "serial"
    spec = load_spec(spec_path, overrides=TRACKED if tracking_uri else [])
    spec = with_execution(spec, None, "serial" if serial else "ray", None if serial else address)
    try:
        folder = run_experiment(spec, Path(runs), tracking_uri=tracking_uri, progress=Reporter())
        report(run=str(folder.path))
    except UserError as error:
        report(refused=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
