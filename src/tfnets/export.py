"""What exported models have in common."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import ops


def by_class(probabilities, classes: Sequence[str]) -> dict:
    """Probabilities ``(batch, classes)`` as a dictionary, class name -> ``(batch,)``."""
    return dict(zip(classes, ops.unstack(probabilities, num=len(classes), axis=-1), strict=True))


@keras.saving.register_keras_serializable(package="tfnets")
class Finite(keras.layers.Layer):
    """Returns its input; raises an error for NaN and infinity.

    A network would give them probabilities like any other. Compiled by XLA it cannot raise
    errors.

    Call arguments:
        values: Any shape.

    Returns:
        The same.

    Raises:
        tf.errors.InvalidArgumentError: For NaN or infinity.
    """

    def call(self, values):
        """Keras calls it."""
        return tf.debugging.assert_all_finite(values, "the input holds NaN or infinity")

    def compute_output_shape(self, values_shape):
        """The same shape."""
        return values_shape


@keras.saving.register_keras_serializable(package="tfnets")
class Temperature(keras.layers.Layer):
    """Probabilities at another temperature: softmax(log p / T) (:mod:`tfnets.calibration`).

    Args:
        temperature: T; 1 changes nothing, more makes less sure.

    Call arguments:
        probabilities: ``(batch, classes)``.

    Returns:
        The same shape.
    """

    def __init__(self, temperature: float, **keywords):
        super().__init__(**keywords)
        self.temperature = temperature

    def call(self, probabilities):
        """Keras calls it."""
        return ops.softmax(ops.log(ops.maximum(probabilities, 1e-30)) / self.temperature)

    def compute_output_shape(self, probabilities_shape):
        """The same shape."""
        return probabilities_shape

    def get_config(self) -> dict:
        """Keras calls it."""
        return super().get_config() | {"temperature": self.temperature}
