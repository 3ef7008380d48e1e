"""Versions, machine and process, as tags of a run."""

import contextlib
import os
import platform
import socket
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import psutil

# Creation times are seconds since 1970, derived from the clock, which can be corrected.
_SAME_TIME = 2.0
# How a start in clock ticks is written, which differs from a time.
_TICKS = "ticks:"

# The process ids of a machine itself, not of a container (Linux, include/linux/proc_ns.h).
_OF_THE_MACHINE = "pid:[4026531836]"


def tags() -> dict[str, str]:
    """Tags: what ran where, so that a run can be repeated and an abandoned one be found."""
    packages = ("tfnets", "tensorflow", "keras", "numpy", "mlflow")
    versions = {f"version.{name}": metadata.version(name) for name in packages}
    return {
        **versions,
        "version.python": platform.python_version(),
        # As many as TensorFlow takes for one operation.
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS") or str(cpus()),
        **identity(),
    }


def identity() -> dict[str, str]:
    """Which process this is, for :func:`is_gone` to tell later whether it has ended."""
    return {"host": socket.gethostname(), "pid": process(os.getpid()), "machine": machine()}


def machine() -> str:
    """Where process ids mean what they mean here: machine, its latest start, and namespace.

    ``"<machine id> <boot id> pid:[4026531836]"`` on Linux, where two containers can have one host
    name and use the same ids; elsewhere the time of the machine's start. What cannot be read is
    ``"-"``.
    """
    names = "/etc/machine-id", "/proc/sys/kernel/random/boot_id"
    parts = [_text(name) for name in names]
    with contextlib.suppress(OSError):
        return " ".join([*parts, os.readlink("/proc/self/ns/pid")])
    return f"- {psutil.boot_time():.0f} -"


def _text(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text().strip() or "-"
    return "-"


def is_gone(tags: Mapping[str, str]) -> bool:
    """Whether it is proven that the process with this :func:`identity` has ended.

    It is where its ids are ours and no process has them, and where its machine, not a container
    on it, has been started anew since. Of anything else nothing is known: another machine,
    another container, tags of an earlier version, or tags that somebody has changed.
    """
    parts, ours = tags.get("machine", "").split(), machine().split()
    if len(parts) != 3 or tags.get("host") != socket.gethostname():
        return False
    if parts[1:] == ours[1:] and parts[1] != "-":
        return not is_alive(tags.get("pid", ""))
    same_machine = parts[0] == ours[0] != "-"
    neither_in_container = parts[2] == ours[2] == _OF_THE_MACHINE
    return same_machine and neither_in_container and parts[1] != ours[1]


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process(pid: int) -> str:
    """A process's id and when it started, ``"123 ticks:4567"``: ids are used again.

    On Linux in clock ticks since the machine's start, which no setting of the clock moves;
    elsewhere as a time, ``"123 1795695439.85"``. Of a process that cannot be seen, the id only.
    """
    started = _ticks(pid)
    if started is None:
        try:
            started = f"{psutil.Process(pid).create_time():.2f}"
        except psutil.Error:
            return str(pid)
    return f"{pid} {started}"


def _ticks(pid: int) -> str | None:
    """When a process started, ``"ticks:4567"``; None where /proc does not show it.

    Source: proc_pid_stat(5), fields 3 and 22.
    """
    stat = _stat(pid)
    return f"{_TICKS}{stat[19]}" if stat else None


def _stat(pid: int) -> list[str]:
    """What /proc says of a process, from its state on; empty where it does not."""
    with contextlib.suppress(OSError, IndexError):
        # The name before may hold anything but ends with the last bracket.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


def is_alive(identity: str) -> bool:
    """Whether the process with this identity, as :func:`process` gives it, may still run.

    One that cannot be seen is not gone: /proc may hide the processes of other users (hidepid).
    """
    try:
        pid, *created = identity.split()
        number = int(pid)
        at = None
        if created and not created[0].startswith(_TICKS):
            at = float(created[0])
    except ValueError:  # not one of ours
        return True
    if not 0 < number < 2**31:
        return True
    if os.name == "posix" and not _has_process(number):
        return False
    stat = _stat(number)
    if stat and stat[0] == "Z":  # it has ended, and its parent has not asked
        return False
    if created and at is None:
        return not stat or created[0] == _ticks(number)
    try:  # a time, of a system without /proc or an earlier version
        found = psutil.Process(number)
        if found.status() == psutil.STATUS_ZOMBIE:
            return False
        return at is None or not abs(found.create_time() - at) >= _SAME_TIME
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return os.name == "posix"  # there it has just been found
    except psutil.Error:  # it is there, and not ours
        return True


def _has_process(pid: int) -> bool:
    """Whether an id is in use; the kernel says so also of what /proc hides."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and not ours
        return True
    return True


def may_be_awaited(run_id: str, since: float) -> bool:
    """Whether a process of this machine may still take over a run that ``mlflow run`` made.

    Either it has been started for it, or there is an ``mlflow run`` that will start it: one that
    is older than the run, and has not started a process for another one.

    Args:
        run_id: The run's id.
        since: When the run was made, in seconds since 1970.
    """
    projects, busy = set(), set()
    for each in psutil.process_iter(["cmdline", "create_time", "environ"]):
        words, variables = each.info["cmdline"] or (), each.info["environ"] or {}
        is_project = "run" in words and any("mlflow" in os.path.basename(w) for w in words)
        if is_project and each.info["create_time"] <= since + _SAME_TIME:
            projects.add(each.pid)
        if served := variables.get("MLFLOW_RUN_ID"):
            if served == run_id:
                return True
            with contextlib.suppress(psutil.Error):
                busy |= {parent.pid for parent in each.parents()}
    return bool(projects - busy)


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
