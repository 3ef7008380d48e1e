"""Looks for good options of an adder, by its exact match on validation pairs."""

from collections.abc import Sequence

import click

from mlproject.addition.settings import load, resolve
from mlproject.addition.sweep import load_for
from mlproject.addition.train import train_on
from mlproject.sweeps.cluster import OnDask
from mlproject.sweeps.search import Prune, Tried, carry_out
from mlproject.sweeps.trials import Trial, Work
from mlproject.tracking import registry
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times
from tfnets.dataset import Dataset


def search(options: dict, of_search: Sequence[str], command: click.Command, run: Run) -> str:
    """Tries options, logs which were good, registers the best.

    Args:
        options: The command's options by name.
        of_search: Which of them are none of a training.
        command: The command that trains one network.
        run: The parent run.

    Returns:
        A summary for the user.
    """
    registry.check_name(options["register_as"])
    base = {key: value for key, value in options.items() if key not in of_search}
    base |= {"register_as": "none"}  # of a trial
    data = load(resolve(base).test.data)
    run.log_dataset(data)

    def about(best: Tried) -> dict[str, object]:
        return {
            "accuracy": str(best.record.metrics["test/accuracy"]),
            "seq_len": str(base["seq_len"]),
            "base": str(base["base"]),
        }

    work = Work(load_for, train_trial)
    return carry_out(options, base, command, work, data, OnDask(options["scheduler"]), about, run)


def train_trial(data: Dataset, trial: Trial, run: Run) -> None:
    """Trains one network, as long as it is no worse than half of the others."""
    settings = resolve(trial.options)
    prune = Prune(trial, run, settings.recipe.epochs)
    train_on(data, settings, run, progress=False, callbacks=[prune])
    log_times(run)
