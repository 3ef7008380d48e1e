"""UCI HAR: smartphone recordings in windows of 128 steps (2.56 s at 50 Hz).

Anguita et al. 2013, "A Public Domain Dataset for Human Activity Recognition Using
Smartphones".
"""

from pathlib import Path

import numpy as np

from tfnets.arrays import finite, line_of, whole
from tfnets.errors import InputError
from tfnets.har.windows import AS_IT_IS, Cutting, Windows, refuse_cutting

CLASSES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
SIGNALS = tuple(
    f"{signal}_{axis}" for signal in ("total_acc", "body_acc", "body_gyro") for axis in "xyz"
)
_FOLDER = "Inertial Signals"


def find(folder: Path) -> Path | None:
    """The folder if it has ``train`` and ``test``, else None."""
    return folder if (folder / "train" / _FOLDER).is_dir() else None


def read(root: Path, cutting: Cutting = AS_IT_IS) -> Windows:
    """Windows ``(n, 128, 9)``: acceleration, without gravity, and turning, three axes each.

    Raises:
        InputError: For a file that is missing or holds anything but the numbers it should.
    """
    refuse_cutting(cutting, str(root))
    x, y, test = [], [], []
    subjects: list[str] = []
    for split in ("train", "test"):
        path = root / split / f"y_{split}.txt"
        labels = whole(_numbers(path, columns=1)[:, 0], line_of(path), 1, len(CLASSES))
        files = [root / split / _FOLDER / f"{name}_{split}.txt" for name in SIGNALS]
        signals = [finite(_numbers(file, rows=len(labels)), line_of(file)) for file in files]
        path = root / split / f"subject_{split}.txt"
        who = _numbers(path, rows=len(labels), columns=1)[:, 0]
        who = whole(who, line_of(path), 0, 2**31 - 1, "subject's number")
        x.append(np.stack(signals, axis=-1))
        y.append(labels - 1)
        subjects += map(str, who.tolist())
        test += [split == "test"] * len(labels)
    numbers = np.concatenate(y)
    there = np.unique(numbers)  # not all have to be there
    return Windows(
        name="UCI HAR",
        source=str(root.resolve()),
        classes=tuple(CLASSES[label] for label in there),
        x=np.concatenate(x),
        y=np.searchsorted(there, numbers).astype(np.int32),
        subjects=np.array(subjects),
        test=np.array(test),
    )


def _numbers(path: Path, rows: int | None = None, columns: int = 128) -> np.ndarray:
    try:
        with path.open() as file:  # NumPy's own errors do not say why
            values = np.loadtxt(file, ndmin=2)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise InputError(f"{path} holds something other than rows of numbers: {error}.") from None
    if values.shape[1] != columns or (rows is not None and len(values) != rows):
        need = f"{rows if rows is not None else 'any number of'} rows of {columns}"
        raise InputError(f"{path} has {len(values)} rows of {values.shape[1]}; expected {need}.")
    return values
