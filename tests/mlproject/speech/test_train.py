"""One small real run through the real command, and everything that it has logged."""

import json
import math

import mlflow
import numpy as np
import pytest

from mlproject.speech.commands import cli
from records import text_of
from tfnets import optimizers
from tfnets.errors import InputError
from tfnets.speech import audio

PARAMETERS = {
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 0.01,
    "seed": 5,
    "pooling": "mean",
}


@pytest.fixture(scope="module")
def result(shared_store, shared_speech_folder, command):
    return command(cli, "gru", data=shared_speech_folder, **PARAMETERS)


@pytest.fixture(scope="module")
def run(result, shared_store):
    assert result.exception is None, result.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'train'")
    return run


@pytest.fixture
def artifact(run, shared_store):
    def text(path):
        return text_of(run, path)

    return text


def test_it_finished_with_a_name_one_can_read(run):
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "gru adam seed5"


def test_the_summary_says_what_one_wants_to_know(result, run):
    lines = dict(line.split("  ", 1) for line in result.stdout.strip().splitlines())
    accuracy = run.data.metrics["test/accuracy"]
    assert lines["Test accuracy"].strip().startswith(f"{accuracy:.4f}")
    assert lines["Parameters"].strip() == "70,531"
    assert "for 3 epochs" in lines["Training time"]
    assert lines["Run"].strip() == f"gru adam seed5  {run.info.run_id}"
    assert "mlflow ui" in lines["Open the UI"]
    address = "/#/experiments/0/runs?workflowType=machine_learning&viewStateShareKey="
    assert lines["Open the UI"].endswith(f"{address}speech-results")


def test_every_epoch_is_shown_with_the_time_left(result):
    lines = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all(line.endswith(" left") for line in lines[:2])


def test_all_parameters_are_logged(run):
    options = {option.name for option in cli.commands["gru"].params}
    used = {f"used/{name}" for name in ("learning_rate", "level", "augment", "keep", "calibrate")}
    assert set(run.data.params) == options | used
    assert run.data.params["used/level"] == "none"  # the reports'
    assert run.data.params["used/keep"] == "last"
    assert run.data.params["optimizer"] == "adam"
    assert run.data.params["used/learning_rate"] == "0.01"
    for key, value in PARAMETERS.items():
        assert run.data.params[key] == str(value)


def test_metrics_by_epoch(run, shared_store):
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "time/epoch_s"):
        history = shared_store.get_metric_history(run.info.run_id, name)
        assert [metric.step for metric in history] == [1, 2, 3]
        assert all(math.isfinite(metric.value) for metric in history)


def test_single_metrics(run):
    metrics = run.data.metrics
    assert metrics["params/total"] == 70_531
    assert 0 <= metrics["test/accuracy"] <= metrics["test/top2"] <= 1
    for name in ("features", "train", "log", "total"):
        assert metrics[f"time/{name}_s"] > 0
    assert metrics["time/train_s"] < metrics["time/total_s"]
    # train/* and val/* are those of the last epoch.
    gap = metrics["train/accuracy"] - metrics["val/accuracy"]
    assert metrics["gap/accuracy"] == pytest.approx(gap)
    assert metrics["gap/loss"] == pytest.approx(metrics["val/loss"] - metrics["train/loss"])


def test_epochs_to_nearly_the_final_accuracy(run, shared_store):
    history = shared_store.get_metric_history(run.info.run_id, "val/accuracy")
    enough = [each.step for each in history if each.value >= 0.9 * history[-1].value]
    assert run.data.metrics["epochs/to_90_of_final"] == enough[0]
    said = f"90 % of its validation accuracy were there after {enough[0]} epoch"
    assert said in run.data.tags["mlflow.note.content"]


def test_tags_say_what_ran_where(run):
    tags = run.data.tags
    assert tags["task"] == "speech"
    assert tags["stage"] == "train"
    assert tags["model"] == "gru"
    assert tags["data.name"] == "commands"
    assert int(tags["threads"]) >= 1
    assert tags["execution"] == "XLA, batches in 2 parts, up to 4 steps a call"
    for package in ("tensorflow", "keras", "numpy", "mlflow", "python", "tfnets"):
        assert tags[f"version.{package}"]


