"""Means and deviations over seeds, by one rule for all tasks, and rankings.

The standard deviation is that of the seeds themselves (``numpy.std``, ddof 0), as in the
tables of report har_rnn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlproject.sweeps.trials import Done, Trial


def values(trials: Sequence[Trial], done: Done, metric: str) -> list[float]:
    """A metric of the trials that are done and have it."""
    there = (done[trial.name] for trial in trials if trial.name in done)
    return [record.metrics[metric] for record in there if metric in record.metrics]


def spread(
    trials: Sequence[Trial], done: Done, metric: str, form: str = ".3f", scale: float = 100
) -> str:
    """``"32.667 ± 1.737"``, mean and standard deviation (ddof 0); tells if seeds are missing.

    A single seed has no deviation: ``"32.667"``.

    Args:
        trials: One for each seed.
        done: The runs that are done.
        metric: Which of their metrics.
        form: The format of mean and deviation; a sign is shown of the mean only.
        scale: What both are multiplied by; 100 gives percent.
    """
    there, wanted = values(trials, done, metric), len(trials)
    if not there:
        return "-"
    text = f"{scale * np.mean(there):{form}}"
    if wanted > 1:
        text += f" ± {scale * np.std(there):{form.removeprefix('+')}}"
    return text if len(there) == wanted else f"{text} ({len(there)} of {wanted})"


@dataclass(frozen=True)
class Ranked:
    """A configuration among others.

    Attributes:
        name: Which.
        mean: Mean accuracy over its seeds.
        deviation: Standard deviation (ddof 0).
        best: Index of the best among its seeds.
    """

    name: str
    mean: float
    deviation: float
    best: int

    @property
    def score(self) -> float:
        """What the ranking goes by: high accuracy, low deviation.

        The rule is ours. har_rnn (section II-C) states none, and picks otherwise.
        """
        return self.mean - self.deviation


def rank(accuracies: Mapping[str, Sequence[float]]) -> list[Ranked]:
    """Ranks configurations by mean - standard deviation; ties keep their order."""
    ranked = [
        Ranked(name, float(np.mean(each)), float(np.std(each)), int(np.argmax(each)))
        for name, each in accuracies.items()
    ]
    return sorted(ranked, key=lambda each: -each.score)
