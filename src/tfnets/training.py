"""Seed, build, compile, fit: the one recipe by which every task is trained."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.progress import Epochs

Metrics = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the speech reports' (speech_rnn, section 1.3).

    Attributes:
        epochs: Passes over the training split.
        batch_size: Samples a step; the last step of an epoch may have fewer.
        learning_rate: Adam's step size. The rest of Adam is PyTorch's default, which
            the reports use: beta 0.9 and 0.999, epsilon 1e-8 (Keras' is 1e-7).
        seed: Decides the initial weights and the order of the samples.
    """

    epochs: int = 50
    batch_size: int = 1024
    learning_rate: float = 0.001
    seed: int = 0

    def __post_init__(self):
        for name, value, least, most in (
            ("epochs", self.epochs, 1, 2**31 - 1),
            ("batch_size", self.batch_size, 1, 2**31 - 1),
            ("seed", self.seed, 0, 2**32 - 1),
        ):
            if not (least <= value <= most) or value != int(value):
                raise InputError(
                    f"{name} is {value}; a whole number from {least} to {most:,} is needed."
                )
        if not (0 < self.learning_rate < math.inf):
            raise InputError(
                f"learning_rate is {self.learning_rate}; a positive number is needed."
            )


@dataclass(frozen=True)
class Trained:
    """What a training leaves behind.

    Attributes:
        model: The network with its last weights.
        history: For each epoch ``train/loss``, ``train/accuracy``, ``val/loss``,
            ``val/accuracy`` and ``time/epoch_s``. Training figures are means over the
            epoch's steps, while the weights change; validation is after the epoch.
        seconds: Duration of the whole training, graph building included, what
            ``on_epoch`` does not.
    """

    model: keras.Model
    history: list[Metrics]
    seconds: float


def train(
    build: Callable[[], keras.Model],
    data: Dataset,
    recipe: Recipe,
    on_epoch: Callable[[int, Metrics], None] = lambda epoch, metrics: None,
    progress: bool = True,
) -> Trained:
    """Trains a classifier by the recipe.

    The same arguments give the same weights to the bit on the same machine.
    TensorFlow's CPU kernels that are used here are deterministic as they are; on a GPU
    its deterministic kernels are switched on, for this process and for good.

    Args:
        build: Builds the network; called after seeding, so that the seed decides the
            initial weights.
        data: What to train and validate on.
        recipe: How to train.
        on_epoch: Called after each epoch with its number, from 1, and its metrics.
        progress: Whether to print a line an epoch, with the time left.

    Raises:
        InputError: If the loss of training or validation stops being a finite number.
    """
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    started = time.perf_counter()
    keras.utils.set_random_seed(recipe.seed)
    model = build()
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    watch = _Watch(recipe, on_epoch, Epochs(recipe.epochs) if progress else None)
    model.fit(
        data.train.x,
        data.train.y,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        validation_data=(data.val.x, data.val.y),
        callbacks=[watch],
        verbose=0,
    )
    seconds = time.perf_counter() - started - watch.seconds_elsewhere
    return Trained(model, watch.history, seconds)


class _Watch(keras.callbacks.Callback):
    """Names the metrics as everything else does, passes them on, stops at NaN."""

    def __init__(
        self, recipe: Recipe, on_epoch: Callable[[int, Metrics], None], progress: Epochs | None
    ):
        super().__init__()
        self.recipe, self.on_epoch, self.progress = recipe, on_epoch, progress
        self.history: list[Metrics] = []
        self.seconds_elsewhere = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        for name, loss in (("training", logs["loss"]), ("validation", logs["val_loss"])):
            if not math.isfinite(loss):
                raise InputError(
                    f"the {name} loss is {loss} after epoch {epoch + 1} with "
                    f"learning_rate {self.recipe.learning_rate}; a smaller one is needed."
                )
        metrics = {
            "train/loss": logs["loss"],
            "train/accuracy": logs["accuracy"],
            "val/loss": logs["val_loss"],
            "val/accuracy": logs["val_accuracy"],
            "time/epoch_s": time.perf_counter() - self._started,
        }
        self.history.append(metrics)
        if self.progress:
            self.progress(epoch + 1, metrics)
        started = time.perf_counter()
        self.on_epoch(epoch + 1, metrics)
        self.seconds_elsewhere += time.perf_counter() - started
