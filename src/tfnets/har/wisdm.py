"""WISDM v1.1: smartphones in trouser pockets, 36 people, 20 Hz (Kwapisz et al. 2011)."""

from itertools import groupby
from pathlib import Path

import numpy as np

from tfnets.errors import InputError
from tfnets.har.windows import Windows, join

CLASSES = ("downstairs", "jogging", "sitting", "standing", "upstairs", "walking")


def read(path: Path) -> Windows:
    """Windows of acceleration, three axes in m/s^2; 150 steps are 7.5 s.

    A recording goes on as long as user and activity stay the same. Entries that are not
    ``user,activity,timestamp,x,y,z`` are skipped and counted.

    Raises:
        InputError: For a file that cannot be read or has no such entries.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    entries, skipped = [], 0
    for entry in text.replace(";", "\n").splitlines():
        entry = entry.strip().rstrip(",")
        if not entry:
            continue
        parsed = _parse(entry)
        if parsed:
            entries.append(parsed)
        else:
            skipped += 1
    if not entries:
        raise InputError(
            f"{path} has no entries user,activity,timestamp,x,y,z; as WISDM_ar_v1.1_raw.txt it "
            "should."
        )
    recordings = (
        (np.array([entry[2] for entry in group]), label, user)
        for (user, label), group in groupby(entries, key=lambda entry: entry[:2])
    )
    remarks = (f"{skipped:,} malformed entries of {skipped + len(entries):,} skipped",)
    return join(
        recordings,
        name="WISDM v1.1",
        source=str(path.resolve()),
        classes=CLASSES,
        remarks=remarks if skipped else (),
    )


def _parse(entry: str) -> tuple[str, int, tuple[float, float, float]] | None:
    fields = entry.split(",")
    if len(fields) != 6 or fields[1].lower() not in CLASSES:
        return None
    try:
        x, y, z = map(float, fields[3:])
    except ValueError:
        return None
    if not np.isfinite((x, y, z)).all():
        return None
    return fields[0], CLASSES.index(fields[1].lower()), (x, y, z)
