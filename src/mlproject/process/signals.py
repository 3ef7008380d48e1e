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

import psutil

from mlproject.process import environment

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

# Another signal within so many seconds of the first is the same request: ``mlflow run`` reacts
# to Ctrl-C, which reaches us too, with a SIGTERM of its own while the run is being ended. The
# same signal is a new request: of somebody who does not want to wait, unless it comes so soon
# that nobody can have pressed a key twice.
_SAME_REQUEST, _SAME_SIGNAL = 5.0, 0.4

# How long a process that has been asked twice may take to end, in seconds.
_AT_MOST = 4.0


class Interrupted(BaseException):
    """This process was asked to end. Not an ``Exception``, so that nothing swallows it."""

    def __init__(self, signum: int):
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class _State:
    """What has been requested of this process, and whether it may be interrupted now."""

    requests: "_Requests"
    deferring = 0  # how many `deferred` blocks are open
    pending: int | None = None  # the signal that has not been acknowledged yet


class _Requests:
    """Tells which signals are requests of their own."""

    def __init__(self) -> None:
        self.count = 0
        self._at, self._signal = -math.inf, 0

    def is_new(self, signum: int) -> bool:
        """Notes a signal; whether it is a new request."""
        same = _SAME_SIGNAL if signum == self._signal else _SAME_REQUEST
        now = time.monotonic()
        if now - self._at < same:
            return False
        self.count += 1
        self._at, self._signal = now, signum
        return True


_State.requests = _Requests()


def install() -> None:
    """From now on a signal raises :class:`Interrupted`; its repetitions do not.

    A second request ends the process within five seconds, whatever it waits for. Signals that
    the process was started to ignore (``nohup``, a background job) stay ignored.
    """
    for each in SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, _on_signal)
    # Python's handlers wait for the main thread, which can be deep in somebody's C code; this
    # tells another thread at once.
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_end_when_asked_twice, args=(read,), daemon=True).start()
    sys.unraisablehook = functools.partial(_on_unraisable, sys.unraisablehook)


def _on_signal(signum, frame):
    if not _State.requests.is_new(signum):
        return
    repeated = _State.requests.count > 1
    _State.pending = signum
    if repeated or not _State.deferring:
        raise Interrupted(signum)


def _on_unraisable(otherwise, unraisable):
    """Hides the complaints of destructors once the process has been asked to end.

    They complain about our own exception, and about objects that it left half-made.
    """
    if not _State.requests.count:
        otherwise(unraisable)


def _end_when_asked_twice(read: int) -> None:
    requests = _Requests()
    while requests.count < 2:
        for signum in os.read(read, 1):
            if signum in SIGNALS:
                requests.is_new(signum)
    time.sleep(_AT_MOST)
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    with contextlib.suppress(OSError):
        os.write(2, b"Error: ended at once, as asked twice; the next start ends its run.\n")
    os._exit(128 + signum)


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
