import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets.export import Finite, by_class


def test_probabilities_by_class_keep_the_order_of_the_classes():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], np.float32)
    outputs = by_class(probabilities, ("zero", "one", "2"))
    assert list(outputs) == ["zero", "one", "2"]
    np.testing.assert_array_equal(np.stack(list(outputs.values()), axis=1), probabilities)


def test_names_that_are_not_as_many_as_probabilities_are_refused():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        by_class(np.ones((2, 3), np.float32), ("a", "b"))


@pytest.mark.parametrize("shape", [(0, 2), (3,), (2, 4, 3)])
def test_finite_values_are_handed_on_as_they_are(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(Finite()(x), x)
    largest = np.full(shape, np.finfo(np.float32).max)
    np.testing.assert_array_equal(Finite()(largest), largest)
    assert Finite().compute_output_shape(shape) == shape


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("traced", [False, True])
def test_one_value_that_is_not_finite_is_refused(wrong, traced):
    x = np.zeros((2, 4, 3), np.float32)
    x[1, 2, 0] = wrong
    layer = Finite()
    with pytest.raises(tf.errors.InvalidArgumentError, match="the input holds NaN or infinity"):
        (tf.function(layer) if traced else layer)(x)


def test_it_hands_on_gradients():
    x = tf.Variable([1.0, 2.0])
    layer = Finite()
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(x) ** 2)
    np.testing.assert_array_equal(tape.gradient(y, x), [2, 4])


def test_a_model_with_it_can_be_saved(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, Finite(name="finite")(inputs)).save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.get_layer("finite")) is Finite
    with pytest.raises(tf.errors.InvalidArgumentError, match="the input holds NaN or infinity"):
        again.predict(np.full((1, 3), np.nan, np.float32), verbose=0)
