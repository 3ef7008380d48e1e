"""The hand-derived gradients against Keras' autodiff, against differences, in training."""

import contextlib
from functools import cache, partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfnets.layers import GRU, LSTM, SimpleRNN, bptt
from tfnets.layers.gru import GRUCell

# Each of our layers, and the same function by Keras' own loop and autodiff.
LAYERS = {
    "rnn": (SimpleRNN, keras.layers.SimpleRNN),
    "lstm": (LSTM, keras.layers.LSTM),
    "gru": (GRU, lambda n, **o: keras.layers.RNN(GRUCell(n, **of_cell(o)), **of_loop(o))),
    "gru single": (
        partial(GRU, recurrent_bias=False),
        partial(keras.layers.GRU, reset_after=False),
    ),
    "gru after": (partial(GRU, reset_after=True), keras.layers.GRU),
}


def of_cell(options):
    return {key: value for key, value in options.items() if key in ("use_bias", "dtype")}


def of_loop(options):
    return {key: value for key, value in options.items() if key != "use_bias"}


def pair(name, units, features, seed=0, **options):
    """Our layer and Keras' with the same random weights."""
    layers = [make(units, **options) for make in LAYERS[name]]
    for layer in layers:
        layer.build((None, None, features))
    rng = np.random.default_rng(seed)
    weights = [rng.normal(scale=0.5, size=w.shape) for w in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


@contextlib.contextmanager
def counting_the_fast_way(columns=False):
    """How often a layer took the way of its own; without it these tests would compare nothing.

    Samples are columns then, however few they are, or rows.
    """
    calls = []
    scan = bptt.scan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bptt, "_LARGE", 1 if columns else 1000)
        patch.setattr(bptt, "scan", lambda *a, **k: calls.append(a) or scan(*a, **k))
        yield calls


@pytest.fixture
def took_the_fast_way():
    with counting_the_fast_way() as calls:
        yield calls


def outputs_and_gradients(layer, x, states, direction, training=True):
    """Outputs, and the gradients of their sum along a direction by input, states, weights."""
    x, *states = (tf.constant(each) for each in (x, *states))
    with tf.GradientTape() as tape:
        tape.watch([x, *states])
        results = layer(x, initial_state=states or None, training=training)
        results = results if isinstance(results, (list, tuple)) else [results]
        total = sum(tf.reduce_sum(r * d) for r, d in zip(results, direction(results), strict=True))
    sources = [x, *states, *(w.value for w in layer.trainable_weights)]
    return [r.numpy() for r in results], [g.numpy() for g in tape.gradient(total, sources)]


def directions(seed):
    def direction(results):
        rng = np.random.default_rng(seed)
        return [rng.normal(size=r.shape).astype(r.dtype.as_numpy_dtype) for r in results]

    return direction


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=8, deadline=None)
@given(
    batch=st.integers(1, 4),
    time=st.integers(1, 9),
    features=st.integers(1, 5),
    units=st.integers(1, 6),
    sequences=st.booleans(),
    state=st.booleans(),
    given_state=st.booleans(),
    bias=st.booleans(),
    training=st.booleans(),
    columns=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_outputs_and_gradients_are_those_of_keras(
    name,
    batch,
    time,
    features,
    units,
    sequences,
    state,
    given_state,
    bias,
    training,
    columns,
    seed,
):
    options = {"return_sequences": sequences, "return_state": state, "use_bias": bias}
    ours, stock = pair(name, units, features, seed, **options)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, time, features)).astype(np.float32)
    count = (2 if name == "lstm" else 1) * given_state
    states = [rng.normal(size=(batch, units)).astype(np.float32) for _ in range(count)]
    args = (x, states, directions(seed), training)
    with counting_the_fast_way(columns) as calls:
        results = outputs_and_gradients(ours, *args)
        assert len(calls) == 1
        expected = outputs_and_gradients(stock, *args)
        assert len(calls) == 1
    for mine, theirs in zip(results, expected, strict=True):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=3, deadline=None)
@given(
    batch=st.integers(1, 3),
    time=st.integers(1, 5),
    features=st.integers(1, 3),
    units=st.integers(1, 4),
    sequences=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_gradients_are_central_differences(
    name, columns, batch, time, features, units, sequences, seed
):
    ours, _ = pair(name, units, features, seed, dtype="float64", return_sequences=sequences)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, time, features))
    states = [rng.normal(size=(batch, units)) for _ in range(2 if name == "lstm" else 1)]
    weights = [w.numpy() for w in ours.weights]
    direction = directions(2)
    with counting_the_fast_way(columns) as calls:
        _, gradients = outputs_and_gradients(ours, x, states, direction)
    assert calls[0][0] is ours.step

    def total(*values):
        ours.set_weights(values[1 + len(states) :])
        y = ours(values[0], initial_state=[*values[1 : 1 + len(states)]]).numpy()
        return (y * direction([tf.constant(y)])[0]).sum()

    values = [x, *states, *weights]
    for number, gradient in enumerate(gradients):
        for _ in range(3):
            place = tuple(rng.integers(size) for size in gradient.shape)
            ends = []
            for step in (1e-6, -1e-6):
                moved = [value.copy() for value in values]
                moved[number][place] += step
                ends.append(total(*moved))
            assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


