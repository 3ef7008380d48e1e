"""The points that a run's store has not taken yet: sent in the background, kept in a file.

The file is in the user's state folder, and there only as long as something waits. After an
outage that a run did not live to see the end of, ``tfnets recover`` sends what is in it.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import mlflow
import platformdirs
from mlflow.entities import Metric

from mlproject.process import environment, signals
from mlproject.tracking import outages, store
from tfnets.errors import first_line

_AT_ONCE = 1000  # MLflow's limit


def folder() -> Path:
    """Where the files are: ``TFNETS_STATE`` if set, else the platform's place for such."""
    base = os.environ.get("TFNETS_STATE") or platformdirs.user_state_path("tfnets")
    return Path(base) / "outbox"


class Outbox:
    """Sends a run's points, in order, whenever its store takes them.

    A store that does not answer does not stop a training: a thread waits for it.

    Args:
        run_id: The run's id.
        store: Its tracking URI, one that means the same in any folder.
    """

    def __init__(self, run_id: str, store: str):
        self._run_id, self._store = run_id, store
        self._client = mlflow.MlflowClient(tracking_uri=store)
        self._waiting: list[Metric] = []
        self._changed = threading.Condition()
        self._at_once = self._closed = False
        self._error: Exception | None = None
        self._reason = ""
        self._thread: threading.Thread | None = None
        self._sent, self._cost = time.monotonic(), 0.0  # when the last ones were, how long it took
        self._file = _File(run_id, store)

    def add(self, points: Sequence[Metric]) -> None:
        """Takes points; those of up to five seconds, or of fifty sendings, go together.

        Raises:
            MlflowException, requests.RequestException: If the store has refused points for good.
        """
        with self._changed:
            self._raise_error()
            self._waiting += points
            self._file.append({"points": [[p.key, p.value, p.timestamp, p.step] for p in points]})
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, daemon=True)
                with signals.blocked():
                    self._thread.start()
            self._changed.notify_all()

    @property
    def is_stuck(self) -> bool:
        """Whether the latest attempt to send has failed."""
        return bool(self._reason)

    def drain(self, seconds: float) -> None:
        """Waits until all is sent.

        Raises:
            MlflowException, requests.RequestException: If the store has refused points for good.
            GaveUpError: If it has not taken them in time; says why.
        """
        end = time.monotonic() + seconds
        with self._changed:
            self._at_once = True
            self._changed.notify_all()
            while self._waiting:
                self._raise_error()
                if time.monotonic() >= end:
                    raise outages.GaveUpError(self._reason or "no answer", seconds)
                signals.check()
                self._changed.wait(0.2)
            self._raise_error()

    def close(self, status: str = "", error: str = "") -> Path | None:
        """Ends the thread.

        Args:
            status: How the run ends, if the store could not be told.
            error: Its tag ``error``, in that case.

        Returns:
            The file of what could not be sent; None if there is nothing or no file.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if status:
                self._file.append({"status": status, "error": error})
            elif not self._waiting or self._error:
                self._file.remove()
            return self._file.leave()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                due = self._sent + min(50 * self._cost, 5) - time.monotonic()
                self._changed.wait_for(self._is_urgent, max(due, 0))
                if self._closed:
                    return
                points = self._waiting[:_AT_ONCE]
            meanwhile = "points are kept until it answers, Ctrl-C ends the run"
            with outages.announced(store.shown(self._store), meanwhile) as reason:
                self._send(points, reason)
            if self._error or self._closed:
                return

    def _is_urgent(self) -> bool:
        return self._closed or self._at_once or len(self._waiting) >= _AT_ONCE

    def _send(self, points: list[Metric], reason: outages.Reason) -> None:
        while not self._closed:
            started = time.monotonic()
            try:
                self._client.log_batch(self._run_id, metrics=points, synchronous=True)
            except Exception as error:  # whoever adds more is told
                with self._changed:
                    temporary = outages.is_temporary(error)
                    if not temporary:
                        self._error = error
                    self._reason = reason.text = first_line(error)
                    self._changed.notify_all()
                    if not temporary:
                        return
                    self._changed.wait_for(lambda: self._closed, outages.PAUSE)
            else:
                with self._changed:
                    del self._waiting[: len(points)]
                    if not self._waiting and not self._closed:  # else it says how the run ended
                        self._file.remove()
                    self._sent = time.monotonic()
                    self._cost, self._reason = self._sent - started, ""
                    self._changed.notify_all()
                return


class _File:
    """Lines of JSON; without a place for it there is none, and the run goes on."""

    def __init__(self, run_id: str, store: str):
        self.path = folder() / f"{run_id}.jsonl"
        self._head = {"run": run_id, "store": store, "of": environment.identity()}
        self._stream: TextIO | None = None

    def append(self, entry: dict) -> None:
        with contextlib.suppress(OSError):
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._stream = self.path.open("a", encoding="utf-8")
                self._write(self._head)
            self._write(entry)

    def _write(self, entry: dict) -> None:
        assert self._stream is not None
        self._stream.write(json.dumps(entry) + "\n")
        self._stream.flush()

    def leave(self) -> Path | None:
        """Closes the file; its path, or None if there is none."""
        stream, self._stream = self._stream, None
        if stream is None:
            return None
        with contextlib.suppress(OSError):
            stream.close()
        return self.path

    def remove(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
            self.path.unlink(missing_ok=True)


@dataclass
class Left:
    """What a run has left in its file.

    Attributes:
        path: The file.
        run_id: The run's id.
        store: Its tracking URI.
        of: The process that it belonged to, :func:`mlproject.process.environment.identity`.
        points: What was not logged, in order.
        status: How the run ended; empty if its process ended before.
        error: Its tag ``error``; empty for none.
    """

    path: Path
    run_id: str
    store: str
    of: dict[str, str]
    points: list[Metric] = field(default_factory=list)
    status: str = ""
    error: str = ""

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody else can send it: the run has ended, or its process is gone."""
        return bool(self.status) or environment.is_gone(self.of)

    def send(self) -> str:
        """Sends it and deletes the file; points that the store has had before stay single.

        Returns:
            The run's status from now on.

        Raises:
            Exception: If the store does not take it: each kind of store has its own.
        """
        store.refuse_missing(self.store)
        client = mlflow.MlflowClient(tracking_uri=self.store)
        for start in range(0, len(self.points), _AT_ONCE):
            some = self.points[start : start + _AT_ONCE]
            client.log_batch(self.run_id, metrics=some, synchronous=True)
        status = client.get_run(self.run_id).info.status
        if status == "RUNNING":
            error = self.error if self.status else "its process is gone"
            if error:
                client.set_tag(self.run_id, "error", error)
            status = self.status or "KILLED"
            client.set_terminated(self.run_id, status)
        self.path.unlink(missing_ok=True)
        return status


def left() -> Iterator[Left]:
    """What runs have left, the oldest file first; files that are none of ours are passed over."""
    with contextlib.suppress(OSError):
        for path in sorted(folder().glob("*.jsonl"), key=os.path.getmtime):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                yield _read(path)


def send_left(store: str, run_id: str) -> None:
    """Sends what an abandoned run of a store has left here, if there is something."""
    for each in left():
        if each.run_id == run_id and each.store == store and each.is_abandoned:
            with contextlib.suppress(Exception):  # `tfnets recover` will say why
                each.send()


def _read(path: Path) -> Left:
    with path.open(encoding="utf-8") as lines:
        head = json.loads(next(lines, "null"))
        found = Left(path, str(head["run"]), str(head["store"]), dict(head["of"]))
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # its process ended while it wrote
                break
            for key, value, timestamp, step in entry.get("points", ()):
                found.points.append(Metric(key, value, timestamp, step))
            found.status = entry.get("status", found.status)
            found.error = entry.get("error", found.error)
    return found
