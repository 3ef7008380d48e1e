"""The network that adds two numbers digit by digit (report addition_rnn)."""

import functools

import keras
import tensorflow as tf
from keras import layers
from keras.initializers import GlorotUniform, Orthogonal, RandomNormal, RandomUniform

from tfnets import keras_settings
from tfnets.addition.data import check_base
from tfnets.errors import InputError
from tfnets.layers import CELLS
from tfnets.loop import Execution, Objective, right
from tfnets.seeds import initializers

INITIALIZERS = ("torch", "keras")


def _loss(labels, logits):
    """Cross-entropy of each digit, mean over the digits."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(losses, 1)


def _accuracy(labels, logits):
    """Whether the whole number is right."""
    return tf.reduce_min(right(labels, logits), 1)


def _digit_accuracy(labels, logits):
    """The share of its digits that are right."""
    return tf.reduce_mean(right(labels, logits), 1)


OBJECTIVE = Objective(_loss, {"accuracy": _accuracy, "digit_accuracy": _digit_accuracy})


def build(
    cell: str = "rnn",
    *,
    base: int = 10,
    embedding_dim: int = 32,
    hidden_size: int = 64,
    num_layers: int = 2,
    initializer: str = "torch",
    seed: int | None = None,
) -> keras.Model:
    """Builds the report's adder: embedding, recurrent layers, a dense layer at every step.

    At each step it sees one digit of either number, the least significant first, and says
    the sum's digit; the hidden state has to carry the carry. With the default sizes it
    has 17,482 parameters (addition_rnn, section 1.3; PyTorch's 17,610 have a second bias
    in each recurrent layer, which only adds to the first).

    Args:
        cell: ``"rnn"``, ``"lstm"`` or ``"gru"``.
        base: Of the number system, 2 to 36; 10 for decimal digits.
        embedding_dim: Size of a digit's vector (the report's ``input_size``).
        hidden_size: Units of each recurrent layer.
        num_layers: Number of recurrent layers.
        initializer: ``"torch"``: as PyTorch's modules start, in which the report trained:
            embeddings from N(0, 1), all else uniform in +-1/sqrt(hidden_size); but where
            PyTorch has the sum of two biases there is one. ``"keras"``: as Keras' layers start.
        seed: Decides the initial weights, whatever other threads do; None for Keras' choice.

    Returns:
        A functional model from digits ``(batch, time, 2)`` int32, the two numbers side by
        side, to the logits of the sum's digits ``(batch, time, base)``, for any time.

    Raises:
        InputError: For an unknown cell or initializer, a base that is none, or a size below 1.
    """
    keras_settings.check()
    for name, value, there in (
        ("cell", cell, CELLS),
        ("initializer", initializer, INITIALIZERS),
    ):
        if value not in there:
            raise InputError(f"unknown {name} {value!r}; there is: {', '.join(there)}.")
    check_base(base)
    for name, size in (
        ("embedding_dim", embedding_dim),
        ("hidden_size", hidden_size),
        ("num_layers", num_layers),
    ):
        if size < 1:
            raise InputError(f"{name} is {size}; it must be 1 or more.")

    limit = hidden_size**-0.5
    uniform = functools.partial(RandomUniform, -limit, limit)
    start = initializers(
        {
            "torch": {
                "embeddings": functools.partial(RandomNormal, 0, 1),
                "kernel": uniform,
                "recurrent": uniform,
                "bias": uniform,
            },
            "keras": {
                "embeddings": functools.partial(RandomUniform, -0.05, 0.05),
                "kernel": GlorotUniform,
                "recurrent": Orthogonal,
            },
        }[initializer],
        seed,
    )
    form = {"unit_forget_bias": False} if cell == "lstm" and initializer == "torch" else {}

    inputs = keras.Input((None, 2), dtype="int32", name="digits")
    x = layers.Embedding(base, embedding_dim, name="embedding", **start("embeddings"))(inputs)
    x = layers.Reshape((-1, 2 * embedding_dim), name="side_by_side")(x)
    for number in range(1, num_layers + 1):
        x = CELLS[cell](
            hidden_size,
            return_sequences=True,
            name=f"{cell}_{number}",
            **start("kernel", "recurrent", "bias"),
            **form,
        )(x)
    outputs = layers.Dense(base, name="logits", **start("kernel", "bias"))(x)
    return keras.Model(inputs, outputs, name=f"addition_{cell}")


def execution(cell: str = "rnn", batch_size: int = 200) -> Execution:
    """How the steps of a network are computed fastest.

    On 2 cores a step of 200 pairs of 101 digits takes 33 ms, in two parts 28, in four 25.

    Args:
        cell: As for :func:`build`; the choice here does not depend on it.
        batch_size: Pairs a step; neither on this.
    """
    return Execution(xla=True, shards=4, steps_per_call=100)
