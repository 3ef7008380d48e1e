"""Samples that are there twice: under another name, person or split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfnets.errors import InputError

KINDS = ("drop", "keep")

# Who keeps a sample that is in several splits: what is tested on stays as it is.
_ORDER = ("test", "val", "train")


@dataclass(frozen=True)
class Duplicates:
    """Copies among the samples of a data set.

    Attributes:
        kept: Indices of the samples that stay, by split.
        count: How many samples are copies of another one, in whatever split.
        remarks: What was found, and what was done, in words; empty without copies.
    """

    kept: dict[str, np.ndarray]
    count: int
    remarks: tuple[str, ...]


def check(kind: str) -> None:
    """Raises InputError for what is none of :data:`KINDS`."""
    if kind not in KINDS:
        raise InputError(f"unknown duplicates {kind!r}; choose from {', '.join(KINDS)}.")


def contents(x: np.ndarray) -> list[str]:
    """Digest of each sample; empty for one without content.

    Args:
        x: Samples ``(n, time, features)``; those that are the same at all times, digital silence
            or a sensor that was off, have no content.
    """
    if not x.size:
        return [""] * len(x)
    values = x if x.shape[1] > 1 else x.reshape(len(x), -1)
    still = (values == values[:, :1]).reshape(len(x), -1).all(axis=1)
    return [
        # 0 is 0, of whatever sign.
        "" if none else hashlib.sha256((sample + 0).tobytes()).hexdigest()
        for sample, none in zip(x, still, strict=True)
    ]


def find(
    digests: dict[str, Sequence[str]],
    labels: dict[str, np.ndarray],
    kind: str,
    source: str,
    what: str = "samples",
) -> Duplicates:
    """Copies in a data set, and what stays of it.

    A sample of the training or validation split that is in the test split, too, or a training
    sample that is in the validation split, is dropped from the former. Copies inside a split stay.

    Args:
        digests: Of each sample's content, by split; empty for a sample without content.
        labels: Class numbers, by split.
        kind: ``"drop"``, or ``"keep"`` to leave them all in.
        source: The data, for messages.
        what: What samples are called: ``"clips"``.

    Raises:
        InputError: If nothing of a split would stay.
    """
    check(kind)
    first: dict[str, tuple[str, int]] = {}
    kept: dict[str, np.ndarray] = {}
    across: dict[tuple[str, str], int] = {}
    inside = relabelled = 0
    for split in [name for name in _ORDER if name in digests]:
        stay = np.ones(len(digests[split]), bool)
        own = labels[split].tolist()
        for number, digest in enumerate(digests[split]):
            if not digest:
                continue
            where, label = first.setdefault(digest, (split, number))
            if (where, label) == (split, number):
                continue
            relabelled += own[number] != labels[where][label]
            if where == split:
                inside += 1
            else:
                stay[number] = False
                across[split, where] = across.get((split, where), 0) + 1
        kept[split] = np.flatnonzero(stay)
    remarks = []
    for (split, where), count in across.items():
        done = "dropped" if kind == "drop" else "kept on request"
        remarks.append(f"{count:,} {split} {what} that are in the {where} split, too, {done}")
        if kind == "drop" and not len(kept[split]):
            raise InputError(
                f"{source}: all {count:,} {split} {what} are in the {where} split, too; expected "
                "others. duplicates=keep takes them as they are."
            )
    if inside:
        remarks.append(f"{inside:,} {what} are copies of another one in their split")
    if relabelled:
        remarks.append(f"{relabelled:,} copies have another label than their original")
    if kind == "keep":
        kept = {split: np.arange(len(each)) for split, each in digests.items()}
    return Duplicates(kept, sum(across.values()) + inside, tuple(remarks))
