"""The training loop: many steps a call, on data that stays where TensorFlow has it.

``model.fit`` goes back to Python after each step and feeds each batch through a pipeline.
For small networks that costs more than the step itself. Here samples are tensors from the
start, a batch is a row of sample numbers, and a call does many steps: with XLA the whole
call is one compiled program.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.losses import cross_entropy

PerSample = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """What is minimised and what is counted.

    Attributes:
        loss: ``(labels, outputs) -> (batch,)``, the loss of each sample.
        metrics: By name ``(labels, outputs) -> (batch,)``, each sample's share of right
            answers; one of them is ``accuracy``.
        outputs: The activation that the network's outputs must have for the loss to mean
            what it says, ``"softmax"``; None for any.
    """

    loss: PerSample
    metrics: Mapping[str, PerSample]
    outputs: str | None = None

    def of(self, labels: tf.Tensor, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Loss and metrics of each sample, by name, the loss first."""
        each = {"loss": self.loss} | dict(self.metrics)
        return {name: function(labels, outputs) for name, function in each.items()}


def in_top_k(labels: tf.Tensor, outputs: tf.Tensor, k: int = 1) -> tf.Tensor:
    """1 where the label is among the k largest of the outputs' last dimension, else 0.

    Of outputs that are equal the first is the larger, as for argmax: a network that says
    the same of every class is not right everywhere.

    Args:
        labels: Class numbers, ``(...)`` integers.
        outputs: Class scores, ``(..., classes)``.
        k: How many guesses there are.
    """
    if len(labels.shape) != len(outputs.shape) - 1:
        raise InputError(
            f"labels have shape {tuple(labels.shape)} where outputs have "
            f"{tuple(outputs.shape)}; expected one class number for each vector of outputs."
        )
    labels = tf.cast(labels, tf.int64)
    if k == 1:
        return tf.cast(tf.argmax(outputs, -1) == labels, outputs.dtype)
    own = tf.gather(outputs, labels, axis=-1, batch_dims=len(labels.shape))[..., None]
    earlier = tf.range(outputs.shape[-1], dtype=tf.int64) < labels[..., None]
    ahead = (outputs > own) | ((outputs == own) & earlier)
    return tf.cast(tf.reduce_sum(tf.cast(ahead, tf.int32), -1) < k, outputs.dtype)


# Small batches are trained on, not judged: there is no step to take after each.
_JUDGED_TOGETHER = 300

# A label for each sample; the outputs are probabilities.
CLASSIFICATION = Objective(cross_entropy, {"accuracy": in_top_k}, outputs="softmax")


