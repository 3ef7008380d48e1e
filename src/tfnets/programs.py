"""Compiled programs, reused by later trainings and predictions of the same network.

Tracing and compiling a training takes longer than a small training itself, and TensorFlow keeps
memory of every compiled function, also after it is gone. So a process compiles each network once:
a program has a network and an optimizer of its own, of the same configuration as those that are
trained. What is trained is copied in, and out again, weights and optimizer state alike. Numbers
that may differ between trainings (seed, learning rate, momentum, weight decay, norm of clipping,
length of the schedule) are variables of the program.

Networks are the same if Keras serialises them alike, initial weights and names left out, and all
their parts come from Keras or tfnets. Any other network, whose code may do what its configuration
does not say, is compiled anew each time.
"""

import contextlib
import json
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnets import optimizers
from tfnets.loop import Execution, Loop, Objective

_PACKAGES = ("keras", "tfnets")

# So many compiled programs are kept that nobody uses.
_MOST = 64


class Program:
    """A compiled loop, and the network and optimizer that it works on.

    Args:
        loop: What is compiled.
        own: Whether its network and optimizer are copies; else they are those that are trained.
    """

    def __init__(self, loop: Loop, own: bool):
        self.loop, self.own = loop, own

    def load(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer | None = None
    ) -> None:
        """Copies weights, optimizer state and numbers in."""
        if self.own:
            _copy(model, self.loop.model)
        if self.own and optimizer is not None:
            _copy(optimizer, self.loop.optimizer)
            optimizers.copy_numbers(optimizer, self.loop.optimizer)

    def store(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Copies weights and optimizer state out."""
        if self.own:
            _copy(self.loop.model, model)
            _copy(self.loop.optimizer, optimizer)


class Pool:
    """A pool of expensive objects by key; each has one user at a time."""

    def __init__(self, most: int = _MOST) -> None:
        self._free: list[tuple[Any, Any]] = []  # key and thing, the one last used at the end
        self._most = most
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def take(self, key: Any, make: Callable[[], Any]) -> Iterator[Any]:
        """One that is free, or a new one; in the end it is free again."""
        with self._lock:
            there = [n for n, (of, _) in enumerate(self._free) if of == key]
            one = self._free.pop(there[-1])[1] if there else None
        if one is None:
            one = make()
        try:
            yield one
        finally:
            with self._lock:
                self._free.append((key, one))
                del self._free[: -self._most]


_programs, _predictors = Pool(), Pool()


@contextlib.contextmanager
def program(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    objective: Objective,
    batch_size: int,
    execution: Execution,
) -> Iterator[Program]:
    """A program that trains a model by an optimizer; nothing is copied into it yet.

    Raises:
        InputError: As for :class:`tfnets.loop.Loop`.
    """
    network, steps = _configuration(model), optimizers.form(optimizer)
    if network is None or steps is None:
        yield Program(Loop(model, optimizer, objective, batch_size, execution), own=False)
        return

    def make() -> Program:
        copy, like = _copy_of(model, network), optimizers.with_variables(optimizer)
        return Program(Loop(copy, like, objective, batch_size, execution), own=True)

    # Objectives are the same if they are one object: functions cannot be compared.
    key = (_text(network), steps, _Same(objective), batch_size, execution)
    with _programs.take(key, make) as one:
        optimizer.build(model.trainable_variables)
        yield one


def predict(model: keras.Model, x: np.ndarray, batch_size: int = 1024) -> np.ndarray:
    """What a model with one output answers, as ``model.predict`` gives it.

    Args:
        model: Any functional model.
        x: Samples, ``(n, ...)``.
        batch_size: How many are computed at once.

    Returns:
        ``(n, ...)``.
    """
    network = _configuration(model)
    if network is None:
        return np.asarray(model.predict(x, batch_size=batch_size, verbose=0))

    def make() -> tuple[keras.Model, Callable]:
        copy = _copy_of(model, network)
        any_number = tf.TensorSpec(copy.inputs[0].shape, copy.inputs[0].dtype)
        return copy, tf.function(
            lambda each: copy(each, training=False), [any_number], autograph=False
        )

    with _predictors.take(_text(network), make) as (copy, answer):
        _copy(model, copy)
        starts, dtype = range(0, max(len(x), 1), batch_size), copy.inputs[0].dtype
        parts = [answer(tf.constant(x[start : start + batch_size], dtype)) for start in starts]
        return np.concatenate([part.numpy() for part in parts])


class _Same:
    """Equal to another if both hold one object, which is kept as long."""

    def __init__(self, held: object):
        self._held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._held is other._held

    def __hash__(self) -> int:
        return id(self._held)


def _copy(source: Any, target: Any) -> None:
    for one, other in zip(source.variables, target.variables, strict=True):
        other.assign(one.value)


def _configuration(model: keras.Model) -> dict | None:
    """What Keras serialises of a model, without initial weights; None if that may not be all."""
    for part in (model, *getattr(model, "layers", ())):
        if type(part).__module__.partition(".")[0] not in _PACKAGES:
            return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about lambdas, which are refused below
            whole = keras.saving.serialize_keras_object(model)
    except (NotImplementedError, TypeError, ValueError):
        return None
    return _without_start(whole) if _says_all(whole) else None


def _text(configuration: dict) -> str:
    """A configuration without the model's own name, which Keras numbers where nobody gives one."""
    inside = {name: value for name, value in configuration["config"].items() if name != "name"}
    return json.dumps(configuration | {"config": inside})


def _says_all(part: Any) -> bool:
    if isinstance(part, dict):
        if part.get("class_name") in ("Lambda", "__lambda__"):
            return False
        module = part.get("module")
        if isinstance(module, str) and module.partition(".")[0] not in _PACKAGES:
            return False
        package = part.get("registered_name")
        if isinstance(package, str) and ">" in package and not package.startswith("tfnets>"):
            return False
        return all(map(_says_all, part.values()))
    return all(map(_says_all, part)) if isinstance(part, list | tuple) else True


def _without_start(part: Any) -> Any:
    """Without initial weights: all zeros, which draws no random number."""
    if isinstance(part, dict):
        zeros = {"module": "keras.initializers", "class_name": "Zeros", "config": {}}
        return {
            name: zeros if name.endswith("_initializer") and value else _without_start(value)
            for name, value in part.items()
        }
    return [_without_start(each) for each in part] if isinstance(part, list | tuple) else part


def _copy_of(model: keras.Model, configuration: dict) -> keras.Model:
    """A model of the same configuration; random numbers are drawn as if it had not been made."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 (the process's own)
    try:
        copy = keras.saving.deserialize_keras_object(configuration)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
    return copy