@cache
def losses_of_training(name, which, jit):
    """Ten steps through two layers, the last batch of an epoch smaller than the others."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(22, 7, 4)).astype(np.float32)
    y = rng.integers(3, size=22)
    inputs = keras.Input((7, 4))
    first = LAYERS[name][which](6, return_sequences=True)
    second = LAYERS[name][which](5)
    outputs = keras.layers.Dense(3, activation="softmax")(second(first(inputs)))
    model = keras.Model(inputs, outputs)
    weights = np.random.default_rng(4)
    model.set_weights([weights.normal(scale=0.4, size=w.shape) for w in model.weights])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=jit)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["loss"])
    )
    model.fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0, callbacks=[watch])
    return seen


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_training_gives_the_losses_of_keras(name, jit, took_the_fast_way):
    ours, theirs = losses_of_training(name, 0, jit), losses_of_training(name, 1, False)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert took_the_fast_way


@pytest.mark.parametrize("name", LAYERS)
def test_large_batches_with_xla(name):
    """Of a size that is known, from where samples are columns on."""
    ours, stock = pair(name, 4, 3, return_sequences=True)
    rng = np.random.default_rng(12)
    x = rng.normal(size=(130, 6, 3)).astype(np.float32)

    def gradients(layer, jit):
        @tf.function(jit_compile=jit, input_signature=[tf.TensorSpec(x.shape)])
        def run(x):
            with tf.GradientTape() as tape:
                y = layer(x, training=True)
                total = tf.reduce_mean(y * y)
            return y, tape.gradient(total, [w.value for w in layer.trainable_weights])

        y, values = run(x)
        return [y, *values]

    assert bptt.layout_for(130) is bptt.Columns
    assert bptt.layout_for(30) is bptt.layout_for(None) is bptt.Rows
    expected = gradients(stock, False)
    for jit in (False, True):
        for one, other in zip(gradients(ours, jit), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_length_and_batch_may_be_unknown(name, took_the_fast_way):
    ours, stock = pair(name, 4, 3, return_sequences=True)
    traced = tf.function(ours, input_signature=[tf.TensorSpec((None, None, 3))])
    rng = np.random.default_rng(5)
    for shape in ((2, 5, 3), (1, 1, 3), (3, 8, 3)):
        x = rng.normal(size=shape).astype(np.float32)
        np.testing.assert_allclose(traced(x), stock(x), atol=1e-6)
    assert traced(np.zeros((0, 2, 3), np.float32)).shape == (0, 2, 4)
    assert len(took_the_fast_way) == 1


FALLBACKS = {
    "masks": ({}, {"mask": np.array([[True, True, False, True]] * 2)}),
    "stateful": ({"stateful": True}, {}),
    "backwards": ({"go_backwards": True}, {}),
    "unrolled": ({"unroll": True}, {}),
    "activation": ({"activation": "relu"}, {}),
    "dropout": ({"dropout": 0.5, "seed": 1}, {"training": True}),
    "dropout in the recurrence": ({"recurrent_dropout": 0.5, "seed": 1}, {"training": True}),
    "mixed precision": ({"dtype": "mixed_float16"}, {}),
    "half precision": ({"dtype": "float16"}, {}),
}


@pytest.mark.parametrize("case", FALLBACKS)
def test_the_rest_of_two_biases_is_left_to_keras_loop(case, took_the_fast_way):
    """They act as their sum, which is the single bias of a layer that Keras has."""
    options, call = FALLBACKS[case]
    ours = GRU(3, return_sequences=True, bias_initializer="random_normal", **options)
    stock = keras.layers.GRU(3, return_sequences=True, reset_after=False, **options)
    x = np.random.default_rng(6).normal(size=(2, 4, 3)).astype(np.float32)
    for layer in (ours, stock):
        layer.build(x.shape)
    kernel, recurrent, biases = ours.get_weights()
    stock.set_weights([kernel, recurrent, biases.sum(0)])
    for _ in range(2):
        one, other = (np.asarray(layer(x, **call), np.float32) for layer in (ours, stock))
        tolerance = 2e-3 if "16" in str(options.get("dtype")) else 1e-6
        np.testing.assert_allclose(one, other, atol=tolerance)
    assert not took_the_fast_way


@pytest.mark.parametrize("name", ["lstm", "gru after"])
def test_cudnn_that_is_demanded_is_refused_as_keras_does(name):
    x = np.zeros((1, 2, 3), np.float32)
    for make in LAYERS[name]:
        with pytest.raises(ValueError, match="use_cudnn=True"):
            make(2, use_cudnn=True)(x)


@pytest.mark.parametrize("name", LAYERS)
def test_one_initial_state_for_all_samples_is_left_to_keras(name, took_the_fast_way):
    ours, stock = pair(name, 3, 2)
    x = np.ones((4, 5, 2), np.float32)
    states = [np.full((1, 3), 0.3, np.float32)] * (2 if name == "lstm" else 1)
    one, other = (np.asarray(layer(x, initial_state=states)) for layer in (ours, stock))
    np.testing.assert_array_equal(one, other)
    assert not took_the_fast_way


@pytest.mark.parametrize("case", FALLBACKS)
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru single", "gru after"])
def test_the_rest_is_left_to_keras(name, case, took_the_fast_way):
    options, call = FALLBACKS[case]
    layers = [make(3, return_sequences=True, **options) for make in LAYERS[name]]
    x = np.random.default_rng(6).normal(size=(2, 4, 3)).astype(np.float32)
    for layer in layers:
        layer.build(x.shape)
    layers[1].set_weights(layers[0].get_weights())
    for _ in range(2):  # twice, for what is stateful
        one, other = (np.asarray(layer(x, **call)) for layer in layers)
        np.testing.assert_array_equal(one, other)
    assert not took_the_fast_way


@pytest.mark.parametrize("name", ["lstm", "gru single", "gru after"])
def test_other_gates_are_left_to_keras(name, took_the_fast_way):
    ours, stock = pair(name, 3, 2, recurrent_activation="hard_sigmoid")
    x = np.random.default_rng(7).normal(size=(2, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(ours(x), stock(x))
    assert not took_the_fast_way


def test_cudnn_is_left_to_keras_where_it_has_the_layer(monkeypatch, took_the_fast_way):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU"])
    x = np.zeros((1, 2, 3), np.float32)
    for make in (LSTM, partial(GRU, reset_after=True)):
        make(2)(x)
    assert not took_the_fast_way
    for make in (SimpleRNN, GRU):
        make(2)(x)
    assert len(took_the_fast_way) == 2


@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives_are_refused_not_wrong(name):
    ours, _ = pair(name, 3, 2)
    x = tf.constant(np.random.default_rng(8).normal(size=(1, 3, 2)).astype(np.float32))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = ours(x)
        first = inner.gradient(y, x)
    with pytest.raises(NotImplementedError, match="cannot be differentiated again"):
        outer.gradient(first, x)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru after"])
def test_weights_are_those_of_the_keras_layer(name, tmp_path):
    models = []
    for make in LAYERS[name]:
        inputs = keras.Input((5, 3))
        models.append(keras.Model(inputs, make(4, name="layer")(inputs)))
    x = np.random.default_rng(9).normal(size=(2, 5, 3)).astype(np.float32)
    for source, target in (models, models[::-1]):
        source.save_weights(tmp_path / "a.weights.h5")
        target.load_weights(tmp_path / "a.weights.h5")
        np.testing.assert_allclose(source(x), target(x), atol=1e-6)
        source.set_weights([w + 0.1 for w in source.get_weights()])


@pytest.mark.parametrize("name", ["rnn", "lstm"])
def test_file_round_trip_and_config(name, tmp_path):
    ours, stock = LAYERS[name]
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, ours(4, return_sequences=True, name="layer")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("layer")) is ours
    x = np.random.default_rng(10).normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(x), loaded(x))
    config = model.get_layer("layer").get_config()
    assert set(config) == set(stock(4).get_config())
    assert ours.from_config(config).get_config() == config


@pytest.mark.parametrize("name", LAYERS)
def test_both_directions(name, took_the_fast_way):
    """Keras' wrapper: forwards our way, backwards Keras'."""
    ours, _ = pair(name, 3, 2, return_sequences=True)
    wrapped = keras.layers.Bidirectional(ours)
    x = np.random.default_rng(11).normal(size=(2, 5, 2)).astype(np.float32)
    y = wrapped(x)
    assert y.shape == (2, 5, 6)
    assert len(took_the_fast_way) == 1
    forwards, backwards = wrapped.forward_layer, wrapped.backward_layer
    backwards.set_weights(forwards.get_weights())
    turned = np.asarray(wrapped(x[:, ::-1]))[:, ::-1]
    np.testing.assert_allclose(np.asarray(wrapped(x))[..., :3], turned[..., 3:], atol=1e-6)
