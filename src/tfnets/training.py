"""Seed, build, train: the one recipe by which every task is trained."""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnets import forms, optimizers, probabilities, programs, seeds
from tfnets.callbacks import Called, EpochProgress, check
from tfnets.dataset import Dataset, Split, Stream, Varied
from tfnets.errors import InputError
from tfnets.execution import Execution
from tfnets.loop import CLASSIFICATION, Loop, Objective
from tfnets.programs import Program

Metrics = dict[str, float]

KEEPS = ("last", "best")


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the speech reports' (speech_rnn, section 1.3).

    Attributes:
        epochs: Passes over the training split; where it is a stream, in how many parts, each
            with an evaluation after it, the steps are made.
        steps: Steps in all, where the training split is a stream; else None.
        batch_size: Samples a step; the last step of an epoch may have fewer.
        optimizer: ``"adam"`` or ``"sgd"``, which make PyTorch's steps
            (:mod:`tfnets.optimizers`).
        learning_rate: Its step size; None for the reports' 0.001 of Adam, 0.01 of SGD.
        momentum: Of SGD; Adam ignores it.
        nesterov: Whether SGD looks one step of momentum ahead.
        weight_decay: Of SGD, coupled as in PyTorch; Adam ignores it.
        clipnorm: The largest norm of the gradient of all weights together; longer ones are
            shortened to it (Pascanu et al. 2013, arXiv:1211.5063). 0 for no limit.
        schedule: How the learning rate changes until the last step: ``"constant"``,
            ``"linear"`` or ``"cosine"`` (:func:`tfnets.optimizers.build`).
        keep: Whose weights are kept: the ``"last"`` epoch's, or those of the ``"best"``, the
            first with the highest validation accuracy.
        patience: After how many epochs without a better validation accuracy to stop, and
            go back to the weights of the best epoch; None for never.
        min_delta: By how much more an accuracy must be to be better.
        seed: Decides the initial weights and the order of the samples.
    """

    epochs: int = 50
    steps: int | None = None
    batch_size: int = 1024
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-5
    clipnorm: float = 0.0
    schedule: str = "constant"
    keep: str = "last"
    patience: int | None = None
    min_delta: float = 1e-5
    seed: int = 0

    def __post_init__(self):
        for name, value, least, most in (
            ("epochs", self.epochs, 1, 2**31 - 1),
            ("steps", self.epochs if self.steps is None else self.steps, self.epochs, 2**31 - 1),
            ("batch_size", self.batch_size, 1, 2**31 - 1),
            ("patience", 1 if self.patience is None else self.patience, 1, 2**31 - 1),
            ("seed", self.seed, 0, 2**32 - 1),
        ):
            whole = isinstance(value, Integral) and not isinstance(value, bool)
            if not whole or not least <= value <= most:
                raise InputError(
                    f"{name} is {value!r}; expected a whole number from {least} to {most:,}."
                )
        if not isinstance(self.min_delta, Real) or not 0 <= self.min_delta < 1:
            raise InputError(
                f"min_delta is {self.min_delta!r}; expected a number from 0 to below 1."
            )
        optimizers.settings(self.optimizer, **self._step)
        optimizers.check_schedule(self.schedule)
        if self.keep not in KEEPS:
            raise InputError(f"keep is {self.keep!r}; choose from {', '.join(KEEPS)}.")

    @property
    def watches(self) -> bool:
        """Whether validation decides which weights are kept."""
        return bool(self.patience) or self.keep == "best"

    @property
    def _step(self) -> dict[str, Any]:
        names = ("learning_rate", "momentum", "nesterov", "weight_decay", "clipnorm")
        return {key: getattr(self, key) for key in names}

    @property
    def step(self) -> dict[str, float]:
        """What counts for the optimizer, ``{"learning_rate": 0.001}`` for Adam."""
        chosen = optimizers.settings(self.optimizer, **self._step)
        return {k: v for k, v in chosen.items() if k in self._step and v is not False}

    def steps_after(self, epoch: int) -> int:
        """How many of the steps are made after an epoch, from 0, of a stream."""
        assert self.steps is not None
        return self.steps * epoch // self.epochs

    def build_optimizer(self, samples: int | None = None) -> keras.optimizers.Optimizer:
        """A new optimizer; a schedule needs the number of training samples or of steps."""
        steps = self.steps or self.epochs * -(-(samples or 1) // self.batch_size)
        return optimizers.build(self.optimizer, **self._step, schedule=self.schedule, steps=steps)


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        model: The network with the weights that the recipe keeps.
        optimizer: What made the steps, with its state.
        history: For each epoch ``train/loss``, ``train/accuracy`` and what else the
            objective counts, the same for every split that was watched, and
            ``time/epoch_s``. Training figures are means over the epoch's steps, while the
            weights change; the others are after the epoch.
        best: Number of the epoch whose weights are kept, from 1.
        seconds: Duration of the whole training, graph building included, time spent in
            callbacks excluded.
        drawing: Of these, seconds spent in drawing samples or their order.
        start: Where that was asked for, the metrics of training and of every split that was
            watched before the first step, and after it alone; evaluated as after an epoch.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    history: list[Metrics]
    best: int
    seconds: float
    drawing: float
    start: tuple[Metrics, Metrics] | None
    _program: Callable[[], contextlib.AbstractContextManager[Program]]
    _outputs: tuple[int, ...]

    def evaluate(self, split: Split) -> Metrics:
        """``loss``, ``accuracy`` and what else the objective counts, of the model as it is."""
        split = forms.as_arrays(split, "evaluated")
        split = forms.numbers(split, self._outputs, "evaluated", self.model.name)
        with self._program() as program:
            program.load(self.model)
            return program.loop.evaluate(tf.constant(split.x), tf.constant(split.y))

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

    def epochs_to(self, share: float) -> int:
        """How fast it converged: the first epoch, from 1, of nearly the final accuracy.

        Args:
            share: Which share of the last epoch's validation accuracy is enough, up to 1.

        Raises:
            InputError: Without validation data.
        """
        accuracies = [m["val/accuracy"] for m in self.history if "val/accuracy" in m]
        if len(accuracies) < len(self.history):
            raise InputError("there is no validation accuracy to look at; hold out some data.")
        enough = share * accuracies[-1]
        return next(n for n, accuracy in enumerate(accuracies, 1) if accuracy >= enough)


@seeds.kept()
def train(
    build: Callable[[], keras.Model],
    data: Dataset,
    recipe: Recipe,
    *,
    progress: bool = True,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    objective: Objective = CLASSIFICATION,
    execution: Execution | None = None,
    watched: Sequence[str] = ("val",),
    from_start: bool = False,
) -> Trained:
    """Trains a network by the recipe.

    The same arguments give the same weights to the bit on the same machine. The random generators
    of the process (Python, NumPy, Keras) are as they were afterwards. Threads may train side by
    side: each has what it would have alone, for no other begins while a network is built or, if it
    is a user's own, in its first epoch.
    TensorFlow's CPU kernels that are used here are deterministic as they are; on a GPU
    its deterministic kernels are switched on, for this process and for good.

    **Callbacks** are called as ``model.fit`` calls them at the beginning and the end of the
    training and of each epoch; ``model.optimizer`` is there while the network is trained, its
    learning rate can be changed, and ``model.stop_training`` is honoured after each epoch.
    ``logs`` has the metrics of the epoch by our names (``train/loss``, ``val/accuracy``,
    ``time/epoch_s`` ...) and by Keras' (``loss``, ``val_accuracy`` ...), so that
    ``EarlyStopping("val_loss")`` works as it is. There are no batches to see, for one call
    makes many steps: what needs them is refused.

    Args:
        build: Builds the network; called after seeding, so that the seed decides the
            initial weights. Any ``keras.Model`` with one input and one output, of a Sequential
            without an Input and of a class of your own, too.
        data: What to train and validate on; samples of any real dtype, labels as class numbers
            of any width, one-hot or in a column.
        recipe: How to train.
        progress: Whether to show how far the training is, with the time left.
        callbacks: Keras callbacks, called in their order after those of the recipe. The logs of
            ``on_train_begin`` are the metrics of the initial weights, if ``from_start``.
        objective: What is minimised; by default the cross-entropy of class probabilities.
        execution: How the steps are computed; each task's ``execution()`` says what is
            fastest for its networks. None for plain TensorFlow.
        watched: The splits to evaluate after each epoch, where the data has them; with a
            patience ``"val"`` always is. Nothing is decided by any other.
        from_start: Whether to evaluate the initial weights, and those after one step, too
            (har_rnn, section III). It changes no weight, and is not part of the seconds.

    Raises:
        InputError: If a loss stops being a finite number, the recipe needs a validation split
            (patience, keep) and the data has none, the recipe has steps and the data no
            stream, the network does not take the samples or has several outputs, a label is no
            class of its outputs, or a callback cannot work here.
    """
    with contextlib.ExitStack() as alone:
        return _train(
            build,
            data,
            recipe,
            progress,
            callbacks,
            objective,
            execution or Execution(),
            watched,
            from_start,
            alone,
        )


def _train(
    build: Callable[[], keras.Model],
    data: Dataset,
    recipe: Recipe,
    progress: bool,
    callbacks: Sequence[keras.callbacks.Callback],
    objective: Objective,
    execution: Execution,
    watched: Sequence[str],
    from_start: bool,
    alone: contextlib.ExitStack,
) -> Trained:
    """The same; what stands in ``alone`` keeps other threads from seeding the process."""
    if recipe.watches and data.val is None:
        what = "early stopping" if recipe.patience else "best epoch to keep"
        raise InputError(f"{data.source}: without validation data there is no {what}.")
    if (recipe.steps is None) == isinstance(data.train, Stream):
        raise InputError(
            f"{data.source}: steps is {recipe.steps}; expected a number for training samples "
            "that are drawn anew, and None for others."
        )
    for callback in callbacks:
        check(callback)
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    data = forms.arrays(data)
    started = time.perf_counter()
    alone.enter_context(seeds.LOCK)
    seeds.set_all(recipe.seed)
    model = forms.built(build)
    if programs.is_as_built(model):
        alone.close()  # nothing more is drawn
    else:
        seeds.expect_operations_with_seeds()
    outputs = forms.outputs(model, data)
    data = forms.with_class_numbers(data, outputs.shape, model.name)
    _check_outputs(outputs, model, objective)
    optimizer = recipe.build_optimizer(len(data.train) if isinstance(data.train, Split) else None)
    program_of = functools.partial(
        programs.program, model, optimizer, objective, recipe.batch_size, execution
    )
    samples = {
        name: (tf.constant(split.x), tf.constant(split.y))
        for name, split in data.splits.items()
        if name != "train" and (name in watched or (name == "val" and recipe.watches))
    }

    def labelled(drawn: Split) -> Split:
        place = f"{data.source}: train"
        return forms.numbers(forms.as_arrays(drawn, place), outputs.shape, place, model.name)

    history: list[Metrics] = []
    start = None
    drawing = evaluating = 0.0
    samples_of = _training_samples(data.train, recipe, labelled)
    own: list[keras.callbacks.Callback] = []
    if recipe.watches:
        own.append(
            keras.callbacks.EarlyStopping(
                "val/accuracy",
                mode="max",
                patience=recipe.patience or recipe.epochs,  # without one it never stops
                min_delta=recipe.min_delta,
                restore_best_weights=True,
            )
        )
    if progress:
        steps = recipe.steps_after if recipe.steps else None
        own.append(EpochProgress(recipe.epochs, at_most=bool(recipe.patience), steps=steps))
    with program_of() as program, Called([*own, *callbacks], model, optimizer, recipe) as called:
        loop = program.loop
        for epoch in range(1, recipe.epochs + 1):
            epoch_started = time.perf_counter()
            drawn = next(samples_of)
            drawing += time.perf_counter() - epoch_started
            if epoch == 1:
                evaluation_started = time.perf_counter()
                if from_start:
                    program.load(model, optimizer)
                    start = _from_start(loop, drawn, samples)
                evaluating = time.perf_counter() - evaluation_started
                called.train_begin(start[0] if start else None)
                epoch_started = time.perf_counter()
            before = called.seconds
            called.epoch_begin(epoch)
            epoch_started += called.seconds - before
            # Which callbacks may have changed.
            if not program.is_current(model, optimizer):
                program = _anew(model, optimizer, objective, recipe, execution)
                loop = program.loop
            program.load(model, optimizer)
            metrics = _named("train", loop.epoch(*drawn))
            for name, split in samples.items():
                metrics |= _named(name, loop.evaluate(*split))
            program.store(model, optimizer)
            alone.close()  # everything is compiled, and nothing more is drawn
            _check(metrics, epoch, recipe)
            metrics["time/epoch_s"] = time.perf_counter() - epoch_started
            history.append(metrics)
            called.epoch_end(epoch, metrics)
            if model.stop_training:
                break
        called.train_end(history[-1])
    seconds = time.perf_counter() - started - evaluating - called.seconds
    best = called.best_epoch or len(history)

    def again() -> contextlib.AbstractContextManager[Program]:
        # One without a copy has the model itself.
        return program_of() if program.own else contextlib.nullcontext(program)

    return Trained(model, optimizer, history, best, seconds, drawing, start, again, outputs.shape)


def _anew(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    objective: Objective,
    recipe: Recipe,
    execution: Execution,
) -> Program:
    """A program for a model or an optimizer that a callback has changed in the middle.

    Raises:
        InputError: If the optimizer keeps nothing for what is trained now.
    """
    known = {id(variable) for variable in optimizer._trainable_variables}
    new = [v.path for v in model.trainable_variables if id(v) not in known]
    if new:
        raise InputError(
            f"{', '.join(new)} became trainable during the training; what is frozen for a while "
            "must be trainable when it starts."
        )
    if getattr(optimizer, "momentum", 0) and not getattr(optimizer, "momentums", True):
        raise InputError(
            f"momentum became {optimizer.momentum} during the training; it must be above 0 from "
            "the start."
        )
    loop = Loop(model, optimizer, objective, recipe.batch_size, execution)
    return Program(loop)


def _from_start(loop: Loop, drawn: tuple, samples: dict[str, tuple]) -> tuple[Metrics, Metrics]:
    """Metrics before the first step and after it; then all is as it was."""
    x, y, order = drawn
    there = {"train": (x[: len(order)], y[: len(order)])} | samples  # without what fills a part

    def evaluated() -> Metrics:
        metrics: Metrics = {}
        for name, split in there.items():
            metrics |= _named(name, loop.evaluate(*split))
        return metrics

    variables = [*loop.model.variables, *loop.optimizer.variables]
    before, kept = evaluated(), [variable.numpy() for variable in variables]
    loop.first_step(x, y, order)
    after = evaluated()
    for variable, value in zip(variables, kept, strict=True):
        variable.assign(value)
    return before, after


def _check_outputs(outputs: np.ndarray, model: keras.Model, objective: Objective) -> None:
    """Raises InputError if the loss needs probabilities and some samples' outputs are none.

    Or if they are, and it needs logits. What a network ends with says little: logits can come from
    a model inside, be reshaped or added up. For networks of tfnets it is known.
    """
    kind = objective.outputs
    if kind not in (*probabilities.KINDS, "linear") or programs.is_as_built(model):
        return
    if kind == "linear":
        if not probabilities.fault(outputs):
            raise InputError(
                f"the outputs of model {model.name!r} are probabilities; the loss is a formula on "
                "logits."
            )
        return
    why = probabilities.fault(outputs, kind)
    if why:
        raise InputError(
            f"the outputs of model {model.name!r} are no probabilities: {why}; the loss is a "
            f"formula on those of {kind}."
        )


def _training_samples(
    split: Split | Stream, recipe: Recipe, labelled: Callable[[Split], Split] = lambda split: split
) -> Iterator[tuple[tf.Tensor, tf.Tensor, np.ndarray]]:
    """For each epoch the samples, their labels, and in which order to train on them."""
    generator = np.random.default_rng(recipe.seed)
    if isinstance(split, Varied):
        yield from _varied(split, recipe, generator)
        return
    if isinstance(split, Split):
        x, y = tf.constant(split.x), tf.constant(split.y)
        while True:
            yield x, y, generator.permutation(len(split))
    assert recipe.steps is not None
    most = -(-recipe.steps // recipe.epochs)
    for epoch in range(recipe.epochs):
        steps = recipe.steps_after(epoch + 1) - recipe.steps_after(epoch)
        drawn = labelled(split.draw(generator, steps * recipe.batch_size))
        # All parts have one shape, or each would be compiled; what fills them is never used.
        rest = (most - steps) * recipe.batch_size
        x, y = (
            np.pad(each, [(0, rest)] + [(0, 0)] * (each.ndim - 1)) for each in (drawn.x, drawn.y)
        )
        yield tf.constant(x), tf.constant(y), np.arange(len(drawn))


def _varied(
    split: Varied, recipe: Recipe, generator: np.random.Generator
) -> Iterator[tuple[tf.Tensor, tf.Tensor, np.ndarray]]:
    """The same for samples that are changed: the next epoch's while this one is trained on."""
    y = tf.constant(split.y)
    # Of their own: what is changed does not change the order.
    changes = np.random.default_rng([recipe.seed, 1])
    with ThreadPoolExecutor(1, "augmentation") as pool:
        following = pool.submit(split.change, split.x, changes)
        for epoch in range(1, recipe.epochs + 1):
            x = following.result()
            if epoch < recipe.epochs:
                following = pool.submit(split.change, split.x, changes)
            yield tf.constant(x), y, generator.permutation(len(split))


def _named(split: str, metrics: Metrics) -> Metrics:
    return {f"{split}/{name}": value for name, value in metrics.items()}


def _check(metrics: Metrics, epoch: int, recipe: Recipe) -> None:
    when = f"step {recipe.steps_after(epoch):,}" if recipe.steps else f"epoch {epoch}"
    for name, split in (("training", "train"), ("validation", "val"), ("test", "test")):
        loss = metrics.get(f"{split}/loss", 0.0)
        if not math.isfinite(loss):
            raise InputError(
                f"the {name} loss is {loss} after {when} with "
                f"learning_rate {recipe.step['learning_rate']}; expected a smaller one."
            )
