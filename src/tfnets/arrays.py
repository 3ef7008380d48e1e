"""Arrays from .npz files, never unpickled."""

from pathlib import Path

import numpy as np


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, in the file's order.

    Raises:
        Exception: Of any kind, for what NumPy and zlib make of a damaged file.
    """
    # Opened by us: NumPy leaves the file open when it turns out not to be an archive.
    with path.open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("it holds a single array")
        return {key: arrays[key] for key in arrays.files}
