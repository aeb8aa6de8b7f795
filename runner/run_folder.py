"""The run folder: the truth about one run, from which everything else can be rebuilt."""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from mmm_core.errors import UserError
from mmm_core.types import FittedModel, ModelProblem
from runner import __version__
from runner.dataset import MediaPanel, panel_from_table
from runner.findings import Finding, as_records, from_records
from runner.model_files import read_model
from runner.problem import assemble_problem
from runner.spec import ExperimentSpec, decode, read_yaml
from runner.studies import Studies, studies_from_table, studies_table
from runner.tables import UNFINISHED, is_whole, read_table, write_json, write_table, write_text

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
# Of the folder of several models: what was asked, and where their run folders are.
PORTFOLIO_FILE, MODELS = "portfolio.json", "models"
VERSIONED = (
    "numpy",
    "scipy",
    "numba",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "nevergrad",
    "prophet",
    "ray",
    "mlflow",
)


class RunFolder:
    """One run on disk. Files appear by atomic rename; ``manifest.json`` says which stages are done."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def _repr_html_(self) -> str:
        from runner.notebook import load_run

        return load_run(self)._repr_html_()

    # -------------------------------------------------------------------------------------------------- open, create

    @classmethod
    def create(
        cls,
        runs: Path,
        spec: ExperimentSpec,
        panel: MediaPanel,
        problem: ModelProblem,
        studies: Studies | None = None,
        *,
        findings: Sequence[Finding] = (),
        tables: Mapping[str, pa.Table] | None = None,
        origin: Mapping[str, Any] | None = None,
        name: str | None = None,
        belongs: Mapping[str, Any] | None = None,
    ) -> RunFolder:
        """A new folder ``<name>-<utc timestamp>-<spec digest>`` with spec, inputs and manifest; all or nothing.

        Args:
            runs: where. spec, panel, problem, studies: what is run. findings: what was noticed about them.
            tables: beside them, by name.
            origin: where models that were not searched for come from; noted in the manifest.
            name: of the folder, where it is known before. belongs: the run of many models that this is one of.

        Raises:
            UserError: the folder of runs cannot be written.
        """
        try:
            runs.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=f".{spec.name}-", dir=runs, ignore_cleanup_errors=True
            ) as scratch:
                draft = cls(Path(scratch) / "run")
                draft._write_inputs(spec, panel, problem, studies, findings, tables or {})
                facts = {**({"origin": dict(origin)} if origin else {}), **(_refresh_facts(spec))}
                facts |= {"portfolio": dict(belongs)} if belongs else {}
                return cls(draft._appear(runs, spec, _manifest(spec, panel, problem, facts), name))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise UserError(
                f"{runs}: the run folder cannot be made ({reason}); make room there, or choose another --runs"
            ) from error

    def _write_inputs(
        self,
        spec: ExperimentSpec,
        panel: MediaPanel,
        problem: ModelProblem,
        studies: Studies | None,
        findings: Sequence[Finding],
        tables: Mapping[str, pa.Table],
    ) -> None:
        text = yaml.safe_dump(spec.resolved(), sort_keys=False, allow_unicode=True)
        write_text(self.path / "spec.yaml", text)
        write_table(self.path / "inputs" / "panel.parquet", panel_table(spec, panel))
        write_table(self.path / "inputs" / "design.parquet", design_table(problem))
        write_json(self.path / "inputs" / "findings.json", as_records(findings))
        if studies is not None:
            table = studies_table(studies, spec.outcome.column)
            write_table(self.path / "inputs" / "studies.parquet", table)
        for name, table in tables.items():
            write_table(self.path / f"{name}.parquet", table)

    def _appear(
        self, runs: Path, spec: ExperimentSpec, manifest: Mapping[str, Any], name: str | None
    ) -> Path:
        def write_id(run_id: str) -> None:
            self.write_manifest({**manifest, "run_id": run_id})

        if name is None:
            return appear(self.path, runs, spec.name, spec.digest, write_id)
        write_id(name)
        return self.path.rename(runs / name)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run folder; UserError when it is none."""
        path = Path(path)
        if not path.is_dir():
            raise UserError(
                f"{path}: there is no such run folder; mmm run prints the path of the one it makes"
            )
        folder = cls(path)
        if is_portfolio_folder(path):
            raise UserError(
                f"{path}: a run of several models, and this is about one; give the run folder of one, "
                f"{a_model_of(path)}"
            )
        for name in ("manifest.json", "spec.yaml", "inputs/panel.parquet", "inputs/design.parquet"):
            if not (path / name).is_file():
                raise UserError(
                    f"{path}: not a run folder, {name} is missing; give a folder that mmm run made"
                )
        try:
            found = folder.manifest().get("format")
        except (ValueError, AttributeError):
            raise UserError(f"{path}: manifest.json is damaged; run the experiment again") from None
        if found != FORMAT:
            raise UserError(
                f"{path}: made in format {found}, this version reads format {FORMAT}; run the experiment again"
            )
        return folder

    # --------------------------------------------------------------------------------------------------------- facts

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    def manifest(self) -> dict[str, Any]:
        """Versions, digests, seeds, machine, status of each stage."""
        manifest: dict[str, Any] = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    @property
    def has_results(self) -> bool:
        """Whether every stage that computes is done, and what it found is told in the summary."""
        return self.manifest()["status"] == "done" and (self.path / "summary.json").is_file()

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest."""
        write_json(self.path / "manifest.json", manifest)

    def set_stage(self, stage: str, status: str, message: str = "") -> None:
        """Note how far a stage is: running, done or failed."""
        manifest = self.manifest()
        manifest["stages"][stage] = {"status": status, **({"message": message} if message else {})}
        self.write_manifest(manifest)

    def set_status(self, status: str) -> None:
        """Note how the run as a whole stands."""
        self.write_manifest({**self.manifest(), "status": status})

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Keep other processes from writing into the folder; the system lets go when this process ends, however.

        Raises:
            UserError: another process is writing into it.
        """
        if sys.platform == "win32":  # which has no such locks
            yield self
            return
        import fcntl

        lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield self
        except BlockingIOError:
            raise UserError(
                f"{self.path}: the run is still going on in another process; wait for it or stop it"
            ) from None
        finally:
            os.close(lock)

    def sweep(self) -> None:
        """Take away what a process that was killed had not finished writing; the folder must be held.

        Not what MLflow's mirror writes: that of the killed process may still be at it.
        """
        for path in self.path.rglob(".*"):
            if UNFINISHED.fullmatch(path.name) and not path.name.startswith(".tracking."):
                path.unlink(missing_ok=True)

    def drop_damaged(self) -> None:
        """Take away tables of candidates without an end, as a loss of power leaves them: their trials are missing."""
        for path in self.path.glob("candidates/*.parquet"):
            if not is_whole(path):
                path.unlink()

    def noticed(self) -> list[Finding]:
        """What was noticed before the first candidate."""
        path = self.path / "inputs" / "findings.json"
        return from_records(self.json("inputs/findings")) if path.is_file() else []

    def spec(self) -> ExperimentSpec:
        """The resolved spec of the run."""
        path = self.path / "spec.yaml"
        return decode(read_yaml(path), str(path))

    def panel(self, spec: ExperimentSpec) -> MediaPanel:
        """The data as read and checked when the run was made."""
        path = self.path / "inputs" / "panel.parquet"
        return panel_from_table(spec, read_table(path).to_pandas(), str(path))

    def problem(self, spec: ExperimentSpec, panel: MediaPanel) -> ModelProblem:
        """The problem of the run, from its design columns: Prophet is not asked again."""
        table = read_table(self.path / "inputs" / "design.parquet")
        columns = [name for name in table.column_names if name not in ("date", "outcome")]
        design = {name: table[name].to_numpy() for name in columns}
        return assemble_problem(spec, panel, design, self.studies(spec, panel))

    def studies(self, spec: ExperimentSpec, panel: MediaPanel) -> Studies | None:
        """The lift studies of the run as they were read and checked; None if it was not calibrated."""
        if spec.calibration is None:
            return None
        table = self.table("inputs/studies").to_pandas()
        return studies_from_table(spec, panel, table, str(self.path / "inputs" / "studies.parquet"))

    def table(self, name: str) -> pa.Table:
        """A table by its path without suffix, such as ``pareto``; UserError when the run has none."""
        path = self.path / f"{name}.parquet"
        if not path.is_file():
            raise UserError(
                f"{self.path}: the run has no {name}.parquet; its stage did not finish, run it again"
            )
        return read_table(path)

    def json(self, name: str) -> Any:
        """A JSON file by its path without suffix, such as ``summary``."""
        return json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))

    def write_findings(self, findings: Sequence[Finding]) -> None:
        """Replace ``findings.json``."""
        write_json(self.path / "findings.json", as_records(findings))

    def selected(self) -> list[str]:
        """Candidates of the selected models, best error score first."""
        clusters = self.table("clusters").to_pylist()
        chosen = [row for row in clusters if row["is_selected"]]
        return [row["candidate"] for row in sorted(chosen, key=lambda row: row["error_score"])]

    def models(self) -> list[FittedModel]:
        """The selected models, best error score first."""
        paths = [self.path / "models" / f"{candidate}.json" for candidate in self.selected()]
        for path in paths:
            if not path.is_file():
                raise UserError(f"{path}: the run has no such model; its stage did not finish, run it again")
        return [read_model(path) for path in paths]


