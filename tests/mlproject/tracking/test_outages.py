"""Stores that are locked or gone for a while, what is kept meanwhile, and `tfnets recover`."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import mlflow
import pytest
from click.testing import CliRunner

from mlproject.cli import cli
from mlproject.process import environment
from mlproject.tracking import lifecycle, outages
from mlproject.tracking.lifecycle import start_run
from processes import wait_for
from servers import mlflow_server
from tfnets.errors import InputError

ADDITION = ("tfnets", "addition", "rnn", "--hidden-size", "8", "--embedding-dim", "4")


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The folder of points that wait; this test's own."""
    monkeypatch.setenv("TFNETS_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "outbox"


def database():
    return mlflow.get_tracking_uri().removeprefix("sqlite:///")


@contextmanager
def locked():
    """Another program writes into the store, and takes its time."""
    with closing(sqlite3.connect(database(), isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def history(store, run_id, name):
    return [(p.step, p.value) for p in store.get_metric_history(run_id, name)]


def files(state):
    return sorted(state.glob("*")) if state.exists() else []


def test_points_of_a_locked_store_are_kept_and_logged_in_order_once(store, state):
    with start_run("r", task="speech", stage="train", options={}) as run:
        run.log_epoch(1, {"loss": 1.0})
        with locked():
            started = time.monotonic()
            for epoch in range(2, 60):
                run.log_epoch(epoch, {"loss": 1 / epoch, "val/loss": 2 / epoch})
            # Waiting for sqlite each time would take five minutes.
            assert time.monotonic() - started < 60
            (kept,) = files(state)
            lines = [json.loads(line) for line in kept.read_text().splitlines()]
            assert lines[0]["run"] == run.id
            assert lines[-1]["points"][0][:2] == ["loss", 1 / 59]
    assert files(state) == []
    assert history(store, run.id, "loss") == [(n, 1 / n) for n in range(1, 60)]
    assert history(store, run.id, "val/loss") == [(n, 2 / n) for n in range(2, 60)]
    assert store.get_run(run.id).info.status == "FINISHED"


def test_a_run_that_fails_while_its_store_is_away_leaves_how_it_ended(
    store, state, monkeypatch, capsys
):
    monkeypatch.setattr(lifecycle, "_LONG", 1.0)
    run, lock = None, locked()

    def train():
        nonlocal run
        with start_run("r", task="speech", stage="train", options={}) as run:
            lock.__enter__()
            run.log_epoch(1, {"loss": 0.5})
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):
        train()
    said = capsys.readouterr().err
    (kept,) = files(state)
    assert f"cannot end run {run.id} at {mlflow.get_tracking_uri()} as FAILED: " in said
    assert f"`tfnets recover` sends what is missing, from {kept}." in said
    lock.__exit__(None, None, None)
    assert "1 point sent, it is FAILED" in recover()
    assert store.get_run(run.id).data.tags["error"] == "oops"
    assert history(store, run.id, "loss") == [(1, 0.5)]


def test_what_a_store_refuses_for_good_is_one_line_and_not_kept(store, state):
    def train():
        with start_run("r", task="speech", stage="train", options={}) as run:
            store.delete_run(run.id)  # in the UI, while it trains
            for _ in range(600):
                run.log_epoch(1, {"loss": 1.0})
                time.sleep(0.05)

    with pytest.raises(InputError, match=r"^cannot log to sqlite:.*must be in the 'active' state"):
        train()
    assert files(state) == []


@pytest.mark.parametrize("text", ["-1", "soon", "inf", "nan", "1e300"])
def test_a_patience_that_is_none_is_refused_before_a_run(store, monkeypatch, text):
    monkeypatch.setenv("TFNETS_PATIENCE", text)
    with (
        pytest.raises(InputError, match=rf"TFNETS_PATIENCE is '{text}'; expected a number"),
        start_run("r", task="speech", stage="train", options={}),
    ):
        pass
    assert store.search_runs(["0"]) == []


def test_what_is_temporary():
    locked = sqlite3.OperationalError("(sqlite3.OperationalError) database is locked")
    full = sqlite3.OperationalError("(sqlite3.OperationalError) database or disk is full")
    assert outages.is_temporary(locked)
    assert not outages.is_temporary(full)
    away = mlflow.MlflowException("API request to http://x failed with exception HTTPConnection")
    assert outages.is_temporary(away)
    assert not outages.is_temporary(mlflow.MlflowException("Run with id=1 not found"))
    assert not outages.is_temporary(ValueError("no"))


def leave(state, store, run_id, *, of=None, more=(), store_uri=None):
    """A file as a run leaves it: two points of ``loss``, and more lines."""
    state.mkdir(parents=True, exist_ok=True)
    head = {"run": run_id, "store": store_uri or mlflow.get_tracking_uri(), "of": of or GONE}
    lines = [json.dumps(head)]
    lines += [json.dumps({"points": [["loss", 0.5, 1000 + n, n]]}) for n in (1, 2)]
    lines += list(more)
    path = state / f"{run_id}.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def gone():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        pid = environment.process(process.pid)
        process.communicate(b"\n")
    return environment.identity() | {"pid": pid}


GONE = gone()


def recover(exit_code=0):
    done = CliRunner().invoke(cli, ["recover"])
    assert isinstance(done.exception, SystemExit | None | InputError), done.exception
    assert (done.exception is not None) == bool(exit_code), done.output
    return done.output + str(done.exception or "")


@pytest.mark.parametrize(
    ("ended", "status"), [({"status": "FINISHED", "error": ""}, "FINISHED"), (None, "KILLED")]
)
def test_recover_sends_what_a_run_left_and_ends_it(store, state, ended, status):
    run = store.create_run("0")
    # The store has had the first one before: it stays single.
    store.log_batch(run.info.run_id, metrics=[mlflow.entities.Metric("loss", 0.5, 1001, 1)])
    path = leave(state, store, run.info.run_id, more=[json.dumps(ended)] if ended else [])
    said = recover()
    assert f"2 points sent, it is {status}" in said
    assert not path.exists()
    assert history(store, run.info.run_id, "loss") == [(1, 0.5), (2, 0.5)]
    assert store.get_run(run.info.run_id).info.status == status
    assert "nothing is left in" in recover()


def test_recover_reads_a_line_that_was_cut_and_passes_over_strangers(store, state):
    run = store.create_run("0")
    leave(state, store, run.info.run_id, more=['{"points": [["loss", 0.25, 10'])
    (state / "notes.jsonl").write_text("dear diary\n")
    (state / "list.jsonl").write_text("[1, 2]\n")
    assert "2 points sent" in recover()
    assert [path.name for path in files(state)] == ["list.jsonl", "notes.jsonl"]


def test_recover_leaves_a_run_alone_that_still_runs(store, state):
    run = store.create_run("0")
    path = leave(state, store, run.info.run_id, of=environment.identity())
    said = recover()
    assert f"run {run.info.run_id} at {mlflow.get_tracking_uri()} is still running" in said
    assert path.exists()
    assert store.get_run(run.info.run_id).info.status == "RUNNING"


def test_recover_says_what_no_store_takes_and_sends_the_rest(store, state, tmp_path):
    run, deleted = store.create_run("0"), store.create_run("0")
    store.set_terminated(deleted.info.run_id)
    store.delete_run(deleted.info.run_id)
    lost = f"sqlite:///{tmp_path / 'nowhere' / 'mlflow.db'}"
    leave(state, store, deleted.info.run_id)
    leave(state, store, "a" * 32, store_uri=lost)
    sent = leave(state, store, run.info.run_id)
    said = recover(exit_code=1)
    assert f"run {run.info.run_id} at {mlflow.get_tracking_uri()}: 2 points sent" in said
    assert not sent.exists()
    assert deleted.info.run_id in said
    assert "nowhere" in said
    assert "Traceback" not in said
    assert len(files(state)) == 2
    assert not (tmp_path / "nowhere").exists()


def test_the_next_start_ends_a_run_with_what_it_left(store, state):
    run = store.create_run("0", tags=GONE)
    path = leave(state, store, run.info.run_id)
    with start_run("next", task="speech", stage="train", options={}):
        pass
    assert not path.exists()
    assert store.get_run(run.info.run_id).info.status == "KILLED"
    assert history(store, run.info.run_id, "loss") == [(1, 0.5), (2, 0.5)]


def test_recovering_needs_no_tensorflow():
    code = (
        "import sys; from mlproject.tracking import recovery; print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def epochs(process):
    return process.said.count("train loss")


@pytest.mark.nightly
def test_a_store_that_is_locked_for_long_costs_a_training_nothing(store, state, start):
    process = start(*ADDITION, "--steps", "16000", "--seed", "1")
    wait_for(lambda: epochs(process) >= 1, "training", process)
    with locked():
        wait_for(lambda: "waiting for sqlite" in process.said, "a word", process)
        assert "points are kept until it answers" in process.said
        seen = epochs(process)
        wait_for(lambda: epochs(process) > seen, "training goes on", process)
    assert process.wait() == 0, process.said
    assert "answers again" in process.said
    assert_nothing_is_lost(store, state, last=16000)
    assert "Traceback" not in process.said


def assert_nothing_is_lost(store, state, last):
    """The one run has finished with every point, in order, once; nothing waits."""
    (run,) = store.search_runs([experiment(store)])
    assert run.info.status == "FINISHED"
    steps = [step for step, _ in history(store, run.info.run_id, "train/loss")]
    assert steps == sorted(set(steps))
    assert steps[-1] == last
    assert files(state) == []


def experiment(store):
    return store.get_experiment_by_name("addition").experiment_id


@pytest.mark.slow
def test_who_does_not_want_to_wait_for_a_store_gets_out_and_recovers(store, state, start):
    process = start(*ADDITION, "--steps", "400000")
    wait_for(lambda: epochs(process) >= 1, "training", process)
    with locked():
        wait_for(lambda: files(state), "points that wait", process)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, process.said  # 5 s, and what a busy machine adds
    assert "Traceback" not in process.said
    (kept,) = files(state)
    points = sum(line.startswith('{"points"') for line in kept.read_text().splitlines())
    recovered = start("tfnets", "recover")
    assert recovered.wait() == 0, recovered.said
    assert "it is KILLED" in recovered.said
    assert "cudart" not in recovered.said
    assert files(state) == []
    (run,) = store.search_runs([experiment(store)])
    assert run.info.status == "KILLED"
    steps = [step for step, _ in history(store, run.info.run_id, "train/loss")]
    assert len(steps) >= points
    assert steps == sorted(set(steps))


@pytest.mark.nightly
def test_a_server_that_is_started_anew_costs_a_training_nothing(store, state, start, tmp_path):
    place = mlflow.get_tracking_uri(), tmp_path / "artifacts"
    uri, server = mlflow_server(start, *place)
    process = start(*ADDITION, "--steps", "16000", MLFLOW_TRACKING_URI=uri)
    wait_for(lambda: epochs(process) >= 1, "training", process)
    os.killpg(server.pid, signal.SIGKILL)
    wait_for(lambda: "waiting for http" in process.said, "a word", process)
    mlflow_server(start, *place, port=int(uri.rpartition(":")[2]))
    assert process.wait() == 0, process.said
    assert "answers again" in process.said
    assert "Traceback" not in process.said
    assert_nothing_is_lost(store, state, last=16000)


def test_who_gives_up_says_how_long_it_was_tried(store, state, monkeypatch):
    monkeypatch.setenv("TFNETS_PATIENCE", "2")
    tried = []

    def away(*args, **kwargs):
        tried.append(args)
        raise mlflow.MlflowException("API request to x failed with exception Timeout")

    def train():
        with start_run("r", task="speech", stage="train", options={}) as run:
            monkeypatch.setattr(mlflow, "set_tags", away)
            run.log_tags({"a": "b"})

    with pytest.raises(InputError, match=r"^cannot log to .*Timeout \(it was tried for 2 s\)"):
        train()
    assert len(tried) > 1
    assert store.search_runs(["0"])[0].info.status == "FAILED"


def test_an_address_where_nothing_is_is_refused_at_once(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    try:
        with (
            pytest.raises(
                InputError, match=r"cannot start a run at http://127.0.0.1:9: "
            ) as caught,
            start_run("r", task="speech", stage="train", options={}),
        ):
            pass
    finally:
        mlflow.set_tracking_uri(None)
    assert "tried for" not in str(caught.value)


@pytest.mark.parametrize("by_the_user", [False, True])
def test_a_server_that_takes_the_call_and_never_answers(monkeypatch, capsys, by_the_user):
    """As behind many a firewall: without a limit it is six minutes of silence."""
    monkeypatch.setattr(outages, "_SILENCE", 0.5)
    if by_the_user:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    else:
        monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
        monkeypatch.setattr(outages, "_ANSWER", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)
        try:
            with (
                pytest.raises(InputError, match=f"cannot start a run at {uri}: .*[Tt]ime"),
                start_run("r", task="speech", stage="train", options={}),
            ):
                pass
        finally:
            mlflow.set_tracking_uri(None)
    assert f"waiting for {uri}: no answer; Ctrl-C ends the run" in capsys.readouterr().err
    assert os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") == ("1" if by_the_user else None)
