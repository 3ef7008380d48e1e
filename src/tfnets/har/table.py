"""Own recordings: a CSV or Parquet table with a row for each moment."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from tfnets import frames
from tfnets.errors import InputError, first_line
from tfnets.har.windows import AS_IT_IS, Cutting, Windows, join, jumps, parted

SUFFIXES = (".csv", ".tsv", ".parquet")
# Rates that differ by more than so much are said to.
_ALIKE = 1.25
# Steps that tell a recording's rate.
_ENOUGH = 10
_NAMES = {
    "activity": ("activity", "label", "class", "y"),
    "subject": ("subject", "user", "person", "participant", "id"),
    "time": ("time", "timestamp", "t", "seconds"),
}
# Least step, and how many of these units a second has: people are measured 4 to 1,000 times a
# second, so the units lie far apart.
_UNITS = ((5e5, 1e9), (5e2, 1e6), (0.5, 1e3))


def read(path: Path, cutting: Cutting = AS_IT_IS) -> Windows:
    """Windows of recordings in a table.

    A recording goes on as long as subject and activity stay the same and, where there is a time,
    it neither goes back nor jumps. Rows that are nothing but zeros, the time as well, are dropped
    and counted.

    Args:
        path: A ``.csv`` (commas, semicolons or tabs) or ``.parquet`` file with the columns
            ``activity``, ``subject`` (or user), ``x``, ``y``, ``z`` and, if you have it, ``time``:
            seconds, or milliseconds, microseconds or nanoseconds, told apart by their steps.
            Without x, y and z all other columns are channels, in their order.
        cutting: How recordings become windows.

    Raises:
        InputError: For a file that cannot be read, a column that is missing, or what is no number.
    """
    table = _read(path)
    table.columns = [str(column).strip().lower() for column in table.columns]
    found = {
        what: next((name for name in names if name in table.columns), None)
        for what, names in _NAMES.items()
    }
    if found["activity"] == "y" and {"x", "z"} <= set(table.columns):
        found["activity"] = None
    if found["activity"] is None:
        raise InputError(
            f"{path} has no column 'activity'; it needs activity, subject and x, y, z, and has: "
            f"{', '.join(table.columns)}."
        )
    channels = [name for name in table.columns if name not in found.values()]
    if {"x", "y", "z"} <= set(channels):
        channels = ["x", "y", "z"]
    if not channels:
        raise InputError(
            f"{path} has no column of measurements beside {', '.join(table.columns)}."
        )
    series = np.stack([_numbers(table, name, path) for name in channels], axis=1)
    time = None if found["time"] is None else _numbers(table, found["time"], path)
    dead = (
        (series == 0).all(axis=1) & (time == 0) if time is not None else np.zeros(len(table), bool)
    )
    activity = table[found["activity"]].astype(str).str.strip().to_numpy()
    empty = np.flatnonzero((activity == "") & ~dead)
    if len(empty):
        raise InputError(f"{path}, row {empty[0] + 2}: the activity is empty.")
    who = found["subject"] and table[found["subject"]].astype(str).str.strip().to_numpy()
    kept = np.flatnonzero(~dead)
    if not len(kept):
        raise InputError(f"{path} has no rows of measurements.")
    series, activity = series[kept], activity[kept]
    time = None if time is None else time[kept]
    who = who[kept] if who is not None else np.full(len(kept), "")
    starts = (activity[1:] != activity[:-1]) | (who[1:] != who[:-1])
    rate = None
    remarks = [f"{dead.sum():,} dead rows of {len(dead):,} dropped"] if dead.any() else []
    if time is not None:
        steps = np.diff(time)
        usual = float(np.median(steps[~starts])) if (~starts).any() else 0.0
        if not usual > 0:
            raise InputError(
                f"{path}: the time must increase from row to row; its median step is {usual:g}."
            )
        of_each = _usual(steps, starts, usual)
        rate = 1 / (usual / _unit(usual))
        jumped = jumps(steps, of_each) & ~starts
        rates = sorted(round(_unit(usual) / each, 2) for each in set(of_each[~starts]))
        if rates and rates[-1] > _ALIKE * rates[0]:
            if cutting.rate is not None:
                raise InputError(
                    f"{path}: recordings have rates from {rates[0]:g} to {rates[-1]:g} Hz; "
                    "convert them to one before."
                )
            remarks.append(f"recordings have rates from {rates[0]:g} to {rates[-1]:g} Hz")
        remarks += parted(jumped.sum())
        starts |= jumped
    edges = [0, *(np.flatnonzero(starts) + 1), len(kept)]
    classes = tuple(sorted(set(activity.tolist())))
    recordings = (
        (series[a:b], classes.index(activity[a]), str(who[a])) for a, b in pairwise(edges)
    )
    if rate is not None and cutting.rate is None:
        remarks.append(f"{round(rate, 2):g} Hz")
    return join(
        recordings,
        cutting,
        rate,
        name=path.stem,
        source=str(path.resolve()),
        classes=classes,
        named=found["subject"] is not None,
        remarks=tuple(remarks),
    )


def _usual(steps: np.ndarray, starts: np.ndarray, usual: float) -> np.ndarray:
    """For each step the usual one of its recording, by which a gap is known; ``(n,)``.

    Of a recording that is too short to tell, or whose clock stands, that of all.
    """
    result = np.full(len(steps), usual)
    edges = [0, *(np.flatnonzero(starts) + 1), len(steps)]
    for a, b in pairwise(edges):
        own = steps[a:b][~starts[a:b]]
        median = float(np.median(own)) if len(own) >= _ENOUGH else 0.0
        if median > 0:
            result[a:b] = median
    return result


def _unit(step: float) -> float:
    """How many of the time's units a second has, by the step of two rows."""
    return next((a_second for least, a_second in _UNITS if step >= least), 1.0)


def _read(path: Path) -> pd.DataFrame:
    try:
        return frames.read(path)
    except OSError as error:
        if error.errno is None:  # pyarrow's own
            raise InputError(f"{path} is not a table: {first_line(error)}.") from None
        raise
    except Exception as error:  # pandas and pyarrow have their own
        raise InputError(f"{path} is not a table: {first_line(error)}.") from None


def _numbers(table: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    column = table[name]
    try:
        values = column.to_numpy(str).astype(np.float64)
    except ValueError:
        numbers = pd.to_numeric(column, errors="coerce")
        row = int(np.flatnonzero(numbers.isna())[0])
        raise InputError(
            f"{path}, row {row + 2}: {name} is {column.iloc[row]!r}; expected a number."
        ) from None
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"{path}, row {bad[0] + 2}: {name} is {values[bad[0]]}; expected a finite number."
        )
    return values
