"""What an earlier sweep has finished of the trials of this one."""

from collections.abc import Iterator, Mapping, Sequence

from mlproject.sweeps.trials import Done, Trial
from mlproject.tracking import queries
from mlproject.tracking.queries import Record
from mlproject.tracking.run import Run, parameter
from tfnets.errors import InputError


def resumed(
    parent_id: str, trials: Sequence[Trial], stage: str, digests: Mapping[str, str], run: Run
) -> Done:
    """What an earlier parent, or one that it resumed itself, finished of the same trials.

    Args:
        parent_id: Id of the earlier parent; ``"none"`` for none.
        trials: The trials of this sweep.
        stage: What both parents do; the earlier one must be of the same task and stage.
        digests: By the trial's name the digest of the data that its run must have used.
        run: The parent now.

    Raises:
        InputError: If there is no such run, it is of another task or stage, or it had other
            options and none of its trials is needed here.
    """
    done: Done = {}
    wanted = {
        trial.name: {key: parameter(key, value) for key, value in trial.options.items()}
        for trial in trials
    }
    for parent in lineage(parent_id, stage, run):
        query = "attributes.status = 'FINISHED' and tags.stage = 'trial'"
        for each in queries.children(parent.id, parent.experiment_id, query):
            same = wanted.get(each.name, {}).items() <= each.parameters.items()
            same_data = each.tags.get("data.digest") == digests.get(each.name)
            if each.name in wanted and same and same_data:
                done.setdefault(each.name, each)
    if parent_id != "none" and not done:
        _refuse_other_options(parent_id, run)
    return done


def lineage(parent_id: str, stage: str, run: Run) -> Iterator[Record]:
    """The parent that is resumed, the one that this has resumed, and so on; the run is told.

    Args:
        parent_id: Id of the first; ``"none"`` for none.
        stage: What they all do.
        run: The parent now, of the same task.

    Raises:
        InputError: If there is no such run, or it is of another task or stage.
    """
    first = parent_id
    while parent_id != "none":
        parent = queries.get(parent_id)
        if parent.tags.get("task") != run.task or parent.tags.get("stage") != stage:
            raise InputError(f"resume is {parent_id!r}, which is no {stage} of {run.task}.")
        if parent_id == first:
            run.log_tags({"resumed": first})
        yield parent
        parent_id = parent.tags.get("resumed", "none")


def _refuse_other_options(parent_id: str, run: Run) -> None:
    """Raises InputError if the earlier parent had options that were left out now."""
    now = queries.get(run.id).parameters
    theirs = {
        name: value
        for name, value in queries.get(parent_id).parameters.items()
        if name not in ("resume", "scheduler") and now.get(name) != value
    }
    if theirs:
        needed = " ".join(f"-P {name}={value}" for name, value in theirs.items())
        raise InputError(
            f"resume is {parent_id!r}, which has finished nothing that is needed here; it had "
            f"other parameters, so give the same: {needed}."
        )
