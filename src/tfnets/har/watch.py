"""The built-in recordings: shoulder exercises, recorded by a smartwatch.

140 series of 6-axis inertial data at 50 Hz: 10 people, 7 exercises, 2 arms (Burns et al.
2018, arXiv:1802.01489), of which six exercises are used. The wheel ``seglearn`` (BSD) carries
them; the extra ``builtin`` installs it.
"""

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tfnets import cache
from tfnets.arrays import read_npz
from tfnets.errors import InputError, first_line
from tfnets.har import watch_plain
from tfnets.har.windows import AS_IT_IS, Cutting, Windows, join

# The exercises but the smallest class, pendulum (PEN): the course's data have six, too.
CLASSES = ("ABD", "FEL", "IR", "ER", "TRAP", "ROW")
LEFT_OUT = "PEN"

_ARRAYS_SHA256 = "3f35c97b6c16859a6c6da4d7ef59ede8903f79df46a1d36b2b1972558592e287"
_FILE = "recordings.npz"


def read(cutting: Cutting = AS_IT_IS) -> Windows:
    """Windows of the accelerometer's three axes, in g, of six of the seven exercises.

    The smallest class, pendulum (PEN), is left out.

    Nothing is unpickled here: a process of its own has written the recordings as plain arrays
    into the cache (:mod:`tfnets.har.watch_plain`), once, and what is read there is compared
    with the digest that we know.

    Raises:
        InputError: If the wheel is not installed, its file is not the one we know, or the copy
            in the cache is damaged.
    """
    path = _path()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != watch_plain.SHA256:
        raise InputError(
            f"{path} has the SHA-256 {found}, not {watch_plain.SHA256}, and is not opened; "
            "install seglearn==1.2.5."
        )
    arrays = _arrays(path)
    exercise, subject = arrays["exercise"].tolist(), arrays["subject"].tolist()
    series = np.split(arrays["acceleration"], np.cumsum(arrays["length"])[:-1])
    recordings = (
        (each, CLASSES.index(label), str(who))
        for each, label, who in zip(series, exercise, subject, strict=True)
        if label != LEFT_OUT
    )
    return join(
        recordings,
        cutting,
        50.0,
        name="built-in smartwatch exercises",
        source=str(path),
        classes=CLASSES,
        remarks=(
            f"without the pendulum exercise ({LEFT_OUT}; {exercise.count(LEFT_OUT)} of "
            f"{len(exercise)} recordings)",
        ),
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The plain arrays, from the cache; where that cannot be written, made for this once."""

    def fill(folder: Path) -> None:
        _run(path, folder / _FILE)

    try:
        return _verified(cache.folder(f"har/watch-{watch_plain.SHA256[:16]}", fill) / _FILE)
    except cache.UnwritableError:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder))
            return _verified(Path(folder) / _FILE)


def _run(source: Path, target: Path) -> None:
    # By path, for "-m" would import the package around it, and TensorFlow with it.
    words = [sys.executable, "-P", watch_plain.__file__, str(source), str(target)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise InputError(
            f"{source} cannot be converted to plain arrays, which ended with code "
            f"{done.returncode}: {said[-1] if said else 'it said nothing'}."
        )


def _verified(path: Path) -> dict[str, np.ndarray]:
    try:
        arrays = read_npz(path)
        found = _digest(arrays)
    except Exception as error:  # what NumPy makes of a damaged file can be anything
        found = first_line(error)
    if found != _ARRAYS_SHA256:
        raise InputError(
            f"the cached recordings in {path.parent} are damaged ({found}); delete it."
        )
    return arrays


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _path() -> Path:
    # Found, not imported: importing it needs pandas, which it does not ask for.
    package = importlib.util.find_spec("seglearn")
    if package is None or package.origin is None:
        raise InputError(
            "data is 'builtin', which needs the wheel seglearn: pip install \"tfnets[builtin]\"."
        )
    path = Path(package.origin).parent / "data" / "watch_dataset.npy"
    if not path.is_file():
        raise InputError(f"{path} is missing; install seglearn==1.2.5.")
    return path