def test_the_data_set_is_an_input(run, shared_speech_folder):
    inputs = run.inputs.dataset_inputs
    by_context = {
        tag.value: entry.dataset
        for entry in inputs
        for tag in entry.tags
        if tag.key == "mlflow.data.context"
    }
    assert set(by_context) == {"training", "validation", "test"}
    assert {dataset.name for dataset in by_context.values()} == {"commands"}
    assert json.loads(by_context["training"].source)["uri"] == str(shared_speech_folder)
    assert json.loads(by_context["training"].profile)["features_shape"] == [24, 101, 40]
    tags = {tag.key: tag.value for tag in inputs[0].tags}
    assert tags["split"] == "by speaker, from lists"
    assert tags["classes"] == "no, go, down"


def test_figures_and_tables(run, shared_store, artifact):
    names = {entry.path for entry in shared_store.list_artifacts(run.info.run_id)}
    assert names == {
        "confusion_matrix.png",
        "curves.png",
        "model_summary.txt",
        "parameters.json",
        "parameters.txt",
        "reliability.json",
        "reliability.png",
        "test_by_class.json",
    }
    assert "(40+64+2)*3*64 = 20352" in artifact("parameters.txt")
    summary = artifact("model_summary.txt")
    assert "gru_2" in summary
    assert "Total params: 70,531 " in summary  # without those of the optimizer
    table = json.loads(artifact("parameters.json"))
    assert table["data"][-1][-1] == 70_531
    by_class = json.loads(artifact("test_by_class.json"))
    assert [row[0] for row in by_class["data"]] == ["no", "go", "down"]


def test_the_description(run):
    note = run.data.tags["mlflow.note.content"]
    assert f"**{run.data.metrics['test/accuracy']:.4f}**" in note
    assert "(64+64+2)*3*64 = 24960" in note
    assert f"mlflow models serve -m runs:/{run.info.run_id}/model" in note


def test_the_deployed_model_has_signature_example_and_description(run):
    info = mlflow.models.get_model_info(f"runs:/{run.info.run_id}/model")
    (inputs,) = info.signature.inputs.to_dict()
    assert inputs["tensor-spec"]["shape"] == (-1, -1)
    assert info.signature.outputs.input_names() == ["no", "go", "down"]
    assert info.metadata["classes"] == ["no", "go", "down"]
    assert info.metadata["sample_rate"] == 16_000
    example = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").input_example
    assert example.shape == (1, 16_000)


def test_the_deployed_model_is_as_good_as_the_run_says(run, shared_speech_folder):
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    names = ("no", "go", "down")
    listed = (shared_speech_folder / "testing_list.txt").read_text().split()
    sound = np.stack([audio.read(shared_speech_folder / path).samples for path in listed])
    answers = model.predict(sound)
    probabilities = np.stack([answers[name] for name in names], axis=1)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    words = [path.split("/")[0] for path in listed]
    right = np.array(names)[probabilities.argmax(axis=1)] == words
    assert np.mean(right) == pytest.approx(run.data.metrics["test/accuracy"])


# classify


@pytest.fixture
def clip(shared_speech_folder):
    return shared_speech_folder / "go/speaker5_nohash_0.wav"


def test_classify_with_the_latest_run(run, shared_store, command, clip):
    result = command(cli, "classify", wav=clip)
    assert result.exception is None, result.output
    first, *rows = result.stdout.splitlines()
    assert first.startswith("speaker5_nohash_0.wav: ")
    ranked = [(row.split()[0], float(row.split()[1])) for row in rows[:3]]
    assert {name for name, _ in ranked} == {"no", "go", "down"}
    assert sum(value for _, value in ranked) == pytest.approx(1, abs=2e-4)
    assert first == f"speaker5_nohash_0.wav: {ranked[0][0]}"
    assert rows[-1] == f"Model: runs:/{run.info.run_id}/model (gru adam seed5)"
    newest = shared_store.search_runs(["0"], "tags.stage = 'classify'")[0]
    assert newest.info.status == "FINISHED"
    assert newest.data.tags["word"] == ranked[0][0]
    assert newest.data.tags["model.uri"] == f"runs:/{run.info.run_id}/model"
    logged = mlflow.load_table("probabilities.json", run_ids=[newest.info.run_id])
    assert logged["word"].tolist() == [name for name, _ in ranked]
    np.testing.assert_allclose(logged["probability"], [p for _, p in ranked], atol=1e-4)


