"""Ctrl-C, SIGTERM, a closed terminal and a vanished ``mlflow run`` all end a run alike."""

import contextlib
import functools
import math
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from mlproject import circumstances

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

# Signals within so many seconds of the first are the same wish: ``mlflow run`` answers
# Ctrl-C, which reaches us too, with a SIGTERM of its own while the run is being ended.
_SAME = 5.0


class Interrupted(BaseException):
    """Someone wants this process to end. Not an ``Exception``, so that nothing swallows it."""

    def __init__(self, signum: int):
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class _State:
    """What has been asked of this process, and whether now is the time for it."""

    first = -math.inf  # when the wish was first heard
    holding = 0  # how many `held` are open
    wish: int | None = None  # the signal that nobody has answered yet


def listen() -> None:
    """From now on a signal raises :class:`Interrupted`, its repetitions do not.

    What the process was started to ignore (``nohup``, a job in the background) it goes on
    ignoring.
    """
    for each in SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, _on_signal)
    sys.unraisablehook = functools.partial(_on_unraisable, sys.unraisablehook)


def _on_signal(signum, frame):
    now = time.monotonic()
    if now - _State.first < _SAME:
        return
    repeated = _State.wish is not None
    _State.first, _State.wish = now, signum
    if repeated or not _State.holding:
        raise Interrupted(signum)


def _on_unraisable(otherwise, unraisable):
    """Once someone wants us to end, nobody wants to read what destructors complain of.

    They do of our own exception, and of objects that it left half-made.
    """
    if _State.first == -math.inf:
        otherwise(unraisable)


def check() -> None:
    """Raises :class:`Interrupted` for a signal that has not been answered.

    Where Python calls back from C (weak references, destructors), an exception is printed
    and lost; so whoever is about to begin something asks once more.
    """
    if _State.wish is not None and not _State.holding:
        raise Interrupted(_State.wish)


def answered() -> None:
    """Says that the process is ending as it was asked to."""
    _State.wish = None


def wish() -> None:
    """Someone elsewhere wants this process to give up what it does; it is as a signal."""
    _State.wish = signal.SIGTERM


def end_with(processes: list[str]) -> None:
    """From now on this process ends when one of those does on which it depends.

    Without any, they have ended before.
    """
    if not processes:
        wish()
        check()
    else:
        threading.Thread(target=_watch, args=(processes,), daemon=True).start()


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """Keeps from threads and processes that start in the block what a terminal sends.

    They never hear it, nor does what they start; we do after the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It would be started in the block, and let its parent hear again.
    multiprocessing.resource_tracker.ensure_running()
    terminal = {each for each in SIGNALS if each != signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, terminal)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keeps a signal back until the block is done; one that is repeated later breaks in.

    For what must not be left half-done and can hang all the same: the import of large
    packages, the start and the end of a run in a store that may be a server.
    """
    _State.holding += 1
    try:
        yield
    finally:
        _State.holding -= 1
    check()


def _watch(processes: list[str]) -> None:
    while all(map(circumstances.is_alive, processes)):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
