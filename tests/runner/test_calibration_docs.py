"""What docs/calibration.md shows: every example table is read as it says, and the snippet for GeoX writes one."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from mmm_core.types import Scope
from runner.dataset import load_panel
from runner.spec import load_spec
from runner.studies import load_studies

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
TABLES = re.findall(r"```csv\n(.*?)```", TEXT, flags=re.DOTALL)
# Of each example: its format, and the findings beside those on the format.
EXPECTED = [
    ("neutral", []),
    ("robyn", []),
    (
        "geolift",
        ["study-columns", "study-columns-unused", "study-interval-rescaled", "study-interval-rescaled"],
    ),
    ("meridian", ["study-columns", "study-columns-unused"]),
    ("meridian", ["study-columns", "study-stated-for-market"]),
]
NEUTRAL = {"tv": 1_430_274, "search": 776_783, "ooh": 600_867, "social+print": 684_246}


@dataclasses.dataclass
class Estimate:
    """As meridian_geox 1.0 has it."""

    point_estimate: float
    lower_bound: float
    upper_bound: float
    standard_deviation: float
    p_value: float


def read(path):
    spec = load_spec(ROOT / "experiments" / "quickstart.yaml", overrides=[f"calibration={path}"])
    return load_studies(spec, load_panel(spec))


def test_all_examples_are_expected():
    assert len(TABLES) == len(EXPECTED)


@pytest.mark.parametrize("example", range(len(EXPECTED)))
def test_an_example_is_read_as_the_page_says(example, tmp_path):
    (tmp_path / "studies.csv").write_text(TABLES[example])
    studies = read(tmp_path / "studies.csv")
    taken, cases = EXPECTED[example]
    assert f"calibration.format: {taken}" in studies.findings[0].details
    assert [finding.case for finding in studies.findings[1:]] == cases
    for record in studies.records:
        assert record.study.estimate == pytest.approx(NEUTRAL[record.channel], rel=1e-3)
        if taken != "robyn":  # whose table knows no interval
            assert record.study.standard_error == pytest.approx(0.14 * record.study.estimate, rel=0.3)
        if taken in ("geolift", "meridian"):
            assert record.study.scope is Scope.IMMEDIATE


def test_the_snippet_for_geox_writes_what_is_read(tmp_path, monkeypatch):
    (snippet,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    lift = Estimate(776783.0, 623001.0, 930566.0, 93492.0, 0.002)
    config = SimpleNamespace(
        analysis_start_date=datetime.fromisoformat("2023-01-02"),
        analysis_end_date=datetime.fromisoformat("2023-02-12"),
        alpha=None,
    )
    metrics = SimpleNamespace(lift=lift, icpd=Estimate(3.718, 2.982, 4.454, 0.447, 0.002))
    monkeypatch.chdir(tmp_path)
    exec(snippet, {"result": SimpleNamespace(analysis_config=config, results={"cell_1": metrics})})
    (record,) = read(tmp_path / "geox.csv").records
    assert (record.lower, record.upper, record.level) == (623001, 930566, 0.9)
    shown = pd.read_csv(tmp_path / "geox.csv").columns.tolist()
    assert shown == TABLES[3].splitlines()[0].split(",")


def test_every_case_of_the_page_is_one_of_the_code_and_the_other_way_round():
    code = "\n".join(p.read_text() for p in sorted((ROOT / "runner" / "studies").glob("*.py")))
    written = set(re.findall(r'"(study-[a-z-]+)"', code))
    page = set(re.findall(r"`(study-[a-z-]+)`", TEXT))
    assert page == written
