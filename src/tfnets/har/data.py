"""Windows of acceleration from any source, split so that nobody is on both sides."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from tfnets import duplicates as copies
from tfnets import keras_settings
from tfnets.dataset import Dataset, Split, Varied
from tfnets.errors import InputError
from tfnets.har import (
    augmentation,
    hdf5,
    matrices,
    motion_sense,
    table,
    uci,
    unpacked,
    watch,
    wisdm,
)
from tfnets.har.windows import Cutting, Windows, refuse_cutting
from tfnets.naming import natural
from tfnets.npz import from_npz

BUILTIN = "builtin"
SPLIT_KINDS = ("subject", "random")

# Windows a class of the built-in recordings (3,000 and 600 in all: sizes that fit the percentages
# of har_rnn, which states none).
_TRAIN_A_CLASS, _TEST_A_CLASS = 500, 100


def load(
    data: str | Path = BUILTIN,
    *,
    split: str = "subject",
    test_subjects: Sequence[str] = (),
    validation_fraction: float = 0.1,
    window: int | None = None,
    stride: int | None = None,
    rate: float | None = None,
    standardise: bool = False,
    augment: bool = False,
    duplicates: str = "drop",
) -> Dataset:
    """Loads windows of acceleration.

    Args:
        data: Where from:

            * ``"builtin"``: smartwatch recordings of six shoulder exercises by 10 people,
              150 steps of 3 axes at 50 Hz (:mod:`tfnets.har.watch`).
            * A ``.csv`` or ``.parquet`` file of own recordings (:mod:`tfnets.har.table`).
            * The course's ``.h5`` or ``.hdf5`` file (:mod:`tfnets.har.hdf5`).
            * UCI HAR (:mod:`tfnets.har.uci`), MotionSense (:mod:`tfnets.har.motion_sense`) or
              WISDM (:mod:`tfnets.har.wisdm`): a folder that holds it at any depth, or its
              archive; of WISDM the raw ``.txt`` file, too.
            * An ``.npz`` file with windows: ``x``, ``y`` and ``subjects``, or ``x_train``,
              ``y_train``, ``x_test``, ``y_test`` (:func:`tfnets.npz.from_npz`); labels as numbers,
              one-hot or names.
        split: ``"subject"``: the test is on people who are never trained on, or as the
            source itself splits. ``"random"`` mixes the windows of all, which flatters:
            neighbouring windows of one recording come on both sides.
        test_subjects: Who is tested on; if empty, the source's choice, or else the last
            fifth of the subjects.
        validation_fraction: Share of the training windows to hold out, the same of each
            class; 0 for no validation data.
        window: Steps of a window, where the source has recordings; None for 150.
        stride: Steps from one window to the next; None for 40.
        rate: Sampling rate to convert recordings to, Hz; None for their own.
        standardise: Whether each channel has its training mean taken off and is divided by its
            training deviation.
        augment: Whether training windows are turned, scaled and jittered anew in each epoch
            (:mod:`tfnets.har.augmentation`).
        duplicates: What becomes of windows that are in two splits, number for number: ``"drop"``
            takes them out of training (and validation), ``"keep"`` leaves them in
            (:mod:`tfnets.duplicates`).

    Returns:
        ``(n, time, channels)`` float32 a split, in the source's units unless standardised
        (har_rnn mentions no standardisation). Of the built-in recordings up to 500 windows
        a class to train on and 100 to test on, evenly spread over the recordings. Where they
        are disjoint, ``Split.groups`` of training and test name the subjects; validation is of
        the same people as training.

    Raises:
        InputError: For anything that is missing, unreadable, of the wrong kind, or does
            not fit together.
    """
    keras_settings.check()
    if split not in SPLIT_KINDS:
        raise InputError(f"unknown split {split!r}; choose from {', '.join(SPLIT_KINDS)}.")
    _check_fraction(validation_fraction)
    copies.check(duplicates)
    cutting = Cutting(window, stride, rate)
    path = _path(data)
    if path.suffix.lower() == ".npz" and not matrices.has_one_table(path):
        refuse_cutting(cutting, str(path))
        if split != "subject" or test_subjects:
            raise InputError(f"{path} has its own split; split and test_subjects do not apply.")
        loaded = from_npz(path, validation_fraction, duplicates).check()
        return _prepared(loaded, standardise, augment)
    windows = _read(data, path, cutting)
    test, kind = _test(windows, split, tuple(map(str, test_subjects)))
    by_subject = split == "subject"
    loaded = _divided(windows, test, kind, validation_fraction, by_subject, str(data), duplicates)
    return _prepared(loaded, standardise, augment)


def folds(
    data: str | Path = BUILTIN,
    *,
    parts: int | None = None,
    validation_fraction: float = 0.1,
    window: int | None = None,
    stride: int | None = None,
    rate: float | None = None,
    standardise: bool = False,
    augment: bool = False,
    duplicates: str = "drop",
) -> Iterator[tuple[tuple[str, ...], Dataset]]:
    """The data of a cross-validation by person: everybody is tested on once.

    Args:
        data: As for :func:`load`; it must say whose each window is.
        parts: Into how many parts the subjects are cut, in the order of their names; None leaves
            out one subject at a time.
        validation_fraction: As for :func:`load`.
        window: As for :func:`load`.
        stride: As for :func:`load`.
        rate: As for :func:`load`.
        standardise: As for :func:`load`.
        augment: As for :func:`load`.
        duplicates: As for :func:`load`.

    Yields:
        Who is tested on, and what ``load(data, test_subjects=...)`` gives for them.

    Raises:
        InputError: As :func:`load` does; also if subjects are not known, or fewer than ``parts``.
    """
    keras_settings.check()
    _check_fraction(validation_fraction)
    copies.check(duplicates)
    path = _path(data)
    if path.suffix.lower() == ".npz" and not matrices.has_one_table(path):
        raise InputError(f"{path} has its own split; a cross-validation needs x, y and subjects.")
    windows = _read(data, path, Cutting(window, stride, rate))
    if windows.subjects is None:
        raise InputError(
            f"{windows.source} names no subjects; a cross-validation by person needs them."
        )
    there = sorted(set(windows.subjects.tolist()), key=natural)
    parts = len(there) if parts is None else parts
    if not 2 <= parts <= len(there):
        what = f"expected 2 to {len(there)}, for there are the subjects {', '.join(there)}"
        if len(there) < 2:
            what = f"there is one subject, {there[0]}, and two are needed"
        raise InputError(f"folds is {parts}; {what}.")
    for block in np.array_split(np.array(there, object), parts):
        test, kind = _test(windows, "subject", tuple(block))
        loaded = _divided(windows, test, kind, validation_fraction, True, str(data), duplicates)
        yield tuple(block), _prepared(loaded, standardise, augment)


def _check_fraction(validation_fraction: float) -> None:
    if not 0 <= validation_fraction < 1:
        raise InputError(
            f"validation_fraction is {validation_fraction!r}; expected a number from 0 to below 1."
        )


def _path(data: str | Path) -> Path:
    if not str(data):
        raise InputError("data is empty; expected 'builtin', a file or a folder.")
    return Path(os.path.expanduser(data))


def _divided(
    windows: Windows,
    tested: np.ndarray,
    kind: str,
    fraction: float,
    disjoint: bool,
    data: str,
    duplicates: str,
) -> Dataset:
    """The windows that are tested on, and those to train on and to validate with."""
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    if data == BUILTIN:
        train = _balanced(windows.y, train, _TRAIN_A_CLASS)
        test = _balanced(windows.y, test, _TEST_A_CLASS)
    parts = {"train": train, "test": test}
    if fraction:
        parts["train"], parts["val"] = _hold_out(windows, train, fraction)
        kind += f"; validation: a stratified {100 * fraction:g} % of training"
    found = copies.find(
        {name: [windows.contents[n] for n in own] for name, own in parts.items()},
        {name: windows.y[own] for name, own in parts.items()},
        duplicates,
        windows.source,
        "windows",
    )
    parts = {name: own[found.kept[name]] for name, own in parts.items()}
    kind = "; ".join([kind, *found.remarks])
    return replace(_dataset(windows, parts, kind, disjoint), duplicates=found.count).check()


def _prepared(data: Dataset, standardise: bool, augment: bool) -> Dataset:
    if standardise:
        data = data.standardise_channels()
    if augment:
        train = data.splits["train"]
        data = replace(data, train=Varied(train.x, train.y, train.groups, augmentation.changed))
    return data


def _read(data: str | Path, path: Path, cutting: Cutting) -> Windows:
    try:
        return _source(data, path, cutting)
    except OSError as error:
        raise InputError(
            f"{error.filename or data}: cannot be read: {error.strerror or error}."
        ) from None


def _source(data: str | Path, path: Path, cutting: Cutting) -> Windows:
    if str(data) == BUILTIN:
        return watch.read(cutting)
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        refuse_cutting(cutting, str(path))
        return hdf5.read(path)
    if suffix == ".npz":
        refuse_cutting(cutting, str(path))
        return matrices.read(path)
    if suffix in table.SUFFIXES and path.is_file():
        return table.read(path, cutting)
    if suffix == ".txt":
        return wisdm.read(path, cutting)
    for folder in unpacked.folders(path) if path.exists() else ():
        for source in (uci, motion_sense, wisdm):
            if root := source.find(folder):
                return source.read(root, cutting)
    what = "is not one of these" if path.exists() else "does not exist"
    raise InputError(
        f"data {str(path)!r} {what}: 'builtin', a .csv, .parquet, .h5 or .npz file, the folder or "
        "archive of UCI HAR (train/Inertial Signals), of MotionSense (A_DeviceMotion_data) or of "
        "WISDM (WISDM_ar_v1.1_raw.txt)."
    )


def _test(windows: Windows, split: str, subjects: tuple[str, ...]) -> tuple[Any, str]:
    """Which windows are tested on, and how that was decided."""
    known = windows.subjects
    if split == "random":
        if subjects:
            raise InputError("test_subjects goes with split=subject only.")
        if known is None and windows.test is not None:
            raise InputError(f"{windows.source} has its own split; split=random does not apply.")
        try:
            _, test = train_test_split(
                np.arange(len(windows.y)), test_size=1 / 6, stratify=windows.y, random_state=0
            )
        except ValueError as error:
            raise InputError(f"{windows.source}: no sixth can be tested on: {error}") from None
        return np.isin(np.arange(len(windows.y)), test), "random, windows of all subjects mixed"
    if known is None and windows.test is None:
        raise InputError(
            f"{windows.source} names no subjects; add them, or split=random mixes the windows of "
            "everybody, which flatters."
        )
    if known is None:
        if subjects:
            raise InputError(f"{windows.source} does not say who is who; leave test_subjects out.")
        return windows.test, "as given in the file"
    there = sorted(set(known.tolist()), key=natural)
    if not subjects and windows.test is not None:
        return windows.test, "by subject, as the source has it"
    if not subjects:
        subjects = tuple(there[-max(1, len(there) // 5) :])
    unknown = [subject for subject in subjects if subject not in there]
    if unknown or set(subjects) == set(there):
        what = f"names {unknown[0]!r}" if unknown else "leaves nobody to train on"
        raise InputError(f"test_subjects {what}; there are the subjects {', '.join(there)}.")
    return np.isin(known, subjects), f"by subject, test: {', '.join(subjects)}"


def _balanced(y: np.ndarray, indices: np.ndarray, most: int) -> np.ndarray:
    """As many windows of each class, at most so many, evenly spread over them."""
    of_class = [indices[y[indices] == label] for label in np.unique(y)]
    count = min(most, *map(len, of_class))
    chosen = [each[np.linspace(0, len(each) - 1, count).round().astype(int)] for each in of_class]
    return np.sort(np.concatenate(chosen))


def _hold_out(windows: Windows, train: np.ndarray, fraction: float) -> list[np.ndarray]:
    try:
        return train_test_split(
            train, test_size=fraction, stratify=windows.y[train], random_state=0
        )
    except ValueError as error:
        raise InputError(
            f"{windows.source}: no {100 * fraction:g} % of the training windows can be held out "
            f"for validation: {error}"
        ) from None


def _dataset(windows: Windows, parts: dict[str, np.ndarray], kind: str, disjoint: bool) -> Dataset:
    digest = hashlib.sha256()
    splits: dict[str, Any] = {"val": None}
    for name, indices in parts.items():
        x, y = windows.x[indices], windows.y[indices]
        digest.update(x)
        digest.update(y)
        # Groups may not be in two splits; validation is of the people who are trained on.
        named = windows.subjects if disjoint and name != "val" else None
        splits[name] = Split(x, y, None if named is None else named[indices])
    return Dataset(
        name=windows.name,
        source=windows.source,
        classes=windows.classes,
        **splits,
        split_kind="; ".join([kind, *windows.remarks]),
        digest=digest.hexdigest(),
    )
