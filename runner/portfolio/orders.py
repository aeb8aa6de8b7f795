"""One model's data, read and checked where the files are, ready to travel to where the work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmm_core.features import Holiday
from runner.baseline import check_baseline, folded_holidays
from runner.dataset import MediaPanel, load_panel
from runner.findings import Finding
from runner.orchestrate import Prepared
from runner.portfolio.spec import Member, PortfolioSpec
from runner.problem import build_problem, check_panel_rows
from runner.resolve import resolve
from runner.scenarios import check_scenarios
from runner.spec import ExperimentSpec
from runner.studies import Studies, load_studies

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Order:
    """All that one model needs, no file among it.

    Attributes:
        member: the model's name and keys. spec: resolved. panel, studies, holidays: its data.
        folder: name of its run folder. has_report: whether it gets one.
        belongs: the run that it is part of, for its manifest.
        findings, tables: what was noticed on the way, and tables of that.
    """

    member: Member
    spec: ExperimentSpec
    panel: MediaPanel
    studies: Studies | None
    holidays: Sequence[Holiday]
    folder: str
    has_report: bool
    belongs: Mapping[str, Any]
    findings: Sequence[Finding] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)

    def prepared(self) -> Prepared:
        """The problem, with its baseline fitted; this is the part that takes time.

        Raises:
            UserError: the data allow no such model.
        """
        problem, noticed = build_problem(self.spec, self.panel, self.studies, self.holidays)
        findings = [*self.findings, *noticed]
        return Prepared(self.spec, self.panel, self.studies, problem, findings, self.tables)


def order_of(member: Member, portfolio: PortfolioSpec, folder: str, belongs: Mapping[str, Any]) -> Order:
    """Read and check what one model is made of.

    Args:
        member: the model. portfolio: what it is part of. folder: name of its run folder.
        belongs: the run that it is part of.
    Raises:
        UserError: its data cannot be used; others are not concerned.
    """
    panel = load_panel(member.spec, portfolio.read)
    resolved = resolve(member.spec, panel)
    spec = resolved.spec
    check_panel_rows(spec, panel)
    studies = load_studies(spec, panel)
    check_scenarios(spec, panel)
    check_baseline(spec, panel)
    return Order(
        member,
        spec,
        panel,
        studies,
        folded_holidays(spec, panel),
        folder,
        portfolio.settings.reports == "all",
        belongs,
        [*panel.findings, *resolved.findings],
        resolved.tables,
    )
