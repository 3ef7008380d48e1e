"""Networks that are imported from PyTorch: what their runs log of the checkpoint."""

import contextlib
from collections.abc import Iterator, Sequence

from mlproject.tracking import limits
from mlproject.tracking.run import Run
from tfnets.errors import InputError


@contextlib.contextmanager
def named(path: str) -> Iterator[None]:
    """Names the checkpoint in errors about its entries."""
    try:
        yield
    except InputError as error:
        raise InputError(f"checkpoint {path}: {error}") from error


def origin(path: str) -> str:
    """Where an imported network has its weights from, for its run's description."""
    return f"with the weights of `{path}`, trained in PyTorch."


def rows(skipped: Sequence[str]) -> list[tuple[str, str]]:
    """What a summary says of the entries that were left out."""
    return [("Skipped", limits.names(skipped, 300, "the tag"))] if skipped else []


def log_skipped(skipped: Sequence[str], run: Run) -> None:
    """Logs the names of the entries that were left out, if there are any."""
    if skipped:
        run.log_tags({"checkpoint.skipped": ", ".join(skipped)})
