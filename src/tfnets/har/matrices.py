"""Windows of own recordings in one .npz file: ``x``, ``y`` and who is who."""

from pathlib import Path

from tfnets.arrays import declared_npz, finite, load_npz, readable, row_of
from tfnets.errors import InputError
from tfnets.har.windows import Windows
from tfnets.npz import check_labels, check_samples, numbered, texts, unread

_NAMES = ("x", "y", "subjects", "classes")


def has_one_table(path: Path) -> bool:
    """Whether a file has ``x`` and ``y`` rather than training and test data apart."""
    if not path.is_file():
        return False
    with readable(f"{path} is not a readable .npz file of plain arrays"):
        there = declared_npz(path)
    return {"x", "y"} <= set(there) and "x_train" not in there


def read(path: Path) -> Windows:
    """The windows of a file, never unpickled.

    Args:
        path: With ``x`` ``(n, time, channels)``, ``y`` (class numbers, one-hot rows or names),
            ``subjects`` (names or numbers) and, if you have them, ``classes``.

    Raises:
        InputError: For a file that cannot be read, or arrays of another kind.
    """
    with readable(f"{path} is not a readable .npz file of plain arrays"):
        there = declared_npz(path)
        check_samples(path, "x", there["x"])
        check_labels(path, "y", there["y"])
        subjects = there.get("subjects")
        lengths = {name: there[name].shape[0] for name in ("x", "y", "subjects") if name in there}
        if len(set(lengths.values())) > 1 or (subjects is not None and subjects.ndim != 1):
            shapes = ", ".join(f"{name} {there[name].shape}" for name in lengths)
            raise InputError(f"{path}: the arrays do not fit together: {shapes}.")
        arrays = load_npz(path, [name for name in there if name in _NAMES])
    labels, classes = numbered({"y": arrays["y"]}, arrays.get("classes"), path)
    return Windows(
        name=path.stem,
        source=str(path.resolve()),
        classes=classes,
        x=finite(arrays["x"], row_of(f"{path}: x")),
        y=labels["y"],
        subjects=texts(arrays["subjects"]) if "subjects" in arrays else None,
        remarks=unread(there, _NAMES),
    )
