"""The built-in recordings: shoulder exercises, recorded by a smartwatch.

140 series of 6-axis inertial data at 50 Hz: 10 people, 7 exercises, 2 arms (Burns et al.
2018, arXiv:1802.01489). The wheel ``seglearn`` (BSD) carries them; the extra ``builtin``
installs it.
"""

import hashlib
import importlib.util
import io
from pathlib import Path

import numpy as np

from tfnets.errors import InputError
from tfnets.har.windows import Windows, join

SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"

# The exercises but the smallest class, pendulum (PEN).
CLASSES = ("ABD", "FEL", "IR", "ER", "TRAP", "ROW")


def read() -> Windows:
    """Windows of the accelerometer's three axes, in g.

    Raises:
        InputError: If the wheel is not installed, or its file is not the one we know.
    """
    path = _path()
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise InputError(
            f"{path} has the SHA-256 {found}, not {SHA256}, and is not opened; install "
            "seglearn==1.2.5."
        )
    # The file is a pickle, which could hold any code: this one is known by its checksum.
    data = np.load(io.BytesIO(content), allow_pickle=True).item()
    number = {
        code: CLASSES.index(label)
        for code, label in enumerate(data["y_labels"])
        if label in CLASSES
    }
    recordings = (
        (series[:, :3], number[label], str(subject))
        for series, label, subject in zip(data["X"], data["y"], data["subject"], strict=True)
        if label in number
    )
    return join(
        recordings, name="built-in smartwatch exercises", source=str(path), classes=CLASSES
    )


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
