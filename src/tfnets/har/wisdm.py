"""WISDM v1.1 and v2.0: smartphones in trouser pockets, 20 Hz (Kwapisz et al. 2011)."""

from itertools import groupby
from pathlib import Path

import numpy as np

from tfnets.errors import InputError
from tfnets.har.windows import AS_IT_IS, Cutting, Windows, join, jumps, parted

ACTIVITIES = {
    "downstairs": "downstairs",
    "jogging": "jogging",
    "lyingdown": "lying down",  # v2.0
    "sitting": "sitting",
    "stairs": "stairs",  # v2.0
    "standing": "standing",
    "upstairs": "upstairs",
    "walking": "walking",
}
_RATE = 20.0
_DEAD = ()


def find(folder: Path) -> Path | None:
    """The raw records in a folder, those of v1.1 before others; None if there are none."""
    return min((path for path in folder.glob("WISDM_a*_raw.txt") if path.is_file()), default=None)


def read(path: Path, cutting: Cutting = AS_IT_IS) -> Windows:
    """Windows of acceleration, three axes; 150 steps are 7.5 s.

    A recording goes on as long as user and activity stay the same and the time stamps have no
    gap: none goes back, or jumps by more than five of the recording's usual steps. Entries that
    are not ``user,activity,timestamp,x,y,z`` are skipped and counted; so are dead ones, whose
    time stamp and values are all 0.

    Raises:
        InputError: For a file that cannot be read or has no such entries.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    entries: list[tuple] = []
    skipped = dead = 0
    for entry in text.replace(";", "\n").splitlines():
        entry = entry.strip().rstrip(",")
        if not entry:
            continue
        parsed = _parse(entry)
        if parsed == _DEAD:
            dead += 1
        elif parsed:
            entries.append(parsed)
        else:
            skipped += 1
    if not entries:
        raise InputError(
            f"{path} has no entries user,activity,timestamp,x,y,z; as WISDM_ar_v1.1_raw.txt it "
            "should."
        )
    classes = tuple(sorted({ACTIVITIES[entry[1]] for entry in entries}))
    recordings = []
    gaps = 0
    for (user, activity), group in groupby(entries, key=lambda entry: entry[:2]):
        found = list(group)
        series = np.array([entry[2] for entry in found])
        edges = _gaps(np.array([entry[3] for entry in found]))
        gaps += len(edges)
        label = classes.index(ACTIVITIES[activity])
        recordings += [(part, label, user) for part in np.split(series, edges)]
    every = f"of {skipped + dead + len(entries):,}"
    remarks = [f"{skipped:,} malformed entries {every} skipped"] if skipped else []
    if dead:
        remarks.append(f"{dead:,} dead entries {every} (time stamp and values 0) dropped")
    remarks += parted(gaps)
    newer = {"stairs", "lying down"} & set(classes)
    return join(
        recordings,
        cutting,
        _RATE,
        name="WISDM v2.0" if newer else "WISDM v1.1",
        source=str(path.resolve()),
        classes=classes,
        remarks=tuple(remarks),
    )


def _parse(entry: str) -> tuple | None:
    fields = [field.strip() for field in entry.split(",")]
    if len(fields) != 6 or fields[1].lower() not in ACTIVITIES:
        return None
    try:
        x, y, z = map(float, fields[3:])
    except ValueError:
        return None
    if not np.isfinite((x, y, z)).all():
        return None
    if x == y == z == 0 and not fields[2].strip("0."):
        return _DEAD
    return fields[0], fields[1].lower(), (x, y, z), _time(fields[2])


def _time(field: str) -> float:
    try:
        return float(field)
    except ValueError:
        return float("nan")


def _gaps(time: np.ndarray) -> np.ndarray:
    """Where the rows of one recording are parted; nowhere if its times do not go on."""
    steps = np.diff(time)
    known = steps[np.isfinite(steps)]
    usual = np.median(known) if len(known) else 0.0
    return np.flatnonzero(jumps(steps, usual)) + 1 if usual > 0 else np.array([], int)
