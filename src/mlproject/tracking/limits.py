"""Texts made to fit where MLflow limits their length; what is cut off says where all of it is."""

import re
from collections.abc import Sequence


def text(value: str, most: int, place: str) -> str:
    """A text of at most so many characters.

    Args:
        value: The text.
        most: The limit.
        place: Where all of it is, should it be cut.
    """
    if len(value) <= most:
        return value
    end = f" ... ({len(value):,} characters, all in {place})"
    return value[: most - len(end)] + end


def names(values: Sequence[str], most: int, place: str) -> str:
    """``"no, go, down"``, or as many names as fit: ``"c0, c1 ... (130, all in classes.txt)"``.

    Args:
        values: The names.
        most: The limit, in characters.
        place: Where all of them are, should some be left out.
    """
    every = ", ".join(values)
    if len(every) <= most:
        return every
    end = f" ... ({len(values):,}, all in {place})"
    start = every[: most - len(end)]
    # Whole names, unless not even one fits.
    return (start.rpartition(", ")[0] or start) + end


def escaped(value: str) -> str:
    """A text that Markdown shows as it is, in a sentence: no emphasis, links, HTML or formulas."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$!&])", r"\\\1", value)


def markdown(value: str, most: int, place: str) -> str:
    """As :func:`text`; a block of code that is cut is closed."""
    if len(value) <= most:
        return value
    end = f"\n```\n\n... ({len(value):,} characters, all in {place})"
    start = value[: most - len(end)].rpartition("\n")[0]
    return start + (end if start.count("```") % 2 else end.replace("```\n", "", 1))
