import itertools
import random
import threading
from contextlib import contextmanager

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import har
from tfnets.errors import InputError
from tfnets.layers import CELLS, SimpleRNN

INITIALIZERS = ("uniform", "glorot")


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 3_006),
        ({"units": 100}, 11_006),
        ({"cell": "gru"}, (3 + 50 + 2) * 3 * 50 + 306),
        ({"cell": "lstm"}, (3 + 50 + 1) * 4 * 50 + 306),
        ({"input_shape": (128, 9), "num_classes": 4}, (9 + 50 + 1) * 50 + 51 * 4),
        ({"initializer": "glorot", "seed": 1}, 3_006),
        ({"initializer": "glorot", "seed": 1, "units": 100}, 11_006),
        ({"cell": "gru", "initializer": "glorot"}, (3 + 50 + 2) * 3 * 50 + 306),
        ({"cell": "lstm", "initializer": "glorot", "seed": 0}, (3 + 50 + 1) * 4 * 50 + 306),
    ],
)
def test_counts(options, count):
    assert har.build(**options).count_params() == count


def test_it_answers_at_every_step_and_starts_between_a_tenth():
    keras.utils.set_random_seed(0)
    model = har.build()
    assert isinstance(model.layers[1], SimpleRNN)
    assert model.output_shape == (None, 150, 6)
    for weights in model.get_weights():
        assert 0.05 < np.abs(weights).max() <= 0.1
    x = np.random.default_rng(0).normal(size=(2, 150, 3)).astype(np.float32)
    # What it says at a step does not depend on what comes later.
    later = x.copy()
    later[:, 100:] = 0
    np.testing.assert_array_equal(model(x)[:, :100], model(later)[:, :100])


# All kernels of the plain network are 4 x 4.
SMALL = {"input_shape": (5, 4), "units": 4, "num_classes": 4}


def drawn(model):
    """The weights by path, without those that start at 0 or 1."""
    weights = {w.path: w.numpy() for w in model.weights}
    return {path: w for path, w in weights.items() if not np.isin(w, (0, 1)).all()}


def assert_the_same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_others(one, other):
    for a, b in zip(drawn(one).values(), drawn(other).values(), strict=True):
        assert (a != b)[~np.isin(a, (0, 1))].all()


