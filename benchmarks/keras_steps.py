"""The side of Keras: our training loop, our model's ``fit``, and Keras' own ``fit``."""

import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from tasks import Task

from tfnets import addition, har, layers, optimizers, speech
from tfnets.loop import Loop
from tfnets.model import Model

_STOCK = {
    layers.SimpleRNN: keras.layers.SimpleRNN,
    layers.LSTM: keras.layers.LSTM,
    layers.GRU: keras.layers.GRU,
}


def _build(task: Task) -> keras.Model:
    if task.family == "speech":
        return speech.build(task.model)
    if task.family == "har":
        shape = (task.time, 3)
        return har.build(task.model, input_shape=shape, units=task.units, activation="softmax")
    return addition.build(task.model, hidden_size=task.units)


def _stock(layer):
    """The layer of Keras for one of ours; a GRU with the one bias that Keras has."""
    kind = _STOCK.get(type(layer))
    if kind is None:
        return type(layer).from_config(layer.get_config())
    config = layer.get_config()
    config.pop("recurrent_bias", None)
    return kind.from_config(config)


def _data(task: Task):
    rng = np.random.default_rng(0)
    n = task.batch * task.steps
    if task.family == "speech":
        return rng.normal(size=(n, 101, 40)).astype("f"), rng.integers(0, 3, n, np.int32)
    if task.family == "har":
        return rng.normal(size=(n, task.time, 3)).astype("f"), rng.integers(0, 6, n, np.int32)
    return (
        rng.integers(0, 10, (n, task.time, 2), np.int32),
        rng.integers(0, 10, (n, task.time), np.int32),
    )


def configure(variant: str) -> None:
    """Says how many threads there are, which must be before anything else."""
    if variant.endswith("1 thread"):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def prepare(task: Task, variant: str) -> Callable[[], float]:
    """A function that trains ``task.steps`` steps and gives their seconds.

    ``variant`` begins with the candidate: ``"tfnets"`` (the loop), ``"model"``
    (``tfnets.model.Model.fit``), ``"layers"`` (our layers in ``keras.Model.fit``) or ``"stock"``
    (Keras' layers there); ``xla`` and ``1 thread`` may follow. Keras' own ``fit`` has all steps
    in one execution, and batches whose size is known.
    """
    keras.utils.set_random_seed(0)
    model = _build(task)
    x, y = _data(task)
    optimizer = keras.optimizers.SGD(0.05) if task.family == "har" else optimizers.Adam()
    family = {"speech": speech, "har": har, "addition": addition}[task.family]
    execution = family.execution(task.model, task.batch)
    candidate, *how = variant.split()
    if candidate == "tfnets":
        loop = Loop(model, optimizer, family.OBJECTIVE, task.batch, execution)
        x, y, rng = tf.constant(x), tf.constant(y), np.random.default_rng(0)
        return _timed(lambda: loop.epoch(x, y, rng.permutation(len(y))))

    if task.family == "har":
        y = np.repeat(y[:, None], task.time, axis=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=task.family == "addition")
    if candidate == "model":
        model = Model(model.inputs, model.outputs[0])
        model.compile(optimizer, loss, metrics=["accuracy"], execution=execution)
        x, y = tf.constant(x), tf.constant(y)
        return _timed(lambda: model.fit(x, y, batch_size=task.batch, verbose=0))

    if candidate == "stock":
        model = keras.models.clone_model(model, clone_function=_stock)
        if task.family != "har":
            optimizer = keras.optimizers.Adam()
    model.compile(
        optimizer,
        loss,
        metrics=["accuracy"],
        jit_compile="xla" in how,
        steps_per_execution=task.steps,
    )
    batches = tf.data.Dataset.from_tensor_slices((x, y)).cache().shuffle(len(y), seed=0)
    batches = batches.batch(task.batch, drop_remainder=True).prefetch(4)
    return _timed(lambda: model.fit(batches, verbose=0, shuffle=False))


def _timed(train: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        started = time.perf_counter()
        train()
        return time.perf_counter() - started

    return run


def flops(task: Task) -> int:
    """Floating-point operations of the products in one training step.

    Forward two for each weight and row; backward as many for the gradients of the weights
    and again for those of the layer's input, which the first layer does not need.
    """
    model = _build(task)
    steps = task.time or model.input_shape[1]
    total = 0
    weighted = [layer for layer in model.layers if layer.weights]
    for layer in weighted:
        if isinstance(layer, keras.layers.Embedding):
            continue
        if isinstance(layer, keras.layers.RNN):
            inputs, state = layer.cell.kernel.shape, layer.cell.recurrent_kernel.shape
            rows, kernel, recurrent = steps, np.prod(inputs), np.prod(state)
        else:
            shape = layer.output.shape[1:-1]
            rows, kernel, recurrent = (
                np.prod([each or steps for each in shape], dtype=int),
                np.prod(layer.kernel.shape),
                0,
            )
        backward = 1 if layer is weighted[0] else 2
        total += 2 * rows * (kernel * (1 + backward) + 3 * recurrent)
    return int(total) * task.batch


def sgemm() -> float:
    """FLOP/s of a large product in single precision."""
    a = tf.random.normal((2048, 2048))
    best = 0.0
    for _ in range(10):
        started = time.perf_counter()
        tf.matmul(a, a).numpy()
        best = max(best, 2 * 2048**3 / (time.perf_counter() - started))
    return best
