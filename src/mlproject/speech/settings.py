"""What a command's options mean: what to load, build and train."""

from dataclasses import dataclass
from typing import Any

import tfnets.speech
from tfnets import training
from tfnets.dataset import Dataset

# What "auto" means: the reports, or models that hold up outside their corpus.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "report": {
        "level": "none",
        "augment": False,
        "keep": "last",
        "calibrate": False,
        "pooling": "last",
    },
    "tfnets": {
        "level": "clip",
        "augment": True,
        "keep": "best",
        "calibrate": True,
        "pooling": "mean",
    },
}

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
        calibrate: Whether the exported model's probabilities are scaled by a temperature.
    """

    architecture: str
    recipe: training.Recipe
    network: dict
    data: dict
    calibrate: bool


def resolve(architecture: str, options: dict) -> Settings:
    """What the options of a training mean.

    Args:
        architecture: As for :func:`tfnets.speech.build`.
        options: The command's options by name.

    Raises:
        InputError: For a value that does not fit.
    """
    rate = options["learning_rate"]
    used = with_protocol(options)
    recipe = training.Recipe(
        **{key: options[key] for key in _RECIPE},
        learning_rate=None if rate == "auto" else rate,
        keep=used["keep"],
    )
    network = {key: used[key] for key in _NETWORK if key in options}
    tfnets.speech.check(architecture, **network)
    return Settings(architecture, recipe, network, data_of(options), used["calibrate"])


def with_protocol(options: dict) -> dict:
    """The options with every ``auto`` that the protocol decides; of none, the reports'."""
    auto = PROTOCOLS[options.get("protocol", "report")]
    if str(options["data"]).lower().endswith(".npz"):  # ready matrices: nothing to change
        auto = auto | {"level": "none", "augment": False}
    return options | {
        name: value for name, value in auto.items() if options.get(name, "auto") == "auto"
    }


def data_of(options: dict) -> dict:
    """The options of :func:`tfnets.speech.load` among those of a command."""
    used = with_protocol(options)
    names = ("data", "clips", "split", "test_speakers", "folds", "fold", "unknown", "silence")
    return {name: used[name] for name in (*names, "level", "augment")} | {
        "duplicates": used.get("duplicates", "drop"),
        "words": () if used["words"] == "auto" else used["words"],
        "pattern": "" if used["pattern"] == "none" else used["pattern"],
    }


def load(data: dict) -> Dataset:
    """Loads the data that the settings name."""
    return tfnets.speech.load(**data)
