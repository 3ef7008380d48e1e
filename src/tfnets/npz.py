"""Ready matrices from an .npz file: the form in which the course hands out its data."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from tfnets import duplicates as copies
from tfnets.arrays import (
    Declared,
    Place,
    declared_npz,
    finite,
    from_one_hot,
    load_npz,
    readable,
    row_of,
    whole,
)
from tfnets.dataset import SPLITS, Dataset, Split
from tfnets.errors import InputError

_MOST_CLASSES = 100_000

_NEEDED = ("x_train", "y_train", "x_test", "y_test")
_SUBJECTS = ("subjects_train", "subjects_val", "subjects_test")
_ALL = (*_NEEDED, "x_val", "y_val", "classes", *_SUBJECTS)


def from_npz(path: Path, validation_fraction: float = 0.1, duplicates: str = "drop") -> Dataset:
    """Ready matrices from an .npz file, never unpickled.

    Args:
        path: The file, with ``x_train``, ``y_train``, ``x_test``, ``y_test`` and, if there
            are, ``x_val``, ``y_val`` and ``classes``: matrices ``(n, time, features)``,
            labels as class numbers, one-hot or names; and ``subjects_train``,
            ``subjects_val``, ``subjects_test``, who each is of.
        validation_fraction: Share of the training data to hold out, the same of each class,
            where the file has no validation data; 0 for none.
        duplicates: What becomes of samples that are in two splits (:mod:`tfnets.duplicates`):
            ``"drop"`` or ``"keep"``.

    Raises:
        InputError: For a file that cannot be read, or lacks an array, or has another kind.
    """
    copies.check(duplicates)
    arrays, unread = _read(path)
    given = [split for split in SPLITS if f"x_{split}" in arrays]
    # Before anything is held out: what is wrong is named by its place in the file.
    x = {split: finite(arrays[f"x_{split}"], row_of(f"{path}: x_{split}")) for split in given}
    labels, classes = numbered(
        {f"y_{split}": arrays[f"y_{split}"] for split in given}, arrays.get("classes"), path
    )
    y = {split: labels[f"y_{split}"] for split in given}
    for split in given:
        if len(x[split]) != len(y[split]):
            raise InputError(
                f"{path}: {len(x[split])} {split} samples but {len(y[split])} {split} labels; "
                "each sample needs one."
            )
    who = {split: _subjects(path, arrays, split, len(y[split])) for split in given}
    kind = "as given in the file"
    training: tuple[str, ...] = ("train",)
    if "val" not in given and validation_fraction:
        training = ("train", "val")
        kind += f", a stratified {100 * validation_fraction:g} % of training for validation"
        stay, held_out = _hold_out(path, y["train"], validation_fraction)
        for each in (x, y, who):
            array = each["train"]
            if array is not None:
                each["train"], each["val"] = array[stay], array[held_out]
        who["val"] = None  # of the people who are trained on
    found = copies.find(
        {split: copies.contents(each) for split, each in x.items()}, y, duplicates, str(path)
    )
    digest = hashlib.sha256()
    splits: dict[str, Any] = {"val": None}
    for split in [split for split in SPLITS if split in x]:
        stay = found.kept[split]
        of = who.get(split)
        splits[split] = Split(
            np.ascontiguousarray(x[split][stay]), y[split][stay], None if of is None else of[stay]
        )
        digest.update(splits[split].x.data)
        digest.update(splits[split].y.data)
    return Dataset(
        name=path.stem,
        source=str(path.resolve()),
        classes=classes,
        **splits,
        split_kind="; ".join([kind, *found.remarks, *unread]),
        digest=digest.hexdigest(),
        standardised_by=training,
        duplicates=found.count,
    )


def _subjects(path: Path, arrays: dict, split: str, count: int) -> np.ndarray | None:
    """Who each sample of a split is of; None where the file does not say."""
    who = arrays.get(f"subjects_{split}")
    if who is not None and who.shape != (count,):
        raise InputError(
            f"{path}: subjects_{split} has shape {who.shape}; expected ({count},), one for each "
            f"of y_{split}."
        )
    return None if who is None else texts(who)


def unread(there: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """What a file has that nothing reads, in words; nothing if all is read.

    Args:
        there: Names of the file's arrays.
        names: Those that are read.
    """
    others = [name for name in there if name not in names]
    return (f"not read: {', '.join(others)} (read are {', '.join(names)})",) if others else ()


def _read(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The arrays that we need, once all are known to have their kind and shape.

    Returns:
        The arrays by name, and what is not read, in words.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"data file {str(path)!r} {what}; expected an .npz file.")
    with readable(f"{path} is not a readable .npz file of plain arrays"):
        there = declared_npz(path)
        _check(path, there)
        return load_npz(path, [name for name in there if name in _ALL]), unread(there, _ALL)


def _check(path: Path, there: dict[str, Declared]) -> None:
    missing = [key for key in _NEEDED if key not in there]
    if missing:
        raise InputError(
            f"{path} has no array {missing[0]!r}; it needs {', '.join(_NEEDED)} and has: "
            f"{', '.join(sorted(there)) or 'none'}."
        )
    if ("x_val" in there) != ("y_val" in there):
        raise InputError(f"{path} has only one of x_val and y_val; give both or neither.")
    if (classes := there.get("classes")) is not None and (
        classes.ndim != 1 or not len(classes) or classes.dtype.kind not in "USiu"
    ):
        raise InputError(
            f"{path}: classes has shape {classes.shape} and dtype {classes.dtype}; "
            "expected names (classes,)."
        )
    for split in SPLITS:
        if f"x_{split}" in there:
            check_samples(path, f"x_{split}", there[f"x_{split}"])
            check_labels(path, f"y_{split}", there[f"y_{split}"])


def numbered(
    labels: Mapping[str, np.ndarray], classes: np.ndarray | None, path: Path
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels of any form as class numbers, and the classes' names.

    Args:
        labels: By the arrays' names: class numbers ``(n,)``, one-hot rows, or names.
        classes: Names of the classes; None for the labels' own, sorted, or for the numbers.
        path: The file that they are of.

    Raises:
        InputError: For a label that is no class.
    """
    names = () if classes is None else _names(classes)
    if any(each.dtype.kind in "US" for each in labels.values()):
        texts = {name: np.array(_names(each)) for name, each in labels.items()}
        names = names or tuple(sorted({text for each in texts.values() for text in each.tolist()}))
        number = {text: n for n, text in enumerate(names)}
        for name, each in texts.items():
            for row, text in enumerate(each.tolist()):
                if text not in number:
                    raise InputError(
                        f"{path}: {name}[{row}] is {text!r}; expected one of {', '.join(names)}."
                    )
        return {
            name: np.array([number[text] for text in each.tolist()], np.int32)
            for name, each in texts.items()
        }, names
    found = {
        name: _labels(each, row_of(f"{path}: {name}"), len(names)) for name, each in labels.items()
    }
    if not names:
        most = max((int(each.max()) for each in found.values() if len(each)), default=0)
        names = tuple(str(number) for number in range(most + 1))
    return found, names


