"""What may be concluded from the results of a few people: intervals, tests, who is separated.

Samples of one person are not independent, so that people are what is counted here: accuracies of
one person are averaged first, over samples and seeds, and every function takes one value a person.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from tfnets.errors import InputError
from tfnets.naming import natural

# With fewer people an interval says little and covers less than it claims.
FEWEST = 6

# All 2**n signs are tried up to here, as many at random beyond.
_EXACT = 13
_RESAMPLES = 9_999


class Interval(NamedTuple):
    """A confidence interval of a mean over people.

    Attributes:
        mean: The mean.
        low: Lower end; NaN with fewer than six people.
        high: Upper end; NaN with fewer than six people.
        people: How many there are.
    """

    mean: float
    low: float
    high: float
    people: int

    def __str__(self) -> str:
        """In percent: ``"81.8 (74.0 to 89.5)"``, or ``"81.8 (3 people: no interval)"``."""
        if np.isnan(self.low):
            who = "person" if self.people == 1 else "people"
            return f"{100 * self.mean:.1f} ({self.people} {who}: no interval)"
        return f"{100 * self.mean:.1f} ({100 * self.low:.1f} to {100 * self.high:.1f})"


def by_person(correct: np.ndarray, people: Sequence) -> dict[str, float]:
    """The accuracy of each person, in the order of their names; numbers in that of numbers.

    Args:
        correct: Whether each sample was classified correctly, ``(n,)``, or its share of several
            seeds.
        people: Whose each sample is, ``(n,)``.
    """
    names, index = np.unique(np.asarray(people).astype(str), return_inverse=True)
    sums = np.bincount(index, weights=np.asarray(correct, float), minlength=len(names))
    means = dict(zip(names.tolist(), (sums / np.bincount(index)).tolist(), strict=True))
    return {name: means[name] for name in sorted(means, key=natural)}


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """A confidence interval of the mean over people, by Student's t.

    A percentile bootstrap of so few values is too narrow: it covers 0.86 of the true means with
    six people where it claims 0.95; ``tests/tfnets/test_evidence.py`` simulates both. Student's
    interval is of the right width for means that are not too skewed. Ends are kept to [0, 1] if
    the values are in it, as accuracies are.

    Args:
        values: One a person.
        confidence: How often such an interval is to contain the true mean.

    Raises:
        InputError: If there are no values.
    """
    of_people = np.asarray(values, float)
    if not len(of_people):
        raise InputError("values are empty; expected one number for each person.")
    mean, count = float(of_people.mean()), len(of_people)
    if count < FEWEST:
        return Interval(mean, float("nan"), float("nan"), count)
    half = stats.t.ppf((1 + confidence) / 2, count - 1) * stats.sem(of_people)
    low, high = mean - half, mean + half
    if of_people.min() >= 0 and of_people.max() <= 1:
        low, high = max(low, 0.0), min(high, 1.0)
    return Interval(mean, float(low), float(high), count)


@dataclass(frozen=True)
class Comparison:
    """One configuration beside a reference, by person.

    Attributes:
        name: Which.
        difference: Its mean over people minus the reference's.
        p: Two-sided p of the paired permutation test.
        adjusted: The same under Holm's correction for all comparisons made.
        smallest: The smallest p that so many people can give.
        people: How many people both were tested on.
    """

    name: str
    difference: float
    p: float
    adjusted: float
    smallest: float
    people: int

    def verdict(self, level: float = 0.05) -> str:
        """``"better"``, ``"worse"``, or ``"not separated"``, and why it could not be."""
        if self.adjusted <= level:
            return "better" if self.difference > 0 else "worse"
        if self.smallest > level:
            return (
                f"not separated ({self.people} people cannot: p is at least {self.smallest:.3g})"
            )
        return "not separated"


def compare(accuracies: Mapping[str, Mapping[str, float]], reference: str) -> list[Comparison]:
    """Each configuration beside a reference, tested on the same people.

    Signs of the people's differences are swapped: all ways with up to 13 people, 9,999 at random
    beyond. p-values of all comparisons are corrected by Holm's method (Holm 1979), which needs no
    assumption of how they hang together.

    Args:
        accuracies: By configuration, each person's accuracy, seeds averaged.
        reference: The configuration that all others are compared with.

    Raises:
        InputError: If there is no such configuration, or they were tested on different people.
    """
    if reference not in accuracies:
        raise InputError(f"reference is {reference!r}; expected one of {', '.join(accuracies)}.")
    ours = accuracies[reference]
    others = {name: each for name, each in accuracies.items() if name != reference}
    for name, each in others.items():
        if each.keys() != ours.keys():
            raise InputError(
                f"{name} was tested on {', '.join(each)}, {reference} on {', '.join(ours)}; "
                "expected the same people."
            )
    differences = {
        name: np.array([each[who] - ours[who] for who in ours]) for name, each in others.items()
    }
    values = [permutation(each) for each in differences.values()]
    return [
        Comparison(name, float(each.mean()), p, adjusted, smallest(len(each)), len(each))
        for (name, each), p, adjusted in zip(
            differences.items(), values, holm(values), strict=True
        )
    ]


def smallest(people: int) -> float:
    """The smallest p of a two-sided paired permutation test: two of all signs of ``people``."""
    return min(1.0, max(2.0 ** (1 - people), 2 / (_RESAMPLES + 1) if people > _EXACT else 0.0))


def permutation(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of the paired permutation test of a mean difference of 0.

    Args:
        differences: One a person.
        seed: Of the signs, if there are more than 13 people.
    """
    if not np.any(differences):
        return 1.0
    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**_EXACT if len(differences) <= _EXACT else _RESAMPLES,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm's step-down method, in their order."""
    order = np.argsort(values, kind="stable")
    steps = np.arange(len(values), 0, -1) * np.asarray(values, float)[order]
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps)) if len(values) else []
    return adjusted.tolist()


