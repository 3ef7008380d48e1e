"""Who has started this process."""

import os
import subprocess
import sys

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
