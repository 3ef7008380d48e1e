"""Kinds of command-line options that click does not have, and a way to share options."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import click


def options(*groups: Sequence[Callable]) -> Callable:
    """Gives a command the options of several groups, in their order."""

    def decorate(function: Callable) -> Callable:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate


class AutoFloat(click.ParamType):
    """A positive number, or ``auto``."""

    name = "auto|float"

    def convert(self, value: Any, param, ctx) -> float | str:
        """The number, or ``"auto"``."""
        if value == "auto":
            return value
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is neither a positive number nor 'auto'.", param, ctx)
        return number


class Several(click.ParamType):
    """Values separated by commas, each once: ``0,1,2``; becomes a tuple.

    Args:
        kind: The type of each.
    """

    def __init__(self, kind: click.ParamType):
        self.kind = kind
        self.name = f"{kind.name},..."

    def convert(self, value: Any, param, ctx) -> tuple:
        """The values in their order."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in value.split(",")]
        try:
            values = [self.kind.convert(part, param, ctx) for part in parts]
        except click.BadParameter as error:  # click calls a number with limits a range
            self.fail(error.message.replace("integer range", "integer"), param, ctx)
        for number, part in enumerate(parts):
            if values[number] in values[:number]:
                self.fail(f"{value!r} names {part} twice; give each once.", param, ctx)
        return tuple(values)
