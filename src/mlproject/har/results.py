"""What a command's options mean, and what every run logs of its data."""

from dataclasses import dataclass

import numpy as np

import tfnets.har
from mlproject import tracking
from tfnets import tables, training
from tfnets.dataset import Dataset

# What "auto" means: the report as it can be read, or the way that learns.
PROTOCOLS = {
    "report": {"loss": "raw", "clipnorm": 0.0, "validation_fraction": 0.0},
    "tfnets": {"loss": "softmax", "clipnorm": 1.0, "validation_fraction": 0.1},
}
_LEARNING_RATES = {"sgd": 0.1, "adam": 0.003}

TOPS = ("accuracy", "top2", "top3")

# The options of early stopping.
STOPPING = ("max_epochs", "patience", "min_delta")


@dataclass(frozen=True)
class Settings:
    """A command's options, each ``auto`` replaced.

    Attributes:
        recipe: How to train.
        network: Options of :func:`tfnets.har.build`.
        data: Options of :func:`tfnets.har.load`.
    """

    recipe: training.Recipe
    network: dict
    data: dict

    @property
    def loss(self) -> str:
        """As for :func:`tfnets.har.objective`."""
        return self.network["loss"]


def settings(parameters: dict) -> Settings:
    """What a command's options mean.

    Args:
        parameters: The command's options by name.

    Raises:
        InputError: For a value that does not fit.
    """
    auto = PROTOCOLS[parameters["protocol"]] | {
        "learning_rate": _LEARNING_RATES[parameters["optimizer"]],
        "test_subjects": (),
    }
    used = {
        name: auto.get(name, value) if value == "auto" else value
        for name, value in parameters.items()
    }
    names = ("epochs", "batch_size", "optimizer", "learning_rate", "momentum", "weight_decay")
    names += ("clipnorm", "schedule", "keep", "seed")
    stopping = {name: used[name] for name in ("patience", "min_delta") if name in used}
    recipe = training.Recipe(**{name: used[name] for name in names}, **stopping)
    activation = None if used["activation"] == "auto" else used["activation"]
    tfnets.har.activation_of(used["loss"], activation)
    network = {name: used[name] for name in ("cell", "units", "loss", "initializer")}
    data = {name: used[name] for name in ("data", "split", "test_subjects", "validation_fraction")}
    return Settings(recipe, network, data)


def load(chosen: Settings) -> Dataset:
    """Loads the data that the settings name."""
    return tfnets.har.load(**chosen.data)


def log_data(data: Dataset, run: tracking.Run) -> None:
    """Logs what a network is trained and judged on: windows, people and classes of each split."""
    run.log_dataset(data)
    # Classes are rows: there can be many, and one may be called "subjects".
    table = {"class": [*data.classes, "all windows", "subjects"]}
    for name, split in data.splits.items():
        counts = np.bincount(split.y, minlength=len(data.classes)).tolist()
        table[name] = [*map(str, counts), str(len(split)), subjects(data, name)]
    run.log_text(f"{tables.text(table)}\n", "data.txt")
    people = {f"data.{name}_subjects": subjects(data, name) for name in ("train", "test")}
    run.log_tags({"data.split": data.split_kind, **people})


def subjects(data: Dataset, name: str) -> str:
    """Whose windows a split has, ``"9, 10"``, as far as that is known and told apart."""
    split = data.splits[name]
    if name == "val":
        return "as train"
    if split.groups is None:
        return "not told apart"
    return ", ".join(sorted(set(split.groups.tolist()), key=lambda each: (len(each), each)))
