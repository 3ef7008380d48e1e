"""Option types that click lacks, and a way to share options between commands."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import click


def add_options(*groups: Sequence[Callable]) -> Callable:
    """Gives a command the options of several groups, in their order."""

    def decorate(function: Callable) -> Callable:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate


def defaults(command: click.Command) -> dict[str, Any]:
    """The default of each option of a command, converted to the option's type."""
    context = click.Context(command)
    return {
        option.name: option.type_cast_value(context, option.get_default(context))
        for option in command.params
        if isinstance(option, click.Option)
    }


def checkpoint(whose: str) -> Callable:
    """The option that names the weights of a PyTorch module.

    Args:
        whose: Which modules are taken over, in words.
    """
    return click.option(
        "--checkpoint",
        type=click.Path(),
        required=True,
        help=f"The weights of {whose}: a .safetensors file, or an .npz file with the entries of "
        "its state_dict. The entries tell which network it is.",
    )


def skip() -> Callable:
    """The option that names the entries of a checkpoint that are left out."""
    return click.option(
        "--skip",
        type=NoneList(),
        default="none",
        help="Entries of the checkpoint that belong to no layer and are skipped, separated by "
        "commas; * stands for any characters: 'criterion.*,ema.*'. Others that belong to no layer "
        "are refused.",
    )


# Of commands that train several networks.
RESUME = click.option(
    "--resume",
    default="none",
    help="Id of an interrupted run of this command: networks that finished there with the same "
    "options are not trained again.",
)

# Of the commands whose runs are executed on Dask.
ON_DASK = (
    click.option(
        "--scheduler",
        default="auto",
        help="Address of a Dask cluster, tcp://host:8786; 'local' starts one with a process per "
        "core; 'auto' is DASK_SCHEDULER_ADDRESS if that is set, else local.",
    ),
    RESUME,
)


class FloatRange(click.FloatRange):
    """A number within limits; NaN and infinity are in none."""

    def convert(self, value: Any, param, ctx) -> float:
        """The number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


class AutoFloat(click.ParamType):
    """A number, or ``auto``.

    Args:
        least: The smallest that is allowed; None for all above 0.
        below: What it must be below.
    """

    name = "auto|float"

    def __init__(self, least: float | None = None, below: float = math.inf):
        self.least, self.below = least, below

    def convert(self, value: Any, param, ctx) -> float | str:
        """The number, or ``"auto"``."""
        if value == "auto":
            return value
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        enough = number > 0 if self.least is None else number >= self.least
        if not (enough and number < self.below):
            needed = "a positive number"
            if self.least is not None:
                needed = f"a number of {self.least} or more"
                if self.below < math.inf:
                    needed = f"a number from {self.least} to below {self.below}"
            self.fail(f"{value!r} is neither {needed} nor 'auto'.", param, ctx)
        return number


class AutoList(click.ParamType):
    """Names separated by commas, or ``auto``."""

    name = "auto|name,..."

    def convert(self, value: Any, param, ctx) -> str | tuple[str, ...]:
        """The names, or ``"auto"``."""
        if value == "auto" or isinstance(value, tuple):
            return value
        return _names(self, value, param, ctx)


def _names(kind: click.ParamType, value: str, param, ctx) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.split(","))
    if not all(names):
        kind.fail(f"{value!r} has an empty name in it.", param, ctx)
    return names


class NoneList(click.ParamType):
    """Names separated by commas, or ``none``, which becomes an empty tuple."""

    name = "none|name,..."

    def convert(self, value: Any, param, ctx) -> tuple[str, ...]:
        """The names."""
        if isinstance(value, tuple):
            return value
        return () if value == "none" else _names(self, value, param, ctx)


class Several(click.ParamType):
    """Values separated by commas, each once: ``0,1,2``; becomes a tuple.

    Args:
        kind: The type of each.
    """

    def __init__(self, kind: click.ParamType):
        self.kind = kind
        self.name = f"{kind.name},..."

    def convert(self, value: Any, param, ctx) -> Any:
        """The values in their order, a tuple."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in value.split(",")]
        try:
            values = [self.kind.convert(part, param, ctx) for part in parts]
        except click.BadParameter as error:  # click calls a number with limits a range
            self.fail(error.message.replace("integer range", "integer"), param, ctx)
        for number, part in enumerate(parts):
            if str(values[number]) in map(str, values[:number]):  # a name can be a number
                self.fail(f"{value!r} names {part} twice; give each once.", param, ctx)
        return tuple(values)


class AutoSeveral(Several):
    """Values separated by commas, each once, or ``auto``."""

    def __init__(self, kind: click.ParamType):
        super().__init__(kind)
        self.name = f"auto|{self.name}"

    def convert(self, value: Any, param, ctx) -> Any:
        """The values in their order, or ``"auto"``."""
        return value if value == "auto" else super().convert(value, param, ctx)


class OneOf(click.ParamType):
    """One of some names, or what another type takes.

    Args:
        names: The names.
        kind: The other type.
    """

    def __init__(self, names: Sequence[str], kind: click.ParamType):
        self.names, self.kind, self.name = names, kind, kind.name

    def convert(self, value: Any, param, ctx) -> Any:
        """The name, or what the other type makes of it."""
        return value if value in self.names else self.kind.convert(value, param, ctx)


class _Runs(NoneList):
    name = "none|id,..."


# Of the commands that test on everybody once.
AGAINST = click.option(
    "--against",
    type=_Runs(),
    default="none",
    help="Runs of earlier cross-validations to compare with by person, separated by commas; the "
    "first is the reference.",
)


# Options of a training that several tasks have, each with its own default.

COUNT = click.IntRange(1, 2**31 - 1)
SEED = click.IntRange(0, 2**32 - 1)

DUPLICATES = click.option(
    "--duplicates",
    type=click.Choice(["drop", "keep"]),
    default="drop",
    help="Samples that are in two splits, by content: take them out of training, or keep them.",
)

EPOCHS = click.option("--epochs", type=COUNT, default=50, help="Passes over the training data.")


def batch_size(default: int, help: str) -> Callable:
    """The option of how many samples are in a step."""
    return click.option("--batch-size", type=COUNT, default=default, help=help)


def optimizer(names: Sequence[str], default: str) -> Callable:
    """The option that chooses an optimizer."""
    return click.option(
        "--optimizer",
        type=click.Choice(names),
        default=default,
        help="Optimizer, with PyTorch's update rule; Adam has PyTorch's defaults.",
    )


def learning_rate(auto: str) -> Callable:
    """The option of the learning rate; ``auto`` says what that is, in words."""
    return click.option(
        "--learning-rate",
        type=AutoFloat(),
        default="auto",
        help=f"Learning rate; 'auto' is {auto}.",
    )


def momentum(default: float) -> Callable:
    """The option of SGD's momentum."""
    return click.option(
        "--momentum",
        type=FloatRange(0, 1, max_open=True),
        default=default,
        help="SGD only; ignored by Adam.",
    )


def weight_decay(default: float) -> Callable:
    """The option of SGD's weight decay."""
    return click.option(
        "--weight-decay",
        type=FloatRange(0),
        default=default,
        help="SGD only, on every parameter, coupled as in PyTorch; ignored by Adam.",
    )


def seed(default: int, what: str) -> Callable:
    """The option of a training's seed, and of what besides the initial weights."""
    return click.option(
        "--seed",
        type=SEED,
        default=default,
        help=f"Random seed of the initial weights and the {what}.",
    )
