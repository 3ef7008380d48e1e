"""The many-to-many network for human activity recognition (report har_rnn)."""

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import layers
from keras.initializers import GlorotUniform, Orthogonal, RandomUniform

from tfnets import keras_settings, losses, parameters, programs
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.export import Finite, by_class
from tfnets.layers import CELLS
from tfnets.loop import Objective, in_top_k
from tfnets.seeds import initializers

_UNIFORM = functools.partial(RandomUniform, -0.1, 0.1)
_INITIALIZERS = {
    "uniform": {"kernel": _UNIFORM, "recurrent": _UNIFORM, "bias": _UNIFORM},
    "glorot": {"kernel": GlorotUniform, "recurrent": Orthogonal},
}

# Which outputs each loss is a formula on.
LOSSES = {"softmax": "softmax", "normalised": "sigmoid", "binary": "sigmoid", "raw": "sigmoid"}
ACTIVATIONS = ("sigmoid", "softmax")


def objective(loss: str = "softmax", num_classes: int = 6) -> Objective:
    """What is minimised and counted.

    With the outputs a at a step and the sample's class y, mean over the steps:

    ==============  ======================================================  =======
    loss            formula                                                 outputs
    ==============  ======================================================  =======
    ``softmax``     -log a_y                                                softmax
    ``normalised``  -log(a_y / sum_k a_k)                                   sigmoid
    ``binary``      -log a_y - sum over the other classes of log(1 - a_k)   sigmoid
    ``raw``         -log a_y: the report's (har_rnn, equation (2))          sigmoid
    ==============  ======================================================  =======

    The report's "log loss" can be read as ``raw`` or as ``binary``. With ``raw`` nothing ever
    pushes a wrong class down.

    Args:
        loss: Which of them.
        num_classes: Number of activities.

    Returns:
        An objective that counts, among the k classes of the highest scores at the last
        step, ``accuracy`` (k = 1), ``top2`` and ``top3``; and the same of the mean of the
        :func:`probabilities` over the steps, ``accuracy_mean``, ``top2_mean``, ``top3_mean``.
        A k that the number of classes makes trivial is left out.

    Raises:
        InputError: For an unknown loss.
    """
    return _objective(loss, num_classes)


@functools.cache  # one object for the same arguments, by which a compiled training is found
def _objective(loss: str, num_classes: int) -> Objective:
    outputs = activation_of(loss)
    metrics = {}
    for name, k in (("accuracy", 1), ("top2", 2), ("top3", 3)):
        if k < max(num_classes, 2):
            metrics[name] = functools.partial(_at_the_end, k=k)
            metrics[f"{name}_mean"] = functools.partial(_on_the_mean, k=k, loss=loss)
    return Objective(functools.partial(_mean_over_steps, loss=_PER_STEP[loss]), metrics, outputs)


def activation_of(loss: str, activation: str | None = None) -> str:
    """The activation that the outputs have with a loss.

    Args:
        loss: As for :func:`objective`.
        activation: What else somebody asks for; None for nothing.

    Raises:
        InputError: For an unknown loss, or an activation that contradicts it.
    """
    if loss not in LOSSES:
        raise InputError(f"unknown loss {loss!r}; choose from {', '.join(LOSSES)}.")
    if activation is not None and activation != LOSSES[loss]:
        others = ", ".join(each for each, its in LOSSES.items() if its == activation)
        raise InputError(
            f"activation is {activation!r}, but loss {loss!r} has {LOSSES[loss]} outputs; leave "
            f"activation out" + (f" or choose a loss from {others}." if others else ".")
        )
    return LOSSES[loss]


def probabilities(outputs, loss: str = "softmax"):
    """The class probabilities that a loss trains, from the outputs ``(..., classes)``.

    With ``normalised`` the outputs are made to sum to 1. With all others they are what they
    are: those of ``binary`` and ``raw``, one sigmoid a class, need not sum to 1.
    """
    if loss != "normalised":
        return outputs
    return outputs / keras.ops.maximum(keras.ops.sum(outputs, -1, keepdims=True), 1e-30)


def _mean_over_steps(labels, outputs, loss):
    every = tf.repeat(labels[:, None], outputs.shape[1], axis=1)
    return tf.reduce_mean(loss(every, outputs), 1)


def _normalised(labels, outputs):
    total = tf.reduce_sum(outputs, -1)
    return losses.cross_entropy(labels, outputs) + tf.math.log(tf.maximum(total, 1e-30))


def _binary(labels, outputs):
    rest = losses.log_of_rest(outputs)
    others = tf.reduce_sum(rest, -1) - losses.of_label(labels, rest)
    return losses.cross_entropy(labels, outputs) - others


_PER_STEP = {
    "softmax": losses.cross_entropy,
    "normalised": _normalised,
    "binary": _binary,
    "raw": losses.cross_entropy,
}


def _at_the_end(labels, outputs, k):
    return in_top_k(labels, outputs[:, -1], k)


def _on_the_mean(labels, outputs, k, loss):
    return in_top_k(labels, tf.reduce_mean(probabilities(outputs, loss), 1), k)


