"""Logging of a training's epochs, as a Keras callback."""

from collections.abc import Callable

import keras

from mlproject.tracking.run import Run


class LogEpochs(keras.callbacks.Callback):
    """Logs the metrics of each epoch to a run.

    Those by our names, ``train/loss``, ``val/accuracy``, ``time/epoch_s``; what else Keras'
    callbacks find in their logs is the same by other names.

    Args:
        run: Where to log.
        step: From an epoch, from 1, to the step at which it is logged; None for the epoch.
        names: From a metric's name to that under which it is logged, or None to leave it out;
            None for all metrics by their own names.
    """

    def __init__(
        self,
        run: Run,
        step: Callable[[int], int] | None = None,
        names: Callable[[str], str | None] | None = None,
    ):
        super().__init__()
        self._run = run
        self._step = step or (lambda epoch: epoch)
        self._names = names or (lambda name: name)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keras calls it; metrics of the initial weights, if there are some, are epoch 0."""
        if logs:
            self._log(0, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras calls it with the epoch, from 0."""
        self._log(self._step(epoch + 1), logs or {})

    def _log(self, step: int, logs: dict[str, float]) -> None:
        named = {self._names(name): value for name, value in logs.items() if "/" in name}
        self._run.log_epoch(step, {name: v for name, v in named.items() if name is not None})
