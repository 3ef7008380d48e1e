"""What a run of ``addition_rnn`` logs and registers, and what ``add`` answers."""

import json

import mlflow
import numpy as np
import pandas as pd
import pytest

from mlproject.addition import add, results
from mlproject.addition.commands import cli
from mlproject.tracking.registry import CHAMPION
from processes import post_as_to_a_server
from records import text_of
from tfnets import addition

# Learns most sums of three digits in a few seconds.
SMALL = {"seq_len": 4, "steps": 120, "batch_size": 100, "learning_rate": 0.005}


@pytest.fixture(scope="module")
def result(shared_store, command):
    return command(cli, "rnn", lengths="3,9", **SMALL)


@pytest.fixture(scope="module")
def run(result, shared_store):
    assert result.exception is None, result.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'train'")
    return run


@pytest.fixture(scope="module")
def table(run):
    def read(path):
        text = text_of(run, path)
        table = json.loads(text)
        return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]

    return read


def test_parameters_and_tags(run):
    assert run.info.run_name == "rnn 64 adam seed 0"
    assert run.data.params["seq_len"] == "4"
    assert run.data.params["lengths"] == "3,9"
    assert run.data.params["used/learning_rate"] == "0.005"
    assert run.data.metrics["params/total"] == 17_482
    assert run.data.tags["model"] == "rnn"
    assert run.data.tags["data.split"] == "by a hash of the pair"
    names = {each.dataset.name for each in run.inputs.dataset_inputs}
    assert names == {"random numbers of 3 digits in base 10"}
    tags = [{tag.key: tag.value for tag in each.tags} for each in run.inputs.dataset_inputs]
    contexts = sorted(each["mlflow.data.context"] for each in tags)
    assert contexts == ["test", "training", "validation"]


def test_accuracies_are_functions_of_the_step(run, shared_store):
    for split in ("train", "val"):
        for name in ("loss", "accuracy", "digit_accuracy"):
            history = shared_store.get_metric_history(run.info.run_id, f"{split}/{name}")
            assert [each.step for each in history] == [40, 80, 120]
    history = shared_store.get_metric_history(run.info.run_id, "val/accuracy")
    assert history[-1].value > history[0].value
    assert run.data.metrics["val/digit_accuracy"] >= run.data.metrics["val/accuracy"]


def test_accuracy_at_lengths_that_training_never_saw(run, shared_store, table):
    rows = table("lengths.json")
    assert [row["seq_len"] for row in rows] == [4, 3, 9]
    assert [row["pairs"] for row in rows] == [2000, len(addition.held_out(3, 10, 2000)), 2000]
    for name in ("accuracy", "digit_accuracy"):
        history = shared_store.get_metric_history(run.info.run_id, f"by_length/{name}")
        logged = {each.step: each.value for each in history}
        assert logged == {row["seq_len"]: pytest.approx(row[name]) for row in rows}
        assert run.data.metrics[f"test/{name}"] == pytest.approx(rows[0][name], abs=1e-6)
    assert rows[0]["accuracy"] > 0.5  # it has learnt something
    assert rows[2]["accuracy"] < rows[0]["accuracy"]


def test_mistakes_are_mistakes(table, result):
    rows = table("mistakes.json")
    assert len(rows) == 5
    for row in rows:
        assert int(row["a"]) + int(row["b"]) == int(row["sum"])
        assert row["answer"] != row["sum"]
        assert row["wrong_digits"] >= 1
        assert row["answer"] in result.stdout


def test_figures_texts_and_description(run, shared_store):
    names = {entry.path for entry in shared_store.list_artifacts(run.info.run_id)}
    assert names == {
        "curves.png",
        "lengths.json",
        "mistakes.json",
        "model_summary.txt",
        "parameters.json",
        "parameters.txt",
    }
    assert "The first mistakes" in run.data.tags["mlflow.note.content"]


def test_steps_to_99_percent_are_the_first_that_are_enough(store, command):
    again = command(cli, "rnn", **SMALL | {"steps": 300, "register_as": "none"})
    assert again.exception is None, again.output
    (quick,) = store.search_runs(["0"])
    history = store.get_metric_history(quick.info.run_id, "val/accuracy")
    enough = [each.step for each in history if each.value >= 0.99]
    assert quick.data.metrics["steps/to_99"] == enough[0] < 300
    assert f"after {enough[0]} steps (validation)" in again.stdout
    assert not store.search_registered_models()  # as asked


