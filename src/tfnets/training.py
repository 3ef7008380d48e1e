"""Seed, build, train: the one recipe by which every task is trained."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import keras
import numpy as np
import tensorflow as tf

from tfnets import optimizers
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.loop import CLASSIFICATION, Execution, Loop, Objective
from tfnets.progress import Epochs

Metrics = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the speech reports' (speech_rnn, section 1.3).

    Attributes:
        epochs: Passes over the training split.
        batch_size: Samples a step; the last step of an epoch may have fewer.
        optimizer: ``"adam"`` or ``"sgd"``, which make PyTorch's steps
            (:mod:`tfnets.optimizers`).
        learning_rate: Its step size; None for the reports' 0.001 of Adam, 0.01 of SGD.
        momentum: Of SGD; Adam ignores it.
        weight_decay: Of SGD, coupled as in PyTorch; Adam ignores it.
        seed: Decides the initial weights and the order of the samples.
    """

    epochs: int = 50
    batch_size: int = 1024
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-5
    seed: int = 0

    def __post_init__(self):
        for name, value, least, most in (
            ("epochs", self.epochs, 1, 2**31 - 1),
            ("batch_size", self.batch_size, 1, 2**31 - 1),
            ("seed", self.seed, 0, 2**32 - 1),
        ):
            whole = isinstance(value, Integral) and not isinstance(value, bool)
            if not whole or not least <= value <= most:
                raise InputError(
                    f"{name} is {value!r}; a whole number from {least} to {most:,} is needed."
                )
        optimizers.settings(self.optimizer, **self._step)

    @property
    def _step(self) -> dict[str, float | None]:
        return {key: getattr(self, key) for key in ("learning_rate", "momentum", "weight_decay")}

    @property
    def step(self) -> dict[str, float]:
        """The numbers that count for the optimizer, ``{"learning_rate": 0.001}`` for Adam."""
        chosen = optimizers.settings(self.optimizer, **self._step)
        return {key: value for key, value in chosen.items() if key in self._step}

    def build_optimizer(self) -> keras.optimizers.Optimizer:
        """A new optimizer."""
        return optimizers.build(self.optimizer, **self._step)


@dataclass(frozen=True)
class Trained:
    """What a training leaves behind.

    Attributes:
        model: The network with its last weights.
        optimizer: What trained it, with its state.
        history: For each epoch ``train/loss``, ``train/accuracy``, with validation data
            ``val/loss``, ``val/accuracy``, and ``time/epoch_s``. Training figures are means
            over the epoch's steps, while the weights change; validation is after the epoch.
        seconds: Duration of the whole training, graph building included, what
            ``on_epoch`` does not.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    history: list[Metrics]
    seconds: float

    @property
    def gap(self) -> Metrics:
        """By how much training was better than validation in the last epoch.

        ``accuracy`` (training - validation) and ``loss`` (validation - training): where
        they are large, the reports speak of overfitting (speech_cnn, section 1.3). Empty
        without validation data.
        """
        last = self.history[-1]
        if "val/loss" not in last:
            return {}
        return {
            "accuracy": last["train/accuracy"] - last["val/accuracy"],
            "loss": last["val/loss"] - last["train/loss"],
        }


def train(
    build: Callable[[], keras.Model],
    data: Dataset,
    recipe: Recipe,
    on_epoch: Callable[[int, Metrics], None] = lambda epoch, metrics: None,
    progress: bool = True,
    *,
    objective: Objective = CLASSIFICATION,
    execution: Execution | None = None,
) -> Trained:
    """Trains a network by the recipe.

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
        objective: What is minimised; by default the cross-entropy of class probabilities.
        execution: How the steps are computed; each task's ``execution()`` says what is
            fastest for its networks. None for plain TensorFlow.

    Raises:
        InputError: If the loss of training or validation stops being a finite number.
    """
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    started = time.perf_counter()
    keras.utils.set_random_seed(recipe.seed)
    orders = np.random.default_rng(recipe.seed)
    model = build()
    optimizer = recipe.build_optimizer()
    loop = Loop(model, optimizer, objective, recipe.batch_size, execution or Execution())
    train, val = (
        None if split is None else (tf.constant(split.x), tf.constant(split.y))
        for split in (data.train, data.val)
    )
    shown = Epochs(recipe.epochs) if progress else lambda epoch, metrics: None
    history: list[Metrics] = []
    elsewhere = 0.0
    for epoch in range(1, recipe.epochs + 1):
        epoch_started = time.perf_counter()
        loss, accuracy = loop.epoch(*train, orders.permutation(len(data.train)))
        metrics = {"train/loss": loss, "train/accuracy": accuracy}
        if val:
            metrics["val/loss"], metrics["val/accuracy"] = loop.evaluate(*val)
        _check(metrics, epoch, recipe)
        metrics["time/epoch_s"] = time.perf_counter() - epoch_started
        history.append(metrics)
        shown(epoch, metrics)
        on_epoch_started = time.perf_counter()
        on_epoch(epoch, metrics)
        elsewhere += time.perf_counter() - on_epoch_started
    seconds = time.perf_counter() - started - elsewhere
    return Trained(model, optimizer, history, seconds)


def _check(metrics: Metrics, epoch: int, recipe: Recipe) -> None:
    for name, split in (("training", "train"), ("validation", "val")):
        loss = metrics.get(f"{split}/loss", 0.0)
        if not math.isfinite(loss):
            raise InputError(
                f"the {name} loss is {loss} after epoch {epoch} with "
                f"learning_rate {recipe.step['learning_rate']}; a smaller one is needed."
            )
