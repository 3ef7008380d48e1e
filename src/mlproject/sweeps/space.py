"""Which values a search tries, as a user writes them: ``units=10..200:log,cell=rnn|gru``."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

_AXIS = re.compile(r"(?P<name>[\w-]+)=(?P<values>.+)")


class Axis(NamedTuple):
    """One option and the values that it may have.

    Attributes:
        name: The option.
        values: Choices; empty for a range.
        low: Lower end of a range.
        high: Upper end of a range, which belongs to it.
        log: Whether the range is searched on a logarithmic scale.
    """

    name: str
    values: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether the range is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __str__(self) -> str:
        if self.values:
            return f"{self.name}={'|'.join(self.values)}"
        return f"{self.name}={self.low}..{self.high}{':log' if self.log else ''}"


class SpaceType(click.ParamType):
    """Options with their values, separated by commas; becomes a tuple of :class:`Axis`."""

    name = "option=low..high[:log]|a|b,..."

    def convert(self, value: Any, param, ctx) -> tuple[Axis, ...]:
        """The axes."""
        if isinstance(value, tuple):
            return value
        axes = tuple(self._axis(part.strip(), param, ctx) for part in value.split(","))
        for number, axis in enumerate(axes):
            if axis.name in [other.name for other in axes[:number]]:
                self.fail(f"{value!r} names {axis.name} twice; give each once.", param, ctx)
        return axes

    def _axis(self, text: str, param, ctx) -> Axis:
        match = _AXIS.fullmatch(text)
        if not match:
            what = "such as units=10..200, learning_rate=0.001..0.1:log or cell=rnn|gru"
            self.fail(f"{text!r} is no option with values, {what}.", param, ctx)
        name, values = match["name"].replace("-", "_"), match["values"]
        if ".." not in values:
            choices = tuple(values.split("|"))
            if not all(choices) or len(set(choices)) < len(choices):
                self.fail(f"{text!r} has an empty value, or one twice.", param, ctx)
            return Axis(name, choices)
        low_text, _, rest = values.partition("..")
        high_text, colon, scale = rest.partition(":")
        low, high = _number(low_text), _number(high_text)
        if low is None or high is None or not low < high or (colon and scale != "log"):
            self.fail(f"{text!r} is no range low..high or low..high:log.", param, ctx)
        if scale and low <= 0:
            self.fail(f"{text!r}: a logarithmic range is of positive numbers.", param, ctx)
        return Axis(name, (), low, high, bool(scale))


def _number(text: str) -> float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# Options that a search leaves alone, and why.
NOT_SEARCHED = {
    "seed": "is no choice: the best seed is the luckiest",
    "epochs": "is given to all trials alike, or they could not be compared",
    "steps": "is given to all trials alike, or they could not be compared",
    "register_as": "is none of a trial",
    **dict.fromkeys(
        ("data", "words", "clips", "pattern", "split", "test_subjects", "test_speakers", "folds",
         "fold", "unknown", "silence", "duplicates", "validation_fraction", "window", "stride",
         "rate", "standardise", "level", "augment", "base", "seq_len", "lengths", "protocol"),
        "decides what is trained on, which all trials share",
    ),
}  # fmt: skip


def check(axes: tuple[Axis, ...], command: click.Command, fixed: Mapping[str, str]) -> None:
    """Refuses an axis that is no option of the training, or whose values the option does not take.

    Args:
        axes: What is searched.
        command: The command that trains one network.
        fixed: Options that cannot be searched, and why not.

    Raises:
        click.BadParameter: For such an axis.
    """
    options = {option.name: option for option in command.params}
    for axis in axes:
        if axis.name in fixed or axis.name not in options:
            why = fixed.get(axis.name, f"is no option of {command.name}")
            raise click.BadParameter(f"{axis.name} {why}.", param_hint="space")
        ends = axis.values or (str(axis.low), str(axis.high))
        for end in ends:
            try:
                options[axis.name].type.convert(end, None, None)
            except click.BadParameter as error:
                message = f"{axis.name}: {error.message}"
                raise click.BadParameter(message, param_hint="space") from None


def typed(name: str, value: Any, command: click.Command) -> Any:
    """A value as the option of the training has it."""
    (option,) = (option for option in command.params if option.name == name)
    return option.type.convert(value if isinstance(value, str) else str(value), None, None)


def options(space: str, name: str, trials: int = 30) -> tuple:
    """The options of a command that searches.

    Args:
        space: What it searches by default.
        name: Where it registers the best.
        trials: How many it tries.
    """
    return (
        click.option(
            "--space",
            type=SpaceType(),
            default=space,
            help="What to try, separated by commas: options of the training with a range "
            "(units=10..200, with :log on a logarithmic scale) or choices (cell=rnn|gru).",
        ),
        click.option(
            "--trials",
            type=click.IntRange(1, 100_000),
            default=trials,
            help="How many trainings; those of a resumed search count.",
        ),
        click.option(
            "--prune",
            type=bool,
            default=True,
            help="End a trial that is worse than the median of the others at the same epoch.",
        ),
        click.option(
            "--search-seed",
            type=click.IntRange(0, 2**32 - 1),
            default=0,
            help="Random seed of what is tried.",
        ),
        click.option(
            "--register-as",
            default=name,
            help="Name in the model registry for the best; it becomes the champion if it beats "
            "the present one on validation. 'none' registers nothing.",
        ),
    )


PARALLEL = click.option(
    "--parallel",
    type=click.IntRange(1, 10_000),
    default=2,
    help="How many trainings at a time; with 1 the same search gives the same trials.",
)
