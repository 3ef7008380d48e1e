"""What the commands that take over a network from PyTorch have in common."""

import contextlib
from collections.abc import Iterator

from tfnets.errors import InputError


@contextlib.contextmanager
def named(path: str) -> Iterator[None]:
    """Says of which checkpoint it is that the entries are wrong."""
    try:
        yield
    except InputError as error:
        raise InputError(f"checkpoint {path}: {error}") from error


def origin(path: str) -> str:
    """Where an imported network has its weights from, for its run's description."""
    return f"with the weights of `{path}`, trained in PyTorch."
