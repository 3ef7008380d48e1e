"""What ran where: versions, machine, process."""

import os
import platform
import socket
from importlib import metadata

import psutil

# Creation times are seconds since 1970, derived from the clock, which can be corrected.
_SAME_TIME = 2.0

# Earlier versions noted Linux' clock ticks since the machine was started.
_LEAST_TIME = 1e9


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
    """A process's id and creation time, ``"123 1795695439.85"``: ids are used again.

    Of a process that is gone, the id only.
    """
    try:
        return f"{pid} {psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return str(pid)


def is_alive(identity: str) -> bool:
    """Whether the process with this identity, as :func:`process` gives it, still runs."""
    pid, *created = identity.split()
    try:
        found = psutil.Process(int(pid))
        if found.status() == psutil.STATUS_ZOMBIE:
            return False
        if not created or float(created[0]) < _LEAST_TIME:
            return True
        return abs(found.create_time() - float(created[0])) < _SAME_TIME
    except psutil.AccessDenied:  # it is there, and not ours
        return True
    except psutil.Error:
        return False


def launchers() -> list[str]:
    """The processes between us and the ``mlflow run`` that started us, itself included.

    That is the next one above us that is not the shell in which MLflow starts commands; it
    can also be a user's program that calls MLflow. Empty if it is gone, and a process outside
    our process group has adopted us.
    """
    chain = []
    for each in psutil.Process().parents():
        if not _is_in_our_group(each.pid):
            return []
        chain.append(process(each.pid))
        if not _is_shell(each):
            return chain
    return []


def _is_in_our_group(pid: int) -> bool:
    """Whether a process is in our process group, as MLflow is when it has started us."""
    try:
        return os.getpgid(pid) == os.getpgrp()
    except OSError:  # it is gone, or of another session where that is kept secret
        return False


def _is_shell(candidate: psutil.Process) -> bool:
    try:
        return os.path.basename(candidate.exe()) == "bash"
    except psutil.Error:
        return False
