"""The first lines of every command: an interruption has no traceback, however early it comes.

Python's own handler raises KeyboardInterrupt, also in the middle of an import. Until ours is
there (:func:`mlproject.process.signals.install`), the signal ends the process, as it does every
other program.
"""

import signal


def main() -> None:
    """Runs ``tfnets``."""
    _die_quietly()
    from mlproject import cli

    cli.main()


def task(name: str) -> None:
    """Runs the commands of a task: ``python -m mlproject.speech``.

    Args:
        name: ``"speech"``, ``"har"`` or ``"addition"``.
    """
    _die_quietly()
    import importlib

    from mlproject.tracking.task import main

    main(importlib.import_module(f"mlproject.{name}.commands").cli)


def _die_quietly() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
