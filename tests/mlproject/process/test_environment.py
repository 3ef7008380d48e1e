"""Who has started this process, and whether another is gone."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import psutil
import pytest

import servers
from mlproject.process import environment

CODE = "from mlproject.process import environment; print(*environment.launchers(), sep=chr(10))"


def launchers_of(words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=True, **more)
    return [line for line in done.stdout.splitlines() if line]


def test_a_shell_between_us_and_who_started_us_is_followed_too():
    """As after ``source activate && python ...``."""
    shell, launcher = launchers_of(["bash", "-c", f"{sys.executable} -c '{CODE}'; true"])
    assert launcher == environment.process(os.getpid())
    assert shell != launcher


def test_without_a_shell_it_is_our_parent():
    assert launchers_of([sys.executable, "-c", CODE]) == [environment.process(os.getpid())]


def test_whoever_is_outside_our_process_group_has_not_started_us():
    assert launchers_of([sys.executable, "-c", CODE], start_new_session=True) == []


linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux'")


@linux
def test_a_process_is_known_by_what_no_clock_moves(monkeypatch):
    tags = environment.identity()
    started = psutil.Process().create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: started + 3600)
    assert not environment.is_gone(tags)
    pid, _, ticks = tags["pid"].partition(" ticks:")
    assert environment.is_gone(tags | {"pid": f"{pid} ticks:{int(ticks) + 1}"})
    since_boot = int(ticks) / os.sysconf("SC_CLK_TCK")
    assert since_boot == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=86400)
    assert 0 < since_boot < time.clock_gettime(time.CLOCK_BOOTTIME)


@linux
def test_a_name_with_brackets_is_not_taken_for_the_numbers(tmp_path):
    program = tmp_path / "a) Z 1 (b"
    shutil.copy(shutil.which("sleep"), program)
    with subprocess.Popen([program, "60"]) as process:
        known = environment.process(process.pid)
        assert re.fullmatch(rf"{process.pid} ticks:\d+", known)
        assert environment.is_alive(known)
        process.kill()
        deadline = time.monotonic() + 60
        while environment.is_alive(known) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not environment.is_alive(known)  # a zombie: nobody has asked for its end yet
    assert not environment.is_alive(known)


HIDDEN = """
import json, sys
import psutil
from mlproject.process import environment
for line in sys.stdin:
    tags = json.loads(line)
    print(psutil.pid_exists(int(tags["pid"].split()[0])), environment.is_gone(tags), flush=True)
"""


@linux
@pytest.mark.slow
def test_a_process_that_proc_hides_is_not_gone(tmp_path):
    """As for two users of a cluster whose /proc is mounted with hidepid=2."""
    if os.getuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"):
        servers.missing("hidepid", "only root can mount another /proc")
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "600"]
    # Root sees all by this right, and by its group.
    mount = (
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv --bounding-set=-sys_ptrace "
        '--regid=65534 --clear-groups "$0" -c "$1"'
    )
    words = ["unshare", "--mount", "bash", "-c", mount, sys.executable, HIDDEN]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(other) as hidden, subprocess.Popen(words, **pipes) as looking:
        try:
            tags = environment.identity() | {"pid": environment.process(hidden.pid)}

            def look():
                looking.stdin.write(f"{json.dumps(tags)}\n")
                looking.stdin.flush()
                return looking.stdout.readline().split()

            try:
                found = look()
            except BrokenPipeError:
                found = []
            if not found:
                servers.missing("hidepid", "another /proc cannot be mounted here")
            assert found == ["False", "False"]  # it cannot be seen; it is not gone
            hidden.kill()
            hidden.wait()
            assert look() == ["False", "True"]
        finally:
            hidden.kill()
            looking.kill()
