"""A Keras functional model whose ``fit`` makes many optimizer steps in one compiled call.

``keras.Model.fit`` feeds each batch through a pipeline and goes back to Python after each step, or
after ``steps_per_execution`` of them. For small networks that costs more than the step itself.
Here samples stay where TensorFlow has them, a batch is a row of their numbers, and a call is a
loop over such rows. Epochs, callbacks, history, validation and progress are Keras' own.
"""

import contextlib
import dataclasses
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnets.callbacks import batch_hooks
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.steps import Samples, Steps, are_per_sample, calls, treats_samples_alone

# Samples that are evaluated together where that changes no result: there is no step after each.
_EVALUATED_TOGETHER = 300

# What XLA can take.
_NUMBERS = {tf.bool, tf.float16, tf.bfloat16, tf.float32, tf.float64}
_NUMBERS |= {tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64}

# Steps a call where nothing else is said.
_A_CALL = 300

# From how many samples on a batch of recurrent layers is worth being cut in two.
_WORTH_CUTTING = 20


@keras.saving.register_keras_serializable(package="tfnets")
class Model(keras.Model):
    """``keras.Model`` of inputs and outputs, fitted faster.

    ``compile``, ``fit`` and ``evaluate`` take what Keras' take and do what Keras' do: weights,
    history and the calls of callbacks are the same but for rounding. Many steps become one call
    where samples are arrays and nobody watches the batches; a callback with ``on_train_batch``
    hooks is called after each ``steps_per_execution``, as by Keras. Data sets, generators,
    ``steps_per_epoch``, distribution strategies, ``run_eagerly`` and a ``train_step`` of your own
    are left to Keras as they are.

    Samples are shuffled by NumPy's global generator, which ``keras.utils.set_random_seed`` seeds.

    Where the model treats each sample alone (:func:`tfnets.steps.treats_samples_alone`), the last,
    shorter batch is padded with samples of weight 0, so that it needs no program of its own, and a
    batch can be computed in parts side by side.
    """

    # Keras' own attributes, whose types it leaves open.
    steps_per_execution: int
    train_function: Any
    test_function: Any

    def compile(self, *args: Any, execution: Execution | None = None, **kwargs: Any) -> None:
        """``keras.Model.compile``.

        Args:
            *args: As for Keras.
            execution: How the steps are computed; None: as fits the layers.
            **kwargs: As for Keras; ``jit_compile="auto"``: XLA where layers are recurrent.
        """
        super().compile(*args, **kwargs)
        given = _arguments(keras.Model.compile, self, args, kwargs)
        metrics, weighted = _flat(given["metrics"]), _flat(given["weighted_metrics"])
        self._asked = given["jit_compile"] if execution is None else execution
        self._unweighted = len(metrics)
        self._is_known = are_per_sample(given["loss"], [*metrics, *weighted])
        self._steps: tuple[Steps, ...] = ()
        self._validated: _Feed | None = None
        self._outside: dict[str, Any] | None = None

    def get_compile_config(self) -> dict | None:
        """The arguments of ``compile``, without the execution."""
        config = super().get_compile_config()
        if config is not None and isinstance(self._asked, str):
            config["jit_compile"] = self._asked
        return config

    def compile_from_config(self, config: dict) -> None:
        """Compiles as it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """``keras.Model.fit``.

        Args:
            *args: As for Keras.
            **kwargs: As for Keras; ``shuffle`` may also be the ``numpy.random.Generator`` that
                shuffles, and one weight for each sample is enough where it has many targets.

        Returns:
            Keras' history.

        Raises:
            InputError: If samples, targets and weights differ in number.
        """
        with self._as_outside():
            return self._fit(_arguments(keras.Model.fit, self, args, kwargs))

    def _fit(self, given: dict[str, Any]) -> keras.callbacks.History:
        shuffle = given.pop("shuffle")
        if given["steps_per_epoch"] or not self._takes(given):
            return super().fit(shuffle=bool(shuffle), **given)
        samples, held_out = _split(given)
        for each in (samples, held_out):
            if each is not None:
                self._check(each)
        batch = min(given["batch_size"] or 32, len(samples))
        hooks = _hooks(given["callbacks"])
        steps = self._steps_for(batch)
        a_call = self.steps_per_execution if hooks else steps.execution.steps_per_call
        feed = _Feed(
            self, steps.train, samples, batch, a_call, steps.divisor, _orders(samples, shuffle)
        )
        passed = ("epochs", "verbose", "callbacks", "initial_epoch", "validation_freq")
        more = {name: given[name] for name in passed}
        if held_out is None or any("test" in hook for hook in hooks):
            more["validation_data"] = given["validation_data"]
            more["validation_steps"] = given["validation_steps"]
            more["validation_batch_size"] = given["validation_batch_size"] or given["batch_size"]
            if held_out is not None:
                more["validation_data"] = (held_out.x, held_out.y, held_out.weight)
        else:
            together = given["validation_batch_size"] or batch
            self._validated = self._evaluation(held_out, together, a_call)
            more["validation_data"] = self._validated.data
            more["validation_steps"] = self._validated.steps
        try:
            with self._fed("train_function", feed):
                return super().fit(feed.data, steps_per_epoch=feed.steps, shuffle=False, **more)
        finally:
            self._validated = None

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.evaluate``; arguments and results as there."""
        if kwargs.get("_use_cached_eval_dataset"):  # by fit
            if self._validated is None:
                return super().evaluate(*args, **kwargs)
            with self._fed("test_function", self._validated):
                return super().evaluate(*args, **kwargs)
        with self._as_outside():
            given = _arguments(keras.Model.evaluate, self, args, kwargs)
            return self._evaluate(given | given.pop("kwargs", {}))

    def _evaluate(self, given: dict[str, Any]) -> Any:
        passed = {name: given[name] for name in ("verbose", "callbacks", "return_dict")}
        if given["steps"] or _hooks(given["callbacks"]) or not self._takes(given):
            return super().evaluate(**given)
        samples, _ = _split(given)
        self._check(samples)
        feed = self._evaluation(samples, given["batch_size"] or 32)
        with self._fed("test_function", feed):
            return super().evaluate(feed.data, steps=feed.steps, **passed)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.predict``."""
        with self._as_outside():
            return super().predict(*args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.train_on_batch``."""
        with self._as_outside():
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.test_on_batch``."""
        with self._as_outside():
            return super().test_on_batch(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> None:
        """Keras calls it before it trains."""
        if not isinstance(self.train_function, _Feed):
            super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> None:
        """Keras calls it before it evaluates."""
        if not isinstance(self.test_function, _Feed):
            super().make_test_function(force)

    @contextlib.contextmanager
    def _fed(self, function: str, feed: "_Feed") -> Iterator[None]:
        """Has Keras call a feed instead of its own function, so many steps a call."""
        before, outside = self._state(), self._outside
        if outside is None:
            self._outside = before
        # A compiled one makes as many steps as before.
        is_other = feed.a_call != self.steps_per_execution
        if is_other and not isinstance(self.test_function, _Feed):
            self.test_function = None
        self.steps_per_execution = feed.a_call
        setattr(self, function, feed)
        try:
            yield
        finally:
            self._restore(before if outside is not None else self._outside)
            self._outside = outside

    @contextlib.contextmanager
    def _as_outside(self) -> Iterator[None]:
        """What a callback of a fit calls finds the model as it is outside that fit."""
        outside = getattr(self, "_outside", None)
        if outside is None:
            yield
            return
        inside, validated = self._state(), self._validated
        self._restore(outside)
        self._outside = None
        try:
            yield
        finally:
            self._outside = self._state()
            self._restore(inside)
            self._validated = validated

    def _state(self) -> dict[str, Any]:
        names = ("train_function", "test_function", "predict_function", "steps_per_execution")
        return {name: getattr(self, name) for name in names}

    def _restore(self, state: dict[str, Any] | None) -> None:
        for name, value in (state or {}).items():
            setattr(self, name, value)

    def _evaluation(self, samples: Samples, together: int, a_call: int | None = None) -> "_Feed":
        if self._is_padded:  # that changes no result
            together = max(together, _EVALUATED_TOGETHER)
        batch = min(together, len(samples))
        steps = self._steps_for(batch)
        a_call = a_call or steps.execution.steps_per_call
        orders = _orders(samples, shuffle=False)
        return _Feed(self, steps.test, samples, batch, a_call, steps.divisor, orders)

    @property
    def _is_padded(self) -> bool:
        """Whether samples are treated alone, as far as is known."""
        return self._is_known and self._has_keras_steps() and treats_samples_alone(self)

    def _steps_for(self, batch: int) -> Steps:
        """The compiled steps of batches of a size."""
        how = self._execution(batch), self._is_padded
        for each in self._steps:
            if (each.execution, each.is_padded) == how:
                return each
        made = Steps(self, *how, self._unweighted)
        self._steps = (*self._steps, made)
        return made

    def _execution(self, batch: int) -> Execution:
        if isinstance(self._asked, Execution):
            return self._asked
        layers = self._flatten_layers(include_self=False)
        kinds = {type(each) for each in layers}
        recurrent = any(issubclass(kind, keras.layers.RNN) for kind in kinds)
        convolving = any("Conv" in kind.__name__ for kind in kinds)
        is_auto = self._asked == "auto"
        xla = recurrent and not convolving and self._is_padded if is_auto else bool(self._asked)
        cut = xla and recurrent and batch >= _WORTH_CUTTING
        return Execution(xla=xla, shards=2 if cut else 1, steps_per_call=_A_CALL)

    def _has_keras_steps(self) -> bool:
        """Whether a step is Keras' own."""
        names = ("train_step", "test_step", "compute_loss", "compute_metrics", "reset_metrics")
        own = [getattr(getattr(self, name), "__func__", None) for name in names]
        theirs = [getattr(keras.Model, name) for name in names]
        return own == theirs and type(self).metrics is keras.Model.metrics

    def _takes(self, given: dict[str, Any]) -> bool:
        """Whether samples are arrays and steps are such as can be made here, many a call."""
        data = [*_flat(given["x"]), *_flat(given["y"]), *_flat(given["sample_weight"])]
        return (
            self.compiled
            and given["x"] is not None
            and given["y"] is not None
            and self._has_keras_steps()
            and not self.run_eagerly
            and not tf.distribute.has_strategy()
            and self.distribute_strategy is tf.distribute.get_strategy()
            and keras.config.max_steps_per_epoch() is None
            and bool(self.trainable_variables)
            and _are_arrays(data)
            and not (given.get("class_weight") and _flat(given["sample_weight"]))
            and not (given.get("class_weight") and keras.tree.is_nested(given["y"]))
        )

    def _check(self, samples: Samples) -> None:
        """Raises InputError for a label that is no class: XLA would read what is beside it."""
        kind = keras.losses.SparseCategoricalCrossentropy
        function = keras.losses.sparse_categorical_crossentropy
        loss = self.loss
        if isinstance(loss, str):
            loss = keras.losses.get(loss)
        if loss is not function and not isinstance(loss, kind):
            return
        if getattr(loss, "ignore_class", None) is not None or keras.tree.is_nested(samples.y):
            return
        classes = self.outputs[0].shape[-1]
        labels = tf.cast(samples.y, tf.int64)
        least, most = (int(f(labels)) for f in (tf.reduce_min, tf.reduce_max))
        if least < 0 or most >= classes:
            raise InputError(
                f"y has the label {least if least < 0 else most}; model {self.name!r} has "
                f"{classes} classes, so that labels are 0 to {classes - 1}."
            )


