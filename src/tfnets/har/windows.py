"""Recordings cut into windows: what every source of activities gives."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import soxr

from tfnets import duplicates
from tfnets.arrays import finite
from tfnets.errors import InputError

WINDOW = 150  # steps; 3 s at 50 Hz, as the course's sequences
STRIDE = 40
# How many of its usual steps a recording may miss and still go on.
_GAP = 5


@dataclass(frozen=True)
class Cutting:
    """How recordings become windows.

    Attributes:
        window: Steps of a window; None for 150.
        stride: Steps from one to the next; None for 40.
        rate: Sampling rate to convert recordings to first, Hz; None for their own.
    """

    window: int | None = None
    stride: int | None = None
    rate: float | None = None

    def __post_init__(self):
        for name, value in (("window", self.window), ("stride", self.stride)):
            if value is not None and not 1 <= value <= 1_000_000:
                raise InputError(f"{name} is {value}; expected 1 to 1,000,000 steps.")
        if self.rate is not None and not 1 <= self.rate <= 10_000:
            raise InputError(f"rate is {self.rate:g}; expected 1 to 10,000 Hz.")

    @property
    def given(self) -> str:
        """The first option that is not left to the source; empty if all are."""
        return next((name for name, value in vars(self).items() if value is not None), "")


AS_IT_IS = Cutting()


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

    @functools.cached_property
    def contents(self) -> list[str]:
        """Digest of each window (:func:`tfnets.duplicates.contents`), once for all folds."""
        return duplicates.contents(self.x)


def refuse_cutting(cutting: Cutting, source: str) -> None:
    """Raises InputError for options about cutting, of a source that has windows already."""
    if cutting.given:
        raise InputError(f"{source} holds windows already; {cutting.given} does not apply.")


def jumps(steps: np.ndarray, usual: float | np.ndarray) -> np.ndarray:
    """Where a recording is parted, for a window must not run over a gap.

    Args:
        steps: Time from each row to the next, ``(n,)``.
        usual: The usual one, more than 0; one for all, or for each.

    Returns:
        Whether time goes back there or misses more than a few steps, ``(n,)`` bool.
    """
    return (steps < 0) | (steps > _GAP * usual)


def parted(jumped: int) -> tuple[str, ...]:
    """How many gaps part recordings, in words; nothing for none."""
    gaps = "gap" if jumped == 1 else "gaps"
    return (f"recordings parted at {jumped:,} {gaps} in the time",) if jumped else ()


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
    cutting: Cutting = AS_IT_IS,
    rate: float | None = None,
    *,
    name: str,
    source: str,
    classes: tuple[str, ...],
    named: bool = True,
    remarks: tuple[str, ...] = (),
    **more,
) -> Windows:
    """Windows of many recordings.

    Args:
        recordings: For each the series ``(steps, channels)``, its class number and its
            subject.
        cutting: How to cut them.
        rate: Their sampling rate, Hz; None where nobody says.
        name: As for :class:`Windows`.
        source: As for :class:`Windows`.
        classes: As for :class:`Windows`.
        named: Whether the subjects are known.
        remarks: As for :class:`Windows`.
        **more: Its other attributes.

    Raises:
        InputError: If no recording is as long as a window, or one holds NaN or infinity.
    """
    window, stride = cutting.window or WINDOW, cutting.stride or STRIDE
    convert = cutting.rate is not None and cutting.rate != rate
    if convert and rate is None:
        raise InputError(
            f"{source}: rate is {cutting.rate:g} Hz, but nothing says what it is now; the data "
            "need a time."
        )
    x, y = [], []
    subjects: list[str] = []
    longest = 0
    for number, (series, label, subject) in enumerate(recordings, 1):
        place = f"{source}: recording {number} (subject {subject}, {classes[label]}), step "
        series = finite(series, functools.partial(_step, place))
        if convert:
            series = soxr.resample(series, rate, cutting.rate, quality="HQ")
        longest = max(longest, len(series))
        windows = cut(series, window, stride)
        x.append(windows)
        y.append(np.full(len(windows), label, np.int32))
        subjects += [subject] * len(windows)
    if not subjects:
        raise InputError(
            f"{source}: no recording has {window} steps, which a window needs; the longest has "
            f"{longest}."
        )
    if convert:
        remarks += (f"{round(rate or 0, 2):g} Hz, converted to {cutting.rate:g} Hz",)
    if (window, stride) != (WINDOW, STRIDE):
        remarks += (f"windows of {window} steps, one each {stride}",)
    labels = np.concatenate(y)
    there = np.unique(labels)
    if len(there) < len(classes):
        missing = [name for n, name in enumerate(classes) if n not in there]
        remarks += (f"no recording of {', '.join(missing)} is as long as a window",)
    return Windows(
        name,
        source,
        tuple(classes[n] for n in there),
        np.concatenate(x),
        np.searchsorted(there, labels).astype(np.int32),
        subjects=np.array(subjects) if named else None,
        remarks=remarks,
        **more,
    )


def _step(place: str, step: int) -> str:
    return f"{place}{step}"
