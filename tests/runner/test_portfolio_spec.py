"""How a spec names its models, and what each of them comes to."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

from mmm_core.errors import UserError
from runner.portfolio import is_portfolio, load_portfolio
from runner.portfolio.spec import PortfolioSpec, with_models
from runner.seeds import seed_of_model
from runner.spec import ExperimentSpec, load_spec
from tests.runner.command import ROOT
from tests.runner.portfolio_files import MARKETS, market_table, write_portfolio
from tests.runner.small import write_small


def members(path, **options):
    return {member.name: member for member in load_portfolio(path, **options).members}


def test_key_columns_make_a_model_of_each_of_their_values(tmp_path):
    spec = write_portfolio(tmp_path)
    assert is_portfolio(spec)
    found = members(spec)
    assert list(found) == list(MARKETS)
    north = found["north"]
    assert north.spec.data.where == north.keys == {"market": "north"}
    assert north.spec.name == "markets-north"
    assert north.spec.experiment == "markets"


def test_several_key_columns_are_joined_in_the_order_given(tmp_path):
    tables = [market_table("a").assign(brand=brand) for brand in ("x", "y")]
    found = members(write_portfolio(tmp_path, {"by": ["brand", "market"]}, tables))
    assert list(found) == ["x-a", "y-a"]
    assert found["y-a"].keys == {"brand": "y", "market": "a"}


def test_each_fills_in_the_keys_and_overrides_come_after_it(tmp_path):
    models = {
        "by": ["market"],
        "each": {"search": {"optimizer": "{market}"}, "window.start": "2022-03-07"},
        "overrides": {"south": {"search": {"optimizer": "CMA", "iterations": 5}, "channels.tv.sign": "free"}},
    }
    found = members(write_portfolio(tmp_path, models))
    assert found["north"].spec.search.optimizer == "north"
    south = found["south"].spec
    assert (south.search.optimizer, south.search.iterations, south.channels[0].sign) == ("CMA", 5, "free")
    assert found["west"].spec.channels[0].sign == "positive"
    assert {str(member.spec.window.start) for member in found.values()} == {"2022-03-07"}


def test_a_list_names_models_with_tables_of_their_own(tmp_path):
    market_table("b").to_csv(tmp_path / "b.csv", index=False)
    models = [{"name": "a", "data": {"where": {"market": "north"}}}, {"name": "b", "data": "b.csv"}]
    found = members(write_portfolio(tmp_path, models))
    assert found["a"].spec.data.path == str(tmp_path / "table.csv")
    assert found["b"].spec.data.path == str(tmp_path / "b.csv")
    assert found["b"].keys == {}


@pytest.mark.parametrize("suffix", ["csv", "yaml"])
def test_a_table_of_models_stands_in_a_file(tmp_path, suffix):
    rows = [{"name": "a", "search.iterations": 5}, {"name": "b", "data.where.market": "west"}]
    if suffix == "csv":
        pd.DataFrame(rows).to_csv(tmp_path / "models.csv", index=False)
    else:
        (tmp_path / "models.yaml").write_text(yaml.safe_dump(rows))
    found = members(write_portfolio(tmp_path, f"models.{suffix}"))
    assert found["a"].spec.search.iterations == 5
    assert found["a"].spec.data.where == {}
    assert found["b"].spec.data.where == {"market": "west"}
    assert found["b"].spec.search.iterations == 60


def test_a_seed_comes_from_the_name_alone_unless_the_model_has_one(tmp_path):
    models = {"by": ["market"], "overrides": {"west": {"search.seed": 5}}}
    found = members(write_portfolio(tmp_path, models))
    assert found["north"].spec.search.seed == seed_of_model(7, "north")
    assert found["west"].spec.search.seed == 5
    fewer = members(
        write_portfolio(tmp_path / "fewer", tables=[market_table("south"), market_table("north")])
    )
    assert fewer["north"].spec.digest == found["north"].spec.digest
    assert len({member.spec.search.seed for member in found.values()}) == 3


def test_set_has_the_last_word_for_every_model(tmp_path):
    models = {"by": ["market"], "overrides": {"west": {"search.iterations": 5}}}
    found = members(write_portfolio(tmp_path, models), overrides=["search.iterations=9"])
    assert {member.spec.search.iterations for member in found.values()} == {9}
    settings = load_portfolio(tmp_path / "spec.yaml", overrides=["portfolio.pooling=dl"]).settings
    assert settings.pooling == "dl"


def test_what_was_asked_survives_its_record(tmp_path):
    asked = load_portfolio(write_portfolio(tmp_path, portfolio={"reports": "all"}))
    again = PortfolioSpec.from_record(asked.as_record(), tmp_path / "portfolio.json")
    assert again.digest == asked.digest
    assert again.settings == asked.settings
    assert [member.keys for member in again.members] == [member.keys for member in asked.members]


def test_some_models_can_be_chosen(tmp_path):
    asked = load_portfolio(write_portfolio(tmp_path))
    assert [member.name for member in asked.only(["west", "north"]).members] == ["north", "west"]
    with pytest.raises(UserError, match="there is no model 'nort'; did you mean 'north'"):
        asked.only(["nort"])


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ([], "models: there is none; name at least one"),
        (3, "expected a list of models, the path of a table of them, or by"),
        ("none.csv", "none.csv: there is no such file; correct models in the spec"),
        ([{"data": "a.csv"}], r"models\[0\]: expected a name and what is different"),
        ([{"name": "a"}, {"name": "a"}], r"models\[1\] \(a\): the name 'a' stands twice; rename one"),
        ([{"name": "a", "tracking": {"uri": "x"}}], "tracking.uri is for all models together"),
        ([{"name": "a", "serch": {"trials": 1}}], "model a: serch: unknown key; did you mean 'search'"),
        ([{"name": "a", "search": {"trials": 0}}], "model a: search.trials: expected"),
        (
            [{"name": "a", "channels.radio.sign": "free"}],
            "'radio' is neither a position nor a name in that list",
        ),
        ({"by": ["markt"]}, r"there is no column 'markt' \(models.by\); did you mean 'market'"),
        ({"by": []}, "models.by: expected columns of the data"),
        ({"by": "market", "every": {}}, "models.every: unknown key; expected by, each or overrides"),
        ({"by": "market", "overrides": {"nrth": {}}}, "there is no model 'nrth'; did you mean 'north'"),
        ({"by": "market", "overrides": {"north": 3}}, "models.overrides.north: expected keys of the spec"),
    ],
)
def test_what_is_wrong_with_the_models_is_told_in_one_sentence(tmp_path, models, told):
    with pytest.raises(UserError, match=told) as caught:
        load_portfolio(write_portfolio(tmp_path, models))
    assert "\n" not in str(caught.value)


def test_settings_of_the_whole_are_strict(tmp_path):
    with pytest.raises(UserError, match=r"portfolio\.reports: expected none or all, got"):
        load_portfolio(write_portfolio(tmp_path, portfolio={"reports": "some"}))


def test_names_of_any_kind_become_files_that_stay_inside(tmp_path):
    names = ["../x", "a/b", "x" * 300, "📺", "<script>", "North", "north"]
    found = members(write_portfolio(tmp_path, [{"name": name} for name in names]))
    files = [found[name].spec.name for name in names]
    assert len({name.casefold() for name in files}) == len(files)
    assert all(name.startswith("markets-") or "/" not in name for name in files)
    assert max(len(name.encode()) for name in files) <= 100


def test_one_model_is_no_portfolio_and_the_other_way_round(tmp_path):
    assert not is_portfolio(write_small(tmp_path))
    with pytest.raises(UserError, match="names no models; add models, or run it as one experiment"):
        load_portfolio(tmp_path / "spec.yaml")
    with pytest.raises(UserError, match="names several models, and this is about one"):
        load_spec(write_portfolio(tmp_path / "several"))


def test_the_shipped_portfolio_is_valid_and_editors_are_told_of_it():
    jsonschema = pytest.importorskip("jsonschema")  # comes with ray
    path = ROOT / "experiments" / "portfolio.yaml"
    found = members(path)
    assert len(found) == 8
    assert all(member.spec.baseline.country == name for name, member in found.items())
    assert [context.name for context in found["CH"].spec.context] == ["competitor_sales", "price"]
    schema = with_models(ExperimentSpec.model_json_schema())
    tree = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
    jsonschema.validate(tree, schema)
    for wrong in ({"models": 3}, {"models": {"each": {}}}, {"portfolio": {"pooling": "some"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**tree, **wrong}, schema)
