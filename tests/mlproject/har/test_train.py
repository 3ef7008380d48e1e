"""One small real run through the real command, and everything that it has logged."""

import json
import math
import re

import h5py
import mlflow
import numpy as np
import pytest

from mlproject.har.commands import cli
from mlproject.tracking.views import VIEWS
from processes import ask_as_a_server_does, post_as_to_a_server
from records import text_of

CLASSES = ["calm", "slow", "fast"]
SMALL = {"epochs": 3, "batch_size": 8, "units": 5, "seed": 7}


@pytest.fixture(scope="module")
def result(shared_store, windows, command):
    return command(cli, "rnn", data=windows, **SMALL)


@pytest.fixture(scope="module")
def run(result, shared_store):
    assert result.exception is None, result.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'train'")
    return run


@pytest.fixture
def artifact(run):
    return lambda path: text_of(run, path)


def series(store, run, name):
    return [(m.step, m.value) for m in store.get_metric_history(run.info.run_id, name)]


def test_it_finished_with_all_parameters(run):
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "rnn 5 sgd seed 7"
    options = {option.name for option in cli.commands["rnn"].params}
    used = {
        "used/learning_rate": "0.1",
        "used/momentum": "0.0",
        "used/weight_decay": "0.0",
        "used/clipnorm": "1.0",
        "used/loss": "softmax",
    }
    assert set(run.data.params) == options | set(used)
    assert used.items() <= run.data.params.items()
    assert run.data.params["units"] == "5"
    assert run.data.params["protocol"] == "tfnets"


def test_what_the_report_plots_is_there_by_epoch(run, shared_store):
    for split in ("train", "val", "test_by_epoch"):
        for name in ("loss", "accuracy", "top2"):
            history = series(shared_store, run, f"{split}/{name}")
            assert [step for step, _ in history] == [0, 1, 2, 3]
            assert all(math.isfinite(value) for _, value in history)


def test_the_start_is_told_apart_from_the_first_step(run, shared_store):
    """Before any step the network guesses (har_rnn, section III); one step changes the loss."""
    metrics = run.data.metrics
    for split, by_epoch in (("train", "train"), ("val", "val"), ("test", "test_by_epoch")):
        for name in ("loss", "accuracy", "top2"):
            (first, *_) = series(shared_store, run, f"{by_epoch}/{name}")
            assert first == (0, metrics[f"start_{split}/{name}"])
        assert metrics[f"start_{split}/loss"] == pytest.approx(math.log(3), abs=0.1)
        assert metrics[f"first_step_{split}/loss"] != metrics[f"start_{split}/loss"]
    assert 0 <= metrics["units/hardly_vary"] <= 1
    assert 0 <= metrics["units/saturated"] <= 1


def test_every_split_once_with_the_final_weights(run, shared_store):
    metrics = run.data.metrics
    for split in ("final_train", "final_val", "test"):
        for suffix in ("", "_mean"):
            top1, top2 = (metrics[f"{split}/{name}{suffix}"] for name in ("accuracy", "top2"))
            assert 0 <= top1 <= top2 <= 1
    # Of three classes a third guess is always right.
    assert not any("top3" in name for name in metrics)
    # Without early stopping the final weights are those of the last epoch.
    for once, by_epoch in (("test", "test_by_epoch"), ("final_val", "val")):
        assert (
            metrics[f"{once}/accuracy"] == series(shared_store, run, f"{by_epoch}/accuracy")[-1][1]
        )
    assert metrics["params/total"] == (3 + 5 + 1) * 5 + 6 * 3
    assert metrics["epochs/best"] == 3


