"""The many-to-many network for human activity recognition (report har_rnn)."""

import keras
import tensorflow as tf
from keras import layers

from tfnets.errors import InputError
from tfnets.layers import CELLS
from tfnets.loop import Execution, Objective, right


def _loss(labels, outputs):
    """Cross-entropy of the class at every step, mean over the steps; scores sum to 1 in it."""
    every = tf.repeat(labels[:, None], outputs.shape[1], axis=1)
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(every, outputs), 1)


def _accuracy(labels, outputs):
    """Top-1 at the last step."""
    return right(labels, outputs[:, -1])


OBJECTIVE = Objective(_loss, _accuracy)

# On 2 cores a step of 30 samples and 100 units takes 4.6 ms, in two parts 3.2; with 10
# samples two threads spend more time on each other than on them.
_WORTH_CUTTING = 20


def build(
    cell: str = "rnn",
    *,
    input_shape: tuple[int, int] = (150, 3),
    num_classes: int = 6,
    units: int = 50,
    activation: str = "sigmoid",
) -> keras.Model:
    """Builds the report's network: one recurrent layer and a dense layer at every step.

    With the default sizes it has 3,006 parameters, with 100 units 11,006 (har_rnn,
    option b). All weights and biases start uniform in [-0.1, 0.1].

    Args:
        cell: ``"rnn"`` as in the report, ``"lstm"`` or ``"gru"``.
        input_shape: ``(time, channels)`` of one window of acceleration.
        num_classes: Number of activities.
        units: Hidden units.
        activation: Of the outputs: ``"sigmoid"`` as in the report, or ``"softmax"``.

    Returns:
        A functional model from ``(batch, time, channels)`` float32 to class scores at
        every step, ``(batch, time, num_classes)``.

    Raises:
        InputError: For an unknown cell or activation, no units, or fewer than two classes.
    """
    if cell not in CELLS:
        raise InputError(f"unknown cell {cell!r}; there is: {', '.join(CELLS)}.")
    if activation not in ("sigmoid", "softmax"):
        raise InputError(f"unknown activation {activation!r}; there is: sigmoid, softmax.")
    if units < 1:
        raise InputError(f"units is {units}; a layer needs 1 or more.")
    if num_classes < 2:
        raise InputError(f"num_classes is {num_classes}; a classifier needs 2 or more.")

    def uniform():
        return keras.initializers.RandomUniform(-0.1, 0.1)

    inputs = keras.Input(input_shape, name="acceleration")
    x = CELLS[cell](
        units,
        return_sequences=True,
        kernel_initializer=uniform(),
        recurrent_initializer=uniform(),
        bias_initializer=uniform(),
        name="hidden",
    )(inputs)
    outputs = layers.Dense(
        num_classes,
        activation=activation,
        kernel_initializer=uniform(),
        bias_initializer=uniform(),
        name="scores",
    )(x)
    return keras.Model(inputs, outputs, name=f"har_{cell}")


def execution(cell: str = "rnn", batch_size: int = 30) -> Execution:
    """How the steps of a network are computed fastest.

    Args:
        cell: As for :func:`build`; the choice here does not depend on it.
        batch_size: Samples a step.
    """
    return Execution(xla=True, shards=2 if batch_size >= _WORTH_CUTTING else 1, steps_per_call=300)
