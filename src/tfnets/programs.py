"""Compiled programs, reused by later trainings and predictions of the same network.

Tracing and compiling a training takes longer than a small training itself, and TensorFlow keeps
memory of every compiled function, also after it is gone. So a process compiles each network once:
a program has a network and an optimizer of its own, of the same configuration as those that are
trained. What is trained is copied in, and out again, weights and optimizer state alike. Numbers
that may differ between trainings (seed, learning rate, momentum, weight decay, norm of clipping,
length of the schedule) are variables of the program.

This is for networks of tfnets' own builders only, as they were built, and for objectives of its
own functions: of them the configuration says all. It does not say what a layer has adapted to,
what is frozen or constrained, or which of two functions of one name is meant. So any other network
is compiled for itself and trained itself.
"""

import contextlib
import functools
import json
import random
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnets import optimizers, seeds
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.loop import Loop, Objective

# Networks of tfnets' own builders, with their parts when they were built.
_built: "weakref.WeakKeyDictionary[keras.Model, tuple]" = weakref.WeakKeyDictionary()

# So many compiled programs are kept that nobody uses.
_MOST = 64


def built(model: keras.Model) -> keras.Model:
    """Declares that a network is what its configuration says, and returns it."""
    _built[model] = _parts(model)
    return model


def _parts(model: keras.Model) -> tuple:
    """What a step depends on besides the configuration and the values of variables."""
    return tuple(
        (
            id(layer),
            layer.trainable,
            tuple((id(v), v.trainable, v.constraint, v.regularizer) for v in layer.variables),
            tuple((name, id(value)) for name, value in vars(layer).items() if callable(value)),
            tuple((name, value) for name, value in vars(layer).items() if _is_plain(name, value)),
        )
        for layer in model._flatten_layers(include_self=False)
    )


def _is_plain(name: str, value: object) -> bool:
    """Whether an attribute of a layer is a number or a text, such as a dropout's rate."""
    return not name.startswith("_") and isinstance(value, bool | int | float | str)


def _state(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> tuple:
    """What a compiled step of a model that is trained itself takes for constant."""
    return _parts(model), optimizers.constants(optimizer)


def is_as_built(model: keras.Model) -> bool:
    """Whether a network is one of tfnets' own builders and has only had its weights changed."""
    return model in _built and _built[model] == _parts(model)


class Program:
    """A compiled loop, and the network and optimizer that it works on.

    Args:
        loop: What is compiled.
        form: That of the optimizer (:func:`tfnets.optimizers.form`), if network and optimizer are
            copies of its own; None if they are those that are trained.
    """

    def __init__(self, loop: Loop, form: str | None = None):
        self.loop, self.own, self._form = loop, form is not None, form
        self._state = () if self.own else _state(loop.model, loop.optimizer)

    def is_current(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> bool:
        """Whether it still does what a model and an optimizer say, which callbacks may change."""
        if self.own:  # numbers are copied in
            return optimizers.form(optimizer) == self._form and is_as_built(model)
        return self._state == _state(model, optimizer)

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
    if network is None or steps is None or not _is_ours(objective):
        yield Program(Loop(model, optimizer, objective, batch_size, execution))
        return

    def make() -> Program:
        copy, like = _copy_of(model, network), optimizers.with_variables(optimizer)
        return Program(Loop(copy, like, objective, batch_size, execution), steps)

    # The same are objectives that are one object of the same functions; these cannot be compared.
    counted = tuple((name, _Same(function)) for name, function in objective.metrics.items())
    key = (_text(network), steps, _Same(objective), counted, batch_size, execution)
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

    Raises:
        InputError: For a model with several outputs.
    """
    network = _configuration(model)
    if network is None:
        answers = model.predict(x, batch_size=batch_size, verbose=0)
        if isinstance(answers, list | tuple | dict):
            raise InputError(
                f"model {model.name!r} answers with a {type(answers).__name__} of {len(answers)}; "
                "expected one tensor."
            )
        return np.asarray(answers)

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


def _is_ours(objective: Objective) -> bool:
    """Whether an objective computes what tfnets' own functions say, and nothing of a user's."""

    def is_ours(part: Any) -> bool:
        if isinstance(part, functools.partial):
            return all(map(is_ours, (part.func, *part.args, *part.keywords.values())))
        return not callable(part) or part.__module__.partition(".")[0] == "tfnets"

    return all(map(is_ours, (objective.loss, *objective.metrics.values())))


def _configuration(model: keras.Model) -> dict | None:
    """What Keras serialises of a model, without initial weights; None if that may not be all."""
    if not is_as_built(model):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _without_start(keras.saving.serialize_keras_object(model))


def _text(configuration: dict) -> str:
    """A configuration without the model's own name, which Keras numbers where nobody gives one."""
    inside = {name: value for name, value in configuration["config"].items() if name != "name"}
    return json.dumps(configuration | {"config": inside})


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
    with seeds.LOCK:
        states = random.getstate(), np.random.get_state()  # noqa: NPY002 (the process's own)
        try:
            return keras.saving.deserialize_keras_object(configuration)
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
