"""Looks for good options of a network for activities, by validation accuracy."""

from collections.abc import Sequence

import click

from mlproject.har.results import log_data
from mlproject.har.settings import from_anywhere, load, resolve
from mlproject.har.sweep import load_for
from mlproject.har.train import train_on
from mlproject.sweeps.cluster import OnDask
from mlproject.sweeps.search import Prune, Tried, carry_out
from mlproject.sweeps.trials import Trial, Work
from mlproject.tracking import registry
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times
from tfnets.dataset import Dataset
from tfnets.errors import InputError


def search(options: dict, of_search: Sequence[str], command: click.Command, run: Run) -> str:
    """Tries options, logs which were good, registers the best.

    Args:
        options: The command's options by name.
        of_search: Which of them are none of a training.
        command: The command that trains one network.
        run: The parent run.

    Returns:
        A summary for the user.

    Raises:
        InputError: If there is no validation data, or nothing can be trained.
    """
    registry.check_name(options["register_as"])
    base = from_anywhere({k: v for k, v in options.items() if k not in of_search})
    data = load(resolve(base).data)
    if data.val is None:
        raise InputError(
            f"{data.source}: without validation data nothing can be chosen; hold some out "
            "(validation_fraction)."
        )
    log_data(data, run)

    def about(best: Tried) -> dict[str, object]:
        return {"run": best.record.name, "data.name": data.name}

    work = Work(load_for, train_trial)
    return carry_out(options, base, command, work, data, OnDask(options["scheduler"]), about, run)


def train_trial(data: Dataset, trial: Trial, run: Run) -> None:
    """Trains one network, as long as it is no worse than half of the others."""
    settings = resolve(trial.options)
    prune = Prune(trial, run, settings.recipe.epochs)
    train_on(data, settings, run, progress=False, callbacks=[prune])
    log_times(run)
