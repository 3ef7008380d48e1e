"""Arrays from outside: read without unpickling, checked, and given the dtypes that we compute in.

What is wrong is named by its place in the file, so it is looked for before samples are shuffled
or held out. A place is a function from the number of a row to words: ``"x_train[7]"``,
``"y_train.txt, line 8"``.
"""

import contextlib
import itertools
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from tfnets.errors import InputError, first_line

Place = Callable[[int], str]

# Arrays from so many bytes must be in their file, compressed to this part at best: labels can
# be, measurements never are.
_LARGE, _COMPRESSED = 2**28, 200

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Declared:
    """What a file says of an array before it is read.

    Attributes:
        shape: Its shape.
        dtype: Its dtype.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def check_size(self, name: str, stored: int) -> None:
        """Refuses an array that would take far more memory than its file explains, or there is.

        Args:
            name: What it is called.
            stored: Bytes that the file has of it.

        Raises:
            InputError: If so.
        """
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > _LARGE and size > _COMPRESSED * stored:
            raise InputError(
                f"{name} declares {_bytes(size)}, shape {self.shape}, of which the file holds "
                f"{_bytes(stored)}; expected an array that is there."
            )
        free = psutil.virtual_memory().available
        if size > _LARGE and size > free:
            raise InputError(
                f"{name} is {_bytes(size)} large, shape {self.shape}; expected at most the memory "
                f"that is free, {_bytes(free)}."
            )


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def declared_npz(path: Path) -> dict[str, Declared]:
    """What an .npz file says of its arrays, by name, in the file's order.

    Nothing but their headers is read.

    Raises:
        InputError: For an array that is larger than its part of the file explains.
        Exception: Of any kind, for what zipfile and NumPy make of a damaged file.
    """
    found = {}
    with path.open("rb") as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise ValueError("it holds a single array")
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.filename.endswith(".npy"):
                continue
            name = entry.filename.removesuffix(".npy")
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                if version not in _HEADERS:
                    raise ValueError(f"{name} is of version {version} of the format")
                shape, _, dtype = _HEADERS[version](file)
                data = entry.file_size - file.tell()
            if dtype.hasobject:
                raise ValueError(f"{name} holds Python objects, which are never unpickled")
            found[name] = Declared(shape, dtype)
            size = math.prod(shape) * dtype.itemsize
            if size != data:
                raise ValueError(
                    f"{name} declares shape {shape}, {size} bytes, and {data} bytes are there"
                )
            found[name].check_size(f"{path}: {name}", entry.compress_size)
    return found


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name, in the file's order.

    Raises:
        InputError: For an array that is larger than its part of the file explains.
        Exception: Of any kind, for what NumPy and zlib make of a damaged file.
    """
    return load_npz(path, declared_npz(path))


def load_npz(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Arrays of an .npz file whose :func:`declared_npz` is known to be good, by their names.

    Raises:
        Exception: Of any kind, for what NumPy and zlib make of a damaged file.
    """
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names}


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """A block that reads a file; whatever readers make of a damaged one becomes one line.

    Args:
        what: What the file then is not: ``"x.h5 is not a readable HDF5 file"``.

    Raises:
        InputError: For any exception of the block; its own are left as they are.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what}: {first_line(error)}.") from None


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
