"""A run as a job of a cluster: the spec and the tables it names, as files that travel, and the command to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cluster.base import BackendError
from cluster.jobs import OUTPUT, PYTHON, Job, JobClient
from cluster.trust import INSECURE
from mmm_core.errors import UserError
from runner.portfolio.spec import TOGETHER, PortfolioSpec
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
    luggage = _Luggage()
    tree = luggage.pack(spec)
    tree["execution"] = _on_the_cluster(spec)
    return _job(spec, spec.name, tree, luggage, folder, output, insecure=insecure)


def portfolio_job_of(
    portfolio: PortfolioSpec, folder: Path, *, output: str | None = None, insecure: bool = False
) -> Job:
    """The job that runs a spec of many models, as ``job_of``; each travels with all that makes it, tables only once."""
    luggage, common = _Luggage(), portfolio.common
    models = []
    for member in portfolio.members:
        tree = luggage.pack(member.spec)
        for key in TOGETHER:
            del tree[key]
        models.append({"name": member.name, "keys": dict(member.keys), "spec": tree})
    whole = {
        "name": portfolio.name,
        "portfolio": portfolio.settings.model_dump(mode="json"),
        "execution": _on_the_cluster(common),
        "tracking": common.tracking.model_dump(mode="json"),
        "models": models,
    }
    return _job(common, portfolio.name, whole, luggage, folder, output, insecure=insecure)


def _on_the_cluster(spec: ExperimentSpec) -> dict[str, Any]:
    return {**spec.execution.model_dump(mode="json"), "backend": "ray", "address": "auto"}


def _job(
    spec: ExperimentSpec,
    name: str,
    tree: dict[str, Any],
    luggage: _Luggage,
    folder: Path,
    output: str | None,
    *,
    insecure: bool,
) -> Job:
    written = folder / "spec.yaml"
    written.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    command = [PYTHON, "-m", "runner.cli", "run", "spec.yaml", "--runs", OUTPUT]
    if not (spec.tracking.uri or "").startswith(_REMOTE_STORES):
        command += ["--set", "tracking.enabled=false"]
    return Job(
        tuple(command),
        {"spec.yaml": written, **luggage.files},
        {"MMM_PROGRESS": "lines", "PYTHONUNBUFFERED": "1", **({INSECURE: "1"} if insecure else {})},
        name,
        output,
    )


class _Luggage:
    """The files that specs name: each once, under the name that it has on the way."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self._packed: dict[str, str] = {}

    def pack(self, spec: ExperimentSpec) -> dict[str, Any]:
        """The spec as plain data, in which files have the names that they have on the way."""
        # Not resolved: defaults that are written out would speak against curves that replace them.
        tree = spec.model_dump(mode="json")
        for entry in file_entries(tree):
            if "://" not in entry["path"]:
                entry["path"] = self._packed.get(entry["path"]) or self._add(entry["path"])
        return tree

    def _add(self, path: str) -> str:
        name = f"files/{len(self._packed)}-{Path(path).name}"
        self.files |= _files(Path(path), name)
        self._packed[path] = name
        return name


def _files(path: Path, name: str) -> dict[str, Path]:
    """A file, a folder of tables, or what is read of a run folder, under the name it gets in the package."""
    if not path.exists():
        raise UserError(f"{path}: there is no such file; correct the path in the spec, or give --data")
    if (path / "manifest.json").is_file():
        return {f"{name}/{part}": path / part for part in _OF_A_RUN if (path / part).exists()}
    return {name: path}
