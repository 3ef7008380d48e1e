"""UCI HAR: smartphone recordings in windows of 128 steps (2.56 s at 50 Hz).

Anguita et al. 2013, "A Public Domain Dataset for Human Activity Recognition Using
Smartphones".
"""

from pathlib import Path

import numpy as np

from tfnets.errors import InputError
from tfnets.har.windows import Windows

CLASSES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
SIGNALS = tuple(
    f"{signal}_{axis}" for signal in ("total_acc", "body_acc", "body_gyro") for axis in "xyz"
)
_FOLDER = "Inertial Signals"


def find(folder: Path) -> Path | None:
    """The folder with ``train`` and ``test``: this one, or the one that the archive makes."""
    for root in (folder, folder / "UCI HAR Dataset"):
        if (root / "train" / _FOLDER).is_dir():
            return root
    return None


def read(root: Path) -> Windows:
    """Windows ``(n, 128, 9)``: acceleration, without gravity, and turning, three axes each.

    Raises:
        InputError: For a file that is missing or holds anything but the numbers it should.
    """
    x, y, subjects, test = [], [], [], []
    for split in ("train", "test"):
        labels = _numbers(root / split / f"y_{split}.txt", columns=1)[:, 0]
        if not np.isin(labels, range(1, 7)).all():
            wrong = labels[~np.isin(labels, range(1, 7))][0]
            raise InputError(
                f"{root / split / f'y_{split}.txt'} has the label {wrong:g}; 1 to 6 are needed."
            )
        signals = [
            _numbers(root / split / _FOLDER / f"{name}_{split}.txt", rows=len(labels))
            for name in SIGNALS
        ]
        who = _numbers(root / split / f"subject_{split}.txt", rows=len(labels), columns=1)
        x.append(np.stack(signals, axis=-1).astype(np.float32))
        y.append(labels.astype(np.int32) - 1)
        subjects += [f"{number:g}" for number in who[:, 0]]
        test += [split == "test"] * len(labels)
    return Windows(
        name="UCI HAR",
        source=str(root.resolve()),
        classes=CLASSES,
        x=np.concatenate(x),
        y=np.concatenate(y),
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
        raise InputError(f"{path} has {len(values)} rows of {values.shape[1]}; {need} are needed.")
    return values
