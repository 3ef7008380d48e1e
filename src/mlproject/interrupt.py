"""Ctrl-C, SIGTERM, a closed terminal and a vanished ``mlflow run`` all end a run alike."""

import os
import signal
import threading
import time

from mlproject import circumstances

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(BaseException):
    """Someone wants this process to end. Not an ``Exception``, so that nothing swallows it."""

    def __init__(self, signum: int):
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


def listen() -> None:
    """From now on the first signal raises :class:`Interrupted`; further ones are ignored.

    They have to be: ``mlflow run`` answers Ctrl-C with a SIGTERM of its own while
    the run is being ended.
    """

    def on_signal(signum, frame):
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signum)

    for each in SIGNALS:
        signal.signal(each, on_signal)
    if "MLFLOW_RUN_ID" in os.environ and os.name == "posix":
        threading.Thread(target=_watch, args=(circumstances.launchers(),), daemon=True).start()


def _watch(launchers: list[str]) -> None:
    """Ends this process when the ``mlflow run`` that started it is killed."""
    while all(map(circumstances.is_alive, launchers)):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
