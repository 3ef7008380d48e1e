"""How results compare with published ones, computed from the tables."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy import stats

from tfnets.progress import count

_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")

# Columns of ours with the published ones that stand beside them.
_PAIRS = (
    ("test accuracy", "of speech_rnn"),
    ("test accuracy", "of group530"),
    ("exact match", "addition_rnn"),
)
_PREFIX = "har_rnn, "
_FEWEST = 4  # rows from which an order says something
_LEVEL = 0.05


class Pair(NamedTuple):
    """A column of ours beside a published one.

    Attributes:
        ours: Its name.
        theirs: The other's name.
        rows: ``(ours, deviation, theirs)`` of each row that has both; the deviation is that over
            seeds, or None.
    """

    ours: str
    theirs: str
    rows: list[tuple[float, float | None, float]]

    def __str__(self) -> str:
        rows = len(self.rows)
        apart = sum(ours - theirs for ours, _, theirs in self.rows) / rows
        deviations = [(o, d, t) for o, d, t in self.rows if d is not None]
        text = (
            f"{self.ours} beside {self.theirs.removeprefix('of ')}: "
            f"{count(rows, 'row')}, ours {apart:+.4g} on average"
        )
        if deviations:
            near = sum(abs(ours - theirs) <= 2 * d for ours, d, theirs in deviations)
            text += f"; {near} of {len(deviations)} within two deviations over seeds"
        if rows >= _FEWEST:
            order = stats.spearmanr([row[0] for row in self.rows], [row[2] for row in self.rows])
            if order.pvalue <= _LEVEL and order.statistic > 0:
                verdict = "in the same order"
            else:
                verdict = "not in the same order"
            text += f"; {verdict} (Spearman {order.statistic:.2f}, p {order.pvalue:.2g})"
        return f"{text}."


def compare(columns: Mapping[str, Sequence[str]]) -> list[Pair]:
    """The pairs of columns of a table of which one is published, with what both have."""
    pairs = list(_PAIRS)
    pairs += [(n.removeprefix(_PREFIX), n) for n in columns if n.startswith(_PREFIX)]
    found = []
    for ours, theirs in pairs:
        if ours not in columns or theirs not in columns:
            continue
        rows = []
        for mine, published in zip(columns[ours], columns[theirs], strict=True):
            numbers, others = _numbers(mine), _numbers(published)
            if numbers and others:
                deviation = numbers[1] if "±" in mine and len(numbers) > 1 else None
                rows.append((numbers[0], deviation, others[0]))
        if rows and not _constant(rows):
            found.append(Pair(ours, theirs, rows))
    return found


def _constant(rows: list[tuple[float, float | None, float]]) -> bool:
    """Whether one side is the same in all of many rows, so that there is no order."""
    many = len(rows) >= _FEWEST
    return many and (len({row[0] for row in rows}) == 1 or len({row[2] for row in rows}) == 1)


def _numbers(cell: str) -> list[float]:
    return [float(each.replace(",", "")) for each in _NUMBER.findall(cell)]
