"""MotionSense: smartphones in trouser pockets, 24 people, 50 Hz (Malekzadeh et al. 2019)."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from tfnets.arrays import finite, line_of
from tfnets.errors import InputError, first_line
from tfnets.har.windows import AS_IT_IS, Cutting, Windows, join

CLASSES = ("downstairs", "jogging", "sitting", "standing", "upstairs", "walking")
_CODES = dict(zip(("dws", "jog", "sit", "std", "ups", "wlk"), CLASSES, strict=True))
_COLUMNS = tuple(f"{kind}.{axis}" for kind in ("gravity", "userAcceleration") for axis in "xyz")


def find(folder: Path) -> Path | None:
    """The folder if it has ``dws_1`` or another of the activities, else None."""
    if any(path for code in _CODES for path in folder.glob(f"{code}_*/sub_*.csv")):
        return folder
    return None


def read(root: Path, cutting: Cutting = AS_IT_IS) -> Windows:
    """Windows of the total acceleration, gravity and the user's, three axes in g.

    Raises:
        InputError: For a file that cannot be read, or lacks a column.
    """
    recordings = []
    for folder in sorted(root.iterdir()):
        code = re.fullmatch(r"([a-z]{3})_\d+", folder.name)
        if not code or code[1] not in _CODES:
            continue
        for path in sorted(folder.glob("sub_*.csv")):
            label = CLASSES.index(_CODES[code[1]])
            recordings.append((_acceleration(path), label, path.stem.removeprefix("sub_")))
    labels = sorted({label for _, label, _ in recordings})  # not all have to be there
    return join(
        ((series, labels.index(label), who) for series, label, who in recordings),
        cutting,
        50.0,
        name="MotionSense",
        source=str(root.resolve()),
        classes=tuple(CLASSES[label] for label in labels),
    )


def _acceleration(path: Path) -> np.ndarray:
    try:
        # As text, for pandas' own numbers can be wrong in the last bit.
        table = pd.read_csv(
            path,
            usecols=lambda name: name in _COLUMNS,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:  # empty, not UTF-8, rows of different lengths
        raise InputError(f"{path} is not a table: {first_line(error)}.") from None
    for name in _COLUMNS:
        if name not in table:
            raise InputError(f"{path} has no column {name!r}.")
    try:
        values = table[list(_COLUMNS)].to_numpy(str).astype(np.float64)
    except ValueError as error:
        raise InputError(f"{path} holds something other than numbers: {error}.") from None
    finite(values, line_of(path, header=1))
    return values[:, :3] + values[:, 3:]
