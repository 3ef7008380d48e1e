"""Trials under a parent run: which are done already, how far the rest is, which failed."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mlproject import cluster, records, tracking
from mlproject.cluster import Trial
from mlproject.records import Record
from mlproject.results import count
from tfnets.errors import InputError
from tfnets.progress import duration

Done = dict[str, Record]  # by the trial's name


def resumed(
    parent_id: str,
    trials: Sequence[Trial],
    stage: str,
    digests: Mapping[str, str],
    run: tracking.Run,
) -> Done:
    """What an earlier parent, or one that it resumed itself, finished of the same trials.

    Args:
        parent_id: Id of the earlier parent; ``"none"`` for none.
        trials: What is wanted.
        stage: What both parents do; the earlier one is to be of the same task and stage.
        digests: By the trial's name that of the data that its run must have had.
        run: The parent now.

    Raises:
        InputError: If there is no such run, it is of another task or stage, or it had other
            parameters and nothing of it is wanted.
    """
    done: Done = {}
    wanted = {
        trial.name: {key: tracking.parameter(key, v) for key, v in trial.parameters.items()}
        for trial in trials
    }
    first = parent_id
    while parent_id != "none":
        parent = records.get(parent_id)
        if parent.tags.get("task") != run.task or parent.tags.get("stage") != stage:
            raise InputError(f"resume is {parent_id!r}, which is no {stage} of {run.task}.")
        if parent_id == first:
            run.log_tags({"resumed": first})
        query = "attributes.status = 'FINISHED' and tags.stage = 'trial'"
        for each in records.children(parent.id, parent.experiment_id, query):
            same = wanted.get(each.name, {}).items() <= each.parameters.items()
            seen = each.tags.get("data.digest") == digests.get(each.name)
            if each.name in wanted and same and seen:
                done.setdefault(each.name, each)
        parent_id = parent.tags.get("resumed", "none")
    if first != "none" and not done:
        _refuse_another(first, run)
    return done


def _refuse_another(parent_id: str, run: tracking.Run) -> None:
    """Raises InputError if a parent had other parameters: who resumes it has left them out."""
    now = records.get(run.id).parameters
    theirs = {
        name: value
        for name, value in records.get(parent_id).parameters.items()
        if name not in ("resume", "scheduler") and now.get(name) != value
    }
    if theirs:
        needed = " ".join(f"-P {name}={value}" for name, value in theirs.items())
        raise InputError(
            f"resume is {parent_id!r}, which has finished nothing that is wanted here; it had "
            f"other parameters, so give the same: {needed}."
        )


def train(
    trials: Sequence[Trial],
    done: Done,
    *,
    module: str,
    digest: str | None,
    scheduler: str,
    judged_by: tuple[str, str],
    after: Callable[[], None],
    run: tracking.Run,
) -> dict[str, str]:
    """Trains what is not done, and adds it there; a line after each says how far it is.

    Args:
        trials: All of them.
        done: What is done; grows.
        module: As for :func:`mlproject.cluster.running`.
        digest: Likewise.
        scheduler: Likewise.
        judged_by: The metric that tells good runs from bad ones, and its name in words.
        after: Called when something is done.
        run: The parent.

    Returns:
        Why the others failed, by their names.
    """
    failed: dict[str, str] = {}
    rest = [trial for trial in trials if trial.name not in done]
    if rest:
        _say(f"{count(len(rest), 'run')} to train")
        _say(f"should this be broken off, the same with -P resume={run.id} goes on")
    if done:
        _say(f"{len(done)} of {count(len(trials), 'run')} are there already")
        after()
    with cluster.running(rest, module, digest, run, scheduler) as ended:
        started = time.monotonic()
        for number, each in enumerate(ended, 1):
            name = each.trial.name
            if each.error:
                failed[name] = each.error
                _say(f"{name} failed: {each.error}")
                continue
            query = "attributes.status = 'FINISHED'"
            found = records.children(run.id, run.experiment_id, query)
            done[name] = next(record for record in found if record.name == name)
            spent = time.monotonic() - started
            left = spent / number * (len(rest) - number)
            _say(_progress(name, done, judged_by, len(trials), left))
            after()
    return failed


def refuse(failed: dict[str, str], total: int, advice: str, run: tracking.Run) -> None:
    """Raises InputError for what failed, saying how to go on."""
    if failed:
        name, why = next(iter(failed.items()))
        raise InputError(
            f"{len(failed)} of {count(total, 'run')} failed, {name}: {why} The others are "
            f"done: -P resume={run.id} trains only what is missing; {advice}."
        )


def values(trials: Sequence[Trial], done: Done, metric: str) -> list[float]:
    """A metric of the trials that are done and have it."""
    there = (done[trial.name] for trial in trials if trial.name in done)
    return [record.metrics[metric] for record in there if metric in record.metrics]


def spread(
    trials: Sequence[Trial], done: Done, metric: str, form: str = ".3f", scale: float = 100
) -> str:
    """``"32.667 ± 1.737"``, mean and deviation; says so if seeds are missing.

    A single seed has no deviation: ``"32.667"``.

    Args:
        trials: One for each seed.
        done: What is done of them.
        metric: Which of their metrics.
        form: The format of mean and deviation.
        scale: What both are multiplied by; 100 gives percent.
    """
    there, wanted = values(trials, done, metric), len(trials)
    if not there:
        return "-"
    text = f"{scale * np.mean(there):{form}}"
    if wanted > 1:
        text += f" ± {scale * np.std(there):{form}}"
    return text if len(there) == wanted else f"{text} ({len(there)} of {wanted})"


def _progress(name: str, done: Done, judged_by: tuple[str, str], total: int, left: float) -> str:
    metric, words = judged_by
    best = max(done.values(), key=lambda record: record.metrics[metric])
    parts = [
        f"run {len(done)} of {total}: {name}, {words} {done[name].metrics[metric]:.4f}",
        f"best so far {best.name}, {best.metrics[metric]:.4f}",
    ]
    if len(done) < total:
        parts.append(f"{duration(left)} left")
    return "; ".join(parts)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
