"""What one call of :meth:`tfnets.model.Model.fit` does: many steps on rows of samples."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnets.execution import Execution
from tfnets.optimizers import SGD, Adam

# Seconds after which a call returns to Python, which is where signals are heard.
_LONGEST = 0.25

# What Keras computes for each sample alone; others compare samples, or may.
_LOSSES = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
)
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


def treats_samples_alone(model: keras.Model) -> bool:
    """Whether a batch may be padded with samples of weight 0, or be computed in parts.

    That is known of functional models of one output and layers of Keras and tfnets that do not
    look across the batch, without losses of the layers (regularisation) and without masks, if
    loss and metrics allow it, too (:func:`are_per_sample`).
    """
    if not isinstance(getattr(model, "inputs", None), list) or len(model.outputs) != 1:
        return False
    if model.losses or isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        return False
    every = [model, *model._flatten_layers(include_self=False)]
    operations = [o for each in every for o in getattr(each, "operations", ())]
    return (
        _is_known(type(model).call)
        and all(isinstance(operation, keras.layers.Layer) for operation in operations)
        and all(map(_is_alone, every[1:]))
    )


def are_per_sample(loss: Any, metrics: list) -> bool:
    """Whether a loss and metrics, as ``compile`` takes them, are means over the samples.

    That is known of most of Keras'; a function of one's own may do anything.
    """
    return _is_per_sample_loss(loss) and all(map(_is_per_sample_metric, metrics))


def _is_alone(layer: keras.layers.Layer) -> bool:
    across = keras.layers.BatchNormalization | keras.layers.Lambda
    if not (_is_known(type(layer)) and _is_known(type(layer).call)) or isinstance(layer, across):
        return False
    if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
        return False  # Keras' loss counts what is not masked
    return not (
        getattr(layer, "stateful", False)
        or getattr(layer, "activity_regularizer", None) is not None
    )


def _is_known(thing: Any) -> bool:
    return getattr(thing, "__module__", "").partition(".")[0] in ("keras", "tfnets")


def _is_per_sample_loss(loss: Any) -> bool:
    if isinstance(loss, str):
        if loss in _BY_SHAPE:
            return True
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        if loss.reduction not in ("sum_over_batch_size", "mean") or _axis(loss) != -1:
            return False
        function = getattr(loss, "fn", None)
        if function is None:  # of tfnets
            return _is_known(type(loss)) and getattr(loss, "per_sample", False)
        loss = function
    return _is_known(loss) and getattr(loss, "__name__", "") in _LOSSES


def _axis(thing: Any) -> int:
    """The axis of which each sample's number is made; the last one by default."""
    return thing.get_config().get("axis", -1)


def _is_per_sample_metric(metric: Any) -> bool:
    if isinstance(metric, str):
        if metric in _BY_SHAPE:
            return True
        metric = keras.metrics.get(metric)
    if isinstance(metric, keras.metrics.Metric):
        mean = keras.metrics.MeanMetricWrapper
        if not isinstance(metric, mean) or type(metric) is mean or _axis(metric) != -1:
            return False
        kind = type(metric)
        return _is_known(kind) and kind is not keras.metrics.CosineSimilarity
    return _is_known(metric) and (
        getattr(metric, "__name__", "") in _LOSSES or "accuracy" in getattr(metric, "__name__", "")
    )


@dataclass(frozen=True)
class Samples:
    """What is fitted or evaluated, as tensors; each may be nested.

    Attributes:
        x: Inputs, ``(n, ...)``.
        y: Targets, ``(n, ...)``.
        weight: Sample weights ``(n, ...)``, or None.
    """

    x: Any
    y: Any
    weight: Any = None

    def __len__(self) -> int:
        return int(keras.tree.flatten(self.x)[0].shape[0])

    def rows(self, numbers: tf.Tensor) -> "Samples":
        """The samples of some numbers."""
        return Samples(
            *keras.tree.map_structure(
                lambda each: None if each is None else tf.gather(each, numbers),
                (self.x, self.y, self.weight),
            )
        )


@dataclass(frozen=True)
class Part:
    """Rows of sample numbers, ``(rows, batch)``, of which the first ``used`` are steps.

    ``counts``, ``(rows,)``: how many samples of a row are there; the others are sample 0.
    """

    rows: np.ndarray
    counts: np.ndarray
    used: int


