"""The course's HDF5 file: ``trX``, ``trY``, ``tstX``, ``tstY``."""

from pathlib import Path

import h5py
import numpy as np

from tfnets.arrays import finite, from_one_hot, row_of
from tfnets.errors import InputError, first_line
from tfnets.har.windows import Windows

CLASSES = ("downstairs", "jogging", "sitting", "standing", "upstairs", "walking")


def read(path: Path) -> Windows:
    """Sequences ``(n, time, 3)`` with one-hot labels ``(n, 6)``, training and test.

    Raises:
        InputError: For a file that cannot be read, or has other arrays.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: np.asarray(file[name]) for name in file if name in _NAMES}
    except OSError as error:
        raise InputError(f"{path} is not a readable HDF5 file: {first_line(error)}.") from None
    missing = [name for name in _NAMES if name not in arrays]
    if missing:
        raise InputError(f"{path} has no array {missing[0]!r}; it needs {', '.join(_NAMES)}.")
    for name in ("trX", "tstX"):
        x = arrays[name]
        if x.ndim != 3 or x.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: {name} has shape {x.shape} and dtype {x.dtype}; expected "
                "numbers of shape (n, time, channels)."
            )
    for name in ("trY", "tstY"):
        y = arrays[name]
        if y.ndim != 2 or y.shape[1] != len(CLASSES) or y.dtype.kind not in "fiub":
            raise InputError(
                f"{path}: {name} has shape {y.shape} and dtype {y.dtype}; expected "
                f"one-hot rows (n, {len(CLASSES)})."
            )
    if arrays["trX"].shape[1:] != arrays["tstX"].shape[1:]:
        raise InputError(
            f"{path}: trX has sequences of {arrays['trX'].shape[1:]}, tstX of "
            f"{arrays['tstX'].shape[1:]}; they must be the same."
        )
    for of_x, of_y in (("trX", "trY"), ("tstX", "tstY")):
        if len(arrays[of_x]) != len(arrays[of_y]):
            raise InputError(
                f"{path}: {len(arrays[of_x])} sequences in {of_x} but {len(arrays[of_y])} labels "
                f"in {of_y}."
            )
    return Windows(
        name=path.stem,
        source=str(path.resolve()),
        classes=CLASSES,
        x=np.concatenate([finite(arrays[x], row_of(f"{path}: {x}")) for x in ("trX", "tstX")]),
        y=np.concatenate(
            [from_one_hot(arrays[y], row_of(f"{path}: {y}")) for y in ("trY", "tstY")]
        ),
        test=np.repeat([False, True], [len(arrays["trX"]), len(arrays["tstX"])]),
    )


_NAMES = ("trX", "trY", "tstX", "tstY")
