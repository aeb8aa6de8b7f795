"""Where the candidates of a run come from, and which of them become models: a search, or models that are given."""

from __future__ import annotations

from typing import Protocol

from cluster.base import Backend
from mmm_core.types import ModelProblem
from runner.pool import Pool
from runner.progress import Progress
from runner.run_folder import RunFolder
from runner.search.engine import check_search, search, search_job
from runner.select import Selection, select
from runner.spec import ExperimentSpec


class Candidates(Protocol):
    """The part of a run that differs between a search and models brought along; all stages after it are the same."""

    def check(self, spec: ExperimentSpec, problem: ModelProblem) -> None:
        """UserError, before anything is written, if this cannot work."""
        ...

    def make(
        self,
        spec: ExperimentSpec,
        problem: ModelProblem,
        backend: Backend,
        folder: RunFolder,
        progress: Progress,
    ) -> Pool:
        """The evaluated candidates; their tables are written."""
        ...

    def select(self, spec: ExperimentSpec, problem: ModelProblem, pool: Pool) -> Selection:
        """The models among them."""
        ...


class Searched:
    """Candidates of a search over the backend, models from its Pareto fronts."""

    def check(self, spec: ExperimentSpec, problem: ModelProblem) -> None:
        """The optimizer must work here."""
        check_search(search_job(spec, problem))

    def make(
        self,
        spec: ExperimentSpec,
        problem: ModelProblem,
        backend: Backend,
        folder: RunFolder,
        progress: Progress,
    ) -> Pool:
        """See ``search``."""
        return search(backend, search_job(spec, problem), spec.search.trials, folder, progress)

    def select(self, spec: ExperimentSpec, problem: ModelProblem, pool: Pool) -> Selection:
        """See ``select.select``."""
        return select(spec, problem, pool)
