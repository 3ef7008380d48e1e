"""A manifest: a CSV or Parquet table that says which recording holds which word."""

import math
from pathlib import Path

import pandas as pd

from tfnets import frames
from tfnets.errors import InputError, first_line
from tfnets.speech.clips import Clip, Listing, nfc
from tfnets.speech.folder import split_name

SUFFIXES = (".csv", ".tsv", ".parquet")
_NEEDED, _OPTIONAL = ("path", "word"), ("speaker", "split", "start", "end")


def list_manifest(path: Path) -> Listing:
    """The clips that a table names, one a row.

    Args:
        path: A ``.csv`` (commas, semicolons or tabs) or ``.parquet`` file with the columns
            ``path`` (absolute or beside the table) and ``word``, and, if you have them,
            ``speaker``, ``split`` (train, val, test), ``start`` and ``end`` (seconds).

    Raises:
        InputError: For a file that cannot be read, a column that is missing, a row without a word,
            a split that is none, times that are no times, or where no recording is there.
    """
    table = _read(path)
    table.columns = [str(column).strip().lower() for column in table.columns]
    for column in _NEEDED:
        if column not in table.columns:
            raise InputError(
                f"{path} has no column {column!r}; it needs path and word, and has: "
                f"{', '.join(table.columns)}."
            )
    columns = {
        name: table[name].tolist() if name in table.columns else [None] * len(table)
        for name in (*_NEEDED, *_OPTIONAL)
    }
    clips, missing, first = [], 0, ""
    root = path.resolve().parent
    for row, (name, word, speaker, split, start, end) in enumerate(
        zip(*columns.values(), strict=True), 2
    ):
        where = f"{path}, row {row}"
        if _empty(name) or _empty(word):
            raise InputError(f"{where}: {'path' if _empty(name) else 'word'} is empty.")
        file = Path(str(name).strip().replace("\\", "/"))
        if not (root / file).is_file():
            missing, first = missing + 1, first or str(root / file)
            continue
        into = None if _empty(split) else split_name(str(split))
        if not _empty(split) and into is None:
            raise InputError(f"{where}: {split!r} is no split; expected train, val or test.")
        begin, stop = _seconds(start, where, "start"), _seconds(end, where, "end")
        if stop is not None and stop <= (begin or 0):
            raise InputError(f"{where}: end {stop:g} is not after start {begin or 0:g}.")
        clips.append(
            Clip(
                file.as_posix(),
                nfc(_text(word)),
                None if _empty(speaker) else nfc(_text(speaker)),
                into,
                begin or 0.0,
                stop,
            )
        )
    if not clips:
        what = (
            f"none of its {missing} recordings is there, {first}" if missing else "it has no rows"
        )
        raise InputError(f"{path}: {what}.")
    _refuse_partly(path, clips)
    kind = "as the manifest says" if clips[0].split else ""
    remarks = (f"{missing:,} recordings of the manifest are missing, {first}",) if missing else ()
    return Listing(root, tuple(clips), kind, remarks)


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"manifest {str(path)!r} {what}; expected a .csv or .parquet file.")
    try:
        return frames.read(path)
    except Exception as error:  # pandas, pyarrow and Python's csv have their own
        raise InputError(f"{path} is not a readable table: {first_line(error)}.") from None


def _refuse_partly(path: Path, clips: list[Clip]) -> None:
    for what in ("speaker", "split"):
        given = [getattr(clip, what) is not None for clip in clips]
        if any(given) and not all(given):
            clip = clips[given.index(False)]
            raise InputError(
                f"{path}: {clip.name} has no {what}, as others do; all must, or none."
            )


def _empty(value: object) -> bool:
    return value is None or value != value or not str(value).strip()


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of numbers with gaps
    return str(value).strip()


def _seconds(value: object, where: str, what: str) -> float | None:
    if _empty(value):
        return None
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InputError(f"{where}: {what} is {value!r}; expected seconds, 0 or more.")
    return seconds
