"""Keras callbacks in our own training loop (:func:`tfnets.training.train`)."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

import keras

from tfnets.errors import InputError
from tfnets.progress import Line, duration

if TYPE_CHECKING:
    from tfnets.training import Metrics, Recipe


# Options of callbacks (Keras', MLflow's, those of Weights & Biases) that say how often they act.
_EVERY = ("save_freq", "update_freq", "log_freq", "log_every_epoch")
_LIBRARIES = ("keras", "mlflow", "wandb")


def check(callback: object) -> None:
    """Raises InputError for a callback that would silently do nothing, or the wrong thing."""
    if not isinstance(callback, keras.callbacks.Callback):
        raise InputError(
            f"callbacks has {callback!r}; each must be a keras.callbacks.Callback, such as "
            "keras.callbacks.LambdaCallback(on_epoch_end=function)."
        )
    name = type(callback).__name__
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        raise InputError(f"callback {name} cannot work here: a training always starts anew.")
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        raise InputError(f"callback {name} cannot work here; progress=True shows the progress.")
    for option in _EVERY:
        if getattr(callback, option, None) is None:
            continue
        value, needed = getattr(callback, option), True if option == _EVERY[-1] else "epoch"
        if value != needed:
            raise InputError(
                f"callback {name} has {option}={value!r}; it must be {needed!r}, for there are no "
                "batches to see."
            )
    batches = batch_hooks(callback)
    if batches:
        more = "; a loss that is no number ends the training anyway" if "NaN" in name else ""
        raise InputError(
            f"callback {name} works on batches ({', '.join(sorted(batches))}), and there are none "
            f"to see: one call makes many steps{more}."
        )


def batch_hooks(callback: keras.callbacks.Callback) -> set[str]:
    """Names of the hooks by which a callback watches each batch."""
    hooks = [hook for hook in dir(keras.callbacks.Callback) if hook.startswith("on_")]
    batches = {hook for hook in hooks if "batch" in hook and not _is_default(callback, hook)}
    every = [option for option in _EVERY if getattr(callback, option, None) is not None]
    if every and all(getattr(callback, option) in ("epoch", True) for option in every):
        # A library's own hooks do nothing then.
        return {hook for hook in batches if _package(getattr(callback, hook)) not in _LIBRARIES}
    return batches


def _is_default(callback: keras.callbacks.Callback, hook: str) -> bool:
    """Whether a callback leaves a hook as Keras' base class has it."""
    function = getattr(callback, hook)
    return getattr(function, "__func__", function) is getattr(keras.callbacks.Callback, hook)


def _package(function: Callable) -> str:
    return function.__module__.partition(".")[0]


class EpochProgress(keras.callbacks.Callback):
    """Shows an epoch's losses and accuracies, how long it took, and the time left.

    A Keras callback; the logs it needs are those of :func:`tfnets.training.train`.

    Args:
        total: How many epochs there are.
        at_most: Whether training may end before, so that the time left is the longest.
        steps: From an epoch, from 1, to the steps made until then, which are said instead.
        stream: Where to print; standard error by default.
    """

    def __init__(
        self,
        total: int,
        at_most: bool = False,
        steps: Callable[[int], int] | None = None,
        stream: TextIO | None = None,
    ):
        super().__init__()
        self._total = total
        self._unit = "step" if steps else "epoch"
        self._number = steps or (lambda epoch: epoch)
        self._at_most = "at most " if at_most else ""
        self._since_first = 0.0
        self._line = Line(total, True, stream)
        self._last = ""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras calls it with the epoch, from 0."""
        self._last = self._text(epoch + 1, logs or {})
        self._line.show(self._last, epoch + 1, first=True)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Keras calls it."""
        self.close()

    def close(self) -> None:
        """Ends the bar, also after an error."""
        self._line.end(self._last)

    def _text(self, epoch: int, metrics: dict[str, float]) -> str:
        seconds = metrics["time/epoch_s"]
        if epoch > 1:  # the first holds the compilation, too, and says little of the others
            self._since_first += seconds
            seconds = self._since_first / (epoch - 1)
        number, last = self._number(epoch), self._number(self._total)
        words = [f"{self._unit} {number:>{len(str(last))}}/{last}"]
        left = ""
        if epoch < self._total:
            left = f", {self._at_most}{duration(seconds * (self._total - epoch))} left"
        if self._line.is_bar:  # where the end may be cut
            words[0] += left
        for split in ("train", "val") if "val/loss" in metrics else ("train",):
            loss, accuracy = metrics[f"{split}/loss"], metrics[f"{split}/accuracy"]
            words.append(f"{split} loss {loss:.4f} accuracy {accuracy:.4f}")
        words.append(f"{metrics['time/epoch_s']:.1f} s" + ("" if self._line.is_bar else left))
        return "  ".join(words)


