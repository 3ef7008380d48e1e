"""The same seed gives our layers the initial weights of Keras' own, and what comes after them."""

import keras
import numpy as np
import pytest

from tfnets import layers

# Ours with its options, Keras' with its own: every form that Keras has.
FORMS = {
    "SimpleRNN": (layers.SimpleRNN, keras.layers.SimpleRNN, {}, {}),
    "LSTM": (layers.LSTM, keras.layers.LSTM, {}, {}),
    "GRU reset after": (layers.GRU, keras.layers.GRU, {"reset_after": True}, {}),
    "GRU reset before": (
        layers.GRU,
        keras.layers.GRU,
        {"recurrent_bias": False},
        {"reset_after": False},
    ),
}


def network(kind, options, **more):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((5, 3))
    x = kind(4, return_sequences=True, **more, **options)(inputs)
    x = kind(6, **more, **options)(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"kernel_initializer": "he_normal", "bias_initializer": "uniform"},
        {"dropout": 0.5, "recurrent_dropout": 0.5},
        {"seed": 3, "dropout": 0.5},
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_network_starts_as_that_of_keras_layers(form, more):
    ours, keras_own, options, its = FORMS[form]
    one, other = network(ours, options, **more), network(keras_own, its, **more)
    assert len(one.variables) == len(other.variables)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    # Dropout draws from the same seeds, too.
    np.testing.assert_allclose(one(x, training=True), other(x, training=True), atol=1e-6)


def test_the_reports_gru_has_the_kernels_of_keras_and_no_bias():
    one, other = network(layers.GRU, {}), network(keras.layers.GRU, {})
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not one.layers[1].reset_after
