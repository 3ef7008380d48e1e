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

from mlproject.process import environment

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

# Signals within so many seconds of the first are the same request: ``mlflow run`` reacts to
# Ctrl-C, which reaches us too, with a SIGTERM of its own while the run is being ended.
_SAME_REQUEST = 5.0


class Interrupted(BaseException):
    """This process was asked to end. Not an ``Exception``, so that nothing swallows it."""

    def __init__(self, signum: int):
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class _State:
    """What has been requested of this process, and whether it may be interrupted now."""

    first = -math.inf  # when the request first came
    deferring = 0  # how many `deferred` blocks are open
    pending: int | None = None  # the signal that has not been acknowledged yet


def install() -> None:
    """From now on a signal raises :class:`Interrupted`; its repetitions do not.

    Signals that the process was started to ignore (``nohup``, a background job) stay ignored.
    """
    for each in SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, _on_signal)
    sys.unraisablehook = functools.partial(_on_unraisable, sys.unraisablehook)


def _on_signal(signum, frame):
    now = time.monotonic()
    if now - _State.first < _SAME_REQUEST:
        return
    repeated = _State.pending is not None
    _State.first, _State.pending = now, signum
    if repeated or not _State.deferring:
        raise Interrupted(signum)


def _on_unraisable(otherwise, unraisable):
    """Hides the complaints of destructors once the process has been asked to end.

    They complain about our own exception, and about objects that it left half-made.
    """
    if _State.first == -math.inf:
        otherwise(unraisable)


def check() -> None:
    """Raises :class:`Interrupted` for a signal that has not been acknowledged.

    Where Python calls back from C (weak references, destructors), an exception is printed
    and lost; so whatever is about to begin something calls this first.
    """
    if _State.pending is not None and not _State.deferring:
        raise Interrupted(_State.pending)


def acknowledge() -> None:
    """Marks the pending request as handled: the process is ending, as it was asked to."""
    _State.pending = None


def request() -> None:
    """Asks this process to give up what it does, as a signal would."""
    _State.pending = signal.SIGTERM


def end_with(processes: list[str]) -> None:
    """From now on this process ends when one of the processes that it depends on ends.

    An empty list means that they have ended already.
    """
    if not processes:
        request()
        check()
    else:
        threading.Thread(target=_watch, args=(processes,), daemon=True).start()


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """Keeps a terminal's signals from threads and processes that are started in the block.

    Neither they nor their children ever receive them; this process does, after the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It would be started in the block, and unblock them for its parent.
    multiprocessing.resource_tracker.ensure_running()
    terminal = {each for each in SIGNALS if each != signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, terminal)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Defers a signal until the block is done; one that is repeated later interrupts it.

    For what must not be left half-done and can hang all the same: the import of large
    packages, the start and the end of a run in a store that may be a server.
    """
    _State.deferring += 1
    try:
        yield
    finally:
        _State.deferring -= 1
    check()


def _watch(processes: list[str]) -> None:
    while all(map(environment.is_alive, processes)):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
