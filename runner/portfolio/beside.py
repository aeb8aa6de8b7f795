"""MLflow shows a portfolio: a run for the whole, and below it one for each model.

It is filled by a process beside this one, which is waited for a while and then left to go on alone, as that of a
single run is; ``mmm track`` does the same at any time, and twice it changes nothing. How far it is stands in
``tracking.json``.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from runner.portfolio.folder import PortfolioFolder
from runner.run_folder import RunFolder
from runner.tracking.base import Tracker, TrackingFailed
from runner.tracking.beside import (
    Standing,
    State,
    be_humble,
    read_standing,
    seconds_to_wait,
    write_standing,
)
from runner.tracking.family import Whole, mirror_family, mirror_whole
from runner.tracking.mirror import Mirroring, MirrorReport, alone, report_of
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from runner.tracking.writing import Tell, silently

FILES = ("summary.parquet", "channels.parquet", "pooling.parquet", "summary.json", "report/index.html")


def bring_to_mlflow(folder: PortfolioFolder, tracking_uri: str | None, taken: float) -> None:
    """Have MLflow filled, and wait for it as long as a run of ``taken`` seconds does; never fails."""
    if not folder.spec.common.tracking.enabled:
        return
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    write_standing(RunFolder(folder.path), _standing(folder, tracking_uri, State.WAITING))
    with suppress(OSError):
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder.path.resolve()), json.dumps(tracking_uri)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"},
            process_group=0,
        )
        wait = seconds_to_wait(taken)
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(wait if math.isfinite(wait) else None)
            _note_early_end(folder)


def _note_early_end(folder: PortfolioFolder) -> None:
    """The process has ended; where it did not say how, it was stopped by something else."""
    place = RunFolder(folder.path)
    standing = read_standing(place)
    if standing is None or standing.state in (State.WAITING, State.WRITING):
        found = standing or _standing(folder, None, State.WAITING)
        message = "the process that writes it ended early"
        write_standing(place, replace(found, state=State.FAILED, message=message))


def mirror_portfolio(
    folder: PortfolioFolder, tracking_uri: str | None = None, tell: Tell = silently
) -> MirrorReport:
    """Bring MLflow to the state of a portfolio and of its models.

    Args:
        folder: read only. tracking_uri: as of ``mirror_to``. tell: how many runs are there, and of how many.
    Returns:
        What was written over all of them.
    Raises:
        TrackingFailed: there is no MLflow there, or it failed; what was written stays.
    """
    store = choose_store(folder.path.resolve().parent, tracking_uri, folder.spec.common.tracking.uri)
    tracker = MlflowTracker(store)
    try:
        return bring_portfolio(folder, tracker, tell)
    finally:
        tracker.close()


def bring_portfolio(folder: PortfolioFolder, tracker: Tracker, tell: Tell = silently) -> MirrorReport:
    """``mirror_portfolio`` to any tracker."""
    spec = folder.spec
    runs = [run for member in spec.members if (run := folder.finished(member)) is not None]
    if spec.settings.tracking == "all":
        return _joined(folder, mirror_family(whole_of(folder), runs, tracker, tell))
    reports = [mirror_whole(whole_of(folder), tracker)]
    for run in runs:
        tell(len(reports), len(runs) + 1)
        reports.append(_bring_brief(run, tracker))
    return _joined(folder, reports)


def _bring_brief(run: RunFolder, tracker: Tracker) -> MirrorReport:
    with alone(run):
        mirroring = Mirroring(run, tracker)
        mirroring.bring_brief()
    return report_of(mirroring, mirroring.spec.experiment)


def _joined(folder: PortfolioFolder, reports: Sequence[MirrorReport]) -> MirrorReport:
    return MirrorReport(
        store=reports[0].store,
        experiment=reports[0].experiment,
        run_id=folder.run_id,
        written=tuple(name for report in reports for name in report.written),
        renewed=tuple(name for report in reports for name in report.renewed),
        unchanged=tuple(name for report in reports for name in report.unchanged),
        deleted=sum(report.deleted for report in reports),
        points=sum(report.points for report in reports),
    )


def whole_of(folder: PortfolioFolder) -> Whole:
    """The run of all, its numbers and files."""
    summary, manifest = folder.json("summary"), folder.manifest()
    counts = summary["models"]
    metrics: dict[str, float | None] = {
        f"models_{status}": float(counts.get(status, 0)) for status in ("done", "failed", "missing")
    }
    for row in summary["pooling"]:
        metrics[f"{row['metric']}_{row['channel']}"] = row["mean"]
        metrics[f"tau_{row['channel']}"] = row["tau"]
    failed = "".join(f"\n\n- `{one['model']}`: {one['message']}" for one in summary["failures"])
    return Whole(
        run_id=folder.run_id,
        created=manifest["created"],
        experiment=folder.spec.common.experiment,
        root=folder.path,
        files=[name for name in FILES if (folder.path / name).is_file()],
        params={"models": str(counts["total"]), "pooling": folder.spec.settings.pooling},
        metrics=metrics,
        note=f"{counts.get('done', 0)} of {counts['total']} models are done."
        + (f" Failed:{failed}" if failed else ""),
        seconds=summary["seconds"] or 0.0,
    )


# --------------------------------------------------------------------------------------------------- the process itself


def _standing(folder: PortfolioFolder, tracking_uri: str | None, state: State) -> Standing:
    standing = Standing(state, experiment=folder.spec.common.experiment)
    with suppress(TrackingFailed):
        runs = folder.path.resolve().parent
        store = choose_store(runs, tracking_uri, folder.spec.common.tracking.uri)
        standing = replace(standing, store=store.shown)
    return standing


def main() -> None:
    """Fill MLflow, and leave how it ended in the folder."""
    folder, tracking_uri = PortfolioFolder.open(sys.argv[1]), json.loads(sys.argv[2])
    be_humble()
    place = RunFolder(folder.path)
    standing = _standing(folder, tracking_uri, State.WRITING)
    try:
        mirror_portfolio(
            folder,
            tracking_uri,
            lambda done, total: write_standing(place, replace(standing, done=done, total=total)),
        )
    except Exception as error:  # noqa: BLE001 - nobody reads a trace here
        reason = str(error) if isinstance(error, TrackingFailed) else f"{type(error).__name__}: {error}"
        write_standing(place, replace(standing, state=State.FAILED, message=reason))
    else:
        write_standing(place, replace(standing, state=State.DONE))


if __name__ == "__main__":
    main()
