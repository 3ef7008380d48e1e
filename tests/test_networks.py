"""What holds of every network of every task."""

import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest

from processes import where_nothing_is_installed
from tfnets import addition, har, parameters, speech, training
from tfnets.dataset import Dataset, Split
from tfnets.execution import Execution
from tfnets.loop import CLASSIFICATION

# By name: task, what builds it, and its number of parameters by the reports' or our own formula.
NETWORKS = {
    "speech fc": (speech, lambda: speech.build("fc"), 567_171),
    "speech cnn": (speech, lambda: speech.build("cnn"), 346_067),
    "speech gru": (speech, lambda: speech.build("gru"), 70_531),
    "speech gru, reset after": (speech, lambda: speech.build("gru", reset_after=True), 70_531),
    "speech gru, one bias": (speech, lambda: speech.build("gru", recurrent_bias=False), 70_147),
    "speech gru, mean": (speech, lambda: speech.build("gru", pooling="mean"), 70_531),
    "har rnn": (har, lambda: har.build(seed=0), 3_006),
    "har rnn, 100 units": (har, lambda: har.build(units=100, seed=0), 11_006),
    "har rnn, normalised": (har, lambda: har.build(loss="normalised", seed=0), 3_006),
    "har rnn, raw": (har, lambda: har.build(loss="raw", seed=0), 3_006),
    "har rnn, binary": (har, lambda: har.build(loss="binary", seed=0), 3_006),
    "har lstm": (har, lambda: har.build("lstm", units=10, seed=0), 4 * (3 + 10 + 1) * 10 + 66),
    "har gru": (har, lambda: har.build("gru", units=10, seed=0), 3 * (3 + 10 + 2) * 10 + 66),
    "addition rnn": (addition, lambda: addition.build(), 17_482),
    "addition rnn, advanced": (addition, lambda: addition.build(embedding_dim=64), 21_898),
    "addition lstm": (addition, lambda: addition.build(cell="lstm", embedding_dim=64), 83_722),
    "addition gru": (addition, lambda: addition.build(cell="gru", embedding_dim=64), 63_498),
}
SOURCE = Path(__file__).parents[1] / "src"
LOSSES = {"normalised": "normalised", "raw": "raw", "binary": "binary"}


def every(function):
    return pytest.mark.parametrize("name", NETWORKS)(function)


def sample(task, network, n=6, seed=0):
    """Inputs of a network, and labels as its loss takes them."""
    rng = np.random.default_rng(seed)
    if task is addition:
        x = rng.integers(0, 10, (n, 7, 2)).astype(np.int32)
        return x, rng.integers(0, 10, (n, 7)).astype(np.int32)
    shape, classes = network.input_shape[1:], network.output_shape[-1]
    y = (np.arange(n) % classes).astype(np.int32)
    return (rng.normal(size=(n, *shape)) + y.reshape(n, 1, 1)).astype(np.float32), y


def objective_of(name):
    if NETWORKS[name][0] is addition:
        return addition.OBJECTIVE
    if NETWORKS[name][0] is speech:
        return CLASSIFICATION
    return har.objective(LOSSES.get(name.rpartition(", ")[2], "softmax"), 6)


@every
def test_it_has_as_many_parameters_as_its_formula_says(name):
    _, build, count = NETWORKS[name]
    network = build()
    derivation = parameters.derive(network)
    assert network.count_params() == derivation.total == count
    *_, total = str(derivation).splitlines()
    formula, _, result = total.removeprefix("total").strip().partition(" = ")
    assert eval(formula) == int(result) == count


@every
def test_a_step_lowers_the_loss(name):
    task, build, _ = NETWORKS[name]
    x, y = sample(task, build(), n=12)
    classes = tuple("abcdefghij")[: build().output_shape[-1]]
    split = Split(x, y)
    data = Dataset("random", "random", classes, split, None, split, "none", "0")
    rate = 0.01 if task is har else 0.001
    recipe = training.Recipe(
        epochs=1, batch_size=12, optimizer="sgd", learning_rate=rate, momentum=0, weight_decay=0
    )
    trained = training.train(
        build,
        data,
        recipe,
        progress=False,
        objective=objective_of(name),
        execution=Execution(),
        from_start=True,
    )
    before, after = trained.start[0]["train/loss"], trained.evaluate(split)["loss"]
    assert math.isfinite(before)
    assert after < before


@every
def test_outputs_are_what_they_are_called(name):
    task, build, _ = NETWORKS[name]
    network = build()
    x, _ = sample(task, network)
    outputs = network.predict(x, verbose=0)
    assert outputs.shape == (6, *network.compute_output_shape(x.shape)[1:])
    if task is not addition:  # it gives logits
        assert outputs.min() >= 0
        if name.rpartition(", ")[2] not in LOSSES:
            np.testing.assert_allclose(outputs.sum(axis=-1), 1, atol=1e-5)


@every
def test_the_same_seed_gives_the_same_weights(name):
    _, build, _ = NETWORKS[name]

    def weights():
        keras.utils.set_random_seed(3)
        return build().get_weights()

    for one, other in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, shared_store):
    """What all networks answer in one process that has only the code that travels with a model."""
    folder = tmp_path_factory.mktemp("networks")
    expected = {}
    for name, (task, build, _) in NETWORKS.items():
        network = build()
        x, _ = sample(task, network)
        file = folder / f"{name}.keras"
        network.save(file)
        np.save(folder / f"{name}.npy", x)
        expected[name] = network.predict(x, verbose=0)
    code = f"""
import sys
sys.path.append({str(SOURCE)!r})
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from pathlib import Path
import keras, numpy as np
from tfnets import layers
found = {{}}
for file in sorted(Path({str(folder)!r}).glob("*.keras")):
    x = np.load(file.with_suffix(".npy"))
    model = keras.saving.load_model(file, compile=False)
    found[file.stem] = np.asarray(model.predict(x, verbose=0), np.float64).tolist()
print(json.dumps(found))
"""
    return expected, where_nothing_is_installed(code, folder)


@pytest.mark.nightly
@every
def test_a_saved_network_answers_the_same_in_another_process(name, elsewhere):
    """With nothing but the layers imported: Keras 3.15 imports no module that a file names.

    MLflow does; that its models load without is tested with the commands.
    """
    expected, found = elsewhere
    np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
    assert json.dumps(found[name])