def test_the_windows_of_each_split_are_logged(run, artifact):
    rows = [re.split(r"\s{2,}", line) for line in artifact("data.txt").splitlines()]
    assert rows == [
        ["class", "train", "val", "test"],
        ["calm", "18", "2", "5"],
        ["slow", "18", "2", "5"],
        ["fast", "18", "2", "5"],
        ["all windows", "54", "6", "15"],
        ["subjects", "not told apart", "as train", "not told apart"],
    ]
    assert "stratified 10 %" in run.data.tags["data.split"]
    contexts = {tag.value for i in run.inputs.dataset_inputs for tag in i.tags}
    assert {"training", "validation", "test"} <= contexts


def test_figures_tables_and_description(run, shared_store, artifact):
    names = {entry.path for entry in shared_store.list_artifacts(run.info.run_id)}
    assert names == {
        "confusion_matrix.png",
        "curves.png",
        "data.txt",
        "hidden.png",
        "mistakes.json",
        "mistakes.png",
        "model_summary.txt",
        "parameters.json",
        "parameters.txt",
        "test_by_class.json",
        "weights.png",
    }
    assert "(3+5+1)*5 = 45" in artifact("parameters.txt")
    note = run.data.tags["mlflow.note.content"]
    assert f"{run.data.metrics['test/accuracy']:.4f}" in note
    assert "top-1, mean over steps" in note


def test_the_most_certain_mistakes_are_there(run, artifact, windows):
    """By the deployed model, on the file's own arrays."""
    logged = json.loads(artifact("mistakes.json"))
    rows = [dict(zip(logged["columns"], row, strict=True)) for row in logged["data"]]
    with np.load(windows) as file:
        x, y = file["x_test"], file["y_test"]
    answer = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(x)
    shares = np.stack(list(answer.values()), axis=1)
    heard = shares.argmax(axis=1)
    wrong = {n: shares[n].max() for n in np.flatnonzero(heard != y)}
    assert len(rows) == min(10, len(wrong)) > 0
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx(sorted(wrong.values(), reverse=True)[: len(rows)], abs=1e-5)
    for row in rows:
        assert row["true"] == CLASSES[y[row["window"]]]
        assert row["predicted"] == CLASSES[heard[row["window"]]]


def test_the_summary_says_what_one_wants_to_know(result, run):
    lines = result.stdout.splitlines()
    (row,) = (line for line in lines if line.startswith("top-1, last step"))
    percents = [
        f"{100 * run.data.metrics[f'{s}/accuracy']:.2f}"
        for s in ("final_train", "final_val", "test")
    ]
    assert row.split()[3:] == percents
    (data,) = (line for line in lines if line.startswith("Data"))
    assert "54 train, 6 val, 15 test windows" in data
    assert lines[-1].endswith("viewStateShareKey=har-results")
    assert result.stderr.count("epoch ") == 3


def test_the_model_answers_with_class_names_and_probabilities(run, windows):
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    with np.load(windows) as file:
        x, y = file["x_test"], file["y_test"]
    answer = model.predict(x)
    assert list(answer) == CLASSES
    shares = np.stack(list(answer.values()), axis=1)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    accuracy = (shares.argmax(axis=1) == y).mean()
    assert accuracy == pytest.approx(run.data.metrics["test/accuracy"])
    assert model.metadata.saved_input_example_info
    with pytest.raises(Exception, match="NaN or infinity"):
        model.predict(np.full((1, 12, 3), np.nan, np.float32))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (json.dumps({"inputs": [[[float("nan")] * 3] * 12]}), "the input holds NaN or infinity"),
        (json.dumps({"inputs": [[[float("inf")] * 3] * 12]}), "the input holds NaN or infinity"),
        ('{"inputs": ' + "[" * 100_000 + "]" * 100_000 + "}", "the input is nested too deeply"),
        ('{"inputs": ' + "[" * 70 + "]" * 70 + "}", "."),
        ('{"inputs": [' + "1" * 40_000_000 + "]}", "the input has a number of over 1,000 digits"),
        ('{"inputs": [0.' + "1" * 40_000_000 + "]}", "the input has a number of over 1,000 dig"),
        ('{"inputs": [' + "1" * 900 + "]}", "."),
        ("", "the input is no JSON text: Expecting value"),
        ("\xff", "the input is no JSON text: Expecting value"),
        (
            "[1, 2]",
            "Invalid input. The input must be a JSON dictionary",
        ),
        ('{"inputs": "word"}', "."),
        ('{"inputs": null}', "."),
        ('{"inputs": [[["a", "b", "c"]]]}', "."),
        ('{"inputs": [[1, 2], [3]]}', "."),
        (json.dumps({"inputs": np.zeros((1, 12, 2)).tolist()}), "."),
        (json.dumps({"inputs": []}), "."),
        (json.dumps({"dataframe_split": {"columns": ["a"]}}), "."),
    ],
    ids=range(17),
)
def test_a_request_that_cannot_be_used_gets_one_line(run, body, line):
    status, answer = post_as_to_a_server(f"runs:/{run.info.run_id}/model", body)
    assert status == 400
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
    assert re.match(line, answer["message"]), answer
    assert "\n" not in answer["message"]
    assert len(answer["message"]) < 520
    assert "Traceback" not in answer["message"]
    assert set(answer) == {"error_code", "message"}


