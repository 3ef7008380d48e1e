"""Trials one at a time in this process, each with the whole machine.

For comparisons in which training time is a result.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlproject.sweeps.trials import Ended, Trial, Work, start_trial
from mlproject.tracking.run import Run
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.progress import say


@dataclass(frozen=True)
class InProcess:
    """An executor (:class:`mlproject.sweeps.trials.Executor`)."""

    @contextlib.contextmanager
    def running(
        self, trials: Sequence[Trial], work: Work, data: Dataset | None, parent: Run
    ) -> Iterator[Iterator[Ended]]:
        """Runs each trial when the next one is asked for."""
        yield _run_all(trials, work, data, parent)


def _run_all(
    trials: Sequence[Trial], work: Work, data: Dataset | None, parent: Run
) -> Iterator[Ended]:
    for number, trial in enumerate(trials, 1):
        say(f"training {trial.name} ({number} of {len(trials)})")
        try:
            with start_trial(trial, parent.reference) as run:
                work.train(work.load(trial) if data is None else data, trial, run)
        except InputError as error:
            yield Ended(trial, error=str(error))
        else:
            yield Ended(trial, run.id)