def calls(
    numbers: Callable[[], np.ndarray], batch: int, steps: int, divisor: int | None
) -> Iterator[list[Part]]:
    """For each call the rows of its steps, one epoch after the other.

    Args:
        numbers: The sample numbers of the next epoch in their order.
        batch: Samples a step.
        steps: Steps a call; the last call of an epoch may have fewer.
        divisor: Rows are padded to a multiple of it, and short ones to a whole row; if None they
            are not padded, and the last, shorter one is a part of its own.
    """
    while True:
        order = numbers().astype(np.int32)
        whole = -(-len(order) // batch) if divisor else len(order) // batch
        width = batch + (-batch % divisor if divisor else 0)
        rows = np.zeros((whole + -whole % steps, width), np.int32)
        counts = np.zeros(len(rows), np.int32)
        flat = np.zeros(whole * batch, np.int32)
        flat[: len(order)] = order[: whole * batch]
        rows[:whole, :batch] = flat.reshape(whole, batch)
        counts[:whole] = batch
        if divisor and len(order) % batch:
            counts[whole - 1] = len(order) % batch
        rest = order[whole * batch :]
        for start in range(0, whole + bool(len(rest)), steps):
            parts = []
            if start < whole:
                place = slice(start, start + steps)
                parts.append(Part(rows[place], counts[place], min(steps, whole - start)))
            if len(rest) and start + steps > whole:
                parts.append(Part(rest[None], np.array([len(rest)], np.int32), 1))
            yield parts


class Steps:
    """The compiled steps of a model, each of them Keras' own but for what is said below.

    A step of a model that treats samples alone (:func:`treats_samples_alone`) gives the samples
    that are not there weight 0 in the loss and in every metric, and computes its parts side by
    side: loss and gradients of each are compiled, and added up in the same order every time.

    Args:
        model: A compiled model.
        execution: How the steps are computed.
        is_padded: Whether the model treats samples alone.
        unweighted: How many of the metrics do not take sample weights.
    """

    def __init__(self, model: keras.Model, execution: Execution, is_padded: bool, unweighted: int):
        self.execution, self.is_padded = execution, is_padded
        self._model, self._unweighted = model, unweighted
        self._shards = execution.shards if is_padded else 1
        # Side by side are calls of a compiled function, one after the other what is in one.
        whole = execution.xla and self._shards == 1
        alone = self._shards == 1  # part of what is compiled anyway
        self._compiled_gradients = (
            self._gradients if alone else _traced(self._gradients, execution.xla)
        )
        self._compiled_count = _traced(self._count, execution.xla)
        self._compiled_outputs = _traced(self._outputs, execution.xla)
        self._compiled_test_step = _traced(model.test_step, execution.xla)
        self._compiled_train = _traced(self._train, whole)
        # Splits differ in length: a compiled batch serves all of them.
        self._compiled_test = _traced(self._test, False)
        self._seconds: dict[Callable, float] = {}

    @property
    def divisor(self) -> int | None:
        """As for :func:`calls`."""
        return self._shards if self.is_padded else None

    def train(self, samples: Samples, parts: list[Part]) -> dict[str, tf.Tensor]:
        """Makes the steps of a call; the logs after them."""
        return self._run(self._compiled_train, samples, parts)

    def test(self, samples: Samples, parts: list[Part]) -> dict[str, tf.Tensor]:
        """Evaluates the rows of a call; the logs after them."""
        return self._run(self._compiled_test, samples, parts)

    def _run(self, function: Callable, samples: Samples, parts: list[Part]) -> dict:
        logs: dict = {}
        for part in parts:
            rows, counts = tf.constant(part.rows), tf.constant(part.counts)
            first = 0
            while first < part.used:
                # The first two calls tell how long a step takes; one of them compiles.
                a_step = self._seconds.get(function)
                most = 1 if not a_step else max(1, int(_LONGEST / a_step))
                last = min(part.used, first + most)
                started = time.perf_counter()
                logs = function(
                    (samples.x, samples.y, samples.weight),
                    rows,
                    counts,
                    tf.constant(first),
                    tf.constant(last),
                )
                taken = (time.perf_counter() - started) / (last - first)
                self._seconds[function] = taken if a_step is not None else 0.0
                first = last
        return logs

    def _train(self, data, rows, counts, first, last):
        samples = Samples(*data)

        def step(number):
            batch = samples.rows(rows[number])
            if self.is_padded:
                self._step(batch, counts[number])
            else:
                self._model.train_step(_packed(batch))

        _repeat(step, first, last)
        return self._model.get_metrics_result()

    def _step(self, batch: Samples, count: tf.Tensor) -> None:
        """Keras' ``train_step`` where some of the last samples are not there."""
        model = self._model
        there, share = self._presence(batch, count)
        every = [
            self._compiled_gradients((part.x, part.y), _weighted(part.weight, weight))
            for part, weight in zip(self._cut(batch), self._cut(share), strict=True)
        ]
        losses, outputs, gradients = zip(*every, strict=True)
        variables = model.trainable_variables
        added = map(_added, zip(*gradients, strict=True), variables)
        model.optimizer.apply_gradients(zip(added, variables, strict=True))
        self._compiled_count(_sum(losses), count, (batch.y, batch.weight), _joined(outputs), there)

    def _gradients(self, data, weight):
        """A part's share of the loss, its outputs, and the gradients of the former."""
        (x, y), model = data, self._model
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model.compute_loss(x, y, outputs, _fitting(weight, outputs), training=True)
            scaled = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in model.trainable_variables])
        return loss, outputs, [self._plain(each) for each in gradients]

    def _plain(self, gradient: Any) -> Any:
        """A gradient that a compiled part may return: pieces of an embedding without its shape."""
        if not isinstance(gradient, tf.IndexedSlices):
            return gradient
        if isinstance(self._model.optimizer, Adam | SGD):  # add the pieces up anyway
            return tf.convert_to_tensor(gradient)
        return gradient.values, gradient.indices

    def _test(self, data, rows, counts, first, last):
        samples = Samples(*data)

        def step(number):
            batch, count = samples.rows(rows[number]), counts[number]
            if not self.is_padded:
                self._compiled_test_step(_packed(batch))
                return
            there, share = self._presence(batch, count)
            every = [
                self._compiled_outputs((part.x, part.y), _weighted(part.weight, weight))
                for part, weight in zip(self._cut(batch), self._cut(share), strict=True)
            ]
            losses, outputs = zip(*every, strict=True)
            self._compiled_count(
                _sum(losses), count, (batch.y, batch.weight), _joined(outputs), there
            )

        _repeat(step, first, last)
        return self._model.get_metrics_result()

    def _outputs(self, data, weight):
        """A part's share of the loss, and its outputs."""
        (x, y), model = data, self._model
        outputs = model(x, training=False)
        loss = model.compute_loss(x, y, outputs, _fitting(weight, outputs), training=False)
        return loss, outputs

    def _presence(self, batch: Samples, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """1 for each sample that is there, else 0; and by what its loss counts in its part."""
        n = len(batch)
        there = tf.cast(tf.range(n) < count, keras.config.floatx())
        return there, there * (n / self._shards / tf.cast(count, there.dtype))

    def _cut(self, batch: Any) -> list:
        """Its parts, of equal sizes."""
        if self._shards == 1:
            return [batch]
        if isinstance(batch, Samples):
            every = (batch.x, batch.y, batch.weight)
            size = len(batch) // self._shards
            return [
                Samples(
                    *keras.tree.map_structure(
                        lambda each, at=n * size: None if each is None else each[at : at + size],
                        every,
                    )
                )
                for n in range(self._shards)
            ]
        return tf.split(batch, self._shards)

    def _count(self, loss, count, data, outputs, there) -> None:
        """Updates what Keras keeps of the loss and the metrics."""
        y, weights = data
        tracker, *others = self._model.metrics
        tracker.update_state(loss, sample_weight=tf.cast(count, loss.dtype))
        for container in others:
            if not hasattr(container, "metrics"):  # one of the model's own, which nobody updates
                continue
            if not container.built:
                container.build(y, outputs)
            for number, metric in enumerate(container.metrics):
                own = number >= self._unweighted
                weight = _weighted(weights, there) if own else there
                metric.update_state(y, outputs, weight)


def _repeat(step: Callable[[tf.Tensor], None], first: tf.Tensor, last: tf.Tensor) -> None:
    def body(number):
        step(number)
        return (number + 1,)

    tf.while_loop(lambda number: number < last, body, (first,), parallel_iterations=1)


def _packed(batch: Samples) -> Any:
    return keras.utils.pack_x_y_sample_weight(batch.x, batch.y, batch.weight)


def _weighted(weight: tf.Tensor | None, there: tf.Tensor) -> tf.Tensor:
    """Sample weights times what belongs to each sample."""
    if weight is None:
        return there
    return weight * tf.reshape(there, [-1] + [1] * (len(weight.shape) - 1))


def _fitting(weight: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """One weight for each sample, also where each has several outputs with a loss of its own."""
    more = len(outputs.shape) - 1 - len(weight.shape)
    return tf.reshape(weight, [*weight.shape] + [1] * more) if more > 0 else weight


def _sum(parts: Any) -> Any:
    if len(parts) == 1 or parts[0] is None:
        return parts[0]
    return tf.add_n(list(parts))


def _added(parts: tuple, variable: Any) -> Any:
    """The gradient of a variable; of pieces all of them, as Keras' optimizers take them."""
    if not isinstance(parts[0], tuple):
        return _sum(parts)
    values, indices = (tf.concat(each, 0) for each in zip(*parts, strict=True))
    return tf.IndexedSlices(values, indices, tf.constant([*variable.shape], tf.int32))


def _joined(parts: Any) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(list(parts), 0)


def _traced(function: Callable, xla: bool) -> Callable:
    return tf.function(function, jit_compile=xla or None, autograph=False)
