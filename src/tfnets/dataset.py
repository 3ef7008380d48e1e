"""What every task's ``load`` returns and every training takes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfnets.arrays import finite, row_of, whole
from tfnets.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """The samples of one split.

    Attributes:
        x: Samples, ``(n, ...)`` float32; in addition digits, int32.
        y: Class numbers, ``(n,)`` int32; in addition one for each digit, ``(n, time)``.
        groups: Who each sample comes from (speaker, subject), ``(n,)`` strings, or
            None where that is not known.
    """

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Varied(Split):
    """A training split whose samples are changed anew for every epoch (augmentation).

    Attributes:
        change: ``(x, generator)`` -> the samples of an epoch, of the same shape; these are what
            the network sees, and what the other splits' samples are like.
    """

    change: Callable[[np.ndarray, np.random.Generator], np.ndarray] = field(
        default=lambda x, generator: x
    )


@dataclass(frozen=True)
class Stream:
    """A training split that is drawn anew for every epoch, without an end.

    Attributes:
        draw: ``(generator, n)`` -> a :class:`Split` of n samples.
    """

    draw: Callable[[np.random.Generator, int], Split]


@dataclass(frozen=True)
class Dataset:
    """Samples in a train, a validation and a test split, with what a run says of them.

    Attributes:
        name: Name of the data, as a run shows it.
        source: Where it came from: a path, or what made it.
        classes: Class names; class number i is ``classes[i]``.
        train, val, test: The splits; ``val`` can be None, ``train`` a :class:`Stream`.
        split_kind: How the splits were made, in words: ``"by speaker, from lists"``.
        digest: Hexadecimal digest of all splits' contents, where they have any.
        standardised_by: The splits whose mean and deviation :meth:`standardise` takes: the
            source's training data, also what was held out of it.
        mean, std: What the samples were standardised with; None before
            :meth:`standardise`.
        channels: Mean and deviation of each channel, where :meth:`standardise_channels` was used.
        from_audio: Whether the samples are our own features of audio, so that a model
            can be deployed that starts from waveforms.
        level: What these are relative to (:mod:`tfnets.speech.level`).
        duplicates: How many samples are copies of another one (:mod:`tfnets.duplicates`).
        seconds: What took how long while loading, by name.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    train: Split | Stream
    val: Split | None
    test: Split
    split_kind: str
    digest: str
    standardised_by: tuple[str, ...] = ("train",)
    mean: float | None = None
    std: float | None = None
    channels: tuple[tuple[float, float], ...] = ()
    from_audio: bool = False
    level: str = "none"
    duplicates: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that have samples of their own by name: ``train``, ``val``, ``test``."""
        there = {name: getattr(self, name) for name in SPLITS}
        return {name: split for name, split in there.items() if isinstance(split, Split)}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return next(iter(self.splits.values())).x.shape[1:]

    def standardise(self) -> "Dataset":
        """The data set with (x - mean) / std in every split.

        Mean and standard deviation are one number each, over all samples, frames
        and features of the training data (speech_rnn, section 1.3).

        Raises:
            InputError: If all training samples have one value, or others are so far from
                them that float32 cannot hold the result.
        """
        parts = [self.splits[name].x for name in self.standardised_by]
        x = parts[0] if len(parts) == 1 else np.concatenate(parts)
        mean, std = float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64))
        if not std > 0:
            raise InputError(
                f"{self.source}: all training samples have the same value {mean:g}; "
                "there is nothing to learn from."
            )
        scaled: dict[str, Any] = {}
        for name, split in self.splits.items():
            with np.errstate(over="ignore"):
                x = ((split.x - mean) / std).astype(np.float32)
            if not np.isfinite(x).all():
                raise InputError(
                    f"{self.source}: {name} samples reach {np.abs(split.x).max():g}, too far from "
                    f"the training's mean {mean:g} and deviation {std:g}."
                )
            scaled[name] = replace(split, x=x)
        return replace(self, **scaled, mean=mean, std=std)

    def standardise_channels(self) -> "Dataset":
        """The data set with (x - mean) / std of each channel, the last dimension.

        Raises:
            InputError: If a channel has one value in all training samples.
        """
        x = np.concatenate([self.splits[name].x for name in self.standardised_by])
        axes = tuple(range(x.ndim - 1))
        mean, std = x.mean(axes, dtype=np.float64), x.std(axes, dtype=np.float64)
        for channel in np.flatnonzero(~(std > 0)):
            raise InputError(
                f"{self.source}: channel {channel} has the same value {mean[channel]:g} in all "
                "training samples; it cannot be standardised."
            )
        scaled: dict[str, Any] = {
            name: replace(split, x=((split.x - mean) / std).astype(np.float32))
            for name, split in self.splits.items()
        }
        channels = tuple(zip(mean.tolist(), std.tolist(), strict=True))
        return replace(self, **scaled, channels=channels)

    def check(self) -> "Dataset":
        """The data set, if a network can be trained and judged on it.

        Returns:
            The same with samples as float32 and class numbers as int32; itself if they are
            already.

        Raises:
            InputError: For an empty split, fewer than two classes, a name that is there
                twice or cannot be shown, a class without samples to train or to test, labels that
                do not match the classes or the samples, samples of several shapes, NaN or
                infinite values among samples or labels, or a group (speaker, subject) that
                is in more than one split or missing.
        """
        if len(self.classes) < 2:
            raise InputError(
                f"{self.source}: only one class, {self.classes[0]!r}; "
                "a classifier needs two or more."
            )
        for name in self.classes:
            if not name.strip() or not name.isprintable():
                raise InputError(f"{self.source}: {name!r} cannot be the name of a class.")
        for name, times in Counter(self.classes).items():
            if times > 1:
                raise InputError(
                    f"{self.source}: {times} classes are called {name!r}; names must differ."
                )
        checked: dict[str, Any] = {
            name: self._check_split(name, split) for name, split in self.splits.items()
        }
        self._check_groups()
        same = all(checked[name] is split for name, split in self.splits.items())
        return self if same else replace(self, **checked)

    def _check_split(self, name: str, split: Split) -> Split:
        x, y = np.asarray(split.x), np.asarray(split.y)
        for what, array in (("x", x), ("y", y)):
            if array.dtype.kind not in "fiu" or (what == "y" and array.ndim != 1):
                raise InputError(
                    f"{self.source}: {name}.{what} has shape {array.shape} and dtype "
                    f"{array.dtype}; expected real numbers (n, ...) and class numbers (n,)."
                )
        if len(x) != len(y):
            raise InputError(
                f"{self.source}: {len(x)} {name} samples but {len(y)} {name} labels; "
                "each sample needs one."
            )
        if not len(y):
            raise InputError(f"{self.source}: the {name} split is empty; it needs samples.")
        if x.shape[1:] != self.input_shape:
            raise InputError(
                f"{self.source}: {name} samples have shape {x.shape[1:]}, "
                f"train samples {self.input_shape}; they must be the same."
            )
        x = finite(x, row_of(f"{self.source}: {name}.x"))
        y = whole(y, row_of(f"{self.source}: {name}.y"), 0, len(self.classes) - 1)
        counts = np.bincount(y, minlength=len(self.classes))
        missing = [c for c, n in zip(self.classes, counts, strict=True) if not n]
        if missing and name != "val":
            raise InputError(
                f"{self.source}: class {missing[0]!r} has no samples in the {name} split; "
                "every class needs some to be trained and to be tested."
            )
        if x is split.x and y.dtype == np.asarray(split.y).dtype:
            return split
        return replace(split, x=x, y=y)

    def _check_groups(self) -> None:
        seen: dict[str, str] = {}
        for name, split in self.splits.items():
            if split.groups is None:
                continue
            if len(split.groups) != len(split):
                raise InputError(
                    f"{self.source}: {len(split)} {name} samples but {len(split.groups)} groups; "
                    "each sample needs one."
                )
            for row, group in enumerate(np.asarray(split.groups).tolist()):
                if group is None or group != group:  # NaN
                    raise InputError(
                        f"{self.source}: {name}.groups[{row}] is {group}; it must say who that is."
                    )
                # Subject 1 is also subject "1".
                if seen.setdefault(str(group), name) != name:
                    raise InputError(
                        f"{self.source}: {group!r} is in both the {seen[str(group)]} and the "
                        f"{name} split; nobody may be in two."
                    )
