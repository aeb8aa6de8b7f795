"""Models brought along: every stage after the search takes them as it takes those of a search."""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core.errors import UserError
from runner.given import Given, selection_of
from runner.journal import batch_from_table, read_trials
from runner.select import clusters_table, convergence_table, pareto_table


@pytest.fixture(name="searched")
def a_run_and_three_of_its_candidates(small_run):
    spec = small_run.spec()
    problem = small_run.problem(spec, small_run.panel(spec))
    batch = batch_from_table(problem, read_trials(small_run.path, 2))
    return small_run, spec, problem, batch[np.array([4, 100, 7])]


def test_all_are_selected_best_error_score_first(searched):
    _, spec, problem, batch = searched
    selection = selection_of(spec, problem, batch, [(1, 5), (2, 11), (1, 8)])
    assert sorted(model.candidate for model in selection.models) == ["1_5", "1_8", "2_11"]
    scores = [facts["error_score"] for facts in selection.facts]
    assert scores == sorted(scores)
    for row, model in enumerate(selection.models):
        np.testing.assert_array_equal(selection.batch.coefs[row], model.coefs)
    assert {facts["cluster"] for facts in selection.facts} == {1}


def test_tables_have_the_columns_of_a_search(searched):
    folder, spec, problem, batch = searched
    selection = selection_of(spec, problem, batch, [(1, 5), (2, 11), (1, 8)])
    for name, table in (
        ("convergence", convergence_table(selection)),
        ("pareto", pareto_table(selection)),
        ("clusters", clusters_table(selection)),
    ):
        assert table.column_names == folder.table(name).column_names
    assert convergence_table(selection).num_rows == 0
    assert pareto_table(selection)["front"].to_pylist() == [1, 1, 1]
    assert clusters_table(selection)["is_selected"].to_pylist() == [True] * 3


def test_candidates_are_written_trial_by_trial(searched, tmp_path):
    folder, spec, problem, batch = searched
    for path in (folder.path / "candidates").iterdir():
        path.unlink()
    given = Given(batch, ((1, 5), (2, 11), (1, 8)))
    given.check(spec, problem)
    pool = given.make(spec, problem, None, folder, None)
    assert pool.labels(np.arange(3)) == [(1, 5), (1, 8), (2, 11)]
    table = read_trials(folder.path, 2)
    assert table["candidate"].to_pylist() == ["1_5", "1_8", "2_11"]
    np.testing.assert_array_equal(batch_from_table(problem, table).coefs, batch.coefs[[0, 2, 1]])
    selection = given.select(spec, problem, pool)
    labelled = {model.candidate: model.coefs for model in selection.models}
    np.testing.assert_array_equal(labelled["2_11"], batch.coefs[1])


@pytest.mark.parametrize("labels", [((1, 1), (1, 1), (1, 2)), ((1, 1), (1, 2)), ((1, 1), (1, 2), (1, -1))])
def test_labels_that_do_not_name_each_model_are_refused(searched, labels):
    _, spec, problem, batch = searched
    with pytest.raises(UserError):
        Given(batch, labels).check(spec, problem)
