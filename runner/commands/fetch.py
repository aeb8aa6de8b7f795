"""``mmm fetch JOB``: bring the run folder of a job home."""

from __future__ import annotations

from pathlib import Path

from mmm_core.errors import UserError
from runner.portfolio import PortfolioFolder
from runner.run_folder import RunFolder, check_runs, is_portfolio_folder
from runner.submission import connect, user_errors


def run(
    address: str, job: str, *, runs: str | Path = "runs", insecure: bool = False
) -> RunFolder | PortfolioFolder:
    """Put the run folder of a job that has ended beside the runs made here.

    Args:
        address: of the job server. job: its id. runs: folder of run folders. insecure: as in ``submit``.
    Raises:
        UserError: the job still runs, made no run folder, or one of its name is here already.
    """
    runs = Path(runs)
    check_runs(runs)
    client = connect(address, insecure=insecure)
    with user_errors():
        found = client.fetch(job, runs)
    folders = [path for path in found if (path / "manifest.json").is_file()]
    if len(folders) != 1:
        raise UserError(f"job {job} made no run folder; mmm logs {job} tells why")
    return PortfolioFolder.open(folders[0]) if is_portfolio_folder(folders[0]) else RunFolder.open(folders[0])
