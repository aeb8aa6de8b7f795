"""The benchmarks' own bookkeeping: rows, files, comparisons; nothing here is timed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from mmm_core.evaluate import evaluate_candidates
from tests.benchmarks import bench, mirrors, parts, peers
from tests.benchmarks.numpy_way import numpy_losses
from tests.benchmarks.timing import (
    absent,
    agreement,
    cells,
    change,
    difference,
    markdown,
    print_table,
    read_rows,
    row,
    seconds_of,
    write_rows,
)
from tests.reference.problems import random_hyperparameters, random_problem


def example():
    return row("group", "panel", "way", "µs per candidate", [2e-6, 1e-6, 3e-6], check="equal")


def test_a_row_holds_median_and_spread_per_unit_and_its_time_in_that_of_the_reference():
    slow = row("g", "panel", "slow", "ms per draw", [0.4, 0.2, 0.6], n=2)
    fast = row("g", "panel", "fast", "ms per draw", [0.04, 0.02, 0.06], n=2, reference=slow)
    assert (slow.median, slow.low, slow.high) == (200, 100, 300)
    assert fast.ratio == pytest.approx(0.1)
    assert fast.reference == "slow"
    assert row("g", "other", "fast", "s", [1.0], reference=slow).reference == "panel, slow"


def test_rows_come_back_from_their_file(tmp_path):
    rows = [example(), absent("peers", "demo", "R Robyn", "s", "not installed")]
    path = tmp_path / "bench.json"
    write_rows(path, rows, "command")
    assert read_rows(path) == rows
    assert json.loads(path.read_text())["command"] == "command"


def test_a_file_of_another_format_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"rows": []}))
    with pytest.raises(SystemExit, match="run it again with --json"):
        read_rows(path)


def test_a_change_is_named_only_beyond_the_noise():
    assert change(replace(example(), median=2.1), example()) == "1.05, same"
    before = example()
    assert change(replace(before, median=before.median * 0.5), before) == "0.50, faster"
    assert change(replace(before, median=before.median * 2), before) == "2.00, slower"
    assert change(before, None) == ""
    assert change(absent("g", "panel", "way", "s", "not installed"), before) == ""


def test_differences_are_relative_and_infinities_and_gaps_must_agree():
    assert difference([1.0, np.inf, np.nan], [1.0, np.inf, np.nan]) == 0
    assert difference([1.0, 2.2], [1.0, 2.0]) == pytest.approx(0.1)
    assert difference([np.inf], [1.0]) == np.inf
    assert agreement("losses", [1.0], [1.0], "NumPy") == "losses of NumPy, equal"
    assert agreement("losses", [2.0], [1.0], "NumPy") == "losses of NumPy to 1e+00"


def test_tables_show_every_row(capsys):
    rows = [example(), absent("peers", "demo", "R Robyn", "s", "not installed")]
    print_table(rows, [example()])
    shown = capsys.readouterr().out
    assert "not installed" in shown
    assert "same" in shown
    assert markdown(rows).count("\n") == 3
    assert cells(rows[1])[-2] == "not installed"


def test_actions_are_repeated_once_more_than_counted():
    calls = []
    assert len(seconds_of(lambda: calls.append(1), 3)) == 3
    assert len(calls) == 4


def test_the_numpy_way_gives_the_losses_of_the_kernel():
    problem = random_problem(1)
    points = random_hyperparameters(problem, 1, 3)
    assert difference(numpy_losses(problem, points), bench.kernel_losses(problem, points)) < 1e-12


def test_the_steps_leave_the_coefficients_of_the_whole():
    problem = random_problem(1)
    points = random_hyperparameters(problem, 1, 2)
    steps = parts.Steps(problem, points)
    steps.run(1)
    np.testing.assert_array_equal(steps.coef, evaluate_candidates(problem, points).coefs[1])


def test_one_group_is_measured_stored_and_compared(tmp_path, monkeypatch, capsys):
    path = str(tmp_path / "bench.json")
    monkeypatch.setitem(bench.GROUPS, "solver", lambda repeats: iter([example()]))
    for further in (["--json", path], ["--compare", path, "--json", path]):
        monkeypatch.setattr(sys, "argv", ["bench", "--only", "solver", *further])
        bench.main()
    assert "1.00, same" in capsys.readouterr().out


def test_both_ways_into_mlflow_are_timed_and_leave_the_same(monkeypatch):
    monkeypatch.setattr(mirrors, "POINTS", 30)
    monkeypatch.setattr(mirrors, "RUNS", 2)
    found = list(mirrors.rows(1))
    assert [one.way for one in found] == [*mirrors.WAYS, *mirrors.WAYS]
    assert {one.check for one in found[1::2]} == {"equal in every row of the store"}
    assert [one.ratio is None for one in found] == [True, False] * 2


def test_a_peer_that_fails_has_a_row_that_says_why():
    program = "import sys; print('seconds', 2.0); sys.exit('it broke')"
    assert peers.timed("peer", [sys.executable, "-c", program]).check == "failed: it broke"
    entry = peers.timed("peer", [sys.executable, "-c", "print('seconds', 2.0)"])
    assert entry.median == pytest.approx(2e6 / peers.ITERATIONS)
