"""Arrays from outside: read without unpickling, checked, and given the dtypes that we compute in.

What is wrong is named by its place in the file, so it is looked for before samples are shuffled
or held out. A place is a function from the number of a row to words: ``"x_train[7]"``,
``"y_train.txt, line 8"``.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfnets.errors import InputError

Place = Callable[[int], str]


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


def row_of(name: str) -> Place:
    """Places in an array: ``"data.npz: x_train[7]"``."""
    return lambda row: f"{name}[{row}]"


def line_of(path: Path, header: int = 0) -> Place:
    """Places in a text file of which each line is a row, but for the header's and empty ones."""

    def place(row: int) -> str:
        with path.open(errors="replace") as file:
            filled = (
                number
                for number, line in enumerate(file, 1)
                if number > header and line.partition("#")[0].strip()  # as NumPy reads it
            )
            return f"{path}, line {next(itertools.islice(filled, int(row), None))}"

    return place


def finite(x: np.ndarray, place: Place) -> np.ndarray:
    """Samples ``(n, ...)`` of real numbers as float32.

    Raises:
        InputError: For NaN, infinity, what float32 cannot hold, and what NaN becomes when it
            is cast to int64.
    """
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is reported
        values = np.ascontiguousarray(x, np.float32)
    good = np.isfinite(values)
    if x.dtype == np.int64:
        good &= x != np.iinfo(np.int64).min
    if not good.all():
        bad = np.flatnonzero(~good.reshape(len(x), -1).all(axis=1))
        within = tuple(np.argwhere(~good[bad[0]])[0].tolist())
        at = f" at {list(within)}" if within else ""
        raise InputError(
            f"{place(bad[0])} holds {x[bad[0]][within]}{at}; all values must be finite, also as "
            f"float32 (rows with others: {len(bad)})."
        )
    return values


def whole(
    y: np.ndarray, place: Place, least: int, most: int, what: str = "class number"
) -> np.ndarray:
    """Real numbers ``(n,)`` that are whole and within limits, as int32.

    Raises:
        InputError: For any other: NaN, also as it is after a cast to an integer, fractions,
            numbers below ``least`` or above ``most``.
    """
    good = (y >= least) & (y <= most) & (y == np.floor(y))  # of NaN none is true
    if not good.all():
        bad = np.flatnonzero(~good)
        cast = y.dtype.kind == "i" and y[bad[0]] in (-(2**31), -(2**63))
        words = ", what NaN becomes as an integer" if cast else ""
        raise InputError(
            f"{place(bad[0])} is {y[bad[0]]}{words}; expected a {what} from {least} to {most} "
            f"(rows with others: {len(bad)})."
        )
    return y.astype(np.int32)


def from_one_hot(y: np.ndarray, place: Place) -> np.ndarray:
    """The class numbers ``(n,)`` int32 of one-hot rows ``(n, classes)``.

    Raises:
        InputError: For a row that has not one 1 and else 0, NaN for example.
    """
    known = np.isin(y, (0, 1))
    good = known.all(axis=1) & (y.sum(axis=1) == 1)
    if not good.all():
        bad = np.flatnonzero(~good)
        row = y[bad[0]]
        wrong = row[~known[bad[0]]]
        holds = f"it holds {wrong[0]}" if len(wrong) else f"its sum is {row.sum():g}"
        raise InputError(
            f"{place(bad[0])} is not a one-hot row: {holds}; expected one 1 and else 0 "
            f"(rows with others: {len(bad)})."
        )
    return y.argmax(axis=1).astype(np.int32)
