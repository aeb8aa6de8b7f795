"""Lift studies of the user's: read from what their tools write, checked against spec and panel, held against models.

records   one study, and all of them ready for a problem
sources   a table or JSON file, and sentences about its cells     adapting   what the adapters share
neutral   the one table that everything becomes                   noticing   what is odd about a study that can be used
robyn, geolift, meridian   tables of other tools, made neutral    formats    which of them a file is
results   what models predict for them

``docs/calibration.md`` describes the columns of every format.
"""

from runner.studies.formats import load_studies
from runner.studies.neutral import studies_from_table
from runner.studies.records import Studies, StudyRecord, period_ends
from runner.studies.results import calibration_table, diagnose_studies, studies_table
from runner.studies.robyn import robyn_calibration

__all__ = [
    "Studies",
    "StudyRecord",
    "calibration_table",
    "diagnose_studies",
    "load_studies",
    "period_ends",
    "robyn_calibration",
    "studies_from_table",
    "studies_table",
]
