"""Faults that come at any moment: signals, a locked store, two commands in one store."""

import contextlib
import os
import random
import signal
import sqlite3
import time

import mlflow
import numpy as np
import pytest
from safetensors.numpy import save_file

from processes import wait_for

# Each of these takes a minute or more, and there are many.
pytestmark = pytest.mark.nightly

# How many moments for each command; ten of each take half an hour.
MOMENTS = int(os.environ.get("TFNETS_MOMENTS", "1"))

SWEEP = ("--configurations", "100x5x0.1,100x4x0.1", "--seeds", "1", "--epochs", "2")
COMMANDS = {
    "speech fc": ("--clips", "15", "--epochs", "300"),
    "speech cnn": ("--clips", "15", "--epochs", "20"),
    "speech gru": ("--clips", "15", "--epochs", "20"),
    "speech compare": ("--clips", "15", "--epochs", "20", "--models", "fc+sgd", "--seeds", "0,1"),
    "speech from-torch": ("--clips", "15", "--checkpoint", "{folder}/gru.safetensors"),
    "har rnn": ("--epochs", "5"),
    "har sweep": SWEEP,
    "har all": (*SWEEP, "--max-epochs", "2"),
    "har early-stopping": ("--max-epochs", "5", "--configuration", "100x5x0.1"),
    "addition rnn": ("--steps", "400"),
    "addition study": ("--study", "hidden_size", "--values", "8,16", "--steps", "200"),
    "addition from-torch": ("--checkpoint", "{folder}/adder.npz"),
}


@pytest.fixture
def checkpoints(tmp_path):
    from tfnets import speech, torch_weights

    network = speech.build("gru", reset_after=True)
    save_file(torch_weights.to_torch(network), tmp_path / "gru.safetensors")
    shapes = {"emb.weight": (10, 32), "out.weight": (10, 64), "out.bias": (10,)}
    for layer in (0, 1):
        shapes |= {f"rnn.weight_{kind}_l{layer}": (64, 64) for kind in ("ih", "hh")}
        shapes |= {f"rnn.bias_{kind}_l{layer}": (64,) for kind in ("ih", "hh")}
    np.savez(tmp_path / "adder.npz", **{k: np.zeros(s, np.float32) for k, s in shapes.items()})
    return tmp_path


def everywhere(store):
    return [experiment.experiment_id for experiment in store.search_experiments()]


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_a_random_moment(store, start, checkpoints, command, moment):
    seconds = random.Random(f"{command} {moment}").uniform(0.3, 16)
    words = [word.format(folder=checkpoints) for word in COMMANDS[command]]
    process = start("tfnets", *command.split(), *words)
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    code = process.wait()
    assert "Traceback" not in process.said
    last = (process.said.strip().splitlines() or [""])[-1]
    runs = store.search_runs(everywhere(store))
    if code == 0:  # it was done before
        assert {run.info.status for run in runs} == {"FINISHED"}
    elif code == -signal.SIGINT:  # before Python had read our first line
        assert not runs
    else:
        assert code == 128 + signal.SIGINT, process.said
        assert last == "Error: interrupted by SIGINT.", process.said
        assert "RUNNING" not in {run.info.status for run in runs}
    for model in store.search_logged_models(everywhere(store)):
        assert model.status == "READY"


@pytest.mark.race
def test_two_sweeps_at_once_in_one_store(store, start):
    sweeps = [start("tfnets", "har", "sweep", *SWEEP) for _ in range(2)]
    for sweep in sweeps:
        assert sweep.wait() == 0, sweep.said
    runs = store.search_runs(everywhere(store))
    assert {run.info.status for run in runs} == {"FINISHED"}
    parents = [run for run in runs if run.data.tags["stage"] == "sweep"]
    assert len(parents) == 2
    for parent in parents:
        of_parent = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
        assert len(store.search_runs(everywhere(store), of_parent)) == 2
    aliases = store.get_registered_model("har-rnn").aliases
    assert {"best", "runner-up"} <= set(aliases)


def test_a_store_that_is_locked_during_a_sweep(store, start):
    process = start("tfnets", "har", "sweep", *SWEEP[:4], "--epochs", "40")

    def trained():
        found = store.search_runs(everywhere(store), "tags.stage = 'trial'")
        return found and all("train/loss" in run.data.metrics for run in found)

    wait_for(trained, "a training", process)
    path = mlflow.get_tracking_uri().removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(30)
        other.execute("ROLLBACK")
    assert process.wait() == 0, process.said
    assert "Traceback" not in process.said
    runs = store.search_runs(everywhere(store))
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        if run.data.tags["stage"] == "trial":
            points = store.get_metric_history(run.info.run_id, "train/loss")
            assert [point.step for point in points] == list(range(41))
