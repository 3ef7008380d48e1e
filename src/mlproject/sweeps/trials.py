"""What a sweep is made of: trials, each a training in a run of its own under one parent."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mlproject.tracking.lifecycle import PrunedError, start_run
from mlproject.tracking.queries import Record
from mlproject.tracking.run import Run, RunReference
from tfnets.dataset import Dataset
from tfnets.errors import InputError

__all__ = ["PrunedError"]

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Trial:
    """A training that belongs to a sweep.

    Attributes:
        name: Its run's name; no two of a sweep have the same.
        options: Options of the command that trains one network.
        tags: Its run's tags.
    """

    name: str
    options: dict
    tags: dict[str, str]


@dataclass(frozen=True)
class Group(Generic[Subject]):
    """What a sweep compares with others: the same training with several seeds.

    Attributes:
        name: As tables name it.
        subject: What is trained: a network, a configuration, a value of a study.
        trials: One for each seed.
    """

    name: str
    subject: Subject
    trials: tuple[Trial, ...]

    def done_of(self, done: "Done") -> list[Trial]:
        """The trials that are done."""
        return [trial for trial in self.trials if trial.name in done]


def by_seed(groups: Sequence[Group]) -> list[Trial]:
    """The trials in the order in which they are run: all groups with one seed before the next."""
    return [trial for each in zip(*(g.trials for g in groups), strict=True) for trial in each]


def so_far(done: "Done", total: int, where: str) -> str:
    """How many runs are shown, as long as some are missing; with a space after it.

    Args:
        done: The runs that are done.
        total: How many there are to be.
        where: ``"this table"``.
    """
    return f"{len(done)} of {total} runs are in {where}. " if len(done) < total else ""


def start_trial(trial: Trial, parent: RunReference) -> AbstractContextManager[Run]:
    """The run of a trial."""
    return start_run(
        trial.name,
        task=parent.task,
        stage="trial",
        options=trial.options,
        tags=trial.tags,
        parent=parent,
    )


@dataclass(frozen=True)
class Work:
    """What a trial does. Both are functions of a module, so that other processes find them.

    Attributes:
        load: ``trial -> Dataset``, the data of a trial.
        train: ``(data, trial, run)``, trains the network and logs everything to the run.
    """

    load: Callable[[Trial], Dataset]
    train: Callable[[Dataset, Trial, Run], None]


@dataclass(frozen=True)
class Ended:
    """A trial that has run.

    Attributes:
        trial: Which.
        run_id: The id of its finished run, or of one that was pruned; empty if it failed.
        error: Why it failed, or was pruned; empty if it did neither.
    """

    trial: Trial
    run_id: str = ""
    error: str = ""


class LostError(InputError):
    """What runs the trials is gone; says so without a full stop."""


Follow = Callable[[Ended], Sequence[Trial]]


def nothing_more(ended: Ended) -> Sequence[Trial]:
    """What follows a trial where all are known from the start."""
    return ()


class Executor(Protocol):
    """Runs trials somewhere."""

    def running(
        self,
        trials: Sequence[Trial],
        work: Work,
        data: Dataset | None,
        parent: Run,
        follow: Follow = nothing_more,
    ) -> AbstractContextManager[Iterator[Ended]]:
        """Runs trials; yields them as they end, in a ``with`` block, after which none runs.

        Args:
            trials: What to run, in this order.
            work: What each does.
            data: The data that all trials share; None if each loads its own.
            parent: The run that they belong to.
            follow: What else to run, asked whenever one has ended.
        """
        ...


Done = dict[str, Record]  # the finished runs by their trials' names