OBJECTIVE = objective()

# On 2 cores a step of 30 samples and 100 units takes 4.6 ms, in two parts 3.2; with 10
# samples two threads spend more time on each other than on them.
_WORTH_CUTTING = 20


def build(
    cell: str = "rnn",
    *,
    input_shape: tuple[int, ...] = (150, 3),
    num_classes: int = 6,
    units: int = 50,
    loss: str = "softmax",
    activation: str | None = None,
    initializer: str = "uniform",
    seed: int | None = None,
) -> keras.Model:
    """Builds the report's network: one recurrent layer and a dense layer at every step.

    With the default sizes it has 3,006 parameters, with 100 units 11,006: by formula, for the
    report (har_rnn, option b) counts none.

    Args:
        cell: ``"rnn"`` as in the report, ``"lstm"`` or ``"gru"``.
        input_shape: ``(time, channels)`` of one window of acceleration.
        num_classes: Number of activities.
        units: Hidden units.
        loss: What it is to be trained with (:func:`objective`), which decides the outputs:
            ``"raw"`` for the report's sigmoids.
        activation: Of the outputs; None for what the loss needs, and nothing else will do.
        initializer: ``"uniform"`` as in the report: all weights and biases in [-0.1, 0.1].
            ``"glorot"``: Keras' own, Glorot uniform kernels, an orthogonal recurrent
            kernel, biases 0 (of an LSTM's forget gate 1).
        seed: Decides the initial weights, whatever other threads do; None for Keras' choice.

    Returns:
        A functional model from ``(batch, time, channels)`` float32 to the outputs at every
        step, ``(batch, time, num_classes)``, each in [0, 1].

    Raises:
        InputError: For an unknown cell, loss, activation or initializer, an activation that
            contradicts the loss, no units, or fewer than two classes.
    """
    keras_settings.check()
    for name, value, there in (
        ("cell", cell, CELLS),
        ("activation", activation or "softmax", ACTIVATIONS),
        ("initializer", initializer, _INITIALIZERS),
    ):
        if value not in there:
            raise InputError(f"unknown {name} {value!r}; choose from {', '.join(there)}.")
    activation = activation_of(loss, activation)
    if units < 1:
        raise InputError(f"units is {units}; a layer needs 1 or more.")
    if num_classes < 2:
        raise InputError(f"num_classes is {num_classes}; a classifier needs 2 or more.")
    gates = parameters.GATES[cell]
    parameters.check_memory(
        f"units={units}",
        parameters.recurrent(input_shape[-1], units, gates),
        parameters.dense(units, num_classes),
    )

    start = initializers(_INITIALIZERS[initializer], seed)
    form = start("kernel", "recurrent", "bias")
    if cell == "lstm" and initializer == "uniform":
        form["unit_forget_bias"] = False  # or it would be 1, whatever the initializer says
    inputs = keras.Input(input_shape, name="acceleration")
    x = CELLS[cell](units, return_sequences=True, name="hidden", **form)(inputs)
    outputs = layers.Dense(
        num_classes, activation=activation, name="scores", **start("kernel", "bias")
    )(x)
    return programs.built(keras.Model(inputs, outputs, name=f"har_{cell}"))


def execution(cell: str = "rnn", batch_size: int = 30) -> Execution:
    """How the steps of a network are computed fastest.

    Args:
        cell: As for :func:`build`; the choice here does not depend on it.
        batch_size: Samples a step.
    """
    return Execution(xla=True, shards=2 if batch_size >= _WORTH_CUTTING else 1, steps_per_call=300)


def deployable(
    network: keras.Model,
    classes: Sequence[str],
    loss: str = "softmax",
    channels: Sequence[tuple[float, float]] = (),
) -> keras.Model:
    """Wraps a trained network into the model that is exported.

    Args:
        network: A model from :func:`build`.
        classes: Names of the classes in the order of the network's outputs.
        loss: What it was trained with, which decides how its outputs are to be read.
        channels: Mean and deviation of each channel by which the training windows were
            standardised; empty if they were not.

    Returns:
        A functional model from windows of acceleration ``(batch, time, channels)`` to a
        dictionary, class name -> probability ``(batch,)``: the :func:`probabilities` at the
        last step. NaN and infinity in a window are refused.

    Raises:
        InputError: If the loss does not belong to the network's outputs.
    """
    activation_of(loss, keras.activations.serialize(network.get_layer("scores").activation))
    inputs = keras.Input(network.input_shape[1:], name="acceleration")
    # A model of the same layers; without the optimizer's state, should the network be compiled.
    body = keras.Model(network.input, network.output, name=network.name)
    x = Finite(name="finite")(inputs)
    if channels:
        scale = [1 / s for _, s in channels]
        offset = [-m / s for m, s in channels]
        x = layers.Rescaling(scale, offset, name="standardise")(x)
    last = body(x)[:, -1]
    return keras.Model(
        inputs, by_class(probabilities(last, loss), classes), name=f"{network.name}_deployed"
    )
