"""Features that do not change with the loudness of a recording.

What a network learns of a corpus is, first of all, how loud it was recorded and how quiet its
pauses are. Here each bin of a log-mel matrix is taken relative to the loudest, and everything far
below it becomes one floor.
"""

import keras
import numpy as np
from keras import ops

from tfnets.errors import InputError

LEVELS = ("none", "clip", "running")

SPAN = 40.0  # dB below the loudest bin that are kept
DECAY = 0.2  # dB that the running level falls a frame of 10 ms
LEAST = -60.0  # dB: what is quieter is taken for silence, not raised


@keras.saving.register_keras_serializable(package="tfnets")
class Level(keras.layers.Layer):
    """Log-mel bins relative to the loudest, cut off ``span`` dB below it.

    ``"clip"``: relative to the loudest bin of the whole clip, for whole clips only.
    ``"running"``: to the loudest so far, which fades by ``decay`` dB a frame; a frame depends on
    those before it only, so that streams and whole clips agree.

    A gain of g dB adds g to each bin and to the loudest: the result does not change, unless the
    loudest is below ``least``.

    Args:
        kind: ``"clip"`` or ``"running"``.
        span: dB below the level that are kept.
        decay: dB a frame.
        least: The lowest level, dB.

    Call arguments:
        decibels: ``(batch, time, bands)``.

    Returns:
        The same shape, from ``-span`` to 0.
    """

    def __init__(
        self,
        kind: str = "clip",
        span: float = SPAN,
        decay: float = DECAY,
        least: float = LEAST,
        **keywords,
    ):
        super().__init__(**keywords)
        if kind not in LEVELS[1:]:
            raise InputError(f"unknown level {kind!r}; choose from {', '.join(LEVELS[1:])}.")
        self.kind, self.span, self.decay, self.least = kind, span, decay, least

    def call(self, decibels):
        """Keras calls it."""
        if self.kind == "clip":
            top = ops.max(decibels, axis=(1, 2), keepdims=True)
        else:
            frames = decibels.shape[1]
            top = ops.max(decibels, axis=2, keepdims=True)
            reach = 1
            while reach < frames:  # the largest of 1, 2, 4 ... frames up to each
                before = ops.pad(
                    top[:, :-reach] - self.decay * reach,
                    ((0, 0), (reach, 0), (0, 0)),
                    constant_values=self.least,
                )
                top = ops.maximum(top, before)
                reach *= 2
        top = ops.maximum(top, self.least)
        return ops.maximum(decibels - top, -self.span)

    def compute_output_shape(self, decibels_shape):
        """The same shape."""
        return decibels_shape

    def get_config(self) -> dict:
        """Keras calls it."""
        own = {name: getattr(self, name) for name in ("kind", "span", "decay", "least")}
        return super().get_config() | own


def apply(x: np.ndarray, kind: str, batch_size: int = 1024) -> np.ndarray:
    """Log-mel matrices ``(n, time, bands)`` with their level taken off; ``"none"`` as they are."""
    check(kind)
    if kind == "none":
        return x
    layer = Level(kind)
    result = np.empty_like(x)
    for start in range(0, len(x), batch_size):
        result[start : start + batch_size] = layer(x[start : start + batch_size])
    return result


def check(kind: str) -> None:
    """Raises InputError for a level that does not exist."""
    if kind not in LEVELS:
        raise InputError(f"unknown level {kind!r}; choose from {', '.join(LEVELS)}.")
