"""Trains what a sweep consists of: what is done already, how far the rest is, what failed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlproject.sweeps.resuming import resumed
from mlproject.sweeps.trials import Done, Executor, LostError, Trial, Work
from mlproject.tracking import queries
from mlproject.tracking.run import Run
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.progress import Line, count, duration, say


@dataclass(frozen=True)
class Sweep:
    """A list of trials, and how to tell how good they are.

    Attributes:
        trials: What to train, in this order.
        work: What each trial does.
        stage: The stage of the parent run, ``"study"``; an earlier one can be resumed.
        data: The data that all trials share, or by the trial's name the digest of that which each
            loads.
        judged_by: The metric that tells good runs from bad ones, and its name in words.
        advice: How to leave out what cannot be trained, for a message.
    """

    trials: Sequence[Trial]
    work: Work
    stage: str
    data: Dataset | Mapping[str, str]
    judged_by: tuple[str, str]
    advice: str

    @property
    def shared(self) -> Dataset | None:
        """The data that all trials share; None if each loads its own."""
        return self.data if isinstance(self.data, Dataset) else None

    @property
    def digests(self) -> dict[str, str]:
        """By the trial's name the digest of its data."""
        if isinstance(self.data, Dataset):
            return dict.fromkeys((trial.name for trial in self.trials), self.data.digest)
        return dict(self.data)


@dataclass(frozen=True)
class Outcome:
    """What became of a sweep's trials.

    Attributes:
        done: The finished runs by their trials' names.
        failed: Why the others failed, by their names.
    """

    done: Done
    failed: dict[str, str]

    def refuse_failures(self, sweep: Sweep, run: Run) -> None:
        """Raises InputError if a trial failed, saying how to go on."""
        if self.failed:
            name, why = next(iter(self.failed.items()))
            others = "The others are done: " if self.done else ""
            raise InputError(
                f"{len(self.failed)} of {count(len(sweep.trials), 'run')} failed, {name}: {why} "
                f"{others}-P resume={run.id} trains only what is missing; "
                f"{sweep.advice}."
            )


def train(
    sweep: Sweep, executor: Executor, resume: str, after: Callable[[Done], None], run: Run
) -> Outcome:
    """Trains what is not done yet; a bar, or lines, tell how far it is.

    Args:
        sweep: What to train.
        executor: Where.
        resume: Id of an earlier parent whose finished trials count; ``"none"`` for none.
        after: Called with what is done whenever that has grown.
        run: The parent.
    """
    trials = sweep.trials
    done = resumed(resume, trials, sweep.stage, sweep.digests, run)
    failed: dict[str, str] = {}
    rest = [trial for trial in trials if trial.name not in done]
    if rest:
        say(f"{count(len(rest), 'run')} to train")
        say(f"if this is interrupted, the same command with -P resume={run.id} continues")
    if done:
        say(f"{len(done)} of {count(len(trials), 'run')} are done already")
        after(done)
    line, text = Line(len(trials)), ""
    try:
        with executor.running(rest, sweep.work, sweep.shared, run) as ended:
            started = time.monotonic()
            for number, each in enumerate(ended, 1):
                name = each.trial.name
                if each.error:
                    failed[name] = each.error
                    say(f"{name} failed: {each.error}")
                    continue
                done[name] = queries.get(each.run_id)
                spent = time.monotonic() - started
                left = spent / number * (len(rest) - number)
                text = _progress(name, done, sweep.judged_by, len(trials), left, line.is_bar)
                line.show(text, len(done))
                after(done)
    except LostError as error:
        raise InputError(
            f"{error}; {len(done)} of {count(len(trials), 'run')} are done, and -P "
            f"resume={run.id} trains what is missing."
        ) from None
    finally:
        line.end(text)
    return Outcome(done, failed)


def _progress(
    name: str,
    done: Done,
    judged_by: tuple[str, str],
    total: int,
    left: float,
    left_first: bool,
) -> str:
    metric, words = judged_by
    best = max(done.values(), key=lambda record: record.metrics[metric])
    time_left = f"{duration(left)} left" if len(done) < total else ""
    how_far = f"run {len(done)} of {total}"
    parts = [
        f"{how_far}, {time_left}" if left_first and time_left else how_far,
        f"{name}, {words} {done[name].metrics[metric]:.4f}",
    ]
    more = [f"best so far {best.name}, {best.metrics[metric]:.4f}"]
    if time_left and not left_first:
        more.append(time_left)
    return "; ".join([": ".join(parts), *more])
