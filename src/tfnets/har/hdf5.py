"""The course's HDF5 file: ``trX``, ``trY``, ``tstX``, ``tstY``."""

from pathlib import Path

import h5py
import numpy as np

from tfnets.arrays import Declared, finite, from_one_hot, readable, row_of
from tfnets.errors import InputError
from tfnets.har.windows import Windows

_NAMES = ("trX", "trY", "tstX", "tstY")
CLASSES = ("downstairs", "jogging", "sitting", "standing", "upstairs", "walking")


def read(path: Path) -> Windows:
    """Sequences ``(n, time, 3)`` with one-hot labels ``(n, 6)``, training and test.

    Raises:
        InputError: For a file that cannot be read, or has other arrays.
    """
    with (
        readable(f"{path} is not a readable HDF5 file"),
        h5py.File(path, "r") as file,
    ):
        found = {name: _dataset(path, file, name) for name in _NAMES}
        _check(path, {name: Declared(each.shape, each.dtype) for name, each in found.items()})
        arrays = {name: each[()] for name, each in found.items()}
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


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """One of a file's arrays, with all of its data in this file; nothing of it is read."""
    link = file.get(name, getlink=True)
    if link is None:
        raise InputError(f"{path} has no array {name!r}; it needs {', '.join(_NAMES)}.")
    if isinstance(link, h5py.ExternalLink):
        raise InputError(
            f"{path}: {name} is a link to {link.path} in {link.filename}; other files are not "
            "opened, so it must hold the array itself."
        )
    try:
        kind = file.get(name, getclass=True)
    except (KeyError, RuntimeError):
        if isinstance(link, h5py.SoftLink):
            raise InputError(
                f"{path}: {name} is a link to {link.path!r}, where nothing is; expected an array."
            ) from None
        raise
    if kind is not h5py.Dataset:
        raise InputError(f"{path}: {name} is a {kind.__name__.lower()}; expected an array.")
    found = file[name]
    if found.is_virtual or found.external:
        raise InputError(
            f"{path}: the values of {name} are in other files, which are not opened; it must hold "
            "them itself."
        )
    if found.shape is None:
        raise InputError(f"{path}: {name} is empty, without a shape; expected an array.")
    declared = Declared(found.shape, found.dtype)
    declared.check_size(f"{path}: {name}", found.id.get_storage_size())
    return found


def _check(path: Path, arrays: dict[str, Declared]) -> None:
    for name in ("trX", "tstX"):
        x = arrays[name]
        if x.ndim != 3 or 0 in x.shape or x.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: {name} has shape {x.shape} and dtype {x.dtype}; expected "
                "numbers of shape (n, time, channels), none of them 0."
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
