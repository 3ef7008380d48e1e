"""What follows from a seed: random numbers of the process, initial weights of a network."""

import contextlib
import functools
import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from tensorflow.python.eager import context

Kind = Callable[..., keras.initializers.Initializer]


# Held by a thread that seeds the process and draws what follows from it.
LOCK = threading.RLock()

# How many blocks of :func:`kept` there are, and Python's and NumPy's states before the first.
_kept: list = [0, None]

# What draws TensorFlow's operation seeds as it was after the last seeding here.
_drawn_from: list = [None, None]


def set_all(seed: int) -> None:
    """Seeds Python, NumPy, Keras and TensorFlow, as ``keras.utils.set_random_seed`` does.

    TensorFlow also forgets what it has prepared of every compiled function, for there could be
    seeds in it. To prepare it again takes time, and a megabyte that is never freed. So that is
    left out where no operation's seed has been drawn since the last seeding, and only networks of
    tfnets were trained (:func:`expect_operations_with_seeds`).

    Args:
        seed: From 0 to 2^32 - 1.
    """
    state = context.context()
    generator, drawn = _drawn_from
    if generator is not None and state._rng is generator and generator.getstate() == drawn:
        global_state.set_global_attribute("global_random_seed", seed)
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the process's own)
        state._seed, state._rng = seed, random.Random(seed)
    else:
        keras.utils.set_random_seed(seed)
    _drawn_from[:] = state._rng, state._rng.getstate()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """A block after which Python, NumPy and Keras draw what they would have drawn without it.

    Of several threads, once the last has left its block.
    """
    names = "global_random_seed", GLOBAL_SEED_GENERATOR  # which each thread has its own
    with LOCK:
        if not _kept[0]:
            _kept[1] = random.getstate(), np.random.get_state()  # noqa: NPY002 (the process's own)
        _kept[0] += 1
    of_keras = [global_state.get_global_attribute(name) for name in names]
    try:
        yield
    finally:
        with LOCK:
            _kept[0] -= 1
            if not _kept[0]:
                random.setstate(_kept[1][0])
                np.random.set_state(_kept[1][1])  # noqa: NPY002
        for name, value in zip(names, of_keras, strict=True):
            global_state.set_global_attribute(name, value)


def expect_operations_with_seeds() -> None:
    """Says that code of a user's ran, whose operations may have seeds of their own.

    TensorFlow counts what each has drawn; the next seeding makes them begin anew.
    """
    _drawn_from[:] = None, None


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
    own = endless(seed)

    def start(*names: str) -> dict:
        return {
            f"{name}_initializer": kinds[name](seed=next(own)) for name in names if name in kinds
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


def endless(seed: int | None) -> Iterator[int | None]:
    """Endless seeds that follow from one; without one, endless None."""
    if seed is None:
        return itertools.repeat(None)
    generator = np.random.default_rng(seed)
    return (int(generator.integers(2**31)) for _ in itertools.count())
