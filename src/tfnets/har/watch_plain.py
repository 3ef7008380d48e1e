"""Writes the built-in recordings as plain arrays: ``python watch_plain.py SOURCE TARGET``.

Their file is a pickle, which could hold any code. So it is opened here, in a process of its own
that ends with it, and only if it is the one we know; who trains reads what this leaves.
"""

import hashlib
import io
import sys
from pathlib import Path

import numpy as np

SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"


def main(source: Path, target: Path) -> None:
    """Writes ``acceleration`` ``(steps, 3)`` and, for each series, length, exercise, subject."""
    content = source.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        sys.exit(f"{source} has the SHA-256 {found}, not {SHA256}")
    data = np.load(io.BytesIO(content), allow_pickle=True).item()
    np.savez(
        target,
        acceleration=np.concatenate([series[:, :3] for series in data["X"]]),
        length=np.array([len(series) for series in data["X"]]),
        exercise=np.array([data["y_labels"][code] for code in data["y"]]),
        subject=np.asarray(data["subject"]),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
