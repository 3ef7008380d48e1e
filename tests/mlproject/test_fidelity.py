"""Every network of every task, trained by its command, beside the same training in PyTorch.

The data, the initial weights and the order of the samples are those of tests/golden; all else is
what the command makes of its options: objective, optimizer, clipping, shards, the padding of the
last batch, evaluation and what is logged. PyTorch's side (tests/golden/trainings.py) knows
nothing of ours.
"""

import json
from pathlib import Path
from unittest import mock

import keras
import mlflow
import numpy as np
import pytest

import tfnets.addition
import tfnets.har
import tfnets.speech
from golden import inputs
from mlproject.addition.commands import cli as addition_cli
from mlproject.har.commands import cli as har_cli
from mlproject.speech.commands import cli as speech_cli
from tfnets import torch_weights

# Whole trainings: minutes.
pytestmark = pytest.mark.slow

RESULTS = json.loads((Path(__file__).parents[1] / "golden" / "trainings.json").read_text())
NAMES = {
    task: [n for n in RESULTS if n.startswith(task)] for task in ("speech", "har", "addition")
}
CLOSE = {"rel": 1e-5, "abs": 1e-5}


def set_weights(model, name):
    """The initial weights of PyTorch's module, by torch_weights or, in Keras' layout, as is."""
    shapes = {entry: tuple(shape) for entry, shape in RESULTS[name]["shapes"].items()}
    values = inputs.weights(name, shapes)
    if not any("recurrent_kernel" in entry for entry in values):
        torch_weights.load(model, values)
        return
    modules = {}
    for entry, value in values.items():
        prefix, _, role = entry.rpartition(".")
        modules.setdefault(prefix, {})[role] = value
    layers = [layer for layer in model.layers if layer.weights]
    for layer, module in zip(layers, modules.values(), strict=True):
        if isinstance(layer, keras.layers.RNN):
            layer.set_weights([module[r] for r in ("kernel", "recurrent_kernel", "bias")])
        elif isinstance(layer, keras.layers.Embedding):
            layer.set_weights([module["weight"]])
        else:
            layer.set_weights([module["weight"].T, module["bias"]])


def run_command(command, store, cli, task, name, verb, **options):
    """The finished run of a command whose network starts with PyTorch's weights."""
    build = task.build

    def started(*args, **kwargs):
        model = build(*args, **kwargs)
        set_weights(model, name)
        return model

    with mock.patch.object(task, "build", started):
        result = command(cli, verb, **options)
    assert result.exception is None, result.output
    (run, *_) = store.search_runs(["0"], order_by=["attributes.start_time DESC"])
    return run


def file_of(tmp_path, name, shape, classes, sizes):
    path = tmp_path / "data.npz"
    np.savez(path, **inputs.classification(name, shape, classes, sizes))
    return path


def assert_history(store, run, name, names, first=0):
    """What was logged by epoch is what PyTorch has."""
    for ours, theirs in names.items():
        points = store.get_metric_history(run.info.run_id, ours)
        found = [point.value for point in points][first:]
        expected = [epoch[theirs] for epoch in RESULTS[name]["history"]]
        assert found == pytest.approx(expected, **CLOSE), ours


def assert_orders(name, seed, n):
    rng = np.random.default_rng(seed)
    for order in RESULTS[name]["orders"]:
        assert rng.permutation(n).tolist() == order


def answers(run, x):
    """What the logged model says, ``(n, classes)``."""
    model = mlflow.tensorflow.load_model(f"runs:/{run.info.run_id}/model")
    return np.stack([np.asarray(v) for v in model.predict(x, verbose=0).values()], axis=1)


@pytest.mark.parametrize("name", NAMES["speech"])
def test_speech(name, store, command, tmp_path):
    given = dict(inputs.TRAININGS[name])
    shape, classes, sizes = given.pop("shape"), given.pop("classes"), inputs.SPEECH_SIZES
    if name.endswith("reset_after"):
        given["reset_after"] = True
    data = file_of(tmp_path, name, shape, classes, sizes)
    verb = name.split()[1]
    run = run_command(command, store, speech_cli, tfnets.speech, name, verb, data=data, **given)
    assert_orders(name, 0, sizes["train"])
    parts = [f"{s}/{m}" for s in ("train", "val") for m in ("loss", "accuracy")]
    assert_history(store, run, name, {part: part for part in parts})
    final = RESULTS[name]["final"]["test"]
    for metric in ("loss", "accuracy", "top2"):
        assert run.data.metrics[f"test/{metric}"] == pytest.approx(final[metric], **CLOSE)
    x = inputs.classification(name, shape, classes, sizes)["x_test"]
    np.testing.assert_allclose(answers(run, x), RESULTS[name]["outputs"], atol=1e-5)


@pytest.mark.parametrize("name", NAMES["har"])
def test_har(name, store, command, tmp_path):
    settings = dict(inputs.HAR)
    shape, classes = settings.pop("shape"), settings.pop("classes")
    given = settings | inputs.TRAININGS[name]
    report = "protocol" in given
    sizes = {split: n for split, n in inputs.SIZES.items() if split != "val" or not report}
    data = file_of(tmp_path, name, shape, classes, sizes)
    run = run_command(command, store, har_cli, tfnets.har, name, "rnn", data=data, **given)
    assert_orders(name, settings["seed"], sizes["train"])
    splits = {"train": "train", "val": "val", "test_by_epoch": "test"}
    metrics = ("loss", "accuracy", "top2", "top3")
    names = {
        f"{ours}/{metric}": f"{theirs}/{metric}"
        for ours, theirs in splits.items()
        for metric in metrics
        if theirs in sizes
    }
    assert_history(store, run, name, names, first=1)  # ours has the initial weights', too
    for split, expected in RESULTS[name]["final"].items():
        prefix = {"train": "final_train", "val": "final_val", "test": "test"}[split]
        for metric, value in expected.items():
            assert run.data.metrics[f"{prefix}/{metric}"] == pytest.approx(value, **CLOSE)
    x = inputs.classification(name, shape, classes, sizes)["x_test"]
    np.testing.assert_allclose(answers(run, x), RESULTS[name]["outputs"], atol=1e-5)


@pytest.mark.parametrize("name", NAMES["addition"])
def test_addition(name, store, command):
    given = inputs.ADDITION | inputs.TRAININGS[name]
    options = given | {"lengths": given["seq_len"], "register_as": "none"}
    run = run_command(command, store, addition_cli, tfnets.addition, name, "rnn", **options)
    parts = [f"{s}/{m}" for s in ("train", "val") for m in ("loss", "accuracy", "digit_accuracy")]
    assert_history(store, run, name, {part: part for part in parts})
    for metric, value in RESULTS[name]["final"]["test"].items():
        assert run.data.metrics[f"test/{metric}"] == pytest.approx(value, **CLOSE)
    served = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    pairs = tfnets.addition.load(given["seq_len"]).test.x[:5]
    written = [["".join(map(str, reversed(n))) for n in p.T.tolist()] for p in pairs]
    said = served.predict([{"a": a, "b": b} for a, b in written])["sum"]
    # It sees one digit more than the longer number has; none of these starts with 0.
    digits = np.array(RESULTS[name]["outputs"]).argmax(-1)
    for (a, b), row, answer in zip(written, digits, said, strict=True):
        n = max(len(a.lstrip("0")), len(b.lstrip("0"))) + 1
        assert answer == "".join(map(str, reversed(row[:n]))).lstrip("0") or "0"
