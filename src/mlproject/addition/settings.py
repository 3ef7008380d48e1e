"""What a command's options mean: what to load, build, train and test."""

from dataclasses import dataclass

import tfnets.addition
from mlproject.tracking import registry
from tfnets import training
from tfnets.dataset import Dataset

# PyTorch's default of adam as in the report, and one at which sgd learns in time.
_LEARNING_RATES = {"adam": 0.001, "sgd": 0.1}

# After so many steps the network is looked at.
_EVERY = 50

# What "steps/to_99" waits for in the validation, and a champion needs in the test.
ALMOST_ALL = 0.99


@dataclass(frozen=True)
class Test:
    """An adder's test settings and registered name, with every ``auto`` resolved.

    Attributes:
        data: Options of :func:`tfnets.addition.load`.
        lengths: Other values of ``seq_len`` to test at.
        register_as: Name in the model registry, or none.
    """

    data: dict
    lengths: tuple[int, ...]
    register_as: str | None


@dataclass(frozen=True)
class Settings:
    """The options of a training, with every ``auto`` resolved.

    Attributes:
        recipe: How to train.
        network: Options of :func:`tfnets.addition.build`.
        test: What to test on, of which the data are trained on, too.
    """

    recipe: training.Recipe
    network: dict
    test: Test


def resolve(options: dict) -> Settings:
    """What a command's options mean.

    Args:
        options: The command's options by name.

    Raises:
        InputError: For a value that does not fit.
    """
    used = dict(options)
    if used["learning_rate"] == "auto":
        used["learning_rate"] = _LEARNING_RATES[used["optimizer"]]
    taken = ("batch_size", "optimizer", "learning_rate", "momentum", "nesterov", "seed", "steps")
    recipe = training.Recipe(
        epochs=looks(used["steps"]),
        weight_decay=0.0,
        **{key: used[key] for key in taken},
    )
    names = ("cell", "base", "embedding_dim", "hidden_size", "num_layers", "initializer", "seed")
    return Settings(recipe, {key: used[key] for key in names}, test_of(used, used["base"]))


def test_of(options: dict, base: int) -> Test:
    """What a command's options mean for what comes after a network has its weights.

    Args:
        options: The command's options by name.
        base: Of the number system.

    Raises:
        InputError: For what cannot be the name of a registered model.
    """
    seq_len, name = options["seq_len"], options["register_as"]
    if name == "auto":
        name = "adder" if base == 10 else f"adder-base{base}"
    lengths = options["lengths"]
    if lengths == "auto":
        lengths = (max(2, seq_len // 2), 2 * seq_len, 10 * seq_len)
    registry.check_name(name)
    return Test(
        {"seq_len": seq_len, "base": base},
        tuple(length for length in lengths if length != seq_len),
        None if name == "none" else name,
    )


def looks(steps: int) -> int:
    """The number of evaluations during a training."""
    return -(-steps // _EVERY)


def last_steps(steps: int) -> int:
    """The number of last steps over which the final ``train/loss`` is averaged."""
    times = looks(steps)
    return steps - steps * (times - 1) // times


def load(data: dict) -> Dataset:
    """Loads the data that the settings name."""
    return tfnets.addition.load(**data)
