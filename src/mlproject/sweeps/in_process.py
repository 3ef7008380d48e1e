"""Trials one at a time in this process, each with the whole machine.

For comparisons in which training time is a result.
"""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlproject.sweeps.trials import (
    Ended,
    Follow,
    PrunedError,
    Trial,
    Work,
    nothing_more,
    start_trial,
)
from mlproject.tracking.run import Run
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.progress import say


@dataclass(frozen=True)
class InProcess:
    """An executor (:class:`mlproject.sweeps.trials.Executor`)."""

    @contextlib.contextmanager
    def running(
        self,
        trials: Sequence[Trial],
        work: Work,
        data: Dataset | None,
        parent: Run,
        follow: Follow = nothing_more,
    ) -> Iterator[Iterator[Ended]]:
        """Runs each trial when the next one is asked for."""
        yield _run_all(trials, work, data, parent, follow)


def _run_all(
    trials: Sequence[Trial], work: Work, data: Dataset | None, parent: Run, follow: Follow
) -> Iterator[Ended]:
    waiting = deque(trials)
    number = 0
    while waiting:
        trial, number = waiting.popleft(), number + 1
        of = "" if follow is not nothing_more else f" of {len(trials)}"
        say(f"training {trial.name} ({number}{of})")
        run_id, error = "", ""
        try:
            with start_trial(trial, parent.reference) as run:
                run_id = run.id
                work.train(work.load(trial) if data is None else data, trial, run)
        except PrunedError as pruned:
            error = str(pruned)
        except InputError as failed:
            run_id, error = "", str(failed)
        ended = Ended(trial, run_id, error)
        waiting.extend(follow(ended))
        yield ended