def test_the_deployed_model_takes_strings(run):
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    answer = model.predict([{"a": "123", "b": "456"}, {"a": "0", "b": "7"}])
    assert list(answer.columns) == ["sum"]
    assert all(each.isdigit() for each in answer["sum"])
    split = addition.held_out(4, 10, 2000)
    a, b = (["".join(map(str, row[::-1])) for row in split.x[..., which]] for which in (0, 1))
    said = model.predict(pd.DataFrame({"a": a, "b": b}))["sum"]
    right = [int(s) == int(x) + int(y) for s, x, y in zip(said, a, b, strict=True)]
    # Numbers with zeros in front have fewer digits here than there.
    assert np.mean(right) == pytest.approx(run.data.metrics["test/accuracy"], abs=0.05)


def test_bad_input_of_the_deployed_model_is_one_line(run):
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    with pytest.raises(mlflow.MlflowException) as error:
        model.predict([{"a": "12", "b": "-3"}])
    line = "b is '-3'; negative numbers cannot be added here."
    assert str(error.value) == line
    body = json.dumps({"dataframe_records": [{"a": "12", "b": "-3"}]})
    answer = post_as_to_a_server(f"runs:/{run.info.run_id}/model", body)
    assert answer == (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": line})


def test_add_says_what_the_champion_says(run, command):
    result = command(cli, "add", a="123", b="456")
    assert result.exception is None, result.output
    model = mlflow.pyfunc.load_model("models:/adder@champion")
    (said,) = model.predict([{"a": "123", "b": "456"}])["sum"]
    verdict = "right" if said == "579" else "wrong: it is 579"
    lines = result.stdout.splitlines()
    assert lines == [f"123 + 456 = {said}", verdict, "Model: models:/adder@champion"]
    latest = command(cli, "add", a="1", b="2", model="latest").stdout.splitlines()[-1]
    assert latest.startswith("Model: runs:/")
    assert latest.endswith("(rnn 64 adam seed 0)")


def test_an_answer_says_whether_it_is_right():
    right = add.Answer("1", "2", "3", "3", "models:/m/1")
    assert str(right).splitlines() == ["1 + 2 = 3", "right", "Model: models:/m/1"]
    wrong = add.Answer("1", "2", "4", "3", "runs:/x/model", "a run")
    assert str(wrong).splitlines() == [
        "1 + 2 = 4",
        "wrong: it is 3",
        "Model: runs:/x/model (a run)",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a": "12a"}, "a is '12a'; expected digits, 0 to 9, not 'a'."),
        ({"b": "-1"}, "b is '-1'; negative numbers cannot be added here."),
        ({"b": "1234"}, "b is '1234', which has 4 digits; this network was trained for numbers"),
        ({"model": "models:/nobody@champion"}, "no model can be loaded from 'models:/nobody@"),
        ({"model": "0123"}, "no model can be loaded from '0123': "),
    ],
)
def test_bad_questions_are_one_line(run, command, shared_store, options, message):
    result = command(cli, "add", **{"a": "1", "b": "2"} | options)
    assert str(result.exception).startswith(message)
    assert "\n" not in str(result.exception)
    (asked, *_) = shared_store.search_runs(["0"], "tags.stage = 'add'")
    assert asked.info.status == "FAILED"


def test_a_model_that_does_not_add(store, command):
    class Other(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: list[str], params=None):
            return model_input

    with mlflow.start_run() as other:
        mlflow.pyfunc.log_model(python_model=Other(), name="model", pip_requirements=[])
    result = command(cli, "add", a="1", b="2", model=other.info.run_id)
    message = (
        f"model runs:/{other.info.run_id}/model adds no numbers; expected a model of a run of addi"
    )
    assert str(result.exception).startswith(message)


TINY = {
    "seq_len": 3,
    "steps": 2,
    "batch_size": 5,
    "hidden_size": 3,
    "embedding_dim": 2,
    "lengths": "2",
}