class Loop:
    """Trains and judges one model on samples that are given once.

    Each batch has the same size inside, which is padded with samples of weight 0: so
    layers that look across a batch are refused.

    Args:
        model: The network. What is trainable is settled with the first epoch.
        optimizer: A Keras optimizer.
        objective: What is minimised and counted.
        batch_size: Samples a step; the last step of an epoch may have fewer.
        execution: How the steps are computed.

    Raises:
        InputError: For a ``batch_size`` below 1, and for what would be trained wrongly:
            outputs of another activation than the objective needs, batch normalisation,
            losses of the layers (regularisation), loss scaling.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        objective: Objective,
        batch_size: int,
        execution: Execution,
    ):
        self.model, self.optimizer, self.objective = model, optimizer, objective
        self.batch_size, self.execution = batch_size, execution
        self._refuse_what_would_be_wrong()
        optimizer.build(model.trainable_variables)
        self._names = ("loss", *objective.metrics)
        # Side by side are calls of a compiled function, one after the other what is in one.
        alone = execution.xla and execution.shards == 1
        self._compiled_gradients = _traced(self._gradients, execution.xla)
        self._compiled_judge = _traced(self._judge, execution.xla)
        self._compiled_train = _traced(self._train, alone)
        # Splits differ in length: a compiled batch serves all of them.
        self._compiled_evaluate = _traced(self._evaluate, False)

    def _refuse_what_would_be_wrong(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; expected 1 or more.")
        needed, found = self.objective.outputs, _activation(self.model)
        if needed and found and found != needed:
            raise InputError(
                f"the outputs of model {self.model.name!r} are those of {found}; the loss is a "
                f"formula on those of {needed}."
            )
        for layer in self.model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                raise InputError(
                    f"layer {layer.name!r} normalises over the batch, which is padded here; "
                    "train such a model with model.fit."
                )
            if getattr(layer, "activity_regularizer", None) is not None:
                raise InputError(
                    f"layer {layer.name!r} has an activity_regularizer, which is not minimised "
                    "here; train it with model.fit."
                )
        self._refuse_losses()
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            raise InputError(
                "the optimizer scales the loss, which is not done here; give the one inside."
            )

    def _refuse_losses(self) -> None:
        if self.model.losses:
            raise InputError(
                f"model {self.model.name!r} has losses of its own (regularisation), which are "
                "not minimised here; train it with model.fit."
            )

    def epoch(self, x: tf.Tensor, y: tf.Tensor, order: np.ndarray) -> dict[str, float]:
        """Trains on the samples in the order of their numbers.

        Args:
            x: Samples, ``(n, ...)``.
            y: Labels, ``(n, ...)`` integers as the objective takes them.
            order: Sample numbers, each once or as often as it is to be trained on.

        Returns:
            ``loss`` and the objective's metrics, means over the samples while the weights
            change.

        Raises:
            InputError: If x and y differ in length, or ``order`` is empty or names a
                sample that is not there.
        """
        return self._run(self._compiled_train, x, y, order, self.batch_size)

    def first_step(self, x: tf.Tensor, y: tf.Tensor, order: np.ndarray) -> None:
        """Makes only the first step of :meth:`epoch`, with the same arguments."""
        samples, weights, _ = next(self._calls(order, self.batch_size))
        self._compiled_train(x, y, samples, weights, tf.constant(1))

    def evaluate(self, x: tf.Tensor, y: tf.Tensor) -> dict[str, float]:
        """Loss and metrics, means over the samples; arguments as for :meth:`epoch`."""
        batch = max(self.batch_size, _JUDGED_TOGETHER)
        return self._run(self._compiled_evaluate, x, y, np.arange(len(y)), batch)

    def _run(self, function, x, y, order, batch):
        # XLA would read some other sample's memory for one that is not there.
        if len(x) != len(y):
            raise InputError(f"{len(x)} samples but {len(y)} labels; each sample needs one.")
        if not len(order) or order.min() < 0 or order.max() >= len(y):
            named = f"{order.min()} to {order.max()}" if len(order) else "none"
            raise InputError(f"sample numbers are {named}; expected some of 0 to {len(y) - 1}.")
        totals = np.zeros(len(self._names))
        for samples, weights, steps in self._calls(order, batch):
            totals += function(x, y, samples, weights, steps).numpy()
        means = totals / len(order)
        means[1:] = np.minimum(means[1:], 1)  # shares, which float32 sums can round up
        return dict(zip(self._names, means.tolist(), strict=True))

    def _calls(
        self, order: np.ndarray, batch: int
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Sample numbers and weights, ``(steps, shards, samples)``, and how many steps count.

        Every batch has the same size, or XLA would compile for each. What is missing in the
        last one, and what a batch lacks to be cut evenly, is sample 0 with weight 0; all
        others have weight 1.
        """
        shards = self.execution.shards
        batch = min(batch, len(order))
        steps = math.ceil(len(order) / batch)
        # Also where there are fewer: the number of steps is not compiled.
        a_call = self.execution.steps_per_call
        calls = math.ceil(steps / a_call)
        full = np.zeros(steps * batch, np.int32), np.zeros(steps * batch, np.float32)
        full[0][: len(order)], full[1][: len(order)] = order, 1
        samples, weights = (
            np.pad(each.reshape(steps, batch), ((0, calls * a_call - steps), (0, -batch % shards)))
            for each in full
        )
        shape = (calls, a_call, shards, -1)
        for call, each in enumerate(
            zip(samples.reshape(shape), weights.reshape(shape), strict=True)
        ):
            yield *map(tf.constant, each), tf.constant(min(a_call, steps - call * a_call))

    def _train(self, x, y, samples, weights, steps):
        """The steps of one call; the summed losses and metrics of their samples."""

        def step(number):
            count = tf.reduce_sum(weights[number])
            sums, gradients = [], []
            for shard in range(self.execution.shards):
                rows, weight = samples[number, shard], weights[number, shard]
                one, of_one = self._compiled_gradients(
                    tf.gather(x, rows), tf.gather(y, rows), weight / count
                )
                sums.append(one)
                gradients.append(of_one)
            total = [tf.add_n(each) for each in zip(*gradients, strict=True)]
            self.optimizer.apply(total, self.model.trainable_variables)
            return tf.add_n(sums) * count

        return self._sum(step, steps)

    def _gradients(self, x, y, weight):
        """Weighted sums of losses and metrics, and the gradients of the former."""
        with tf.GradientTape() as tape:
            outputs = self.model(x, training=True)
            self._refuse_losses()  # what a layer has added while it was called
            sums = self._sums(y, outputs, weight)
        variables = [variable.value for variable in self.model.trainable_variables]
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(sums[0], variables)]
        return tf.stack(sums), gradients

    def _evaluate(self, x, y, samples, weights, steps):
        def step(number):
            sums = []
            for shard in range(self.execution.shards):
                rows, weight = samples[number, shard], weights[number, shard]
                sums.append(self._compiled_judge(tf.gather(x, rows), tf.gather(y, rows), weight))
            return tf.add_n(sums)

        return self._sum(step, steps)

    def _judge(self, x, y, weight):
        return tf.stack(self._sums(y, self.model(x, training=False), weight))

    def _sums(self, y, outputs, weight):
        values = self.objective.of(y, outputs)
        for name, each in values.items():
            if len(each.shape) != 1:
                raise InputError(
                    f"{name} has the shape {tuple(each.shape)} for labels {tuple(y.shape)} and "
                    f"outputs {tuple(outputs.shape)} of a batch; expected one number for each "
                    "sample, its mean over the steps for example."
                )
        return [tf.reduce_sum(tf.cast(each, weight.dtype) * weight) for each in values.values()]

    def _sum(self, step, steps):
        return tf.while_loop(
            lambda number, total: number < steps,
            lambda number, total: (number + 1, total + step(number)),
            (tf.constant(0), tf.zeros(len(self._names))),
            parallel_iterations=1,
        )[1]


def _activation(model: keras.Model) -> str | None:
    """The activation that makes a model's outputs, by Keras' name; None where no layer says."""
    layer = model.layers[-1] if model.layers else None
    try:
        is_last = layer is not None and layer.output is model.outputs[0]
    except (AttributeError, ValueError):  # never called, or several outputs
        return None
    if not is_last:  # what comes after it is no layer, or it is not the last one
        return None
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    if getattr(activation, "__module__", "").partition(".")[0] != "keras":
        return None  # a user's own, which may be called as one of Keras'
    name = keras.activations.serialize(activation)
    return name if isinstance(name, str) else None


def _traced(function: Callable, xla: bool) -> Callable:
    return tf.function(function, jit_compile=xla or None, autograph=False)
