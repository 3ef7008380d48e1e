"""The many-to-many network for human activity recognition (report har_rnn)."""

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import layers
from keras.initializers import GlorotUniform, Orthogonal, RandomUniform

from tfnets import keras_settings
from tfnets.deployed import Finite, by_class
from tfnets.errors import InputError
from tfnets.layers import CELLS
from tfnets.loop import Execution, Objective, right
from tfnets.seeds import initializers

_UNIFORM = functools.partial(RandomUniform, -0.1, 0.1)
_INITIALIZERS = {
    "uniform": {"kernel": _UNIFORM, "recurrent": _UNIFORM, "bias": _UNIFORM},
    "glorot": {"kernel": GlorotUniform, "recurrent": Orthogonal},
}
ACTIVATIONS = ("sigmoid", "softmax")
LOSSES = ("normalised", "raw")


def probabilities(scores):
    """Class scores ``(..., classes)``, none negative, made to sum to 1."""
    return scores / keras.ops.maximum(keras.ops.sum(scores, -1, keepdims=True), 1e-30)


def objective(loss: str = "normalised", num_classes: int = 6) -> Objective:
    """What is minimised and counted.

    Args:
        loss: The cross-entropy of the sample's class at every step, mean over the steps.
            ``"normalised"``: of scores that are first made to sum to 1. ``"raw"``: of the
            scores as they are, -log(a), as the report has it (har_rnn, equation (2)):
            with sigmoid scores nothing ever pushes a wrong class down.
        num_classes: Number of activities.

    Returns:
        An objective that counts, among the k classes of the highest scores at the last
        step, ``accuracy`` (k = 1), ``top2`` and ``top3``; and the same of the mean of the
        normalised scores over the steps, ``accuracy_mean``, ``top2_mean``, ``top3_mean``.
        A k that the number of classes makes trivial is left out.

    Raises:
        InputError: For an unknown loss.
    """
    if loss not in LOSSES:
        raise InputError(f"unknown loss {loss!r}; there is: {', '.join(LOSSES)}.")
    metrics = {}
    for name, k in (("accuracy", 1), ("top2", 2), ("top3", 3)):
        if k < max(num_classes, 2):
            metrics[name] = functools.partial(_at_the_end, k=k)
            metrics[f"{name}_mean"] = functools.partial(_on_the_mean, k=k)
    return Objective(_normalised if loss == "normalised" else _raw, metrics)


def _normalised(labels, outputs):
    every = tf.repeat(labels[:, None], outputs.shape[1], axis=1)
    # Keras makes the scores sum to 1 inside.
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(every, outputs), 1)


def _raw(labels, outputs):
    own = tf.gather(outputs, labels, axis=2, batch_dims=1)
    return -tf.reduce_mean(tf.math.log(tf.maximum(own, keras.config.epsilon())), 1)


def _at_the_end(labels, outputs, k):
    return right(labels, outputs[:, -1], k)


def _on_the_mean(labels, outputs, k):
    return right(labels, tf.reduce_mean(probabilities(outputs), 1), k)


OBJECTIVE = objective()

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
    initializer: str = "uniform",
    seed: int | None = None,
) -> keras.Model:
    """Builds the report's network: one recurrent layer and a dense layer at every step.

    With the default sizes it has 3,006 parameters, with 100 units 11,006 (har_rnn,
    option b).

    Args:
        cell: ``"rnn"`` as in the report, ``"lstm"`` or ``"gru"``.
        input_shape: ``(time, channels)`` of one window of acceleration.
        num_classes: Number of activities.
        units: Hidden units.
        activation: Of the outputs: ``"sigmoid"`` as in the report, or ``"softmax"``.
        initializer: ``"uniform"`` as in the report: all weights and biases in [-0.1, 0.1].
            ``"glorot"``: Keras' own, Glorot uniform kernels, an orthogonal recurrent
            kernel, biases 0 (of an LSTM's forget gate 1).
        seed: Decides the initial weights, whatever other threads do; None for Keras' choice.

    Returns:
        A functional model from ``(batch, time, channels)`` float32 to class scores at
        every step, ``(batch, time, num_classes)``.

    Raises:
        InputError: For an unknown cell, activation or initializer, no units, or fewer than
            two classes.
    """
    keras_settings.check()
    for name, value, there in (
        ("cell", cell, CELLS),
        ("activation", activation, ACTIVATIONS),
        ("initializer", initializer, _INITIALIZERS),
    ):
        if value not in there:
            raise InputError(f"unknown {name} {value!r}; there is: {', '.join(there)}.")
    if units < 1:
        raise InputError(f"units is {units}; a layer needs 1 or more.")
    if num_classes < 2:
        raise InputError(f"num_classes is {num_classes}; a classifier needs 2 or more.")

    start = initializers(_INITIALIZERS[initializer], seed)
    form = start("kernel", "recurrent", "bias")
    if cell == "lstm" and initializer == "uniform":
        form["unit_forget_bias"] = False  # or it would be 1, whatever the initializer says
    inputs = keras.Input(input_shape, name="acceleration")
    x = CELLS[cell](units, return_sequences=True, name="hidden", **form)(inputs)
    outputs = layers.Dense(
        num_classes, activation=activation, name="scores", **start("kernel", "bias")
    )(x)
    return keras.Model(inputs, outputs, name=f"har_{cell}")


def execution(cell: str = "rnn", batch_size: int = 30) -> Execution:
    """How the steps of a network are computed fastest.

    Args:
        cell: As for :func:`build`; the choice here does not depend on it.
        batch_size: Samples a step.
    """
    return Execution(xla=True, shards=2 if batch_size >= _WORTH_CUTTING else 1, steps_per_call=300)


def deployable(network: keras.Model, classes: Sequence[str]) -> keras.Model:
    """Wraps a trained network into the model that one hands on.

    Args:
        network: A model from :func:`build`.
        classes: Names of the classes in the order of the network's outputs.

    Returns:
        A functional model from windows of acceleration ``(batch, time, channels)`` to a
        dictionary, class name -> probability ``(batch,)``: the scores at the last step,
        normalised. NaN and infinity in a window are refused.
    """
    inputs = keras.Input(network.input_shape[1:], name="acceleration")
    # A model of the same layers; without the optimizer's state, should the network be compiled.
    body = keras.Model(network.input, network.output, name=network.name)
    last = body(Finite(name="finite")(inputs))[:, -1]
    return keras.Model(
        inputs, by_class(probabilities(last), classes), name=f"{network.name}_deployed"
    )
