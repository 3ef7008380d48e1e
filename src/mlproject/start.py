"""The first lines of every command: an interruption has no traceback, however early it comes.

Python's own handler raises KeyboardInterrupt, also in the middle of an import. Until ours is
there (:func:`mlproject.process.signals.install`), the signal ends the process, as it does every
other program.
"""

import os
import signal
import sys


def main() -> None:
    """Runs ``tfnets``."""
    _prepare()
    from mlproject import cli

    cli.main()


def task(name: str) -> None:
    """Runs the commands of a task: ``python -m mlproject.speech``.

    Args:
        name: ``"speech"``, ``"har"`` or ``"addition"``.
    """
    _prepare()
    import importlib

    from mlproject.tracking.task import main

    main(importlib.import_module(f"mlproject.{name}.commands").cli)


def _prepare() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Python has None for what the shell has closed (2>&-), which libraries do not expect.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (for as long as we run)
