"""Early stopping of what is registered, and who is the champion."""

import json

import mlflow
import numpy as np
import pytest

from mlproject.har.commands import cli
from mlproject.tracking import registry
from records import text_of

pytestmark = pytest.mark.slow

STOPPING = {"max_epochs": 60, "patience": 4}


def register(store, command, data, *aliases):
    """Trains a network and registers it, as a sweep does with its best."""
    options = {"optimizer": "adam", "learning_rate": 0.03, "units": 8, "seed": 3}
    result = command(cli, "rnn", data=data, batch_size=10, epochs=1, **options)
    assert result.exception is None, result.output
    run = store.search_runs(["0"], "tags.stage = 'train'")[0]  # the newest
    parameters = {option.name: option.default for option in cli.commands["rnn"].params}
    parameters |= options | {"data": str(data), "batch_size": 10}
    tags = {"configuration": parameters, "run": "run 7"}
    version = registry.register("har-rnn", run.info.run_id, tags, "")
    for alias in aliases:
        registry.alias(version, alias)


@pytest.fixture(scope="module")
def result(shared_store, windows, command):
    register(shared_store, command, windows, "best")
    return command(cli, "early-stopping", **STOPPING)


@pytest.fixture(scope="module")
def run(result, shared_store):
    assert result.exception is None, result.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'early-stopping'")
    return run


def values(store, run, name):
    return [metric.value for metric in store.get_metric_history(run.info.run_id, name)]


def test_it_trains_what_the_alias_names_until_validation_says_enough(run, shared_store, windows):
    best = shared_store.get_model_version_by_alias("har-rnn", "best")
    configuration = json.loads(best.tags["configuration"])
    params = run.data.params
    assert params["options/data"] == str(windows)
    assert params["options/units"] == str(configuration["units"])
    assert params["options/patience"] == "4"
    assert run.data.tags["model.source"] == f"har-rnn/{best.version}"
    validation = values(shared_store, run, "val/accuracy")[1:]  # the first is of the start
    stopped, best_epoch = len(validation), int(run.data.metrics["epochs/best"])
    assert 1 < best_epoch == stopped - 4 < 56
    assert max(validation[best_epoch:]) <= validation[best_epoch - 1] + 1e-5
    assert run.data.metrics["final_val/accuracy"] == validation[best_epoch - 1]
    test = values(shared_store, run, "test_by_epoch/accuracy")[1:]
    assert run.data.metrics["test/accuracy"] == test[best_epoch - 1]


def test_tables_and_figures(run, shared_store, result):
    names = {entry.path for entry in shared_store.list_artifacts(run.info.run_id)}
    assert {
        "curves.png",
        "confusion_matrix.png",
        "hidden.png",
        "weights.png",
        "tables.txt",
    } <= names
    text = text_of(run, "tables.txt")
    assert text.strip() in result.stdout
    assert "Table VII:" in text
    (row,) = (line for line in text.splitlines() if line.startswith("top-1   "))
    splits = ("final_train", "final_val", "test")
    percents = [f"{100 * run.data.metrics[f'{s}/accuracy']:.3f}" for s in splits]
    assert row.split()[1::2] == percents
    assert row.split()[2::2] == ["37.889", "40.334", "34.500"]
    confusion = [line.split() for line in text.partition("Table VIII")[2].splitlines()[3:]]
    assert [row[0] for row in confusion] == ["calm", "slow", "fast"]
    counts = np.array([row[1:] for row in confusion], int)
    assert counts.sum(axis=1).tolist() == [5, 5, 5]
    assert np.trace(counts) / 15 == pytest.approx(run.data.metrics["test/accuracy"])


def test_the_evaluated_model_is_a_new_version_and_the_first_champion(run, shared_store, result):
    champion = shared_store.get_model_version_by_alias("har-rnn", "champion")
    assert champion.run_id == run.info.run_id
    assert champion.version == 2
    assert champion.tags["stage"] == "early-stopping"
    assert champion.tags["champion"] == "It is the first champion."
    assert "Registered as har-rnn version 2. It is the first champion." in result.stdout


def test_the_alias_moves_only_to_a_better_model(run, shared_store, command):
    def challenge(**options):
        done = command(cli, "early-stopping", **options)
        assert done.exception is None, done.output
        return " ".join(done.stdout.split())

    def champion():
        return shared_store.get_model_version_by_alias("har-rnn", "champion").version

    # An evaluated version says how it was trained, too; after one epoch it is worse.
    said = challenge(model="har-rnn@champion", max_epochs=1)
    assert "The champion stays har-rnn version 2" in said
    assert "on the same 6 validation windows" in said
    assert champion() == 2
    # The worse one gets the alias by hand; then the better one takes it.
    shared_store.set_registered_model_alias("har-rnn", "champion", 3)
    mine = run.data.metrics["final_val/accuracy"]
    theirs = shared_store.get_model_version("har-rnn", 3).tags["val.accuracy"]
    assert mine > float(theirs)  # else this test says nothing
    said = challenge(**STOPPING)
    assert "It is the champion now, in place of har-rnn version 3" in said
    assert champion() == 4
    # On another split nothing can be compared quite fairly, and that is said.
    said = challenge(model="har-rnn/1", validation_fraction=0.3, max_epochs=1)
    assert "trained on other data and may have seen these windows" in said