def test_a_request_after_bad_ones_is_answered(run):
    zeros = np.zeros((1, 12, 3)).tolist()
    assert list(ask_as_a_server_does(f"runs:/{run.info.run_id}/model", zeros)) == CLASSES


@pytest.mark.parametrize("view", VIEWS["har"], ids=lambda view: view.key)
def test_the_saved_views_show_what_a_run_logs(run, view):
    for column in view.columns:
        kind, name = column.split(".", 1)
        if name != "test/top3":  # there are three classes
            assert name in getattr(run.data, kind)


def test_the_reports_protocol(store, command, windows):
    result = command(cli, "rnn", data=windows, protocol="report", cell="gru", **SMALL)
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    assert run.data.params["used/loss"] == "raw"
    assert "used/clipnorm" not in run.data.params
    assert not any(name.startswith(("val/", "final_val/", "gap/")) for name in run.data.metrics)
    assert len(store.get_metric_history(run.info.run_id, "test_by_epoch/loss")) == 1 + 3
    assert "validation" not in result.stdout


@pytest.mark.slow
@pytest.mark.nightly
def test_options_beat_the_protocol(store, command, windows):
    chosen = {"loss": "binary", "clipnorm": 0.5, "validation_fraction": 0.2, "learning_rate": 0.01}
    more = {"optimizer": "adam", "activation": "sigmoid", "initializer": "glorot"}
    more |= {"schedule": "cosine", "keep": "best"}
    result = command(cli, "rnn", data=windows, **SMALL, **chosen, **more)
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    params = run.data.params
    assert params["used/loss"] == "binary"
    best = int(run.data.metrics["epochs/best"])
    by_epoch = [m.value for m in store.get_metric_history(run.info.run_id, "val/accuracy")][1:]
    assert by_epoch.index(max(by_epoch)) == best - 1
    assert run.data.metrics["final_val/accuracy"] == max(by_epoch)
    assert params["used/clipnorm"] == "0.5"
    assert params["used/learning_rate"] == "0.01"
    assert "used/momentum" not in params
    assert "12 val" in result.stdout


@pytest.mark.slow
def test_people_are_named_and_on_one_side_only(store, command):
    result = command(
        cli, "rnn", test_subjects="1,2", epochs=1, batch_size=500, units=2, cell="rnn"
    )
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    tags = run.data.tags
    assert tags["data.test_subjects"] == "1, 2"
    assert tags["data.train_subjects"] == "3, 4, 5, 6, 7, 8, 9, 10"
    assert tags["data.split"].startswith("by subject, test: 1, 2; validation")
    text = text_of(run, "data.txt")
    rows = [re.split(r"\s{2,}", line) for line in text.splitlines()]
    assert rows[1] == ["ABD", "450", "50", "100"]
    assert rows[-2:] == [
        ["all windows", "2700", "300", "600"],
        ["subjects", "3, 4, 5, 6, 7, 8, 9, 10", "as train", "1, 2"],
    ]
    # What the built-in recordings are without is said, too.
    assert tags["data.split"].endswith(
        "; without the pendulum exercise (PEN; 20 of 140 recordings)"
    )


