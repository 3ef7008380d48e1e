"""How often intervals of a mean over people hold the true mean, by simulation.

    python benchmarks/intervals.py

Accuracies of people are drawn from a beta distribution (mean 0.8, skewed as accuracies are), each
measured on 40 samples; 10,000 times. :mod:`tfnets.evidence` uses Student's t, from six people
on.
"""

import numpy as np
from scipy import stats

TIMES, SAMPLES, RESAMPLES = 10_000, 40, 1_000


def main():
    """Prints coverage of nominal 95 % intervals and their mean width."""
    print("| people | Student's t | its mean width | percentile bootstrap | its mean width |")
    print("|---|---|---|---|---|")
    for people in (2, 6, 10, 30):
        rng = np.random.default_rng(people)
        values = rng.binomial(SAMPLES, rng.beta(8, 2, (TIMES, people))) / SAMPLES
        mean = values.mean(axis=1)
        half = stats.t.ppf(0.975, people - 1) * stats.sem(values, axis=1)
        student = np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)
        ends = [percentile(each, rng) for each in values[:1_000]]
        bootstrap = tuple(np.transpose(ends))
        shown = [f"{covered(each):.3f} | {width(each):.3f}" for each in (student, bootstrap)]
        print(f"| {people} | {' | '.join(shown)} |")


def percentile(values, rng):
    """Ends of the percentile bootstrap."""
    drawn = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    return np.percentile(drawn, [2.5, 97.5])


def covered(ends):
    """How often 0.8 is between the ends."""
    return np.mean((ends[0] <= 0.8) & (ends[1] >= 0.8))


def width(ends):
    """The mean distance of the ends."""
    return np.mean(ends[1] - ends[0])


if __name__ == "__main__":
    main()
