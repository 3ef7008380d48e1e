"""What ran where: versions, machine, process."""

import os
import platform
import socket
from importlib import metadata
from pathlib import Path


def tags() -> dict[str, str]:
    """Tags: what ran where, so that a run can be repeated and an abandoned one be found."""
    packages = ("tfnets", "tensorflow", "keras", "numpy", "mlflow")
    versions = {f"version.{name}": metadata.version(name) for name in packages}
    return {
        **versions,
        "version.python": platform.python_version(),
        # As many as TensorFlow takes for one operation.
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS") or str(cpus()),
        "host": socket.gethostname(),
        "pid": process(os.getpid()),
    }


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process(pid: int) -> str:
    """A process's id and, where Linux tells, when it started: ids are used again."""
    stat = _stat(pid)
    return f"{pid} {stat[19]}" if stat else str(pid)


def is_alive(identity: str) -> bool:
    """Whether the process with this identity, as :func:`process` gives it, still runs."""
    pid = int(identity.split()[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and not ours
        pass
    stat = _stat(pid)
    return process(pid) == identity and not (stat and stat[0] == "Z")


def launchers() -> list[str]:
    """The processes between us and the ``mlflow run`` that started us, itself included.

    That is the next one above us that is not the shell in which MLflow starts commands: it
    can be a user's program that calls MLflow, too. Without Linux' ``/proc`` it is our
    parent. Empty if it is gone, and somebody outside our process group has adopted us.
    """
    chain = []
    pid = os.getppid()
    while _is_in_our_group(pid):
        chain.append(process(pid))
        stat = _stat(pid)
        if stat is None or not _is_shell(pid):
            return chain
        pid = int(stat[1])
    return []


def _is_in_our_group(pid: int) -> bool:
    """Whether a process is in our process group, as MLflow is when it has started us."""
    try:
        return pid > 0 and os.getpgid(pid) == os.getpgrp()
    except OSError:  # it is gone, or of another session where that is kept secret
        return False


def _is_shell(pid: int) -> bool:
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "bash"
    except OSError:
        return False


def _stat(pid: int) -> list[str] | None:
    """Linux' fields on a process, from its state on; None elsewhere or if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return text.rpartition(")")[2].split()
    except OSError:
        return None
