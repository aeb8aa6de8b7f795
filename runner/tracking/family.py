"""Runs that belong together, such as the models of a portfolio, below one run of their own in MLflow.

A member says whose it is in its ``manifest.json``: ``portfolio: {run: <run id of the whole>, model: <its name>, keys:
{…}}``. Mirrored alone (``mirror_to``, ``mmm track``, the process beside a run) it is shown below the whole as soon as
that is there; ``mirror_family`` writes the whole first and then every member. All share one experiment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.run_folder import RunFolder
from runner.tracking.base import RunStatus, Tracker, locked
from runner.tracking.contents import Planned, content_of_whole
from runner.tracking.mirror import LOCK_SECONDS, MirrorReport, claimed, mirror, report_of
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from runner.tracking.writing import Tell, Writing, silently


@dataclass(frozen=True)
class Whole:
    """What the members have in common, as MLflow shows it. Names and values of any kind are made legal.

    Attributes:
        run_id: known to the members as ``portfolio.run``. created: in ISO 8601. experiment: of the members as well.
        root: folder that ``files`` lie in. files: paths below it.
        params, metrics, tags: what the run shows; metrics that are not finite are left out.
        note: a text in Markdown that the page of the run begins with.
        seconds: how long it took. status: how it ended.
    """

    run_id: str
    created: str
    experiment: str
    root: Path
    files: Sequence[str] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    seconds: float = 0.0
    status: RunStatus = RunStatus.FINISHED


class _WritingWhole(Writing):
    def __init__(self, whole: Whole, tracker: Tracker) -> None:
        super().__init__(whole.run_id, whole.created, whole.root, tracker)
        self._seconds = whole.seconds

    @property
    def ended(self) -> int:
        return self.created + int(1000 * self._seconds)


def mirror_whole(whole: Whole, tracker: Tracker) -> MirrorReport:
    """Write the run of the whole alone, for example before its members are; doing it twice changes nothing.

    Args:
        whole: what it shows. tracker: where to.
    Raises:
        TrackingFailed: as ``mirror``.
    """
    content = content_of_whole(
        whole.run_id,
        params=whole.params,
        metrics=whole.metrics,
        tags=whole.tags,
        files=whole.files,
        note=whole.note,
        status=whole.status,
    )
    with locked(whole.root, f"mirroring {whole.run_id}", LOCK_SECONDS):
        writing = _WritingWhole(whole, tracker)
        tracker.open(whole.experiment)
        writing.bring_plan([Planned(content.kind, content.name, 0, lambda: content)])
    return report_of(writing, whole.experiment)


def mirror_family(
    whole: Whole, members: Sequence[RunFolder], tracker: Tracker, tell: Tell = silently
) -> list[MirrorReport]:
    """Bring a tracker to the state of a whole and all of its members.

    Args:
        whole: what the members have in common. members: their run folders, each of the same experiment.
        tracker: where to. tell: is told how many runs with all that is below them are there, and how many there are.
    Returns:
        What was done: first for the whole, then for each member.
    Raises:
        TrackingFailed: as ``mirror``; what was written stays, and the next call goes on from there.
    """
    reports = [mirror_whole(whole, tracker)]
    for folder in members:
        tell(len(reports), len(members) + 1)
        with claimed(folder):
            reports.append(mirror(folder, tracker))
    tell(len(reports), len(members) + 1)
    return reports


def mirror_family_to(
    whole: Whole,
    members: Sequence[RunFolder],
    tracking_uri: str | None = None,
    from_spec: str | None = None,
    tell: Tell = silently,
) -> list[MirrorReport]:
    """``mirror_family`` to MLflow.

    Args:
        whole, members, tell: as there.
        tracking_uri: wins over from_spec, that over MLFLOW_TRACKING_URI, that over an SQLite file beside whole.root.
    """
    tracker = MlflowTracker(choose_store(whole.root.resolve().parent, tracking_uri, from_spec))
    try:
        return mirror_family(whole, members, tracker, tell)
    finally:
        tracker.close()
