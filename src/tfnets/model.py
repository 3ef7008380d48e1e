"""A Keras functional model whose ``fit`` makes many optimizer steps in one compiled call.

``keras.Model.fit`` feeds each batch through a pipeline and goes back to Python after each step, or
after ``steps_per_execution`` of them. For small networks that costs more than the step itself.
Here samples stay where TensorFlow has them, a batch is a row of their numbers, and a call is a
loop over such rows. Epochs, callbacks, history, validation and progress are Keras' own.
"""

import contextlib
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
from tfnets.steps import Samples, Steps, calls, treats_samples_alone

# Samples that are evaluated together where that changes no result: there is no step after each.
_EVALUATED_TOGETHER = 300

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

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        jit_compile: Any = "auto",
        execution: Execution | None = None,
        **kwargs: Any,
    ) -> None:
        """``keras.Model.compile``.

        Args:
            optimizer: As for Keras.
            loss: As for Keras.
            loss_weights: As for Keras.
            metrics: As for Keras.
            weighted_metrics: As for Keras.
            jit_compile: Whether XLA compiles the steps; ``"auto"``: if the layers are recurrent.
            execution: How the steps are computed, instead; None: as fits the layers.
            **kwargs: As for Keras.
        """
        super().compile(
            optimizer,
            loss,
            loss_weights,
            metrics,
            weighted_metrics,
            jit_compile=jit_compile,
            **kwargs,
        )
        every = [*_flat(metrics), *_flat(weighted_metrics)]
        self._asked = jit_compile if execution is None else execution
        self._unweighted = len(_flat(metrics))
        self._is_padded = self._has_keras_steps() and treats_samples_alone(
            self, loss, every, self.optimizer
        )
        self._steps: tuple[Steps, ...] = ()
        self._validated: _Feed | None = None

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
        given = _arguments(keras.Model.fit, self, args, kwargs)
        shuffle = given.pop("shuffle")
        if given["steps_per_epoch"] or not self._takes(given):
            return super().fit(shuffle=bool(shuffle), **given)
        samples, held_out = _split(given)
        self._check(samples)
        batch = min(given["batch_size"] or 32, len(samples))
        hooks = _hooks(given["callbacks"])
        steps = self._steps_for(batch)
        a_call = self.steps_per_execution if hooks else steps.execution.steps_per_call
        feed = _Feed(steps.train, samples, batch, a_call, steps.divisor, _orders(samples, shuffle))
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
        given = _arguments(keras.Model.evaluate, self, args, kwargs)
        given.pop("kwargs", None)
        passed = {name: given[name] for name in ("verbose", "callbacks", "return_dict")}
        if given["steps"] or _hooks(given["callbacks"]) or not self._takes(given):
            return super().evaluate(**given)
        samples, _ = _split(given)
        self._check(samples)
        feed = self._evaluation(samples, given["batch_size"] or 32)
        with self._fed("test_function", feed):
            return super().evaluate(feed.data, steps=feed.steps, **passed)

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
        steps = self.steps_per_execution
        before = {name: getattr(self, name) for name in ("train_function", "test_function")}
        if feed.a_call != steps and not isinstance(self.test_function, _Feed):
            self.test_function = None  # a compiled one makes as many steps as before
        setattr(self, function, feed)
        self.steps_per_execution = feed.a_call
        try:
            yield
        finally:
            self.steps_per_execution = steps
            for name, value in before.items():
                setattr(self, name, value)

    def _evaluation(self, samples: Samples, together: int, a_call: int | None = None) -> "_Feed":
        if self._is_padded:  # that changes no result
            together = max(together, _EVALUATED_TOGETHER)
        batch = min(together, len(samples))
        steps = self._steps_for(batch)
        a_call = a_call or steps.execution.steps_per_call
        orders = _orders(samples, shuffle=False)
        return _Feed(steps.test, samples, batch, a_call, steps.divisor, orders)

    def _steps_for(self, batch: int) -> Steps:
        """The compiled steps of batches of a size."""
        execution = self._execution(batch)
        for each in self._steps:
            if each.execution == execution:
                return each
        made = Steps(self, execution, self._is_padded, self._unweighted)
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
        names = ("train_step", "test_step", "compute_loss", "compute_metrics")
        return all(getattr(type(self), name) is getattr(keras.Model, name) for name in names)

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
            and all(isinstance(each, np.ndarray | tf.Tensor) and each.ndim for each in data)
            and len({len(each) for each in data}) == 1
            and len(data[0]) > 0
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
        least, most = (int(f(samples.y)) for f in (tf.reduce_min, tf.reduce_max))
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
        function: Callable[[Samples, list], dict],
        samples: Samples,
        batch: int,
        a_call: int,
        divisor: int | None,
        orders: Callable[[], np.ndarray],
    ):
        self.data = tf.data.Dataset.range(1).repeat()
        self.steps, self.a_call = -(-len(samples) // batch), a_call
        self._function, self._samples = function, samples
        self._calls = calls(orders, batch, min(a_call, self.steps), divisor)

    def __call__(self, iterator: Any) -> dict:
        """Makes the steps of the next call; the logs after them."""
        return self._function(self._samples, next(self._calls))


def _arguments(function: Callable, model: Model, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments of a call of Keras by name, with its defaults."""
    bound = inspect.signature(function).bind(model, *args, **kwargs)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name != "self"}


def _flat(nested: Any) -> list:
    return [each for each in keras.tree.flatten(nested) if each is not None]


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
            and all(isinstance(each, np.ndarray | tf.Tensor) and each.ndim for each in arrays)
            and len({len(each) for each in arrays}) == 1
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
