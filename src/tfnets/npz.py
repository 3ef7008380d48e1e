"""Ready matrices from an .npz file: the form in which the course hands out its data."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from tfnets.arrays import finite, from_one_hot, read_npz, row_of, whole
from tfnets.dataset import SPLITS, Dataset, Split
from tfnets.errors import InputError, first_line

_MOST_CLASSES = 100_000


def from_npz(path: Path, validation_fraction: float = 0.1) -> Dataset:
    """Ready matrices from an .npz file, never unpickled.

    Args:
        path: The file, with ``x_train``, ``y_train``, ``x_test``, ``y_test`` and, if there
            are, ``x_val``, ``y_val`` and ``classes``: matrices ``(n, time, features)``,
            labels as class numbers or one-hot.
        validation_fraction: Share of the training data to hold out, the same of each class,
            where the file has no validation data; 0 for none.

    Raises:
        InputError: For a file that cannot be read, or lacks an array, or has another kind.
    """
    arrays = _read_npz(path)
    needed = ("x_train", "y_train", "x_test", "y_test")
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise InputError(
            f"{path} has no array {missing[0]!r}; it needs {', '.join(needed)} and has: "
            f"{', '.join(sorted(arrays)) or 'none'}."
        )
    if ("x_val" in arrays) != ("y_val" in arrays):
        raise InputError(f"{path} has only one of x_val and y_val; give both or neither.")
    given = [split for split in SPLITS if f"x_{split}" in arrays]
    classes = _names(path, arrays["classes"]) if "classes" in arrays else ()
    # Before anything is held out: what is wrong is named by its place in the file.
    x = {split: _samples(path, f"x_{split}", arrays) for split in given}
    y = {split: _labels(path, f"y_{split}", arrays, len(classes)) for split in given}
    if not classes:
        most = max((int(labels.max()) for labels in y.values() if len(labels)), default=0)
        classes = tuple(str(number) for number in range(most + 1))
    kind = "as given in the file"
    training: tuple[str, ...] = ("train",)
    if "val" not in given and validation_fraction:
        training = ("train", "val")
        kind += f", a stratified {100 * validation_fraction:g} % of training for validation"
        x["train"], x["val"], y["train"], y["val"] = _hold_out(
            path, x["train"], y["train"], validation_fraction
        )
    digest = hashlib.sha256()
    splits: dict[str, Any] = {"val": None}
    for split in [split for split in SPLITS if split in x]:
        digest.update(x[split].data)
        digest.update(y[split].data)
        splits[split] = Split(np.ascontiguousarray(x[split]), y[split])
    return Dataset(
        name=path.stem,
        source=str(path.resolve()),
        classes=classes,
        **splits,
        split_kind=kind,
        digest=digest.hexdigest(),
        standardised_by=training,
    )


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"data file {str(path)!r} {what}; expected an .npz file.")
    try:
        return read_npz(path)
    except Exception as error:  # what NumPy and zlib make of a damaged file can be anything
        raise InputError(
            f"{path} is not a readable .npz file of plain arrays: {first_line(error)}."
        ) from None


def _names(path: Path, classes: np.ndarray) -> tuple[str, ...]:
    if classes.ndim != 1 or not len(classes) or classes.dtype.kind not in "USiu":
        raise InputError(
            f"{path}: classes has shape {classes.shape} and dtype {classes.dtype}; "
            "expected names (classes,)."
        )
    if classes.dtype.kind == "S":
        classes = np.char.decode(classes, "utf-8", "replace")
    return tuple(str(name) for name in classes)


def _samples(path: Path, key: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    x = arrays[key]
    if x.ndim != 3 or 0 in x.shape[1:]:
        raise InputError(f"{path}: {key} has shape {x.shape}; expected (n, time, features).")
    if x.dtype.kind not in "fiu":
        raise InputError(f"{path}: {key} has dtype {x.dtype}; expected real numbers.")
    return finite(x, row_of(f"{path}: {key}"))


def _labels(path: Path, key: str, arrays: dict[str, np.ndarray], classes: int) -> np.ndarray:
    y = arrays[key]
    place = row_of(f"{path}: {key}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.shape[1] and y.dtype.kind in "fiub":
        y = from_one_hot(y, place)
    if y.ndim != 1 or y.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {key} has shape {arrays[key].shape} and dtype {y.dtype}; expected "
            "class numbers (n,) or one-hot rows (n, classes)."
        )
    return whole(y, place, 0, (classes or _MOST_CLASSES) - 1)


def _hold_out(path: Path, x: np.ndarray, y: np.ndarray, fraction: float) -> tuple[np.ndarray, ...]:
    if len(x) != len(y):
        raise InputError(
            f"{path}: {len(x)} train samples but {len(y)} train labels; each sample needs one."
        )
    try:
        return tuple(train_test_split(x, y, test_size=fraction, stratify=y, random_state=0))
    except ValueError as error:
        raise InputError(
            f"{path}: no {100 * fraction:g} % of the training data can be held out for "
            f"validation: {error}"
        ) from None
