"""Children of a parent run, executed on Dask: on a cluster of our own, or on one that is there.

Each worker process imports TensorFlow once, and gets the data once if all children share
them. A worker that dies is replaced and its child runs again, in a new run; the old one ends
as KILLED.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import distributed

from mlproject import circumstances, command, interrupt, records, tracking
from tfnets.errors import InputError, first_line

# How long the children have to end themselves after a signal, in seconds; on a busy machine
# that is what an epoch takes.
_GRACE = 15.0


@dataclass(frozen=True)
class Trial:
    """A child that is to be run.

    Attributes:
        name: Its run's name; no two of a sweep have the same.
        parameters: Options of the command that trains one network.
        tags: Its run's tags.
    """

    name: str
    parameters: dict
    tags: dict[str, str]


@dataclass(frozen=True)
class Ended:
    """A child that has run.

    Attributes:
        trial: Which.
        error: Why it failed; empty if it did not.
    """

    trial: Trial
    error: str = ""


@contextlib.contextmanager
def running(
    trials: Sequence[Trial],
    module: str,
    digest: str | None,
    parent: tracking.Run,
    scheduler: str,
) -> Iterator[Iterator[Ended]]:
    """Runs children; gives them as they end, in a ``with`` block, after which none runs.

    Args:
        trials: What to run, in this order.
        module: Name of the module that does it, with ``load_for(parameters)``, which
            gives the data, and ``trial(data, parameters, run)``.
        digest: Of the data that all trials share, which each worker loads once, so that none
            trains on other data; None if each trial makes its own.
        parent: The run that they belong to.
        scheduler: Address of a Dask cluster, ``"local"``, or ``"auto"`` for what
            DASK_SCHEDULER_ADDRESS says, else local.

    Raises:
        InputError: If the cluster cannot be reached, or would have to log to a file.
    """
    if not trials:
        yield iter(())
        return
    reference = parent.as_parent
    with contextlib.ExitStack() as stack:
        # The last that is done: what still runs then has lost its worker.
        stack.callback(records.end_running, reference, "its worker was stopped")
        client = _client(stack, scheduler, len(trials), reference.store)
        data = None
        if digest is not None:
            data = client.submit(_load, module, trials[0].parameters, pure=False)
        futures = {
            # Else Dask takes what is submitted at once in any order.
            client.submit(
                _child, trial, module, data, digest, reference, pure=False, priority=-place
            ): trial
            for place, trial in enumerate(trials)
        }
        try:
            yield _ended(futures)
        except BaseException:
            interrupt.answered()  # by ending, which must not be broken off by the same wish
            with contextlib.suppress(Exception):  # why we end matters more
                _stop(client, [*futures, *([data] if data else [])], reference.id)
            raise


def _ended(futures: dict) -> Iterator[Ended]:
    for future in distributed.as_completed(futures):
        trial = futures[future]
        try:
            yield Ended(trial, future.result())
        except distributed.scheduler.KilledWorker:
            yield Ended(trial, "its worker died again and again; is there too little memory?")
        except Exception as error:  # out of memory, a scheduler that is gone ...
            yield Ended(trial, f"{type(error).__name__}: {first_line(error)}.")


def _client(
    stack: contextlib.ExitStack, scheduler: str, trials: int, store: str
) -> distributed.Client:
    address = scheduler
    if scheduler == "auto":
        address = os.environ.get("DASK_SCHEDULER_ADDRESS") or "local"
    if address == "local":
        return _local(stack, trials)
    if not store.startswith("http"):
        raise InputError(
            f"the runs of a Dask cluster ({address}) need an MLflow server to log to, "
            f"http://host:port; MLFLOW_TRACKING_URI is {store}."
        )
    try:
        client = stack.enter_context(distributed.Client(address, timeout=10))
        client.wait_for_workers(1, timeout=60)
        stack.enter_context(_prepared(client))
    except Exception as error:  # each protocol and each missing package has its own
        raise InputError(
            f"scheduler {address!r}: no Dask cluster there whose workers have tfnets: "
            f"{first_line(error)}; an address such as tcp://host:8786 is needed, or 'local'."
        ) from None
    return client


def _local(stack: contextlib.ExitStack, trials: int) -> distributed.Client:
    """A cluster of one single-threaded process a core, reachable from this machine only."""
    # What starts here never hears Ctrl-C, or workers would end before we tell them to; and no
    # signal comes between the cluster's start and its place on the stack.
    with interrupt.held(), interrupt.blocked():
        cluster = distributed.LocalCluster(
            n_workers=min(circumstances.cpus(), trials),
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        stack.enter_context(cluster)
        client = stack.enter_context(distributed.Client(cluster))
    stack.enter_context(_prepared(client))
    return client


class _Prepare(distributed.WorkerPlugin):
    """Imports TensorFlow as soon as a worker starts, also one that replaces another."""

    name = "tfnets"

    def setup(self, worker):
        # A worker for each core: more threads would only get in each other's way.
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, "1")
        command.start_tensorflow()


@contextlib.contextmanager
def _prepared(client: distributed.Client) -> Iterator[None]:
    client.register_plugin(_Prepare())
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # the cluster may be gone
            client.unregister_worker_plugin(_Prepare.name)


def _stop(client: distributed.Client, futures: list, parent: str) -> None:
    """Drops what waits, and lets what runs end its own run."""
    client.cancel(futures, force=True)
    client.run(_interrupt, parent)
    end = time.monotonic() + _GRACE
    while time.monotonic() < end and any(client.run(_is_busy, parent).values()):
        time.sleep(0.1)


# What follows runs in the workers.


class _Now:
    """Whose child this process is running; one at a time, for seeds are of the process."""

    lock = threading.Lock()
    parent: str | None = None
    stopped: ClassVar[set[str]] = set()  # parents that want no more children


def _is_busy(parent: str) -> bool:
    return _Now.parent == parent


def _interrupt(parent: str) -> None:
    _Now.stopped.add(parent)
    if _is_busy(parent):
        interrupt.wish()


def _load(module: str, parameters: dict):
    return command.imported(module).load_for(parameters)


def _child(trial: Trial, module: str, data, digest: str | None, parent: tracking.Parent) -> str:
    """Runs one child; why it failed, or nothing."""
    with _Now.lock:
        interrupt.answered()  # should the wish have been for the child before
        _Now.parent = parent.id
        try:
            if parent.id in _Now.stopped:
                return "its sweep was stopped"
            tracking.use(parent.store)
            # Should this be its second start: where it ran first, nobody is left to end it,
            # and it can have died when all was done.
            records.end_running(parent, "its worker is gone", trial.name)
            query = "attributes.status = 'FINISHED'"
            there = records.children(parent.id, parent.experiment_id, query)
            if trial.name in [record.name for record in there]:
                return ""
            with tracking.run(
                trial.name,
                task=parent.task,
                stage="trial",
                parameters=trial.parameters,
                tags=trial.tags,
                parent=parent,
            ) as run:
                if digest is None:
                    data = _load(module, trial.parameters)
                elif data.digest != digest:
                    raise InputError(
                        f"{data.source} is not the same on {socket.gethostname()} as where the "
                        "sweep was started; it must be the same everywhere."
                    )
                command.imported(module).trial(data, trial.parameters, run)
        except InputError as error:
            return str(error)
        except interrupt.Interrupted as error:  # Dask could not hand it on
            return str(error)
        finally:
            _Now.parent = None
    return ""