@dataclass(frozen=True)
class Ranks:
    """Average ranks of configurations over people, and which are not separated.

    Attributes:
        average: By configuration its average rank, 1 the best; the best first.
        critical: How far average ranks must lie apart (Nemenyi; Demsar 2006).
        p: Friedman's test that all are alike.
        people: How many people.
        groups: Sets of configurations that are not separated, those of one alone left out.
    """

    average: dict[str, float]
    critical: float
    p: float
    people: int
    groups: list[tuple[str, ...]]


def ranks(accuracies: Mapping[str, Mapping[str, float]], level: float = 0.05) -> Ranks | None:
    """Average ranks over people and their critical difference (Demsar 2006, section 3.2.2).

    Args:
        accuracies: By configuration, each person's accuracy, seeds averaged; the same people.
        level: Of the test.

    Returns:
        None with fewer than six people or fewer than three configurations, where such a figure
        would show nothing.
    """
    names = list(accuracies)
    table = np.array([list(each.values()) for each in accuracies.values()])
    if len(names) < 3 or table.shape[1] < FEWEST:
        return None
    average = stats.rankdata(-table, axis=0).mean(axis=1)
    order = np.argsort(average, kind="stable")
    q = stats.studentized_range.ppf(1 - level, len(names), np.inf) / np.sqrt(2)
    critical = float(q * np.sqrt(len(names) * (len(names) + 1) / (6 * table.shape[1])))
    p = float(stats.friedmanchisquare(*table).pvalue)
    return Ranks(
        {names[n]: float(average[n]) for n in order},
        critical,
        1.0 if np.isnan(p) else p,  # nobody differs
        table.shape[1],
        _groups([names[n] for n in order], average[order], critical),
    )


def _groups(names: list[str], average: np.ndarray, critical: float) -> list[tuple[str, ...]]:
    """Longest stretches of ranks that lie within the critical difference."""
    stretches: list[tuple[int, int]] = []
    for first in range(len(names)):
        last = int(np.searchsorted(average, average[first] + critical, side="right")) - 1
        if last > first and (not stretches or last > stretches[-1][1]):
            stretches.append((first, last))
    return [tuple(names[first : last + 1]) for first, last in stretches]


def separated(places: Sequence[str], ranked: Ranks) -> list[tuple[str, str]]:
    """The pairs of ``places``, in their order, whose average ranks are separated."""
    return [
        (one, other)
        for one, other in itertools.combinations(places, 2)
        if abs(ranked.average[one] - ranked.average[other]) > ranked.critical
    ]