class Called:
    """The callbacks of a training, and the time that they take; a ``with`` block around it.

    In the block the model has its optimizer, which callbacks may change.

    Args:
        callbacks: In the order in which they are called.
        model: The network.
        optimizer: What makes its steps.
        recipe: How it is trained.

    Attributes:
        seconds: Time that was spent in callbacks.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        recipe: "Recipe",
    ):
        self.seconds = 0.0
        self._all, self._model, self._optimizer, self._recipe = callbacks, model, optimizer, recipe
        self._list = keras.callbacks.CallbackList(
            list(callbacks), model=model, epochs=recipe.epochs, steps=recipe.steps, verbose=0
        )

    def __enter__(self) -> "Called":
        self._model.stop_training = False
        self._before = getattr(self._model, "optimizer", None)  # of a compiled model
        self._model.optimizer = self._optimizer
        return self

    def __exit__(self, *exception) -> None:
        del self._model.optimizer  # or it would be saved with the model
        if self._before is not None:
            self._model.optimizer = self._before
        for each in self._all:
            if isinstance(each, EpochProgress):  # after an error nobody else ends its bar
                each.close()

    @property
    def best_epoch(self) -> int | None:
        """Number of the epoch, from 1, to whose weights a callback went back; None if none did."""
        for each in reversed(self._all):
            if isinstance(each, keras.callbacks.EarlyStopping) and each.best_weights is not None:
                return each.best_epoch + 1
        return None

    def train_begin(self, logs: "Metrics | None") -> None:
        """The weights are those that ``build`` has made."""
        self._call(self._list.on_train_begin, logs)

    def epoch_begin(self, epoch: int) -> None:
        """Before the first step of an epoch, from 1."""
        self._call(self._list.on_epoch_begin, epoch - 1)

    def epoch_end(self, epoch: int, metrics: "Metrics") -> None:
        """After an epoch, from 1, and its evaluations."""
        self._call(self._list.on_epoch_end, epoch - 1, _with_keras_names(metrics))

    def train_end(self, metrics: "Metrics") -> None:
        """After the last epoch."""
        self._call(self._list.on_train_end, _with_keras_names(metrics))

    def _call(self, hook: Callable, *arguments) -> None:
        started = time.perf_counter()
        try:
            hook(*arguments)
        except TypeError as error:
            if "LearningRateSchedule" not in str(error):
                raise
            raise InputError(
                f"schedule is {self._recipe.schedule!r}, so that no callback can set the "
                "learning rate; leave it constant."
            ) from error
        finally:
            self.seconds += time.perf_counter() - started


def _with_keras_names(metrics: "Metrics") -> "Metrics":
    """Metrics by our names and by those of ``model.fit``: ``loss``, ``val_loss``."""
    theirs = {}
    for name, value in metrics.items():
        split, _, metric = name.partition("/")
        if split != "time":
            theirs[metric if split == "train" else f"{split}_{metric}"] = value
    return metrics | theirs