def test_classify_looks_into_its_own_experiment_first(run, shared_store, command, clip):
    """Elsewhere only where that has no model."""
    other = shared_store.create_experiment("other")
    newer = shared_store.create_run(
        other, tags={"task": "speech", "inputs": "waveforms", "mlflow.runName": "no model"}
    )
    shared_store.set_terminated(newer.info.run_id)
    try:
        result = command(cli, "classify", wav=clip)
        assert result.stdout.strip().endswith("/model (gru adam seed5)")
    finally:
        shared_store.delete_experiment(other)
    empty = shared_store.create_experiment("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_ID", empty)
        result = command(cli, "classify", wav=clip)
    assert result.stdout.strip().endswith("/model (gru adam seed5)")


def test_classify_by_run_id_and_from_the_registry(run, shared_store, command, clip):
    mlflow.register_model(f"runs:/{run.info.run_id}/model", "words")
    shared_store.set_registered_model_alias("words", "best", 1)
    answers = {
        command(cli, "classify", wav=clip, model=model).stdout.rpartition("Model:")[0]
        for model in (run.info.run_id, "models:/words@best", "models:/words/1")
    }
    assert len(answers) == 1
    assert "go" in answers.pop()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wav": "nothing.wav"}, r"nothing\.wav: no such file; expected a recording"),
        ({"model": "0" * 32}, r"no model can be loaded from '0{32}'"),
        ({"model": "models:/unheard@best"}, r"no model can be loaded from 'models:/unheard@best'"),
        ({"model": "what://ever"}, r"no model can be loaded from 'what://ever'"),
    ],
)
def test_classify_bad_input(run, shared_store, command, clip, change, message):
    result = command(cli, "classify", **({"wav": clip} | change))
    assert isinstance(result.exception, InputError)
    assert "\n" not in str(result.exception)
    with pytest.raises(InputError, match=message):
        raise result.exception
    newest = shared_store.search_runs(["0"], "tags.stage = 'classify'", max_results=1)[0]
    assert newest.info.status == "FAILED"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset_after": True, "recurrent_bias": False}, "recurrent_bias=False goes with"),
        ({"words": "no"}, "words is 'no': only one class; a classifier needs two"),
    ],
)
def test_bad_parameters_end_the_run_as_failed(store, command, options, message):
    result = command(cli, "gru", clips=15, **options)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(message)
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"


def test_classify_with_somebody_elses_model(store, command, clip):
    import keras
    import tensorflow as tf

    with mlflow.start_run():
        network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        keras_model = mlflow.tensorflow.log_model(network, name="a", pip_requirements=[])
        module = tf.Module()
        module.answer = tf.function(lambda x: x, input_signature=[tf.TensorSpec((None,))])
        tf_model = mlflow.tensorflow.log_model(module, name="b", pip_requirements=[])
    for uri in (keras_model.model_uri, tf_model.model_uri):
        result = command(cli, "classify", wav=clip, model=uri)
        assert isinstance(result.exception, InputError)
        assert "expected a model of a run on audio" in str(result.exception)


def test_the_answer_is_shown_even_if_it_cannot_be_logged(
    run, shared_store, command, clip, monkeypatch
):
    def fail(*args, **kwargs):
        raise mlflow.MlflowException("no room")

    monkeypatch.setattr(mlflow, "log_table", fail)
    result = command(cli, "classify", wav=clip)
    assert result.stdout.startswith("speaker5_nohash_0.wav: ")
    assert str(result.exception).endswith("no room.")


@pytest.mark.slow
def test_a_run_on_matrices_serves_matrices(store, command, tmp_path, clip):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.normal(5, 3, size=(60, 9, 4)) + 4 * y[:, None, None]
    np.savez(
        tmp_path / "course.npz",
        x_train=x,
        y_train=y,
        x_test=x[:8] + 0.01,
        y_test=y[:8],
        classes=np.array(["low", "high"]),
    )
    result = command(cli, "gru", data=tmp_path / "course.npz", epochs=1, batch_size=16)
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    assert "test/top2" not in run.data.metrics
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    answers = model.predict((x[:8] + 0.01).astype(np.float32))
    predicted = np.stack([answers["low"], answers["high"]]).argmax(axis=0)
    assert np.mean(predicted == y[:8]) == pytest.approx(run.data.metrics["test/accuracy"])
    refused = command(cli, "classify", wav=clip)
    assert "there is no finished speech run on waveforms" in str(refused.exception)
    refused = command(cli, "classify", wav=clip, model=run.info.run_id)
    assert "not waveforms; expected a model of a run on audio" in str(refused.exception)


