"""What a command's options mean."""

from dataclasses import dataclass

import tfnets.addition
from tfnets import training
from tfnets.dataset import Dataset

# PyTorch's default of adam as in the report, and one at which sgd learns in time.
_LEARNING_RATES = {"adam": 0.001, "sgd": 0.1}

# After so many steps the network is looked at.
_EVERY = 50

# What "steps/to_99" waits for in the validation, and a champion needs in the test.
ALMOST_ALL = 0.99


@dataclass(frozen=True)
class Settings:
    """A command's options, each ``auto`` replaced.

    Attributes:
        recipe: How to train.
        network: Options of :func:`tfnets.addition.build`.
        data: Options of :func:`tfnets.addition.load`.
        lengths: Other values of ``seq_len`` to test at.
        register_as: Name in the model registry, or none.
    """

    recipe: training.Recipe
    network: dict
    data: dict
    lengths: tuple[int, ...]
    register_as: str | None


def settings(parameters: dict) -> Settings:
    """What a command's options mean.

    Args:
        parameters: The command's options by name.

    Raises:
        InputError: For a value that does not fit.
    """
    given = dict(parameters)
    if given["learning_rate"] == "auto":
        given["learning_rate"] = _LEARNING_RATES[given["optimizer"]]
    seq_len, base, name = given["seq_len"], given["base"], given["register_as"]
    if name == "auto":
        name = "adder" if base == 10 else f"adder-base{base}"
    lengths = given["lengths"]
    if lengths == "auto":
        lengths = (max(2, seq_len // 2), 2 * seq_len, 10 * seq_len)
    taken = ("batch_size", "optimizer", "learning_rate", "momentum", "nesterov", "seed", "steps")
    recipe = training.Recipe(
        epochs=looks(given["steps"]),
        weight_decay=0.0,
        **{key: given[key] for key in taken},
    )
    names = ("cell", "base", "embedding_dim", "hidden_size", "num_layers", "initializer", "seed")
    return Settings(
        recipe,
        {key: given[key] for key in names},
        {"seq_len": seq_len, "base": base},
        tuple(length for length in lengths if length != seq_len),
        None if name == "none" else name,
    )


def looks(steps: int) -> int:
    """How many times a network is looked at during its training."""
    return -(-steps // _EVERY)


def last_steps(steps: int) -> int:
    """Over how many steps, the last of a training, its last ``train/loss`` is the mean."""
    times = looks(steps)
    return steps - steps * (times - 1) // times


def load(chosen: Settings) -> Dataset:
    """Makes the data that the settings name."""
    return tfnets.addition.load(**chosen.data)
