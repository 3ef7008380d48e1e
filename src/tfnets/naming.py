"""The order of names."""

import re


def natural(name: str) -> tuple:
    """A key to sort names by: numbers in them count as numbers, and come before letters."""
    return tuple((int(p), "") if p.isdecimal() else (0, p) for p in re.split(r"(\d+)", name))
