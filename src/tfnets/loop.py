"""The training loop: many steps a call, on data that stays where TensorFlow has it.

``model.fit`` goes back to Python after each step and feeds each batch through a pipeline.
For small networks that costs more than the step itself. Here samples are tensors from the
start, a batch is a row of sample numbers, and a call does many steps: with XLA the whole
call is one compiled program.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Execution:
    """How a network's steps are computed; each model says which is fastest for it.

    Attributes:
        xla: Whether XLA compiles the steps.
        shards: Into how many equal parts a batch is cut that are computed side by side.
            Their gradients are summed up, in the same order every time.
        steps_per_call: Steps between two returns to Python, which is where signals are
            heard.
    """

    xla: bool = False
    shards: int = 1
    steps_per_call: int = 1

    def __str__(self) -> str:
        compiled = "XLA" if self.xla else "TensorFlow"
        parts = f", batches in {self.shards} parts" if self.shards > 1 else ""
        return f"{compiled}{parts}, up to {self.steps_per_call} steps a call"


@dataclass(frozen=True)
class Objective:
    """What is minimised and what is counted.

    Attributes:
        loss: ``(labels, outputs) -> (batch,)``, the loss of each sample.
        accuracy: ``(labels, outputs) -> (batch,)``, each sample's share of right answers.
    """

    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    accuracy: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def right(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """1 where the largest of the outputs' last dimension is the label, else 0."""
    answers = tf.argmax(outputs, -1, output_type=labels.dtype)
    return tf.cast(answers == labels, outputs.dtype)


# A label for each sample; the outputs are probabilities.
CLASSIFICATION = Objective(keras.losses.sparse_categorical_crossentropy, right)


class Loop:
    """Trains and judges one model on samples that are given once.

    Args:
        model: The network; its layers may have no losses of their own.
        optimizer: A Keras optimizer.
        objective: What is minimised and counted.
        batch_size: Samples a step; the last step of an epoch may have fewer.
        execution: How the steps are computed.
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
        optimizer.build(model.trainable_variables)
        # Side by side are calls of a compiled function, one after the other what is in one.
        alone = execution.xla and execution.shards == 1
        self._gradients = tf.function(self._gradients, jit_compile=execution.xla or None)
        self._judge = tf.function(self._judge, jit_compile=execution.xla or None)
        self._train = tf.function(self._train, jit_compile=alone or None)
        self._evaluate = tf.function(self._evaluate, jit_compile=alone or None)

    def epoch(self, x: tf.Tensor, y: tf.Tensor, order: np.ndarray) -> tuple[float, float]:
        """Trains on every sample once, in the order of the sample numbers ``order``.

        Returns:
            Loss and accuracy, means over the samples while the weights change.
        """
        return self._run(self._train, x, y, order)

    def evaluate(self, x: tf.Tensor, y: tf.Tensor) -> tuple[float, float]:
        """Loss and accuracy, means over the samples."""
        return self._run(self._evaluate, x, y, np.arange(len(y)))

    def _run(self, function, x, y, order):
        totals = np.zeros(2)
        for samples, weights, steps in self._calls(order):
            totals += function(x, y, samples, weights, steps).numpy()
        loss, accuracy = (totals / len(order)).tolist()
        return loss, accuracy

    def _calls(self, order: np.ndarray) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Sample numbers and weights, ``(steps, shards, samples)``, and how many steps count.

        Every batch has the same size, or XLA would compile for each. What is missing in the
        last one, and what a batch lacks to be cut evenly, is sample 0 with weight 0; all
        others have weight 1.
        """
        shards = self.execution.shards
        batch = min(self.batch_size, len(order))
        steps = math.ceil(len(order) / batch)
        a_call = min(self.execution.steps_per_call, steps)
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
        """The steps of one call; the summed losses and right answers of their samples."""

        def step(number):
            count = tf.reduce_sum(weights[number])
            sums, gradients = [], []
            for shard in range(self.execution.shards):
                rows, weight = samples[number, shard], weights[number, shard]
                one, of_one = self._gradients(
                    tf.gather(x, rows), tf.gather(y, rows), weight / count
                )
                sums.append(one)
                gradients.append(of_one)
            total = [tf.add_n(each) for each in zip(*gradients, strict=True)]
            self.optimizer.apply(total, self.model.trainable_variables)
            return tf.add_n(sums) * count

        return self._sum(step, steps)

    def _gradients(self, x, y, weight):
        """Weighted sums of losses and right answers, and the gradients of the former."""
        with tf.GradientTape() as tape:
            outputs = self.model(x, training=True)
            loss = tf.reduce_sum(self.objective.loss(y, outputs) * weight)
        right = tf.reduce_sum(self.objective.accuracy(y, outputs) * weight)
        variables = [variable.value for variable in self.model.trainable_variables]
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        return tf.stack([loss, right]), gradients

    def _evaluate(self, x, y, samples, weights, steps):
        def step(number):
            sums = []
            for shard in range(self.execution.shards):
                rows, weight = samples[number, shard], weights[number, shard]
                sums.append(self._judge(tf.gather(x, rows), tf.gather(y, rows), weight))
            return tf.add_n(sums)

        return self._sum(step, steps)

    def _judge(self, x, y, weight):
        outputs = self.model(x, training=False)
        return tf.stack(
            [
                tf.reduce_sum(each(y, outputs) * weight)
                for each in (self.objective.loss, self.objective.accuracy)
            ]
        )

    @staticmethod
    def _sum(step, steps):
        return tf.while_loop(
            lambda number, total: number < steps,
            lambda number, total: (number + 1, total + step(number)),
            (tf.constant(0), tf.zeros(2)),
            parallel_iterations=1,
        )[1]
