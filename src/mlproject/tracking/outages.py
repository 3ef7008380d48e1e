"""A store that does not answer for a while: locked, restarting, out of reach."""

import contextlib
import functools
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import requests
from mlflow.exceptions import MlflowException

from mlproject.process import signals
from mlproject.tracking import store
from tfnets.errors import InputError, first_line
from tfnets.progress import duration, say

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Silence that a line explains, in seconds, and the pause between two attempts.
_SILENCE = 10.0
PAUSE = 1.0
# How long each of MLflow's attempts waits for an answer at a command's start, in seconds.
_ANSWER = 20

# We try again ourselves, and say so: MLflow's own attempts are 12 minutes of silence.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
# It writes a traceback for each of its attempts at a database.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

_PASSES = re.compile(r"is locked|failed with (timeout )?exception|error code (429|502|503|504)\b")
# What MLflow calls temporary, too, but waiting does not help; and servers that break.
_STAYS = re.compile(
    r"too many 500|disk is full|readonly|read-only|no such|unable to open|malformed|I/O error"
    r"|not a database|Failed to parse|Invalid URL|No connection adapters|Name or service not known"
)


def is_temporary(error: BaseException) -> bool:
    """Whether what a store or its artifacts' place refuses may work later."""
    if isinstance(error, GaveUpError):
        return False
    if isinstance(error, requests.RequestException):
        if isinstance(error, ValueError):  # a URL that is none
            return False
        answer = error.response
        return answer is None or answer.status_code in (429, 502, 503, 504)
    if not isinstance(error, MlflowException):
        return "database is locked" in str(error)  # SQLAlchemy's, at a start
    if _STAYS.search(str(error)):
        return False
    codes = "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"
    return error.error_code in codes or _PASSES.search(str(error)) is not None


def patience() -> float:
    """How long a store may be away before a run gives up, in seconds: TFNETS_PATIENCE or 600.

    Raises:
        InputError: If TFNETS_PATIENCE is no number from 0.
    """
    text = os.environ.get("TFNETS_PATIENCE", "").strip() or "600"
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < threading.TIMEOUT_MAX:
            return float(text)
    raise InputError(f"TFNETS_PATIENCE is {text!r}; expected a number of seconds, 0 or more.")


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """A block in which a server that never answers is given up after a minute.

    MLflow waits two minutes, three times; later that is right, for a large file may take as long.
    A user's own MLFLOW_HTTP_REQUEST_TIMEOUT is kept.
    """
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(_ANSWER)
    try:
        yield
    finally:
        os.environ.pop(name, None)


class GaveUpError(MlflowException):
    """A store stayed away for as long as it was waited for."""

    def __init__(self, error: BaseException | str, seconds: float):
        why = error if isinstance(error, str) else first_line(error)
        super().__init__(f"{why} (it was tried for {duration(seconds)})")


class Reason:
    """Why the last attempt failed; set by the one who tries."""

    text = "no answer"


@contextlib.contextmanager
def announced(where: str, meanwhile: str) -> Iterator[Reason]:
    """A block that may wait for a store: after 10 s a line says so, and one when it is over.

    Args:
        where: Which store.
        meanwhile: What the user may want to know: ``"Ctrl-C ends the run"``.
    """
    reason, said = Reason(), threading.Event()

    def tell() -> None:
        said.set()
        say(f"waiting for {where}: {reason.text}; {meanwhile}")

    timer = threading.Timer(_SILENCE, tell)
    timer.daemon = True
    timer.start()
    try:
        yield reason
    except BaseException:
        timer.cancel()
        raise
    timer.cancel()
    if said.is_set():
        say(f"{where} answers again")


def patient(
    function: Callable[_P, _T], temporary: Callable[[BaseException], bool] = is_temporary
) -> Callable[_P, _T]:
    """Makes a function try again as long as the store's refusal is temporary.

    Between two attempts a signal ends it. What it does must do no harm when done twice.

    Raises:
        GaveUpError: If the store stays away for :func:`patience` seconds.
        Exception: What the function raises, if it is not temporary.
    """

    @functools.wraps(function)
    def tries(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        began = 0.0
        with announced(store.shown(), "Ctrl-C ends the run") as reason:
            while True:
                signals.check()
                try:
                    with signals.deferred():
                        return function(*args, **kwargs)
                except Exception as error:
                    if not temporary(error):
                        raise
                    began = began or time.monotonic()
                    if time.monotonic() > began + patience():
                        raise GaveUpError(error, patience()) from error
                    reason.text = first_line(error)
                signals.check()
                time.sleep(PAUSE)

    return tries
