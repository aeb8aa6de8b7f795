"""``mmm logs JOB``: what a job printed, and what it prints until it ends."""

from __future__ import annotations

from collections.abc import Callable

from cluster.jobs import JobState
from runner.submission import connect, user_errors


def run(
    address: str, job: str, *, follow: bool = True, insecure: bool = False, write: Callable[[str], None]
) -> JobState:
    """Write the log of a job as it comes; returns how the job stands afterwards.

    Args:
        address: of the job server. job: its id. follow: wait for more until the job ends.
        insecure: as in ``submit``. write: takes text, with its line breaks.
    Raises:
        UserError: no such job or cluster.
    """
    client = connect(address, insecure=insecure)
    with user_errors():
        for text in client.logs(job, follow=follow):
            write(text)
        return client.state(job)