@contextmanager
def another_thread_that_draws():
    """Yields a function that gives how often it has drawn from what all threads share."""
    draws, end = [0], threading.Event()

    def draw():
        while not end.is_set():
            random.random()
            np.random.random()  # noqa: NPY002  it is the global state that is to be disturbed
            draws[0] += 1

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    try:
        yield lambda: draws[0]
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("initializer", INITIALIZERS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_seed_decides_the_weights_whatever_other_threads_do(cell, initializer):
    options = SMALL | {"cell": cell, "initializer": initializer}
    calm = har.build(**options, seed=0)
    with another_thread_that_draws() as draws:
        before = draws()
        for _ in range(3):
            assert_the_same(har.build(**options, seed=0), calm)
        assert draws() > before
    keras.utils.set_random_seed(1)  # nor does the process' own seed
    assert_the_same(har.build(**options, seed=0), calm)
    other = har.build(**options, seed=1)
    assert_others(other, calm)
    assert_the_same(har.build(**options, seed=1), other)


@pytest.mark.parametrize("initializer", INITIALIZERS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("seed", [None, 0, 2**32 - 1])
def test_no_two_layers_start_alike(cell, initializer, seed):
    keras.utils.set_random_seed(0)
    weights = drawn(har.build(cell, **SMALL, initializer=initializer, seed=seed))
    assert {path.rsplit("/")[-1] for path in weights} >= {"kernel", "recurrent_kernel"}
    pairs = 0
    for one, other in itertools.combinations(weights.values(), 2):
        if one.shape == other.shape:
            assert not np.isclose(one, other).any()
            pairs += 1
    assert pairs >= 1
    # Nor are they the same numbers on another scale.
    kernels = [w.ravel()[:16] for path, w in weights.items() if path.endswith("kernel")]
    for one, other in itertools.combinations(kernels, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.9


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_without_a_seed_it_is_keras_that_decides(initializer):
    options = SMALL | {"initializer": initializer}
    keras.utils.set_random_seed(3)
    first, second = har.build(**options), har.build(**options)
    keras.utils.set_random_seed(3)
    assert_the_same(har.build(**options), first)
    keras.utils.set_random_seed(4)
    assert_others(har.build(**options), first)
    assert_others(second, first)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_uniform_weights_are_within_a_tenth(cell):
    for weights in har.build(cell, seed=1).get_weights():
        assert 0.05 < np.abs(weights).max() <= 0.1


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_glorot_is_how_keras_starts(cell, gates, seed):
    model = har.build(cell, initializer="glorot", seed=seed)
    kernel, recurrent, bias, scores, scores_bias = model.get_weights()
    for weights, fans in ((kernel, 3 + gates * 50), (scores, 50 + 6)):
        limit = np.sqrt(6 / fans)
        assert 0.9 * limit < np.abs(weights).max() <= limit
        assert abs(weights.mean()) < 0.2 * limit
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(50), atol=1e-5)
    np.testing.assert_array_equal(scores_bias, 0)
    expected = np.zeros_like(bias)
    if cell == "lstm":
        expected[50:100] = 1  # the forget gate: Keras has the order i, f, g, o
    np.testing.assert_array_equal(bias, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "transformer"}, "unknown cell 'transformer'; choose from rnn, lstm, gru"),
        ({"activation": "relu"}, "unknown activation 'relu'; choose from sigmoid, softmax"),
        ({"loss": "mse"}, "unknown loss 'mse'; choose from softmax, normalised, binary, raw."),
        (
            {"activation": "sigmoid"},
            "'sigmoid', but loss 'softmax' has softmax outputs; leave activation out or choose a "
            "loss from normalised, binary, raw.",
        ),
        ({"loss": "raw", "activation": "softmax"}, "loss 'raw' has sigmoid outputs; leave"),
        ({"initializer": "he"}, "unknown initializer 'he'; choose from uniform, glorot."),
        ({"units": 0}, "units is 0"),
        ({"num_classes": 1}, "num_classes is 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        har.build(**options)


# Neither in the order of the alphabet nor of their lengths.
CLASSES = ("walking", "upstairs", "lying", "jogging", "sitting", "cycling fast")


def windows(n=40):
    return np.random.default_rng(0).normal(0, 2, (n, 30, 3)).astype(np.float32)


def network(cell="rnn", loss="softmax"):
    return har.build(cell, input_shape=(30, 3), loss=loss, initializer="glorot", seed=3)


@pytest.mark.parametrize("loss", har.LOSSES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_deployed_model_gives_the_probabilities_that_were_trained(cell, loss):
    """At the last step: those whose logarithm the loss is made of."""
    model = network(cell, loss)
    deployed = har.deployable(model, CLASSES, loss)
    assert deployed.count_params() == model.count_params()
    outputs = deployed.predict(windows(), verbose=0)
    assert tuple(outputs) == CLASSES
    assert {values.shape for values in outputs.values()} == {(40,)}
    shares = np.stack(list(outputs.values()), axis=1)
    assert ((shares >= 0) & (shares <= 1)).all()
    scores = model.predict(windows(), verbose=0)
    np.testing.assert_array_equal(shares.argmax(1), scores[:, -1].argmax(1))
    assert len(set(shares.argmax(1))) > 2  # it is a choice
    assert (scores[:, -1].argmax(1) != scores.mean(1).argmax(1)).any()
    by_hand = scores[:, -1]
    if loss == "normalised":
        by_hand = by_hand / by_hand.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(shares, by_hand, atol=1e-6)
    sums_to_1 = np.allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert sums_to_1 == (loss in ("softmax", "normalised"))
    if loss != "binary":  # whose loss has the other classes' probabilities in it, too
        labels = np.arange(40, dtype=np.int32) % 6
        one_step = har.objective(loss).loss(labels, scores[:, -1:])
        trained = -np.log(shares[np.arange(40), labels])
        np.testing.assert_allclose(one_step, trained, rtol=1e-4)


def test_a_deployed_model_is_of_the_networks_own_loss():
    with pytest.raises(InputError, match="'sigmoid', but loss 'softmax' has softmax outputs"):
        har.deployable(network(loss="raw"), CLASSES)


def test_the_deployed_model_follows_the_network_not_a_copy():
    model = network()
    deployed = har.deployable(model, CLASSES)
    model.set_weights([weights * 0 for weights in model.get_weights()])
    for values in deployed.predict(windows(), verbose=0).values():
        np.testing.assert_allclose(values, 1 / 6, atol=1e-6)


def test_a_saved_deployed_model_says_the_same(tmp_path):
    model = network("gru")
    model.compile("adam", "mse")
    model.fit(windows(), np.zeros((40, 30, 6)), verbose=0)
    deployed = har.deployable(model, CLASSES)
    deployed.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.name == "har_gru_deployed"
    assert not again.get_layer("har_gru").compiled  # the optimizer is not handed on
    expected, outputs = (m.predict(windows(), verbose=0) for m in (deployed, again))
    assert tuple(outputs) == CLASSES
    for name in CLASSES:
        np.testing.assert_array_equal(outputs[name], expected[name])
    with pytest.raises(tf.errors.InvalidArgumentError, match="the input holds NaN or infinity"):
        again.predict(windows() * np.float32(np.nan), verbose=0)


@pytest.mark.parametrize("ask", ["call", "predict"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_the_deployed_model_refuses_what_is_no_measurement(wrong, ask):
    deployed = har.deployable(network(), CLASSES)
    answer = deployed if ask == "call" else lambda x: deployed.predict(x, verbose=0)
    x = windows(3)
    answer(x)
    x[1, 7, 2] = wrong  # one value of one window
    with pytest.raises(tf.errors.InvalidArgumentError, match="the input holds NaN or infinity"):
        answer(x)
    with pytest.raises(tf.errors.InvalidArgumentError, match="the input holds NaN or infinity"):
        answer(np.full((1, 30, 3), wrong, np.float32))