@pytest.mark.slow
def test_who_adds_better_becomes_the_champion_and_the_seed_alone_decides(store, command):
    def train(seed):
        result = command(cli, "rnn", **TINY, seed=seed)
        assert result.exception is None, result.output
        (line,) = (each for each in result.stdout.splitlines() if each.startswith("Registered"))
        return line, str(store.get_model_version_by_alias("adder", CHAMPION).version)

    def set_tags(version, accuracy, seq_len):
        store.set_model_version_tag("adder", version, "accuracy", accuracy)
        store.set_model_version_tag("adder", version, "seq_len", seq_len)

    def numbers(version):
        run = store.get_run(store.get_model_version("adder", version).run_id)
        return {k: v for k, v in run.data.metrics.items() if not k.startswith("time/")}

    line, champion = train(seed=3)
    assert champion == "1"
    assert line.endswith("adder version 1, the champion")
    tags = store.get_model_version("adder", "1").tags
    assert tags["seq_len"] == "3"
    line, champion = train(seed=3)  # the same once more: the first stays
    assert numbers("2") == numbers("1")
    assert champion == "1"
    assert line.endswith(f"adder version 1, {float(tags['accuracy']):.4f} of 2 digits")
    set_tags("1", "-1", "3")
    line, champion = train(seed=4)
    assert champion == "3"
    assert numbers("3") != numbers("1")
    set_tags("3", "1.0", "2")  # adds one digit, always
    line, champion = train(seed=4)
    assert champion == "3"
    assert "the champion stays adder version 3, 1.0000 of 1 digit" in line


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((0.995, 11), (1.0, 4)),  # both add; this one longer numbers
        ((1.0, 11), (0.999, 11)),
        ((0.99, 3), (0.98, 101)),  # short numbers, but nearly always
        ((0.5, 7), (0.4, 11)),
        ((0.0, 11), (0.0, 7)),
    ],
)
def test_merit(better, worse):
    def merit(accuracy, seq_len):
        return results.merit({"accuracy": str(accuracy), "seq_len": str(seq_len)})

    assert merit(*better) > merit(*worse)
    assert merit(*better) == merit(*better)


@pytest.mark.slow
@pytest.mark.nightly
def test_every_option_of_the_network_and_the_optimizer(store, command):
    options = {
        "cell": "gru",
        "num_layers": 1,
        "base": 2,
        "initializer": "keras",
        "optimizer": "sgd",
        "momentum": 0.5,
        "nesterov": True,
        "seed": 5,
    }
    result = command(cli, "rnn", **TINY | options | {"seq_len": 6, "lengths": "4,30"})
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    expected = addition.build(
        "gru", base=2, num_layers=1, hidden_size=3, embedding_dim=2
    ).count_params()
    assert run.data.metrics["params/total"] == expected
    assert "steps/to_99" not in run.data.metrics  # two steps are not enough
    used = {k: v for k, v in run.data.params.items() if k.startswith("used/")}
    assert used == {
        "used/learning_rate": "0.1",
        "used/momentum": "0.5",
        "used/nesterov": "True",
        "used/weight_decay": "0.0",
    }
    # The registry keeps bases apart.
    lengths = json.loads(text_of(run, "lengths.json"))
    assert [row[0] for row in lengths["data"]] == [6, 4, 30]
    assert [each.name for each in store.search_registered_models()] == ["adder-base2"]
    answer = command(cli, "add", a="101", b="11", model="models:/adder-base2@champion")
    assert answer.exception is None, answer.output
    assert answer.stdout.startswith("101 + 11 = ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": 37}, "37 is not in the range 2<=x<=36"),
        ({"seq_len": 1}, "1 is not in the range 2<=x<=10000"),
        ({"base": 2, "seq_len": 2}, "seq_len is 2; with base 2 there are 4 pairs of numbers"),
        ({"nesterov": True, "optimizer": "sgd"}, "momentum is 0; with nesterov=True it must be"),
        ({"learning_rate": 0}, "'0' is neither a positive number nor 'auto'"),
        ({"learning_rate": "1e38"}, "loss is nan after step 2 with learning_rate 1e+38"),
        ({"lengths": "5,x"}, "'x' is not a valid integer"),
        ({"lengths": "5,1"}, "1 is not in the range 2<=x<=10000"),
        ({"register_as": "o'neil"}, 'register_as is "o\'neil"; expected a name of letters'),
    ],
)
def test_bad_input_is_one_line(store, command, options, message):
    result = command(cli, "rnn", **TINY | options)
    error = result.exception
    said = error.format_message() if hasattr(error, "format_message") else str(error)
    assert message in said
    assert "\n" not in said
    assert all(run.info.status == "FAILED" for run in store.search_runs(["0"]))
    assert not store.search_registered_models()
