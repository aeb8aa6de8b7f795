"""The spec is decoded strictly once; what is wrong is one sentence with file, key and expectation."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
import yaml

from mmm_core.errors import UserError
from mmm_core.types import Adstock
from runner.portfolio import is_portfolio
from runner.spec import ExperimentSpec, apply_override, decode, load_spec, read_yaml
from tests.runner.small import change, small_spec

SHIPPED = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))
EXPERIMENTS = [path for path in SHIPPED if not is_portfolio(path)]  # those are held in test_portfolio_spec.py
LONG = "x" * 200


def refusal(**changes) -> str:
    with pytest.raises(UserError) as caught:
        decode(change(small_spec(), **changes), "s.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"serch": {}}, "serch: unknown key; did you mean 'search'?"),
        ({"search__itterations": 1}, "search.itterations: unknown key; did you mean 'iterations'?"),
        ({"channels__0__cost": "x"}, "channels[0].cost: unknown key; known are"),
        ({"name": 2024}, "name: expected text, got 2024"),
        ({"name": "a/b"}, "name: 'a/b' becomes a file name: use letters"),
        ({"name": LONG}, "becomes a file name and is longer than 100 bytes"),
        ({"data": "table.csv"}, "data: expected a mapping of keys, got 'table.csv'"),
        ({"data__path": ""}, "data.path: must not be empty"),
        ({"outcome__kind": "sales"}, "outcome.kind: expected revenue or conversion, got sales"),
        ({"window__start": 20220103}, "window.start: expected a date like 2024-01-29, got 20220103"),
        ({"window__end": "31.12.2023"}, "window.end: expected a date like 2024-01-29, got '31.12.2023'"),
        ({"window__end": "2022-01-01"}, "window: start 2022-02-07 is after end 2022-01-01; swap them"),
        ({"channels": []}, "channels: must not be empty"),
        ({"channels": ["tv"]}, "channels[0]: expected a mapping of keys, got 'tv'"),
        ({"channels__0__name": " "}, "channels[0].name: a name must not be empty"),
        ({"channels__0__name": "date"}, "channels[0].name: 'date' is a reserved name"),
        ({"channels__0__name": "a\nb"}, "holds a line break or another control character"),
        ({"channels__1__name": "tv"}, "the name 'tv' is used twice"),
        (
            {"channels__0__spend": "price"},
            "column 'price' is used in two roles, spend of channel tv and context",
        ),
        (
            {"channels__1__exposure": "web_cost"},
            "in two roles, spend of channel web and exposure of channel web",
        ),
        ({"outcome__column": "date"}, "column 'date' is used in two roles, data.date and outcome"),
        ({"organic": [True]}, "organic[0]: expected a mapping of keys, got true"),
        ({"context__1__kind": "text"}, "context[1].kind: expected numeric or factor, got text"),
        ({"baseline": {"components": ["trends"]}}, "baseline.components[0]: expected trend, season, monthly"),
        ({"baseline": {"components": ["trend", "trend"]}}, "baseline: a component is named twice"),
        ({"baseline": {"components": ["holiday"]}}, "baseline: holiday needs country (for example DE) or"),
        ({"baseline": {"country": False}}, "YAML reads NO, on and yes as true or false"),
        (
            {"baseline": {"components": ["trend"], "precomputed": ["price"]}},
            "baseline: give either components (from Prophet) or precomputed",
        ),
        ({"adstock": "weibull"}, "adstock: expected geometric, weibull_cdf or weibull_pdf, got weibull"),
        ({"validation__time_series": 1}, "validation.time_series: expected true or false, got 1"),
        ({"search__trials": 0}, "search.trials: expected greater than or equal to 1, got 0"),
        ({"search__trials": True}, "search.trials: expected a whole number, got true"),
        ({"search__trials": "2"}, "search.trials: expected a whole number, got '2'"),
        ({"search__seed": 1.0}, "search.seed: expected a whole number, got 1.0"),
        ({"search": None}, "search: expected a mapping of keys, got nothing"),
        ({"search__objective_weights": [1]}, "search.objective_weights: expected a weight in 0..10"),
        ({"search__objective_weights": [1, 1, 1]}, "the third weight is for calibration, which is not given"),
        ({"selection__fronts": 0}, "selection.fronts: expected auto or a whole number from 1, got 0"),
        ({"selection__clusters": "all"}, "selection.clusters: expected auto, robyn or a whole number from 1"),
        ({"bootstrap__level": 1}, "bootstrap.level: expected less than 1, got 1"),
        ({"bootstrap__level": float("inf")}, "bootstrap.level: expected a finite number"),
        ({"execution__backend": "dask"}, "execution.backend: expected ray or serial, got dask"),
        ({"tracking__uri": ""}, "tracking.uri: must not be empty"),
    ],
)
def test_what_is_wrong_is_one_sentence(changes, message):
    assert refusal(**changes).startswith("s.yaml: ")
    assert message in refusal(**changes)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "tv__theta",
            [0.8, 0.3],
            "hyperparameters.tv.theta: lower bound 0.8 is above upper bound 0.3; swap them",
        ),
        ("tv__theta", [0.3, 1], "hyperparameters.tv.theta: 1 is out of range; expected 0 <= theta < 1"),
        ("tv__alpha", 0, "hyperparameters.tv.alpha: 0 is out of range; expected 0 < alpha < 10"),
        ("tv__gamma", [0.3, 1.1], "hyperparameters.tv.gamma: 1.1 is out of range; expected 0 < gamma <= 1"),
        ("tv__theta", "0.3", "hyperparameters.tv.theta: expected [low, high], or one number to fix it"),
        ("tv__theta", [0.1, 0.2, 0.3], "hyperparameters.tv.theta: expected [low, high]"),
        ("tv__theta", [float("nan"), 0.3], "hyperparameters.tv.theta: bounds must be finite numbers"),
        ("tv__shape", 1, "hyperparameters.tv.shape: unknown for geometric adstock; expected one of alpha"),
        ("tv__penalty", [0, 1], "penalties are searched with penalty_factors: true only"),
        ("price_penalty", [0, 1], "penalties are searched with penalty_factors: true only"),
        (
            "tvv",
            {"theta": 0.3},
            "hyperparameters.tvv: there is no channel or organic medium of this name; did you",
        ),
        ("tv", [0, 1], "hyperparameters.tv: expected its parameters, for example {alpha: [0.5, 3]}"),
        ("tv_theta", [0, 1], "hyperparameters.tv_theta: unknown key; write tv: {theta: [low, high]}"),
        (
            "train_size",
            [0.05, 0.8],
            "hyperparameters.train_size: 0.05 is out of range; expected 0.1 < train_size",
        ),
        ("lambda", 0.5, "hyperparameters.lambda: unknown key; did you mean 'lambda_hp'?"),
    ],
)
def test_hyperparameters_are_checked_where_they_are_read(key, value, message):
    assert message in refusal(**{f"hyperparameters__{key}": value})


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ({"bounds": [1.5, 0.7]}, "scenarios[0].bounds: lower bound 1.5 is above upper bound 0.7"),
        ({"bounds": [-1, 2]}, "scenarios[0].bounds: lower bound -1 is negative; spend cannot be"),
        ({"bounds": 2}, "scenarios[0].bounds: expected [low, high] as multiples of today's spend"),
        ({"bounds": {"tv": [2, 1]}}, "scenarios[0].bounds.tv: lower bound 2 is above upper bound 1"),
        ({"bounds": {"tvv": [0, 1]}}, "scenarios.plan.bounds: there is no channel 'tvv'; did you mean 'tv'?"),
        ({"name": "../plan"}, "scenarios[0].name: '../plan' becomes a file name"),
        ({"name": ".plan"}, "scenarios[0].name: '.plan' becomes a file name"),
        (
            {"goal": "most"},
            "scenarios[0].goal: expected max_response, target_efficiency or target_outcome, got most",
        ),
        ({"target": 3}, "scenarios[0]: target belongs to the goals target_efficiency and target_outcome"),
        ({"goal": "target_efficiency"}, "scenarios[0]: goal target_efficiency needs target"),
        ({"goal": "target_outcome"}, "needs target (the outcome over the whole horizon, baseline included)"),
        ({"measure": "marginal"}, "scenarios[0]: measure marginal belongs to goal target_efficiency"),
        (
            {"goal": "target_efficiency", "target": 2, "total_budget": 5},
            "finds the budget itself; remove the budget",
        ),
        (
            {"total_budget": 1, "budget_per_period": 1},
            "give either total_budget or budget_per_period, not both",
        ),
        ({"horizon": {"last": 4, "end": "2023-01-01"}}, "give either last or start and end, not both"),
        (
            {"horizon": {"start": "2023-02-01", "end": "2023-01-01"}},
            "start 2023-02-01 is after end 2023-01-01",
        ),
    ],
)
def test_scenarios_are_checked_where_they_are_read(scenario, message):
    assert message in refusal(scenarios=[{"name": "plan", **scenario}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"curves": [{"channel": "tvv", "path": "c.csv"}]},
            "curves[0].channel: there is no channel or organic",
        ),
        ({"curves": [{"channel": "tv"}]}, "curves[0].path: is missing; add it"),
        (
            {"curves": [{"channel": "tv", "path": "c.csv"}], "hyperparameters__tv__gamma": 0.5},
            "hyperparameters.tv.gamma: is given here and by curves[0]; keep one",
        ),
        (
            {"search__start": [{"tv_tetha": 0.2}]},
            "search.start[0].tv_tetha: unknown hyperparameter; did you mean",
        ),
        (
            {"search": {"optimizer": "PSO", "engine": "compiled"}},
            "search: engine compiled has no optimizer but TwoPointsDE; remove optimizer, or set engine: nevergrad",
        ),
        ({"search__solver": "fast"}, "search.solver: expected glmnet or exact, got fast"),
        (
            {"selection__calibration_constraint": 0},
            "selection.calibration_constraint: expected greater than 0",
        ),
        ({"calibration": {"path": "l.csv", "format": "excel"}}, "calibration.format: expected auto, neutral"),
    ],
)
def test_options_of_curves_and_search_are_checked_where_they_are_read(changes, message):
    assert message in refusal(**changes)


@pytest.mark.parametrize(
    ("search", "engine"),
    [({}, "compiled"), ({"optimizer": "TwoPointsDE"}, "compiled"), ({"optimizer": "PSO"}, "nevergrad")],
)
def test_an_optimizer_that_is_not_compiled_asks_for_nevergrad(search, engine):
    assert decode(change(small_spec(), search=search), "s.yaml").search.engine == engine
    both = {"engine": "nevergrad", "optimizer": "TwoPointsDE"}
    assert decode(change(small_spec(), search=both), "s.yaml").search.engine == "nevergrad"


def test_paths_of_curves_and_warm_starts_are_relative_to_the_spec(tmp_path):
    tree = change(small_spec(), curves=[{"channel": "tv", "path": "c.csv"}], search__warm_start="runs/old")
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(tree))
    spec = load_spec(tmp_path / "s.yaml")
    assert spec.curves[0].path == str(tmp_path / "c.csv")
    assert spec.search.warm_start.path == str(tmp_path / "runs" / "old")


def test_two_scenarios_have_two_names():
    assert "the name 'a' is used twice" in refusal(scenarios=[{"name": "a"}, {"name": "a"}])


@pytest.mark.parametrize(
    "name", ["<script>", "\"q'uote", "📺 🎉", LONG, "=SUM(A1)", "[bold]", "a/b", "$x$", "ünï"]
)
def test_channels_may_be_called_almost_anything(name):
    spec = decode(change(small_spec(), channels__0__name=name), "s.yaml")
    assert spec.media_names == (name, "web", "mail")


@pytest.mark.parametrize("none", ["none", None, {}])
def test_no_baseline(none):
    assert decode(change(small_spec(), baseline=none), "s.yaml").baseline.components == ()


def test_short_forms_are_written_out():
    spec = decode(
        change(
            small_spec(),
            context=["price"],
            baseline={"components": ["holiday"], "holidays": "days.csv"},
            calibration="studies.csv",
            window__start="2022-02-07",
            hyperparameters={"tv": {"theta": 0.5}},
        ),
        "s.yaml",
    )
    assert (spec.context[0].name, spec.context[0].column) == ("price", "price")
    assert spec.baseline.holidays.path == "days.csv"
    assert spec.calibration.path == "studies.csv"
    assert spec.window.start == date(2022, 2, 7)
    assert spec.hyperparameters["tv"] == {"theta": (0.5, 0.5)}


def test_ranges_take_defaults_and_follow_the_adstock():
    spec = decode(change(small_spec(), hyperparameters={"tv": {"theta": [0.3, 0.8]}}), "s.yaml")
    names = ("tv_alpha", "tv_theta", "web_theta", "train_size", "lambda_hp", "price_penalty")
    assert spec.ranges(names) == {
        "tv_alpha": (0.5, 3.0),
        "tv_theta": (0.3, 0.8),
        "web_theta": (0.0, 0.8),
        "train_size": (0.5, 0.8),
        "lambda_hp": (0.0, 1.0),
        "price_penalty": (0.0, 1.0),
    }
    weibull = decode(change(small_spec(), adstock="weibull_cdf"), "s.yaml")
    assert weibull.ranges(("tv_shape",)) == {"tv_shape": (0.0, 2.0)}
    assert decode(change(small_spec(), adstock="weibull_pdf"), "s.yaml").ranges(("tv_shape",)) == {
        "tv_shape": (0.0, 10.0)
    }


def test_without_validation_everything_is_for_training():
    spec = decode(change(small_spec(), validation__time_series=False), "s.yaml")
    assert spec.ranges(("train_size",)) == {"train_size": (1.0, 1.0)}


# ------------------------------------------------------------------------------------------------ resolved, digest


def test_the_resolved_spec_says_everything_and_reads_back_to_itself():
    spec = decode(small_spec(), "s.yaml")
    resolved = spec.resolved()
    assert resolved["hyperparameters"]["mail"] == {
        "alpha": [0.5, 3.0],
        "gamma": [0.3, 1.0],
        "theta": [0.0, 0.8],
    }
    assert resolved["scenarios"][0]["bounds"] == [0.7, 1.5]
    again = decode(yaml.safe_load(yaml.safe_dump(resolved)), "s.yaml")
    assert again.resolved() == resolved
    assert again.digest == spec.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"data__path": "/elsewhere/table.parquet"},
        {"execution": {"backend": "ray", "workers": 7, "address": "ray://head:10001"}},
        {"report__language": "de"},
        {"tracking": {"uri": "http://tracking"}},
        {"search__batch_size": 30},
    ],
)
def test_the_digest_knows_what_changes_no_result(changes):
    assert decode(change(small_spec(), **changes), "s.yaml").digest == decode(small_spec(), "s.yaml").digest


@pytest.mark.parametrize(
    "changes",
    [{"search__seed": 8}, {"search__batch_size": 31}, {"bootstrap__refits": 21}, {"context__0": "other"}],
)
def test_the_digest_knows_what_changes_a_result(changes):
    assert decode(change(small_spec(), **changes), "s.yaml").digest != decode(small_spec(), "s.yaml").digest


def test_the_digest_does_not_depend_on_where_holidays_lie():
    holidays = [{"components": ["holiday"], "holidays": {"path": f"/{place}/days.csv"}} for place in "ab"]
    first, second = (
        decode(change(small_spec(), baseline=baseline), "s.yaml").digest for baseline in holidays
    )
    assert first == second


# ---------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_experiments_of_the_repository_are_valid(path):
    spec = load_spec(path)
    assert spec.adstock is Adstock.GEOMETRIC
    assert Path(spec.data.path).is_absolute()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_json_schema_accepts_what_we_accept(path):
    jsonschema = pytest.importorskip("jsonschema")  # comes with ray
    schema = ExperimentSpec.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    tree = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
    jsonschema.validate(tree, schema)
    jsonschema.validate(load_spec(path).resolved(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**tree, "serch": {}}, schema)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; a spec needs name, data, outcome and channels"),
        ("- a\n", "expected a mapping with name, data, outcome and channels"),
        ("a: [1\n", "not valid YAML: expected ',' or ']'"),
        ("a: 1\nb: 2\na: 3\n", "not valid YAML: the key 'a' stands twice (line 3)"),
        ("? [1, 2]\n: 3\n", "not valid YAML: a key is not a word (line 1)"),
        ("a: &a [*a]\n", "not valid YAML: found unconstructable recursive node"),
        ("a: !!python/name:os.system x\n", "not valid YAML: could not determine a constructor"),
        ("\ta: 1\n", "not valid YAML: found character '\\t' that cannot start any token (line 1)"),
        ("window: {start: 2024-13-01}\n", "not valid YAML: month must be in 1..12"),
        ("name: x\n", "data: is missing; add it (and 2 more)"),
        ("1: x\n", "is missing; add it"),
    ],
)
def test_files_that_are_no_spec(tmp_path, text, message):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_spec(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: {x: 1, y: [no, ~, 2024-01-01, 1_000, 0x1F, 1e3, .inf]}",
        "a: &b {c: 1}\nd: *b\ne: {<<: *b, f: 2}",
        "a: |\n  two\n  lines\nb: >-\n  one\n  line\n",
        "a: 'it''s'\nb: \"\\ud83d\\ude00\\t\"\nc: 🎈 # not this\n",
        *(path.read_text(encoding="utf-8") for path in SHIPPED),
    ],
)
def test_libyaml_reads_what_the_slow_way_reads(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    assert read_yaml(path) == yaml.load(text, Loader=yaml.SafeLoader)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("name: Käse".encode("latin-1"))
    for name, message in [
        ("latin.yaml", "cannot be read as UTF-8 text"),
        ("absent.yaml", "there is no such file; give the path of a spec file"),
        ("", "this is a directory; give the path of a spec file"),
        ("x" * 5000, "cannot be read"),
    ]:
        with pytest.raises(UserError, match=message):
            read_yaml(tmp_path / name)


def test_paths_are_relative_to_the_spec_and_those_of_flags_to_here(tmp_path, monkeypatch):
    (tmp_path / "specs").mkdir()
    path = tmp_path / "specs" / "s.yaml"
    tree = change(
        small_spec(), baseline={"components": ["holiday"], "holidays": "../days.csv"}, calibration="lift.csv"
    )
    path.write_text(yaml.safe_dump(tree))
    monkeypatch.chdir(tmp_path)
    spec = load_spec("specs/s.yaml")
    assert spec.data.path == str(tmp_path / "specs" / "table.csv")
    assert spec.baseline.holidays.path == str(tmp_path / "days.csv")
    assert spec.calibration.path == str(tmp_path / "specs" / "lift.csv")
    assert load_spec("specs/s.yaml", data="other.csv").data.path == str(tmp_path / "other.csv")
    assert load_spec("specs/s.yaml", data="s3://bucket/x.csv").data.path == "s3://bucket/x.csv"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_spec("specs/s.yaml", overrides=["data.path=~/t.csv"]).data.path == str(tmp_path / "t.csv")


# ------------------------------------------------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("override", "where", "value"),
    [
        ("search.iterations=300", ("search", "iterations"), 300),
        ("channels.web.spend=cost", ("channels", 1, "spend"), "cost"),
        ("channels.0.spend=cost", ("channels", 0, "spend"), "cost"),
        ("context.price={name: price, column: p}", ("context", 0), {"name": "price", "column": "p"}),
        ("hyperparameters.tv.theta=[0.1, 0.2]", ("hyperparameters", "tv", "theta"), [0.1, 0.2]),
        ("window.start=2022-05-02", ("window", "start"), date(2022, 5, 2)),
        ("baseline.country=DE", ("baseline", "country"), "DE"),
    ],
)
def test_any_key_can_be_set(override, where, value):
    tree = change(small_spec(), baseline=None)
    apply_override(tree, override)
    for key in where:
        tree = tree[key]
    assert tree == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.iterations", "expected key=value, for example search.iterations=300"),
        ("=3", "expected key=value"),
        ("search..x=3", "expected key=value"),
        ("name.x=3", "'x' is inside something that is not a mapping"),
        ("channels.9.spend=c", "'9' is neither a position nor a name in that list"),
        ("channels.wep.spend=c", "did you mean 'web'?"),
        ("search={a: 1", "the value is not valid YAML"),
        ("search={a: 1, a: 2}", "the value is not valid YAML"),
        ("window.start=2024-13-01", "the value is not valid YAML"),
    ],
)
def test_overrides_that_point_nowhere(override, message):
    with pytest.raises(UserError) as caught:
        apply_override(small_spec(), override)
    assert str(caught.value).startswith(f"--set {override}: ")
    assert message in str(caught.value)
