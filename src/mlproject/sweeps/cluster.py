"""Trials on Dask, several at a time: on a cluster of our own, or on one that is there.

Each worker process imports TensorFlow once, and loads the data once if all trials share
it. A worker that dies is replaced and its trial runs again, in a new run; the old one ends
as KILLED.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import ClassVar

import click
import dask
import distributed
from distributed.system import memory_limit

from mlproject.process import environment, signals
from mlproject.process.imports import start_tensorflow
from mlproject.sweeps.trials import (
    Ended,
    Follow,
    LostError,
    PrunedError,
    Trial,
    Work,
    nothing_more,
    start_trial,
)
from mlproject.tracking import lifecycle, queries
from mlproject.tracking.run import Run, RunReference
from tfnets.dataset import Dataset
from tfnets.errors import InputError, first_line
from tfnets.progress import say

# What TensorFlow, MLflow and a compiled network take, in bytes: in each worker, and here.
_MEMORY = 1_200_000_000

# Starting by fork would copy TensorFlow's locks without the threads that hold them.
_DASK = {"distributed.worker.multiprocessing-method": "spawn"}

# How long the trials have to end themselves after a signal, in seconds; on a busy machine
# that is what an epoch takes.
_GRACE = 15.0

# They write tracebacks when a connection breaks; we say what it means.
_LOGGERS = "distributed", "distributed.client", "asyncio", "tornado.application"


@dataclass(frozen=True)
class OnDask:
    """An executor (:class:`mlproject.sweeps.trials.Executor`).

    Attributes:
        scheduler: Address of a Dask cluster, ``"local"``, or ``"auto"`` for
            DASK_SCHEDULER_ADDRESS if that is set, else local.
    """

    scheduler: str = "local"

    @contextlib.contextmanager
    def running(
        self,
        trials: Sequence[Trial],
        work: Work,
        data: Dataset | None,
        parent: Run,
        follow: Follow = nothing_more,
    ) -> Iterator[Iterator[Ended]]:
        """Runs trials on the cluster; data that they share is loaded once by each worker.

        Raises:
            InputError: If the cluster cannot be reached, or would have to log to a file.
        """
        if not trials:
            yield iter(())
            return
        reference = parent.reference
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with contextlib.ExitStack() as stack:
            # Done last: what still runs then has lost its worker.
            stack.callback(queries.end_running, reference, "its worker was stopped")
            client = _client(stack, self.scheduler, len(trials), reference.store)
            loaded = None
            if data is not None:
                loaded = client.submit(work.load, trials[0], pure=False)
            digest = None if data is None else data.digest
            futures: dict = {}

            def submit(trial: Trial) -> distributed.Future:
                # Without priorities Dask takes what is submitted at once in any order.
                order = {"pure": False, "priority": -len(futures)}
                future = client.submit(_run, trial, work, loaded, digest, reference, **order)
                futures[future] = trial
                return future

            for trial in trials:
                submit(trial)
            try:
                yield _ended(futures, submit, follow, client.scheduler.address)
            except BaseException:
                signals.acknowledge()  # by ending, which the same request must not interrupt
                with contextlib.suppress(Exception):  # why we end matters more
                    _stop(client, [*futures, *([loaded] if loaded else [])], reference.id)
                raise


def _ended(
    futures: dict, submit: Callable[[Trial], distributed.Future], follow: Follow, scheduler: str
) -> Iterator[Ended]:
    completed = distributed.as_completed(list(futures))
    for future in completed:
        ended = _outcome(futures[future], future, scheduler)
        for trial in follow(ended):
            completed.add(submit(trial))
        yield ended


def _outcome(trial: Trial, future: distributed.Future, scheduler: str) -> Ended:
    try:
        return Ended(trial, *future.result())
    except distributed.scheduler.KilledWorker:
        return Ended(trial, error="its worker died again and again; is there too little memory?")
    except CancelledError:
        raise LostError(f"the connection to scheduler {scheduler!r} is lost") from None
    except Exception as error:  # out of memory, what cannot be sent ...
        return Ended(trial, error=f"{type(error).__name__}: {first_line(error)}.")


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
    if not address.startswith("tls://"):
        click.echo(
            f"Warning: scheduler {address} is not secured: whoever can reach it can run any code "
            "on its workers. See docs/running.md for tls://.",
            err=True,
        )
    try:
        client = stack.enter_context(distributed.Client(address, timeout=10))
        client.wait_for_workers(1, timeout=60)
        stack.enter_context(_prepared(client))
    except Exception as error:  # each protocol and each missing package has its own
        raise InputError(
            f"scheduler {address!r}: no Dask cluster there whose workers have tfnets: "
            f"{first_line(error)}; expected an address such as tcp://host:8786, or 'local'."
        ) from None
    return client


def _local(stack: contextlib.ExitStack, trials: int) -> distributed.Client:
    """A cluster of one single-threaded process a core, which nobody else can reach.

    Whoever reaches a scheduler can have any code run as its user. Loopback keeps other machines
    out, and a certificate that is made for this cluster, and is in no file that others can read,
    the other users of this one. Memory is nobody's share: Dask would stop a worker that has less
    than TensorFlow needs, and leave its trials waiting for good.
    """
    n_workers = _workers(trials)
    stack.enter_context(dask.config.set(_DASK))  # also for workers that replace others
    # What starts here never hears Ctrl-C, or workers would end before we tell them to; and no
    # signal comes between the cluster's start and its place on the stack.
    with signals.deferred(), signals.blocked():
        cluster = distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=0,
            host="127.0.0.1",
            protocol="tls",
            security=distributed.Security.temporary(),
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        stack.enter_context(cluster)
        client = stack.enter_context(distributed.Client(cluster))
    stack.enter_context(_prepared(client))
    return client


def _workers(trials: int) -> int:
    """How many workers there are processors, trials and memory for; one at least."""
    wanted, memory = min(environment.cpus(), trials), memory_limit()
    enough = max(1, int(memory / _MEMORY) - 1)  # one for this process
    if enough < wanted:
        say(
            f"{enough} of {wanted} workers: there are {memory / 1e9:.1f} GB of memory, and each "
            f"worker takes {_MEMORY / 1e9:.1f}, as does this process"
        )
    return min(wanted, enough)


class _Prepare(distributed.WorkerPlugin):
    """Imports TensorFlow as soon as a worker starts, also one that replaces another."""

    name = "tfnets"

    def setup(self, worker):
        # A worker for each core: more threads would only get in each other's way.
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, "1")
        start_tensorflow()


@contextlib.contextmanager
def _prepared(client: distributed.Client) -> Iterator[None]:
    client.register_plugin(_Prepare())
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # the cluster may be gone
            client.unregister_worker_plugin(_Prepare.name)


def _stop(client: distributed.Client, futures: list, parent: str) -> None:
    """Cancels what waits, and lets what runs end its own run."""
    client.cancel(futures, force=True)
    client.run(_interrupt, parent)
    end = time.monotonic() + _GRACE
    while time.monotonic() < end and any(client.run(_is_busy, parent).values()):
        time.sleep(0.1)


# What follows runs in the workers.


class _Now:
    """Whose trial this process is running; one at a time, for seeds are of the process."""

    lock = threading.Lock()
    parent: str | None = None
    stopped: ClassVar[set[str]] = set()  # parents that want no more trials


def _is_busy(parent: str) -> bool:
    return _Now.parent == parent


def _interrupt(parent: str) -> None:
    _Now.stopped.add(parent)
    if _is_busy(parent):
        signals.request()


def _run(
    trial: Trial, work: Work, data: Dataset | None, digest: str | None, parent: RunReference
) -> tuple[str, str]:
    """Runs one trial; its run's id, and why it failed, if it did."""
    with _Now.lock:
        signals.acknowledge()  # a request may have been for the trial before
        _Now.parent = parent.id
        try:
            if parent.id in _Now.stopped:
                return "", "its sweep was stopped"
            lifecycle.use(parent.store)
            # This can be its second start: where it ran first, nobody is left to end its run,
            # and its process may have died when all was done.
            queries.end_running(parent, "its worker is gone", trial.name)
            query = "attributes.status = 'FINISHED'"
            for record in queries.children(parent.id, parent.experiment_id, query):
                if record.name == trial.name:
                    return record.id, ""
            with start_trial(trial, parent) as run:
                if data is None:
                    data = work.load(trial)
                elif data.digest != digest:
                    raise InputError(
                        f"{data.source} is not the same on {socket.gethostname()} as where the "
                        "sweep was started; it must be the same everywhere."
                    )
                work.train(data, trial, run)
        except PrunedError as error:
            return run.id, str(error)
        except InputError as error:
            return "", str(error)
        except signals.Interrupted as error:  # Dask could not hand it on
            return "", str(error)
        finally:
            _Now.parent = None
    return run.id, ""