@pytest.mark.nightly
def test_a_champion_of_another_kind_stays(store, command, windows, tmp_path):
    with np.load(windows) as file:
        arrays = dict(file)
    arrays |= {name: arrays[name][:, :6] for name in ("x_train", "x_test")}
    np.savez(tmp_path / "short.npz", **arrays)
    register(store, command, windows, "champion")
    register(store, command, tmp_path / "short.npz", "best")
    done = command(cli, "early-stopping", max_epochs=1)
    assert done.exception is None, done.output
    assert "which cannot be compared: it takes (None, 12, 3), these windows are (6, 3)" in (
        " ".join(done.stdout.split())
    )
    assert store.get_model_version_by_alias("har-rnn", "champion").version == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("har-rnn", "model is 'har-rnn'; expected name@alias or name/version"),
        ("nothing@best", "there is no registered model 'nothing@best' at sqlite:///"),
        ("nothing/1", "there is no registered model 'nothing/1' at sqlite:///"),
    ],
)
def test_bad_models_are_one_line(store, command, model, message):
    result = command(cli, "early-stopping", model=model)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"


@pytest.mark.nightly
def test_a_model_that_does_not_say_how_it_was_trained(store, command, windows):
    assert command(cli, "rnn", data=windows, epochs=1, units=2).exception is None
    (run,) = store.search_runs(["0"])
    mlflow.register_model(f"runs:/{run.info.run_id}/model", "mine")
    result = command(cli, "early-stopping", model="mine/1")
    assert str(result.exception).startswith("mine version 1 does not say how it was trained")


@pytest.mark.nightly
def test_a_configuration_needs_no_registered_model(store, command, windows):
    """Tables VI and VII of the report's runs 8 and 7 by one command; nothing is registered."""
    options = {"data": windows, "protocol": "report", "max_epochs": 3, "patience": 2}
    result = command(cli, "early-stopping", configuration="30x100x0.1,30x100x0.05", **options)
    assert result.exception is None, result.output
    parent, *_ = (r for r in store.search_runs(["0"]) if "mlflow.parentRunId" not in r.data.tags)
    names = {}
    for run in store.search_runs(["0"], "tags.stage = 'early-stopping'"):
        if run.info.run_id != parent.info.run_id:
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
            names[run.info.run_name] = run
    assert set(names) == {"early stopping run 8", "early stopping run 7"}
    for number, numeral in ((8, "VI"), (7, "VII")):
        run = names[f"early stopping run {number}"]
        assert run.data.params["used/loss"] == "raw"
        assert run.data.params["options/validation_fraction"] == "0.1"
        assert run.data.params["seed"] == "42"
        assert f"Table {numeral}: accuracy at the last step" in result.stdout
    assert not store.search_registered_models()


@pytest.mark.nightly
def test_a_configuration_is_registered_if_it_has_a_name(store, command, windows):
    options = {"data": windows, "configuration": "20x5x0.1", "max_epochs": 2}
    result = command(cli, "early-stopping", register_as="mine", **options)
    assert result.exception is None, result.output
    version = store.get_model_version_by_alias("mine", "champion")
    assert "Registered as mine version 1. It is the first champion." in result.stdout
    assert version.description.startswith("20x5x0.1: stopped after 2 epochs")
    # What was registered by a configuration can be trained again by its name.
    again = command(cli, "early-stopping", model="mine@champion", max_epochs=1)
    assert again.exception is None, again.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "gru"}, "cell is 'gru', but model 'har-rnn@best' says itself how it is trained"),
        ({"register_as": "x"}, "register_as is 'x', but model 'har-rnn@best' says itself"),
        ({"configuration": "30x100"}, "'30x100' is not batch size x units x learning rate"),
        ({"configuration": "8x4x0.1", "register_as": "a/b"}, "register_as is 'a/b'; expected a n"),
        ({"configuration": "8x4x0.1", "loss": "raw", "activation": "softmax"}, "has sigmoid outp"),
    ],
)
def test_what_contradicts_itself_is_one_line(store, command, options, message):
    result = command(cli, "early-stopping", **options)
    error = result.exception
    assert message in getattr(error, "message", str(error))
    assert all(run.info.status == "FAILED" for run in store.search_runs(["0"]))