class _Feed:
    """Stands for Keras' function that takes a batch from an iterator: takes a call of rows.

    Attributes:
        data: What Keras iterates over.
        steps: Steps of an epoch.
        a_call: Steps a call.
    """

    def __init__(
        self,
        model: Model,
        function: Callable[[Samples, list], dict],
        samples: Samples,
        batch: int,
        a_call: int,
        divisor: int | None,
        orders: Callable[[], np.ndarray],
    ):
        self.data = tf.data.Dataset.range(1).repeat()
        self.steps, self.a_call = -(-len(samples) // batch), a_call
        self._model, self._function, self._samples = model, function, samples
        self._calls = calls(orders, batch, min(a_call, self.steps), divisor)

    def __call__(self, iterator: Any) -> dict:
        """Makes the steps of the next call; the logs after them."""
        parts = next(self._calls)
        if self._model.stop_training and self.a_call > 1:  # set before the first step
            parts = [dataclasses.replace(parts[0], used=1)]
        return self._function(self._samples, parts)


def _arguments(function: Callable, model: Model, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments of a call of Keras by name, with its defaults."""
    bound = inspect.signature(function).bind(model, *args, **kwargs)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name != "self"}


def _flat(nested: Any) -> list:
    return [each for each in keras.tree.flatten(nested) if each is not None]


def _are_arrays(data: list) -> bool:
    """Whether all are arrays of numbers, of equal lengths above 0."""
    return (
        all(isinstance(each, np.ndarray | tf.Tensor) and each.ndim for each in data)
        and all(tf.as_dtype(each.dtype) in _NUMBERS for each in data if each.dtype != object)
        and all(each.dtype != object for each in data)
        and len({len(each) for each in data}) == 1
        and len(data[0]) > 0
    )


def _hooks(callbacks: Any) -> set[str]:
    """The hooks of callbacks that watch batches."""
    every = getattr(callbacks, "callbacks", callbacks)
    return {hook for each in keras.tree.flatten(every) if each for hook in batch_hooks(each)}


def _split(given: dict[str, Any]) -> tuple[Samples, Samples | None]:
    """What is fitted or evaluated, and what arrays it is validated on, if any."""
    x, y, weight = (given[name] for name in ("x", "y", "sample_weight"))
    share, held_out = given.get("validation_split"), given.get("validation_data")
    if given.get("class_weight"):
        weight = _weights_of_classes(y, given["class_weight"])
    if held_out is not None:
        arrays = _flat(held_out)
        is_ours = (
            isinstance(held_out, tuple | list)
            and len(held_out) in (2, 3)
            and not given["validation_steps"]
            and _are_arrays(arrays)
        )
        return _samples(x, y, weight), _samples(*held_out) if is_ours else None
    if not share:
        return _samples(x, y, weight), None
    n = len(_flat(x)[0])
    first = math.floor(n * (1.0 - share))
    if first in (0, n):
        raise InputError(
            f"validation_split is {share} of {n} samples, which leaves none to train or validate."
        )
    parts = [
        keras.tree.map_structure(
            lambda each, place=place: None if each is None else each[place], (x, y, weight)
        )
        for place in (slice(first), slice(first, None))
    ]
    return _samples(*parts[0]), _samples(*parts[1])


def _samples(x: Any, y: Any, weight: Any = None) -> Samples:
    """As tensors, numbers in Keras' precision."""

    def tensor(array: Any) -> Any:
        if array is None:
            return None
        made = tf.convert_to_tensor(array)
        return tf.cast(made, keras.config.floatx()) if made.dtype.is_floating else made

    if weight is not None:  # also of truth values
        weight = keras.tree.map_structure(
            lambda each: each if each is None else tf.cast(each, keras.config.floatx()), weight
        )
    return Samples(*keras.tree.map_structure(tensor, (x, y, weight)))


def _weights_of_classes(y: Any, by_class: dict[int, float]) -> np.ndarray:
    """Weight of each sample by its class, 1 where none is given; labels as Keras has them."""
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] != 1 else labels[..., 0]
    labels = np.round(labels).astype(np.int32)
    weights = np.ones(labels.shape, keras.config.floatx())
    for number, weight in by_class.items():
        weights[labels == number] = weight
    return weights


def _orders(samples: Samples, shuffle: bool | np.random.Generator) -> Callable[[], np.ndarray]:
    """What draws the sample numbers of each epoch."""
    n = len(samples)
    if not shuffle:
        return lambda: np.arange(n)
    if not isinstance(shuffle, np.random.Generator):
        shuffle = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002
    return lambda: shuffle.permutation(n)
