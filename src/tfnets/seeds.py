"""Initial weights that follow from a seed."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np

Kind = Callable[..., keras.initializers.Initializer]


def initializers(kinds: Mapping[str, Kind], seed: int | None) -> Callable[..., dict]:
    """Initializers for one network, layer by layer, each with a seed of its own.

    What has no seed takes one from Python's ``random``, which belongs to the whole process:
    another thread that uses it, as those of a Dask worker do, changes the weights.

    Args:
        kinds: For each kind of weight (``"kernel"``, ``"recurrent"``, ``"bias"``) an
            initializer's class; a layer's own is left for what is not there.
        seed: What all of them follow from; None for Keras' choice.

    Returns:
        A function from the kinds that a layer has to its arguments,
        ``{"kernel_initializer": ...}``; each call goes on with new seeds.
    """
    each = _seeds(seed)

    def start(*names: str) -> dict:
        return {
            f"{name}_initializer": kinds[name](seed=next(each)) for name in names if name in kinds
        }

    return start


def torch_uniform(fan: int) -> Kind:
    """Uniform in +-1/sqrt(fan), as the weights and biases of PyTorch's modules start.

    Args:
        fan: Of ``Linear`` and ``Conv2d`` how many inputs a unit has, of ``RNN``, ``LSTM`` and
            ``GRU`` how many units there are.
    """
    limit = fan**-0.5
    return functools.partial(keras.initializers.RandomUniform, -limit, limit)


def _seeds(seed: int | None) -> Iterator[int | None]:
    """Endless seeds that follow from one; without one, endless None."""
    if seed is None:
        return itertools.repeat(None)
    generator = np.random.default_rng(seed)
    return (int(generator.integers(2**31)) for _ in itertools.count())
