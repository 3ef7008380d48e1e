"""Runs end however their process ends, and abandoned ones are found."""

import getpass
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from mlproject.process import environment
from mlproject.tracking.lifecycle import start_run
from processes import wait_for
from tfnets.errors import InputError

ROOT = Path(__file__).parents[3]


def test_an_unexpected_exception_ends_the_run_as_failed(store):
    with (
        pytest.raises(ZeroDivisionError),
        start_run("x", task="speech", stage="train", options={}),
    ):
        raise ZeroDivisionError("oops")
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "oops"
    with (
        pytest.raises(MemoryError),
        start_run("x", task="speech", stage="train", options={}),
    ):
        raise MemoryError
    assert store.search_runs(["0"], max_results=1)[0].data.tags["error"] == "MemoryError"


def test_a_child_whose_end_fails_does_not_end_its_parent(store, monkeypatch):
    set_terminated = mlflow.MlflowClient.set_terminated
    failures = [mlflow.MlflowException("the server stumbles")]

    def once(*args, **kwargs):
        if failures:
            raise failures.pop()
        return set_terminated(*args, **kwargs)

    with start_run("parent", task="speech", stage="compare", options={}) as parent:
        monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", once)
        with (
            pytest.raises(InputError, match=r"cannot end run .* as FINISHED: the server stumbles"),
            start_run("child", task="speech", stage="trial", options={}, parent=parent.reference),
        ):
            pass
        assert store.get_run(parent.id).info.status == "RUNNING"
    statuses = {run.info.run_name: run.info.status for run in store.search_runs(["0"])}
    assert statuses == {"parent": "FINISHED", "child": "FAILED"}


def test_a_child_that_was_taken_for_dead_stays_so(store):
    """Its worker was frozen, and its training runs again elsewhere."""

    def train():
        with (
            start_run("parent", task="speech", stage="compare", options={}) as parent,
            start_run(
                "child", task="speech", stage="trial", options={}, parent=parent.reference
            ) as child,
        ):
            store.set_terminated(child.id, "KILLED")

    with pytest.raises(InputError, match="was ended as KILLED while it trained"):
        train()
    statuses = {run.info.run_name: run.info.status for run in store.search_runs(["0"])}
    assert statuses == {"parent": "FAILED", "child": "KILLED"}


def test_ctrl_c_in_a_notebook_ends_the_run_as_killed(store):
    with (
        pytest.raises(KeyboardInterrupt),
        start_run("x", task="speech", stage="train", options={}),
    ):
        raise KeyboardInterrupt
    (run,) = store.search_runs(["0"])
    assert run.info.status == "KILLED"


def test_a_name_that_the_user_gave_stays(store):
    for given, expected in (("my own-run-3", "my own-run-3"), (None, "made here")):
        waiting = store.create_run("0", run_name=given)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_RUN_ID", waiting.info.run_id)
            with start_run("made here", task="speech", stage="train", options={"a": 1}):
                pass
        run = store.get_run(waiting.info.run_id)
        assert run.info.run_name == expected
        assert run.info.status == "FINISHED"


def test_parameters_stay_as_mlflow_run_wrote_them(store):
    waiting = store.create_run("0")
    store.log_param(waiting.info.run_id, "learning_rate", "1e-3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_RUN_ID", waiting.info.run_id)
        parameters = {"learning_rate": 0.001, "seed": 0}
        with start_run("x", task="speech", stage="train", options=parameters):
            pass
    assert store.get_run(waiting.info.run_id).data.params == {"learning_rate": "1e-3", "seed": "0"}


def test_runs_that_mlflow_run_made_and_left_are_ended(store):
    """Both were killed before the command took the run over."""
    ours = {"mlflow.project.entryPoint": "speech_gru", "mlflow.user": getpass.getuser()}
    cases = {
        "left": ours,
        "another user's": ours | {"mlflow.user": "somebody else"},
        "taken over elsewhere": ours | {"machine": "4567 before pid:[4026531836]"},
        "no project": {"mlflow.user": getpass.getuser()},
        "awaited": ours,
    }
    runs = {  # older than any `mlflow run` of other tests
        name: store.create_run("0", start_time=1, tags=tags).info.run_id
        for name, tags in cases.items()
    }
    command = [sys.executable, "-c", "input()"]
    environment = os.environ | {"MLFLOW_RUN_ID": runs["awaited"]}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as started_for_it:
        with start_run("x", task="speech", stage="train", options={}):
            pass
        started_for_it.communicate(b"\n")
    ended = {
        name for name, run_id in runs.items() if store.get_run(run_id).info.status != "RUNNING"
    }
    assert ended == {"left"}
    assert store.get_run(runs["left"]).info.status == "KILLED"
    assert store.get_run(runs["left"]).data.tags["error"] == "its `mlflow run` is gone"


