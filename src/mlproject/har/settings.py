"""What a command's options mean: what to load, build and train."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tfnets.har
from tfnets import training
from tfnets.dataset import Dataset

# What "auto" means: the report as it can be read, or the way that learns.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "report": {"loss": "raw", "clipnorm": 0.0, "validation_fraction": 0.0},
    "tfnets": {"loss": "softmax", "clipnorm": 1.0, "validation_fraction": 0.1},
}
_LEARNING_RATES = {"sgd": 0.1, "adam": 0.003}

# The options of early stopping; the first is a training's ``epochs``.
STOPPING = ("max_epochs", "patience", "min_delta")


@dataclass(frozen=True)
class Settings:
    """A command's options, with every ``auto`` resolved.

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


def resolve(options: dict) -> Settings:
    """What a command's options mean.

    Args:
        options: The command's options by name.

    Raises:
        InputError: For a value that does not fit.
    """
    auto: dict[str, Any] = PROTOCOLS[options["protocol"]] | {
        "learning_rate": _LEARNING_RATES[options["optimizer"]],
        "test_subjects": (),
    }
    used = {
        name: auto.get(name, value) if value == "auto" else value
        for name, value in options.items()
    }
    names = ["epochs", "batch_size", "optimizer", "learning_rate", "momentum", "weight_decay"]
    names += ["clipnorm", "schedule", "keep", "seed"]
    stopping = {name: used[name] for name in ("patience", "min_delta") if name in used}
    recipe = training.Recipe(**{name: used[name] for name in names}, **stopping)
    activation = None if used["activation"] == "auto" else used["activation"]
    tfnets.har.activation_of(used["loss"], activation)
    network = {name: used[name] for name in ("cell", "units", "loss", "initializer")}
    data = {name: used[name] for name in ("data", "split", "test_subjects", "validation_fraction")}
    data |= {name: used[name] for name in ("standardise", "augment") if name in used}
    data["duplicates"] = used.get("duplicates", "keep")
    for name in ("window", "stride", "rate"):  # of models registered before there were these
        data[name] = None if used.get(name, "auto") == "auto" else used[name]
    return Settings(recipe, network, data)


def from_anywhere(options: dict) -> dict:
    """The options with data that workers, and whoever trains it again, find elsewhere, too."""
    if options["data"] == "builtin":
        return options
    return options | {"data": str(Path(options["data"]).expanduser().absolute())}


def load(data: dict) -> Dataset:
    """Loads the data that the settings name."""
    return tfnets.har.load(**data)
