"""Recordings cut into windows: what every source of activities gives."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tfnets.arrays import finite
from tfnets.errors import InputError

WINDOW = 150  # steps; 3 s at 50 Hz, as the course's sequences
STRIDE = 40


@dataclass(frozen=True)
class Windows:
    """All windows of a source.

    Attributes:
        name: Name of the data, as a run shows it.
        source: Where they came from.
        classes: Class names; class number i is ``classes[i]``.
        x: Acceleration, ``(n, time, channels)`` float32, in the source's unit.
        y: Class numbers, ``(n,)`` int32.
        subjects: Whose window each is, ``(n,)`` strings, or None where nobody says.
        test: Which windows the source itself sets aside for the test, ``(n,)`` bool, or
            None where that is ours to decide.
        remarks: What was noticed while reading, for the user: lines that were skipped.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    subjects: np.ndarray | None = None
    test: np.ndarray | None = None
    remarks: tuple[str, ...] = ()


def cut(series: np.ndarray, window: int = WINDOW, stride: int = STRIDE) -> np.ndarray:
    """A recording ``(steps, channels)`` as windows ``(n, window, channels)`` float32.

    The first begins with the recording, the next ``stride`` steps later; what is left at
    the end, or a recording that is shorter than a window, gives none.
    """
    if len(series) < window:
        return np.empty((0, window, series.shape[1]), np.float32)
    views = np.lib.stride_tricks.sliding_window_view(series, window, axis=0)[::stride]
    return np.ascontiguousarray(views.transpose(0, 2, 1), np.float32)


def join(
    recordings: Iterable[tuple[np.ndarray, int, str]],
    *,
    name: str,
    source: str,
    classes: tuple[str, ...],
    **more,
) -> Windows:
    """Windows of many recordings.

    Args:
        recordings: For each the series ``(steps, channels)``, its class number and its
            subject.
        name: As for :class:`Windows`.
        source: As for :class:`Windows`.
        classes: As for :class:`Windows`.
        **more: Its other attributes.

    Raises:
        InputError: If no recording is as long as a window, or one holds NaN or infinity.
    """
    x, y = [], []
    subjects: list[str] = []
    for number, (series, label, subject) in enumerate(recordings, 1):
        place = f"{source}: recording {number} (subject {subject}, {classes[label]}), step "
        windows = cut(finite(series, functools.partial(_step, place)))
        x.append(windows)
        y.append(np.full(len(windows), label, np.int32))
        subjects += [subject] * len(windows)
    if not subjects:
        raise InputError(f"{source}: no recording has {WINDOW} steps, which a window needs.")
    return Windows(
        name,
        source,
        classes,
        np.concatenate(x),
        np.concatenate(y),
        subjects=np.array(subjects),
        **more,
    )


def _step(place: str, step: int) -> str:
    return f"{place}{step}"