def test_a_run_of_mlflow_run_that_was_ended_is_taken_over_all_the_same(store):
    waiting = store.create_run("0", tags={"error": "its `mlflow run` is gone"})
    store.set_terminated(waiting.info.run_id, "KILLED")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_RUN_ID", waiting.info.run_id)
        with start_run("x", task="speech", stage="train", options={}):
            assert store.get_run(waiting.info.run_id).info.status == "RUNNING"
    run = store.get_run(waiting.info.run_id)
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags


@pytest.mark.slow
def test_mlflow_run_and_its_command_are_killed_before_it_takes_the_run_over(store, start):
    process = start("mlflow", "run", str(ROOT), "--env-manager", "local", "-e", "addition_rnn")
    wait_for(lambda: store.search_runs(["0"]), "a run", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (run,) = store.search_runs(["0"])
    assert run.info.status == "RUNNING"
    assert "machine" not in run.data.tags

    def is_ended():  # not as long as another test's `mlflow run` starts
        with start_run("x", task="speech", stage="train", options={}):
            pass
        return store.get_run(run.info.run_id).info.status == "KILLED"

    wait_for(is_ended, "its end", process, lives=False)


def test_runs_whose_process_is_gone_are_ended(store):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    machine, boot, namespace = environment.machine().split()
    here = {"host": socket.gethostname(), "machine": environment.machine(), "pid": f"{gone.pid} 1"}
    other_boot = {"machine": f"0123 other-boot {namespace}"}
    cases = {
        "gone": here,
        "reused id": here | {"pid": f"{os.getpid()} 1700000000.00"},
        "reused id, by ticks": here | {"pid": f"{os.getpid()} ticks:1"},
        "without a time": here | {"pid": f"{gone.pid}"},
        "alive": here | {"pid": environment.process(os.getpid())},
        "another machine": here | {"host": "another"},
        "another machine of the same name": here | other_boot,
        "another container": here | {"machine": f"{machine} {boot} pid:[4026532999]"},
        "an earlier version": {key: here[key] for key in ("host", "pid")},
        "no number": here | {"pid": "me"},
        "no time": here | {"pid": f"{gone.pid} yesterday"},
        "no process": here | {"pid": "-1 1"},
        "too large a number": here | {"pid": f"{10**30} 1"},
        "not a time": here | {"pid": f"{os.getpid()} nan"},
        "no tag": {key: here[key] for key in ("host", "machine")},
        "half a machine": here | {"machine": "x"},
        "unknown": {},
    }
    runs = {name: store.create_run("0", tags=tags).info.run_id for name, tags in cases.items()}
    with start_run("x", task="speech", stage="train", options={}):
        pass
    ended = {
        name for name, run_id in runs.items() if store.get_run(run_id).info.status != "RUNNING"
    }
    by_ticks = {"reused id, by ticks"} if sys.platform == "linux" else set()
    assert ended == {"gone", "reused id", "without a time"} | by_ticks
    killed = store.get_run(runs["gone"])
    assert killed.info.status == "KILLED"
    assert killed.data.tags["error"] == "its process is gone"


@pytest.mark.parametrize(
    ("machine", "gone"),
    [
        ("0123 before pid:[4026531836]", True),  # the same machine, started anew
        ("0123 before pid:[4026532999]", False),  # a container, perhaps of another machine
        ("4567 before pid:[4026531836]", False),
        ("- before pid:[4026531836]", False),  # no machine id: it can be any
    ],
)
def test_a_machine_that_was_started_anew_has_none_of_its_processes(machine, gone, monkeypatch):
    monkeypatch.setattr(environment, "machine", lambda: "0123 now pid:[4026531836]")
    tags = {"host": socket.gethostname(), "pid": environment.process(os.getpid())}
    assert environment.is_gone(tags | {"machine": machine}) is gone
