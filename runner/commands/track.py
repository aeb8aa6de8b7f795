"""``mmm track RUN``: bring MLflow to the state of a run folder."""

from __future__ import annotations

from pathlib import Path

from mmm_core.errors import UserError
from runner.latest import find_run
from runner.tracking.base import TrackingFailed
from runner.tracking.mirror import MirrorReport, mirror_to


def run(source: str | Path, *, runs: str | Path = "runs", tracking_uri: str | None = None) -> MirrorReport:
    """Mirror a run folder to MLflow; doing it twice changes nothing.

    Args:
        source: a run folder, or a spec file for its newest run. runs: where runs of a spec file are looked for.
        tracking_uri: wins over the spec's tracking.uri, that over the variable MLFLOW_TRACKING_URI, that over an SQLite
        file beside the run folder.
    Returns:
        What was written, renewed and left as it was.
    Raises:
        UserError: no such run, or a store that cannot be reached or written; what was written before stays.
    """
    folder = find_run(source, runs)
    try:
        return mirror_to(folder, tracking_uri)
    except TrackingFailed as error:
        raise UserError(f"{error}; the run folder has everything, run mmm track again later") from error
