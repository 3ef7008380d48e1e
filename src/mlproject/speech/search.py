"""Looks for good options of a network for spoken words, by validation accuracy."""

import click

from mlproject.speech.published import Network
from mlproject.speech.results import log_loading
from mlproject.speech.settings import data_of, load, resolve
from mlproject.speech.sweep import load_for
from mlproject.speech.train import train_on
from mlproject.sweeps.in_process import InProcess
from mlproject.sweeps.search import Prune, Tried, carry_out
from mlproject.sweeps.trials import Trial, Work
from mlproject.tracking import registry
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times
from tfnets.dataset import Dataset
from tfnets.errors import InputError


def search(
    options: dict, network: Network, defaults: dict, command: click.Command, run: Run
) -> str:
    """Tries options, logs which were good, registers the best.

    Args:
        options: The command's options by name.
        network: Which network, and its optimizer.
        defaults: The options of the network's own command.
        command: That command.
        run: The parent run.

    Returns:
        A summary for the user.

    Raises:
        InputError: If there is no validation data, or nothing can be trained.
    """
    registry.check_name(options["register_as"])
    given = {key: value for key, value in options.items() if key in defaults}
    base = defaults | given | {"optimizer": network.optimizer, ARCHITECTURE: network.architecture}
    resolve(network.architecture, base)
    data = load(data_of(base))
    if data.val is None:
        raise InputError(f"{data.source}: without validation data nothing can be chosen.")
    log_loading(data, run)
    run.log_dataset(data)

    def about(best: Tried) -> dict[str, object]:
        return {"data.name": data.name}

    work = Work(load_for, train_trial)
    return carry_out(options, base, command, work, data, InProcess(), about, run)


ARCHITECTURE = "network"  # among the options of a trial, which are those of the network's command


def train_trial(data: Dataset, trial: Trial, run: Run) -> None:
    """Trains one network, as long as it is no worse than half of the others."""
    settings = resolve(trial.options[ARCHITECTURE], trial.options)
    train_on(data, settings, run, callbacks=[Prune(trial, run, settings.recipe.epochs)])
    log_times(run)
