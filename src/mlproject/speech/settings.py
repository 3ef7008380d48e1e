"""What a command's options mean: what to load, build and train."""

from dataclasses import dataclass

import tfnets.speech
from tfnets import training
from tfnets.dataset import Dataset

_RECIPE = ("epochs", "batch_size", "optimizer", "momentum", "weight_decay", "seed")
_NETWORK = ("pooling", "reset_after", "recurrent_bias", "initializer")


@dataclass(frozen=True)
class Settings:
    """The options of a training, with every ``auto`` resolved.

    Attributes:
        architecture: As for :func:`tfnets.speech.build`.
        recipe: How to train.
        network: The other options of :func:`tfnets.speech.build`.
        data: Options of :func:`tfnets.speech.load`.
    """

    architecture: str
    recipe: training.Recipe
    network: dict
    data: dict


def resolve(architecture: str, options: dict) -> Settings:
    """What the options of a training mean.

    Args:
        architecture: As for :func:`tfnets.speech.build`.
        options: The command's options by name.

    Raises:
        InputError: For a value that does not fit.
    """
    rate = options["learning_rate"]
    recipe = training.Recipe(
        **{key: options[key] for key in _RECIPE}, learning_rate=None if rate == "auto" else rate
    )
    network = {key: options[key] for key in _NETWORK if key in options}
    tfnets.speech.check(architecture, **network)
    return Settings(architecture, recipe, network, data_of(options))


def data_of(options: dict) -> dict:
    """The options of :func:`tfnets.speech.load` among those of a command."""
    words = [word.strip() for word in options["words"].split(",")]
    return {"data": options["data"], "words": words, "clips": options["clips"]}


def load(data: dict) -> Dataset:
    """Loads the data that the settings name."""
    return tfnets.speech.load(**data)
