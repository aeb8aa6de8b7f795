"""The record of every candidate: columns named as everywhere, values back to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import FIT_STATUSES, LOSS_COLUMNS, CandidateBatch, FitStatus, OutcomeKind
from runner.journal import (
    TrialEncoder,
    batch_from_table,
    candidate_columns,
    candidate_label,
    candidates_table,
    efficiencies,
    model_from_batch,
    read_trials,
    trial_file,
    trial_path,
    write_trial,
)
from runner.pool import Pool
from tests.reference.problems import random_hyperparameters, random_problem

ARRAYS = ("hyperparameters", "penalty", "losses", "coefs", "contributions", "effect_shares", "statuses")


def evaluated(n: int = 6, **keys):
    problem = random_problem(3, **keys)
    return problem, evaluate_candidates(problem, random_hyperparameters(problem, 3, n))


def assert_equal(left: CandidateBatch, right: CandidateBatch) -> None:
    for name in ARRAYS:
        assert getattr(left, name).tobytes() == getattr(right, name).tobytes(), name


def test_columns_are_those_of_the_architecture():
    problem, batch = evaluated()
    table = candidates_table(problem, batch, [1] * 6, range(1, 7))
    facts = ["trial", "iteration", "candidate", "status"]
    hyperparameters = list(problem.hyperparameter_names)
    coefs = [f"coef_{c}" for c in problem.columns]
    contributions = [f"contribution_{c}" for c in problem.columns]
    paid = [f"{q}_{c}" for c in problem.paid for q in ("effect_share", "spend_share", "roas")]
    expected = [*facts, *hyperparameters, "lambda", *LOSS_COLUMNS, *coefs, *contributions, *paid]
    assert table.column_names == expected
    assert candidate_columns(problem) == expected[4:]
    assert table["candidate"].to_pylist()[2] == candidate_label(1, 3) == "1_3"
    assert table["status"].to_pylist() == ["ok"] * 6


def test_a_table_reads_back_to_the_last_bit(tmp_path):
    problem, batch = evaluated()
    for trial in (2, 1):
        write_trial(tmp_path, problem, trial, batch)
    assert sorted(path.name for path in (tmp_path / "candidates").iterdir()) == [
        "trial-01.parquet",
        "trial-02.parquet",
    ]
    table = read_trials(tmp_path, 2)
    assert table["candidate"].to_pylist()[5:7] == ["1_6", "2_1"]
    assert_equal(batch_from_table(problem, table.slice(6)), batch)
    assert trial_path(tmp_path, 120).name == "trial-120.parquet"


def test_candidates_without_any_effect_are_kept_as_they_are():
    problem, batch = evaluated()
    none = len(problem.columns) - len(problem.media)
    coefs, contributions = batch.coefs.copy(), batch.contributions.copy()
    coefs[0, none:], contributions[0, none:] = 0.0, 0.0
    losses, statuses = batch.losses.copy(), batch.statuses.copy()
    losses[0, LOSS_COLUMNS.index("decomp_rssd")] = np.inf
    losses[0, LOSS_COLUMNS.index("nrmse_test")] = np.nan
    statuses[0] = FIT_STATUSES.index(FitStatus.ALL_MEDIA_ZERO)
    silent = CandidateBatch(
        batch.hyperparameters, batch.penalty, losses, coefs, contributions, batch.effect_shares, statuses
    )
    table = candidates_table(problem, silent, [1] * 6, range(1, 7))
    assert table["status"].to_pylist()[:2] == ["all_media_zero", "ok"]
    assert table["decomp_rssd"].to_pylist()[0] == np.inf
    assert_equal(batch_from_table(problem, table), silent)


def test_revenue_has_roas_and_conversions_have_cpa():
    problem, batch = evaluated()
    paid = batch.contributions[:, problem.first_media : problem.first_media + problem.n_paid]
    np.testing.assert_allclose(efficiencies(problem, batch.contributions), paid / problem.total_spend)
    fields = {name: getattr(problem, name) for name in problem.__dataclass_fields__}
    conversions = type(problem)(**{**fields, "outcome_kind": OutcomeKind.CONVERSION})
    contributions = batch.contributions.copy()
    contributions[0, problem.first_media] = 0.0
    found = efficiencies(conversions, contributions)
    assert found[0, 0] == np.inf
    np.testing.assert_allclose(found[1:], problem.total_spend / paid[1:])
    assert f"cpa_{problem.paid[0]}" in candidate_columns(conversions)


def test_a_row_is_a_model():
    _, batch = evaluated()
    model = model_from_batch(batch, 4, "1_5")
    assert (model.candidate, model.penalty) == ("1_5", batch.penalty[4])
    assert model.intercept == batch.loss("intercept")[4]
    np.testing.assert_array_equal(model.coefs, batch.coefs[4])
    np.testing.assert_array_equal(model.hyperparameters, batch.hyperparameters[4])


@pytest.mark.parametrize("adstock", ["weibull_cdf", "weibull_pdf"])
def test_other_adstocks_have_other_columns(adstock):
    problem, batch = evaluated(adstock=adstock)
    table = candidates_table(problem, batch, [1] * 6, range(1, 7))
    assert f"{problem.paid[0]}_shape" in table.column_names
    assert f"{problem.paid[0]}_theta" not in table.column_names
    assert_equal(batch_from_table(problem, table), batch)


@pytest.mark.parametrize("sizes", [[6], [1, 5], [2, 2, 2], [4, 1, 1]])
def test_however_the_blocks_come_the_table_is_the_same_file(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr("runner.journal.ROWS_PER_GROUP", 4)
    problem, batch = evaluated()
    write_trial(tmp_path / "a", problem, 1, batch)
    encoder, file = TrialEncoder(problem, 1), trial_file(tmp_path / "b", 1)
    stops = np.cumsum(sizes)
    for start, stop in zip([0, *stops[:-1]], stops, strict=True):
        file.append(encoder.append(batch[start:stop]))
        assert not trial_path(tmp_path / "b", 1).exists()
    file.append(encoder.close())
    file.close()
    found, expected = (trial_path(tmp_path / name, 1).read_bytes() for name in "ba")
    assert found == expected
    assert_equal(batch_from_table(problem, read_trials(tmp_path / "a", 1)), batch)


def test_bytes_leave_as_soon_as_a_group_of_rows_is_full(monkeypatch):
    monkeypatch.setattr("runner.journal.ROWS_PER_GROUP", 4)
    problem, batch = evaluated()
    encoder = TrialEncoder(problem, 1)
    assert encoder.append(batch[:3]) == b""
    assert encoder.append(batch[3:]).startswith(b"PAR1")
    assert encoder.close().endswith(b"PAR1")


def test_a_trial_without_candidates_has_no_bytes():
    assert TrialEncoder(evaluated()[0], 1).close() == b""


def test_an_abandoned_file_leaves_nothing(tmp_path):
    file = trial_file(tmp_path, 1)
    file.append(b"PAR1")
    assert list((tmp_path / "candidates").iterdir()) != []
    file.abandon()
    assert list((tmp_path / "candidates").iterdir()) == []


def test_a_trial_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    problem, batch = evaluated()
    monkeypatch.setattr("runner.tables.GrowingFile.append", full)
    with pytest.raises(OSError, match="No space left"):
        write_trial(tmp_path, problem, 1, batch)
    assert list((tmp_path / "candidates").iterdir()) == []


def test_a_pool_takes_rows_from_disk_as_from_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.journal.ROWS_PER_GROUP", 2)
    problem = random_problem(3)
    batches = [evaluate_candidates(problem, random_hyperparameters(problem, seed, 5)) for seed in (1, 2, 3)]
    for trial, batch in enumerate(batches, start=1):
        write_trial(tmp_path, problem, trial, batch)
    held, written = Pool.of_batches(batches), Pool.of_files(problem, tmp_path, range(1, 4))
    assert len(held) == len(written) == 15
    half = Pool.of_files(problem, tmp_path, range(1, 4), {2: (batches[1].losses, batches[1].statuses)})
    assert held.losses.tobytes() == written.losses.tobytes() == half.losses.tobytes()
    assert held.statuses.tolist() == written.statuses.tolist()
    for rows in ([0], [14, 3, 3, 7], [4, 5], list(range(15))):
        assert_equal(held.take(np.array(rows)), written.take(np.array(rows)))
        assert held.labels(np.array(rows)) == written.labels(np.array(rows))
    assert held.labels(np.array([7])) == [(2, 3)]