@pytest.fixture
def trained(monkeypatch):
    """What ``training.train`` gave: what the log says is not enough."""
    from tfnets import training

    results = []
    train = training.train
    monkeypatch.setattr(
        training, "train", lambda *a, **k: results.append(train(*a, **k)) or results[-1]
    )
    return results


@pytest.mark.slow
def test_options_reach_the_network_and_its_optimizer(store, command, trained):
    options = {"clips": 20, "epochs": 2, "batch_size": 7, "learning_rate": 0.003}
    result = command(cli, "gru", recurrent_bias=False, words="no,go", **options)
    assert result.exception is None, result.output
    network, optimizer = trained[0].model, trained[0].optimizer
    assert isinstance(optimizer, optimizers.Adam)
    assert int(optimizer.iterations) == 2 * math.ceil(2 * 20 / 7)
    assert float(optimizer.learning_rate) == pytest.approx(0.003)
    assert network.get_layer("gru_1").cell.bias.shape == (192,)
    (run,) = store.search_runs(["0"])
    assert run.data.metrics["params/total"] == network.count_params() == 70_147 - 129


@pytest.mark.parametrize(
    ("model", "parameters", "layers"),
    [
        ("fc", 567_171, "4040"),
        ("cnn", 346_067, "floor((101-5+0)/1 + 1) = 97, floor((40-5+0)/1 + 1) = 36"),
    ],
)
def test_the_other_networks(
    store, command, trained, shared_speech_folder, model, parameters, layers
):
    options = {"optimizer": "sgd", "momentum": 0.8, "weight_decay": 0.02, "initializer": "torch"}
    result = command(cli, model, data=shared_speech_folder, epochs=2, batch_size=8, **options)
    assert result.exception is None, result.output
    optimizer = trained[0].optimizer
    assert isinstance(optimizer, optimizers.SGD)
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    assert (optimizer.momentum, optimizer.coupled_weight_decay) == (0.8, 0.02)
    assert trained[0].model.get_layer("dense_2").bias_initializer.maxval == 128**-0.5
    (run,) = store.search_runs(["0"])
    assert run.info.run_name == f"{model} sgd seed0"
    assert run.data.metrics["params/total"] == parameters
    assert run.data.params["learning_rate"] == "auto"
    assert run.data.params["used/learning_rate"] == "0.01"
    assert run.data.params["used/momentum"] == "0.8"
    assert run.data.params["used/weight_decay"] == "0.02"
    assert run.data.tags["model"] == model
    note = run.data.tags["mlflow.note.content"]
    assert "sgd (learning rate 0.01, momentum 0.8, weight decay 0.02)" in note
    table = text_of(run, "parameters.txt")
    assert layers in table
    assert table.strip().endswith(f"= {parameters}")


def test_classify_before_any_training(store, command, clip):
    result = command(cli, "classify", wav=clip)
    assert "there is no finished speech run" in str(result.exception)


def test_bad_data_ends_the_run_as_failed_and_says_why(store, command, tmp_path):
    result = command(cli, "gru", data=tmp_path / "nowhere")
    assert isinstance(result.exception, InputError)
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == str(result.exception)
    assert not store.list_artifacts(run.info.run_id)


def test_copies_are_counted_and_can_be_kept(store, speech_folder, command):
    source = speech_folder / "go/speaker5_nohash_0.wav"
    (speech_folder / "go/speaker0_nohash_0.wav").write_bytes(source.read_bytes())
    for kind in ("drop", "keep"):
        given = {"data": speech_folder, "epochs": 1, "batch_size": 8, "duplicates": kind}
        assert command(cli, "fc", **given).exception is None
    kept, dropped = store.search_runs(["0"], "tags.stage = 'train'")
    assert [run.data.tags["data.duplicates"] for run in (dropped, kept)] == ["1", "1"]
    for run, words in ((dropped, "dropped"), (kept, "kept on request")):
        (split,) = {
            tag.value
            for each in run.inputs.dataset_inputs
            for tag in each.tags
            if tag.key == "split"
        }
        assert f"1 train clips that are in the test split, too, {words}" in split
    assert dropped.data.params["duplicates"] == "drop"
    assert kept.data.params["duplicates"] == "keep"
