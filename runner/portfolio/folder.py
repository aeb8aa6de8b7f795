"""The folder of a portfolio: what was asked, a run folder for each model, and what they have in common.

runs/<name>-<utc timestamp>-<digest>/
  portfolio.json    the models and their specs     manifest.json  digest, versions, status
  models/<name>-<model>-<utc timestamp>-<digest>/  a run folder like any other
  summary.parquet  channels.parquet  pooling.parquet  summary.json  timings.json  report/index.html
"""

from __future__ import annotations

import glob
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmm_core.errors import UserError
from runner.portfolio.spec import Member, PortfolioSpec
from runner.run_folder import (
    MODELS,
    PORTFOLIO_FILE,
    RunFolder,
    appear,
    is_portfolio_folder,
    machine,
    versions,
)
from runner.tables import read_table, write_json

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
KIND = "portfolio"


class PortfolioFolder:
    """A portfolio on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # -------------------------------------------------------------------------------------------------- open, create

    @classmethod
    def create(cls, runs: Path, portfolio: PortfolioSpec) -> PortfolioFolder:
        """A new folder with what was asked.

        Raises:
            UserError: the folder of runs cannot be written.
        """
        manifest = {
            "format": FORMAT,
            "kind": KIND,
            "experiment": portfolio.common.experiment,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "status": "running",
            "digest": portfolio.digest,
            "versions": versions(),
            "machine": machine(),
        }
        try:
            runs.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=f".{portfolio.name}-", dir=runs, ignore_cleanup_errors=True
            ) as scratch:
                draft = cls(Path(scratch) / "run")
                draft.models.mkdir(parents=True)
                write_json(draft.path / PORTFOLIO_FILE, portfolio.as_record())
                place = appear(
                    draft.path,
                    runs,
                    portfolio.name,
                    portfolio.digest,
                    lambda run_id: draft.write_manifest({**manifest, "run_id": run_id}),
                )
                return cls(place)
        except OSError as error:
            raise UserError(
                f"{runs}: the run folder cannot be made ({error.strerror}); choose another --runs"
            ) from error

    @classmethod
    def open(cls, path: str | Path) -> PortfolioFolder:
        """An existing portfolio; UserError when it is none."""
        folder = cls(Path(path))
        if not is_portfolio_folder(folder.path):
            raise UserError(
                f"{path}: not a run of several models; give a folder that mmm run made of such a spec"
            )
        try:
            found = folder.manifest().get("format")
        except (ValueError, AttributeError):
            raise UserError(f"{path}: manifest.json is damaged; run the experiment again") from None
        if found != FORMAT:
            raise UserError(
                f"{path}: made in format {found}, this version reads format {FORMAT}; run it again"
            )
        return folder

    # --------------------------------------------------------------------------------------------------------- facts

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def models(self) -> Path:
        """Where the models' run folders are."""
        return self.path / MODELS

    @cached_property
    def spec(self) -> PortfolioSpec:
        """What was asked."""
        return PortfolioSpec.from_record(self.json("portfolio"), self.path / "portfolio.json")

    def json(self, name: str) -> Any:
        """A JSON file by its name without suffix, such as ``summary``."""
        return json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))

    def table(self, name: str) -> pa.Table:
        """A table by its name without suffix, such as ``channels``."""
        return read_table(self.path / f"{name}.parquet")

    def manifest(self) -> dict[str, Any]:
        """Digest, versions, machine, status."""
        manifest: dict[str, Any] = self.json("manifest")
        return manifest

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest."""
        write_json(self.path / "manifest.json", manifest)

    def set_status(self, status: str) -> None:
        """Note how the whole stands."""
        self.write_manifest({**self.manifest(), "status": status})

    @contextmanager
    def held(self) -> Iterator[None]:
        """As ``RunFolder.held``."""
        with RunFolder(self.path).held():
            yield

    # -------------------------------------------------------------------------------------------------------- models

    def belongs(self, member: Member) -> dict[str, Any]:
        """What a model's manifest says of the whole."""
        return {"run": self.run_id, "model": member.name, "keys": dict(member.keys)}

    def name_of(self, member: Member, digest: str) -> str:
        """Name of a model's run folder; its time is that of the whole, so that it is known before."""
        stamp = self.run_id.rsplit("-", 2)[1]
        return f"{member.spec.name}-{stamp}-{digest[:8]}"

    def begun(self, member: Member) -> RunFolder | None:
        """The run folder of a model that was begun, or finished."""
        found = sorted(self.models.glob(f"{glob.escape(self.name_of(member, ''))}????????/manifest.json"))
        return RunFolder(found[0].parent) if found else None

    @property
    def is_whole(self) -> bool:
        """Whether every model is finished and the summary of all is written."""
        done = self.manifest()["status"] == "done" and (self.path / "summary.json").is_file()
        return done and all(self.finished(member) is not None for member in self.spec.members)

    def finished(self, member: Member) -> RunFolder | None:
        """The run folder of a model that is finished."""
        folder = self.begun(member)
        return folder if folder is not None and folder.has_results else None
