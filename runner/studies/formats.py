"""Which tool a file of lift studies comes from: as the spec says, or by its columns, which is said in a finding."""

from __future__ import annotations

from pathlib import PurePath

from mmm_core.errors import UserError
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.spec import ExperimentSpec
from runner.studies import geolift, meridian, neutral, robyn
from runner.studies.adapting import Adapted, plain
from runner.studies.records import Studies
from runner.studies.sources import StudySource, read_studies_file

NEUTRAL, ROBYN, GEOLIFT, MERIDIAN = "neutral", "robyn", "geolift", "meridian"
IN_WORDS = {
    NEUTRAL: "the neutral table",
    ROBYN: "Robyn's calibration_input",
    GEOLIFT: geolift.TOOL,
    MERIDIAN: meridian.TOOL,
}


def load_studies(spec: ExperimentSpec, panel: MediaPanel) -> Studies | None:
    """Read and check the studies that the spec names, in whatever format; None where it names none.

    Raises:
        UserError: the first thing wrong with them, in one sentence.
    """
    if spec.calibration is None:
        return None
    path = spec.calibration.path
    source = StudySource.of(path, read_studies_file(path))
    asked = spec.calibration.format
    taken = recognised(source) if asked == "auto" else asked
    adapted = _adapt(taken, source, spec, panel)
    made = StudySource(path, adapted.table, source.rows, names=adapted.names)
    studies = neutral.studies_of_source(spec, panel, made)
    told = [] if asked != "auto" else [_recognised_as(path, taken)]
    return Studies(studies.records, studies.arrays, (*told, *adapted.findings, *studies.findings))


def recognised(source: StudySource) -> str:
    """The format that a table's columns are those of; the neutral one where they are of none.

    Raises:
        UserError: they are those of several.
    """
    names = [str(c) for c in source.table.columns]
    spelt = [plain(name) for name in names]
    if "liftAbs" in names:
        return ROBYN
    marks = {
        NEUTRAL: set(neutral.REQUIRED) <= set(names),
        GEOLIFT: any(name in geolift.SPELLINGS["incremental effect"] for name in spelt)
        and any(name in geolift.MARKS for name in spelt),
        MERIDIAN: any(name in meridian.MARKS for name in spelt),
    }
    found = [name for name, has in marks.items() if has]
    if len(found) > 1:
        told = " and ".join(IN_WORDS[name] for name in found)
        raise UserError(
            f"{source.path}: its columns are those of {told}; set calibration.format to one of them"
        )
    return found[0] if found else NEUTRAL


def _adapt(taken: str, source: StudySource, spec: ExperimentSpec, panel: MediaPanel) -> Adapted:
    if taken == ROBYN:
        return robyn.adapt_robyn(source, spec)
    if taken == GEOLIFT:
        return geolift.adapt_geolift(source, spec)
    if taken == MERIDIAN:
        return meridian.adapt_meridian(source, spec, panel)
    return Adapted(source.table, {}, ())


def _recognised_as(path: str, taken: str) -> Finding:
    details = (
        f"By its columns {PurePath(path).name} was taken for {IN_WORDS[taken]} (calibration.format: {taken})."
    )
    return Finding("study-format", Severity.INFO, details)
