"""Windows of acceleration from five sources, split so that nobody is on both sides."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from tfnets import keras_settings
from tfnets.dataset import Dataset, Split
from tfnets.errors import InputError
from tfnets.har import hdf5, motion_sense, uci, watch, wisdm
from tfnets.har.windows import Windows
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
) -> Dataset:
    """Loads windows of acceleration.

    Args:
        data: One of five sources:

            * ``"builtin"``: smartwatch recordings of six shoulder exercises by 10 people,
              150 steps of 3 axes at 50 Hz (:mod:`tfnets.har.watch`).
            * The course's ``.h5`` or ``.hdf5`` file (:mod:`tfnets.har.hdf5`).
            * The folder of UCI HAR (:mod:`tfnets.har.uci`) or of MotionSense
              (:mod:`tfnets.har.motion_sense`).
            * ``WISDM_ar_v1.1_raw.txt`` (:mod:`tfnets.har.wisdm`).
            * An ``.npz`` file with ``x_train``, ``y_train``, ``x_test``, ``y_test``.
        split: ``"subject"``: the test is on people who are never trained on, or as the
            source itself splits. ``"random"`` mixes the windows of all, which flatters:
            neighbouring windows of one recording come on both sides.
        test_subjects: Who is tested on; if empty, the source's choice, or else the last
            fifth of the subjects.
        validation_fraction: Share of the training windows to hold out, the same of each
            class; 0 for no validation data.

    Returns:
        ``(n, time, channels)`` float32 a split, in the source's units, not standardised
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
    if not 0 <= validation_fraction < 1:
        raise InputError(
            f"validation_fraction is {validation_fraction!r}; expected a number from 0 to below 1."
        )
    path = Path(os.path.expanduser(data))
    if path.suffix.lower() == ".npz":
        if split != "subject" or test_subjects:
            raise InputError(f"{path} has its own split; split and test_subjects do not apply.")
        return from_npz(path, validation_fraction).check()
    try:
        windows = _read(data, path)
    except OSError as error:
        raise InputError(
            f"{error.filename or data}: cannot be read: {error.strerror or error}."
        ) from None
    test, kind = _test(windows, split, tuple(map(str, test_subjects)))
    train = np.flatnonzero(~test)
    test = np.flatnonzero(test)
    if str(data) == BUILTIN:
        train = _balanced(windows.y, train, _TRAIN_A_CLASS)
        test = _balanced(windows.y, test, _TEST_A_CLASS)
    parts = {"train": train, "test": test}
    if validation_fraction:
        parts["train"], parts["val"] = _hold_out(windows, train, validation_fraction)
        kind += f"; validation: a stratified {100 * validation_fraction:g} % of training"
    disjoint = split == "subject"
    return _dataset(windows, parts, kind, disjoint).check()


def _read(data: str | Path, path: Path) -> Windows:
    if str(data) == BUILTIN:
        return watch.read()
    if path.suffix.lower() in (".h5", ".hdf5"):
        return hdf5.read(path)
    if path.suffix.lower() == ".txt":
        return wisdm.read(path)
    for source in (uci, motion_sense):
        if path.is_dir() and (root := source.find(path)):
            return source.read(root)
    what = "is not one of these" if path.exists() else "does not exist"
    raise InputError(
        f"data {str(path)!r} {what}: 'builtin', an .h5 or .npz file, WISDM_ar_v1.1_raw.txt, the "
        "folder of UCI HAR (train/Inertial Signals) or of MotionSense (A_DeviceMotion_data)."
    )


def _test(windows: Windows, split: str, subjects: tuple[str, ...]) -> tuple[Any, str]:
    """Which windows are tested on, and how that was decided."""
    known = windows.subjects
    if split == "random":
        if subjects:
            raise InputError("test_subjects goes with split=subject only.")
        if known is None:
            raise InputError(f"{windows.source} has its own split; split=random does not apply.")
        _, test = train_test_split(
            np.arange(len(windows.y)), test_size=1 / 6, stratify=windows.y, random_state=0
        )
        return np.isin(np.arange(len(windows.y)), test), "random, windows of all subjects mixed"
    if known is None:
        if subjects:
            raise InputError(f"{windows.source} does not say who is who; leave test_subjects out.")
        return windows.test, "as given in the file"
    there = sorted(set(known.tolist()), key=_natural)
    if not subjects and windows.test is not None:
        return windows.test, "by subject, as the source has it"
    if not subjects:
        subjects = tuple(there[-max(1, len(there) // 5) :])
    unknown = [subject for subject in subjects if subject not in there]
    if unknown or set(subjects) == set(there):
        what = f"names {unknown[0]!r}" if unknown else "leaves nobody to train on"
        raise InputError(f"test_subjects {what}; there are the subjects {', '.join(there)}.")
    return np.isin(known, subjects), f"by subject, test: {', '.join(subjects)}"


def _natural(name: str) -> tuple:
    return tuple(int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name))


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