def check_runs(runs: Path) -> None:
    """Refuse, before anything is computed, a place where no run folder can be made.

    Raises:
        UserError: a part of the path is a file, or may not be written.
    """
    existing = next(path for path in (runs.absolute(), *runs.absolute().parents) if _exists(path))
    if not existing.is_dir():
        raise UserError(f"{runs}: {existing} is not a directory; choose another --runs")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{runs}: {existing} cannot be written; choose another --runs")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def appear(draft: Path, runs: Path, name: str, digest: str, write_id: Callable[[str], None]) -> Path:
    """Give a folder its name, by a rename: it is there with all it begins with, or not at all.

    Two runs of one spec in one second wait for the next second: the name is the identity of a run.

    Args:
        draft: the folder. runs: where it is to appear. name, digest: of its spec. write_id: notes its name in it.
    """
    while True:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = runs / f"{name}-{stamp}-{digest[:8]}"
        write_id(path.name)
        try:
            return draft.rename(path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            time.sleep(0.2)


def is_portfolio_folder(path: Path) -> bool:
    """Whether a folder is that of several models, each with a run folder of its own in it."""
    return (path / PORTFOLIO_FILE).is_file() and (path / "manifest.json").is_file()


def a_model_of(portfolio: Path) -> str:
    """In words, where the run folder of one of several models is: an example, where one has begun."""
    first = min((path.parent for path in (portfolio / MODELS).glob("[!.]*/manifest.json")), default=None)
    return f"such as {first}" if first else f"in {portfolio / MODELS}, where none has begun"


def _manifest(
    spec: ExperimentSpec, panel: MediaPanel, problem: ModelProblem, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What a run's manifest says when it begins."""
    return {
        "format": FORMAT,
        "run_id": None,
        "experiment": spec.experiment,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "running",
        "spec_digest": spec.digest,
        "data_digest": panel.digest,
        "problem_digest": problem.digest,
        "seed": spec.search.seed,
        "versions": versions(),
        **git_commit(Path.cwd()),
        "machine": machine(),
        "stages": {},
        **facts,
    }


def _refresh_facts(spec: ExperimentSpec) -> dict[str, Any]:
    return {"refresh": spec.refresh.facts} if spec.refresh else {}


def panel_table(spec: ExperimentSpec, panel: MediaPanel) -> pa.Table:
    """The panel under the data's own column names, so that it can be read like the data."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        spec.data.date: pa.array(panel.dates),
        spec.outcome.column: pa.array(panel.outcome),
        **{name: pa.array(values) for name, values in panel.numeric.items()},
        **{name: pa.array(levels) for name, levels in panel.factors.items()},
    }
    return pa.table(columns)


def design_table(problem: ModelProblem) -> pa.Table:
    """date, outcome and the K design columns before adstock."""
    import pyarrow as pa

    columns = dict(zip(problem.columns, problem.design, strict=True))
    return pa.table({"date": problem.dates, "outcome": problem.outcome, **columns})


def versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    found = {"mmm-runner": __version__, "python": platform.python_version()}
    for package in VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit(folder: Path) -> dict[str, str]:
    """The commit that is checked out where the user works, under ``git_commit``; empty outside of a repository."""
    place = next((path / ".git" for path in (folder, *folder.parents) if (path / ".git").exists()), None)
    try:
        if place is None:
            return {}
        if place.is_file():  # a worktree or a submodule says where its own is
            place = (
                place.parent / place.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            ).resolve()
        shared = place / "commondir"
        common = (place / shared.read_text(encoding="utf-8").strip()).resolve() if shared.is_file() else place
        return {"git_commit": _commit_of((place / "HEAD").read_text(encoding="utf-8").strip(), place, common)}
    except (OSError, UnicodeDecodeError, LookupError):
        return {}


def _commit_of(head: str, place: Path, common: Path) -> str:
    """What HEAD points at; LookupError for a branch without commits."""
    if not head.startswith("ref:"):
        return head
    ref = head.removeprefix("ref:").strip()
    for root in (place, common):
        if (root / ref).is_file():
            return (root / ref).read_text(encoding="utf-8").strip()
    packed = (common / "packed-refs").read_text(encoding="utf-8").splitlines()
    found = [line.split()[0] for line in packed if line.endswith(f" {ref}")]
    return found[0]


def machine() -> dict[str, Any]:
    """What it ran on; nothing that names a person or a host."""
    return {"system": platform.system(), "architecture": platform.machine(), "cpus": os.cpu_count()}
