"""The network that adds two numbers digit by digit (report addition_rnn)."""

import functools
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras.initializers import GlorotUniform, Orthogonal, RandomNormal, RandomUniform

from tfnets import keras_settings, parameters, programs
from tfnets.addition.data import check_base
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.layers import CELLS
from tfnets.loop import Objective, in_top_k
from tfnets.seeds import initializers, torch_uniform
from tfnets.torch_weights import state_dict as torch_weights

INITIALIZERS = ("torch", "keras")
MOST_LAYERS = 100  # more are built for minutes, and none learns


def _loss(labels, logits):
    """Cross-entropy of each digit, mean over the digits."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(losses, 1)


def _accuracy(labels, logits):
    """Whether the whole number is right."""
    return tf.reduce_min(in_top_k(labels, logits), 1)


def _digit_accuracy(labels, logits):
    """The share of its digits that are right."""
    return tf.reduce_mean(in_top_k(labels, logits), 1)


OBJECTIVE = Objective(
    _loss, {"accuracy": _accuracy, "digit_accuracy": _digit_accuracy}, outputs="linear"
)


def build(
    cell: str = "rnn",
    *,
    base: int = 10,
    embedding_dim: int = 32,
    hidden_size: int = 64,
    num_layers: int = 2,
    reset_after: bool = False,
    initializer: str = "torch",
    seed: int | None = None,
) -> keras.Model:
    """Builds the report's adder: embedding, recurrent layers, a dense layer at every step.

    At each step it sees one digit of either number, the least significant first, and says
    the sum's digit; the hidden state has to carry the carry. The default is the report's
    basic model (addition_rnn, section 2.1) with 17,482 parameters, ``embedding_dim=64`` its
    advanced model (section 2.2.6) with 21,898: by formula, for the report counts none. In
    PyTorch they have 17,610 and 22,026, with a second bias in each recurrent layer, which
    only adds to the first.

    Args:
        cell: ``"rnn"``, ``"lstm"`` or ``"gru"``.
        base: Of the number system, 2 to 36; 10 for decimal digits.
        embedding_dim: Size of a digit's vector (the report's ``input_size``).
        hidden_size: Units of each recurrent layer.
        num_layers: Number of recurrent layers.
        reset_after: For the GRU: reset gate after the recurrent product, as PyTorch has it.
        initializer: ``"torch"``: as PyTorch's modules start, in which the report trained:
            embeddings from N(0, 1), all else uniform in +-1/sqrt(hidden_size); but where
            PyTorch has the sum of two biases there is one. ``"keras"``: as Keras' layers start.
        seed: Decides the initial weights, whatever other threads do; None for Keras' choice.

    Returns:
        A functional model from digits ``(batch, time, 2)`` int32, the two numbers side by
        side, to the logits of the sum's digits ``(batch, time, base)``, for any time.

    Raises:
        InputError: For an unknown cell or initializer, an invalid base, a size below 1, or what
            this machine cannot hold.
    """
    keras_settings.check()
    for name, value, there in (
        ("cell", cell, CELLS),
        ("initializer", initializer, INITIALIZERS),
    ):
        if value not in there:
            raise InputError(f"unknown {name} {value!r}; choose from {', '.join(there)}.")
    check_base(base)
    for name, size in (
        ("embedding_dim", embedding_dim),
        ("hidden_size", hidden_size),
        ("num_layers", num_layers),
    ):
        if size < 1:
            raise InputError(f"{name} is {size}; it must be 1 or more.")
    if num_layers > MOST_LAYERS:
        raise InputError(f"num_layers is {num_layers}; it must be at most {MOST_LAYERS}.")
    gates, above = parameters.GATES[cell], num_layers - 1
    parameters.check_memory(
        f"embedding_dim={embedding_dim}, hidden_size={hidden_size}, num_layers={num_layers}",
        parameters.embedding(base, embedding_dim),
        parameters.recurrent(2 * embedding_dim, hidden_size, gates),
        *[parameters.recurrent(hidden_size, hidden_size, gates)] * above,
        parameters.dense(hidden_size, base),
    )

    uniform = torch_uniform(hidden_size)
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
    if cell == "gru":
        form = {"reset_after": reset_after}

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
    return programs.built(keras.Model(inputs, outputs, name=f"addition_{cell}"))


def of_torch(state_dict: Mapping[str, Any]) -> tuple[dict, dict[str, np.ndarray]]:
    """What a PyTorch module that adds is made of, by the shapes of its entries.

    Args:
        state_dict: Entry name -> tensor or array, in any order: of an ``nn.Embedding``, an
            ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` of any number of layers, and an
            ``nn.Linear`` with a bias, as in the report's module (addition_rnn, section 2).

    Returns:
        The options of :func:`build` that make its like, and its entries in the order of the
        network's layers, for :func:`tfnets.torch_weights.load`.

    Raises:
        InputError: For what is no state_dict, or has other modules.
    """
    entries = torch_weights.read(state_dict)
    modules = torch_weights.group(entries)
    matrices, recurrent = modules["matrix"], modules["recurrent"]
    # Either can be a matrix of base x hidden_size; the bias tells them apart.
    embeddings = [module for module in matrices if "bias" not in module.entries]
    linears = [module for module in matrices if "bias" in module.entries]
    found = {
        "Embedding": len(embeddings),
        "RNN, LSTM or GRU": len({module.prefix for module in recurrent}),
        "Linear with a bias": len(linears),
        "Conv2d": len(modules["convolution"]),
    }
    if list(found.values()) != [1, 1, 1, 0]:
        has = ", ".join(f"{number} of {kind}" for kind, number in found.items())
        raise InputError(f"the state_dict has {has}; an adder has one of each but Conv2d.")
    recurrent.sort(key=lambda module: int(module.suffix.removeprefix("_l") or 0))
    base, embedding_dim = entries[embeddings[0].entries["weight"]].shape
    cell, hidden_size = _cell(recurrent[0], entries)
    options = {
        "cell": cell,
        "base": base,
        "embedding_dim": embedding_dim,
        "hidden_size": hidden_size,
        "num_layers": len(recurrent),
    }
    if cell == "gru":
        options["reset_after"] = True
    in_order = [name for m in (*embeddings, *recurrent, *linears) for name in m.entries.values()]
    return options, {name: entries[name] for name in in_order}


def _cell(module: torch_weights.Module, entries: dict[str, np.ndarray]) -> tuple[str, int]:
    """Kind and units of a recurrent layer."""
    name = module.entry("weight_hh")
    if name not in entries:
        raise InputError(f"entry {name!r} is missing; it says which kind the layer is of.")
    shape = entries[name].shape
    for cell, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
        if len(shape) == 2 and shape[0] == gates * shape[1]:
            return cell, shape[1]
    raise InputError(
        f"entry {name!r} has the shape {shape}; expected (n, n) of an RNN, (3 n, n) of a GRU or "
        "(4 n, n) of an LSTM."
    )


def execution(cell: str = "rnn", batch_size: int = 200) -> Execution:
    """How the steps of a network are computed fastest.

    On 2 cores a step of 200 pairs of 101 digits takes 33 ms, in two parts 28, in four 25.

    Args:
        cell: As for :func:`build`; the choice here does not depend on it.
        batch_size: Pairs a step; neither on this.
    """
    return Execution(xla=True, shards=4, steps_per_call=100)
