"""A run as a job of a cluster: the spec and the tables it names, as files that travel, and the command to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from cluster.base import BackendError
from cluster.jobs import OUTPUT, PYTHON, Job, JobClient
from cluster.trust import INSECURE
from mmm_core.errors import UserError
from runner.spec import ExperimentSpec
from runner.spec.experiment import file_entries

# Of a run folder that a search starts from, what is read.
_OF_A_RUN = ("manifest.json", "spec.yaml", "clusters.parquet", "inputs", "models")
# Stores that a cluster can reach; anything else is a file on this machine.
_REMOTE_STORES = ("http://", "https://", "postgresql", "mysql", "mssql", "databricks")


@contextmanager
def user_errors() -> Iterator[None]:
    """What a job server, a network or an archive does not do, as the user's one sentence."""
    try:
        yield
    except BackendError as error:
        raise UserError(str(error)) from error


def connect(address: str, *, insecure: bool = False) -> JobClient:
    """The job server at an address such as http://127.0.0.1:8265; UserError where there is none to be trusted."""
    with user_errors():
        return JobClient(address, allow_open=insecure)


def job_of(spec: ExperimentSpec, folder: Path, *, output: str | None = None, insecure: bool = False) -> Job:
    """The job that runs a spec, with the files it needs and no others.

    Tracking travels only to a store that the cluster can reach; a file beside the runs is filled by ``mmm track`` once
    the run is home.

    Args:
        spec: as decoded, its paths absolute. folder: an empty one, for the spec that travels; needed until the job is
            submitted. output: URI for the run folder. insecure: the user insists on a cluster that asks for no token.
    Raises:
        UserError: a table is not there.
    """
    # Not resolved: defaults that are written out would speak against curves that replace them.
    tree = spec.model_dump(mode="json")
    files: dict[str, Path] = {}
    for number, entry in enumerate(file_entries(tree)):
        path = Path(entry["path"])
        if "://" not in entry["path"]:
            name = f"files/{number}-{path.name}"
            files |= _files(path, name)
            entry["path"] = name
    tree["execution"] |= {"backend": "ray", "address": "auto"}
    written = folder / "spec.yaml"
    written.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    command = [PYTHON, "-m", "runner.cli", "run", "spec.yaml", "--runs", OUTPUT]
    if not (spec.tracking.uri or "").startswith(_REMOTE_STORES):
        command += ["--set", "tracking.enabled=false"]
    return Job(
        tuple(command),
        {"spec.yaml": written, **files},
        {"MMM_PROGRESS": "lines", "PYTHONUNBUFFERED": "1", **({INSECURE: "1"} if insecure else {})},
        spec.name,
        output,
    )


def _files(path: Path, name: str) -> dict[str, Path]:
    """A file, a folder of tables, or what is read of a run folder, under the name it gets in the package."""
    if not path.exists():
        raise UserError(f"{path}: there is no such file; correct the path in the spec, or give --data")
    if (path / "manifest.json").is_file():
        return {f"{name}/{part}": path / part for part in _OF_A_RUN if (path / part).exists()}
    return {name: path}