@pytest.mark.slow
def test_the_courses_file(store, command, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.eye(6)[np.arange(60) % 6]
    with h5py.File(tmp_path / "course.h5", "w") as file:
        for name, n in (("tr", 60), ("tst", 12)):
            file[f"{name}X"], file[f"{name}Y"] = rng.normal(size=(n, 150, 3)), labels[:n]
    result = command(cli, "rnn", data=tmp_path / "course.h5", epochs=1, units=2, batch_size=60)
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    assert run.data.tags["data.test_subjects"] == "not told apart"
    assert run.data.metrics["test/top3_mean"] >= run.data.metrics["test/top2_mean"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "/nowhere.h5"}, "/nowhere.h5"),
        ({"test_subjects": "9,77"}, "test_subjects names '77'; there are the subjects 1, 2"),
        ({"split": "random", "test_subjects": "9"}, "test_subjects goes with split=subject"),
        ({"learning_rate": "fast"}, "'fast' is neither a positive number nor 'auto'"),
        ({"clipnorm": -1}, "'-1' is neither a number of 0 or more nor 'auto'"),
        ({"validation_fraction": 1}, "'1' is neither a number from 0 to below 1 nor 'auto'"),
        ({"test_subjects": "9,,10"}, "'9,,10' has an empty name in it"),
        ({"protocol": "mine"}, "'mine' is not one of 'tfnets', 'report'"),
        (
            {"activation": "softmax", "loss": "raw"},
            "activation is 'softmax', but loss 'raw' has sigmoid outputs; leave activation out or",
        ),
        ({"activation": "sigmoid"}, "'sigmoid', but loss 'softmax' has softmax outputs"),
        ({"schedule": "step"}, "'step' is not one of 'constant', 'linear', 'cosine'"),
        ({"keep": "best", "protocol": "report"}, "there is no best epoch to keep"),
        ({"momentum": 1}, "1.0 is not in the range 0<=x<1"),
    ],
)
def test_bad_input_is_one_line(store, command, options, message):
    result = command(cli, "rnn", **options)
    assert message in str(
        result.exception.args[0] if result.exception.args else ""
    ) or message in (
        result.exception.format_message() if hasattr(result.exception, "format_message") else ""
    )
    assert "\n" not in str(result.exception)
    assert all(run.info.status == "FAILED" for run in store.search_runs(["0"]))


def test_a_loss_that_is_no_number_ends_the_run_as_failed(store, command, windows):
    result = command(cli, "rnn", data=windows, learning_rate=1e39, clipnorm=0, **SMALL)
    assert "loss is " in str(result.exception)
    assert "learning_rate 1e+39; expected a smaller one" in str(result.exception)
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"


@pytest.mark.slow
@pytest.mark.race
def test_two_processes_that_log_the_same_data_at_once(store, command, windows, monkeypatch):
    """MLflow looks for the data set's entry, makes it, and fails if another was faster."""
    log_inputs = mlflow.MlflowClient.log_inputs
    failures = [mlflow.MlflowException("UNIQUE constraint failed: datasets.name")]

    def stumble(*args, **kwargs):
        if failures:
            raise failures.pop()
        return log_inputs(*args, **kwargs)

    monkeypatch.setattr(mlflow.MlflowClient, "log_inputs", stumble)
    result = command(cli, "rnn", data=windows, epochs=1, units=2)
    assert result.exception is None, result.output
    assert not failures
    (run,) = store.search_runs(["0"])
    assert len(run.inputs.dataset_inputs) == 3
