"""What a worker does for a study: trains one network after the other."""

from mlproject import tracking
from mlproject.addition.results import load, settings
from mlproject.addition.train import train_on
from mlproject.results import log_times
from tfnets.dataset import Dataset


def load_for(parameters: dict) -> Dataset:
    """The data of a trial, by its options."""
    return load(settings(parameters).test)


def trial(data: Dataset, parameters: dict, run: tracking.Run) -> None:
    """Trains one network; its curves are drawn with all others' in the parent."""
    train_on(data, parameters, run, progress=False)
    log_times(run)