def check_samples(path: Path, key: str, x: Declared) -> None:
    """Raises InputError for an array that holds no samples."""
    if x.ndim != 3 or 0 in x.shape[1:]:
        raise InputError(f"{path}: {key} has shape {x.shape}; expected (n, time, features).")
    if x.dtype.kind not in "fiu":
        raise InputError(f"{path}: {key} has dtype {x.dtype}; expected real numbers.")


def check_labels(path: Path, key: str, y: Declared) -> None:
    """Raises InputError for an array that holds no labels."""
    numbers = y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)
    one_hot = y.ndim == 2 and y.shape[1] > 0
    if not (numbers and y.dtype.kind in "fiuUS") and not (one_hot and y.dtype.kind in "fiub"):
        raise InputError(
            f"{path}: {key} has shape {y.shape} and dtype {y.dtype}; expected "
            "class numbers or names (n,), or one-hot rows (n, classes)."
        )


def texts(names: np.ndarray) -> np.ndarray:
    """Names ``(n,)`` as strings: numbers, text or UTF-8 bytes."""
    return np.array(_names(names))


def _names(classes: np.ndarray) -> tuple[str, ...]:
    if classes.dtype.kind == "S":
        classes = np.char.decode(classes, "utf-8", "replace")
    return tuple(str(name) for name in classes)


def _labels(y: np.ndarray, place: Place, classes: int) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind != "b":
        y = y[:, 0]
    if y.ndim == 2:
        y = from_one_hot(y, place)
    return whole(y, place, 0, (classes or _MOST_CLASSES) - 1)


def _hold_out(path: Path, y: np.ndarray, fraction: float) -> list[np.ndarray]:
    """Indices of the samples that stay, and of those that are held out."""
    try:
        return train_test_split(np.arange(len(y)), test_size=fraction, stratify=y, random_state=0)
    except ValueError as error:
        raise InputError(
            f"{path}: no {100 * fraction:g} % of the training data can be held out for "
            f"validation: {error}"
        ) from None
