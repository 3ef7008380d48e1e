"""What only shows in processes of their own: the whole story, dying workers, other clusters."""

import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest

import servers
from mlproject.process import environment
from processes import free_port, serve, wait_for
from records import children_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SWEEP = (sys.executable, "-m", "mlproject.har", "sweep", "--configurations", "20x5x0.1,20x4x0.1")


# As if the store were a server's, which the scheduler would need.
NO_SERVER = """
import contextlib, sys
from mlproject.sweeps import cluster
with contextlib.ExitStack() as stack:
    try:
        cluster._client(stack, {address!r}, 1, "http://127.0.0.1:1")
    except cluster.InputError as error:
        sys.exit(f"Error: {{error}}")
"""


def runs(store, condition=""):
    return store.search_runs(["0"], condition)


def trials(store, status):
    return runs(store, f"tags.stage = 'trial' and attributes.status = '{status}'")


def test_one_command_does_the_whole_story_and_its_champion_serves(store, start, windows):
    words = {
        "data": windows,
        "configurations": "20x5x0.1,20x4x0.1",
        "seeds": "1",
        "epochs": 2,
        "max_epochs": 3,
    }
    parameters = [f"-P{name}={value}" for name, value in words.items()]
    process = start("mlflow", "run", str(ROOT), "-e", "har", "--env-manager=local", *parameters)
    assert process.wait() == 0, process.said
    text = process.said
    assert "Traceback" not in text
    assert "cudart" not in text
    (parent,) = runs(store, "tags.stage = 'sweep'")
    assert parent.data.tags["mlflow.project.entryPoint"] == "har"
    children = children_of(store, parent).values()
    stages = sorted(run.data.tags["stage"] for run in children)
    assert stages == ["early-stopping", "early-stopping", "trial", "trial"]
    assert all(run.info.status == "FINISHED" for run in [parent, *children])
    aliases = store.get_registered_model("har-rnn").aliases
    assert set(aliases) == {"best", "runner-up", "champion"}
    with np.load(windows) as file:
        x = file["x_test"]
    predictions = serve(start, "models:/har-rnn@champion")(x.tolist())
    assert list(predictions) == ["calm", "slow", "fast"]
    here = mlflow.pyfunc.load_model("models:/har-rnn@champion").predict(x)
    for name, values in predictions.items():
        np.testing.assert_allclose(values, here[name], atol=1e-6)
    np.testing.assert_allclose(np.sum(list(predictions.values()), axis=0), 1, rtol=1e-5)


def test_a_worker_that_dies_and_ctrl_c(store, start, windows):
    """A dead worker's child ends as KILLED and runs again; Ctrl-C ends everything."""
    process = start(*SWEEP, "--data", str(windows), "--seeds", "1", "--epochs", "100000")

    def training():
        there = trials(store, "RUNNING")
        return (
            there
            if len(there) == 2 and all("train/loss" in r.data.metrics for r in there)
            else None
        )

    one, _ = wait_for(training, "two trainings", process)
    pid = int(one.data.tags["pid"].split()[0])
    assert pid != process.pid
    os.kill(pid, signal.SIGKILL)
    (dead,) = wait_for(lambda: trials(store, "KILLED"), "the dead child's end", process)
    assert dead.info.run_id == one.info.run_id
    assert "gone" in dead.data.tags["error"]
    again = wait_for(training, "two trainings again", process)
    assert one.info.run_name in [run.info.run_name for run in again]
    # Ctrl-C is not for the workers: we tell them, so that they end their runs.
    for run in again:
        status = Path(f"/proc/{run.data.tags['pid'].split()[0]}/status")
        blocked = re.search(r"SigBlk:\s*(\w+)", status.read_text())[1] if status.exists() else "2"
        assert int(blocked, 16) & 0b10
    # As a terminal does it: workers would get the signal, too.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT
    text = process.said
    assert text.strip().splitlines()[-1] == "Error: interrupted by SIGINT."
    assert "Traceback" not in text
    assert {run.info.status for run in runs(store)} == {"KILLED"}
    assert len(runs(store)) == 4
    errors = {run.data.tags["error"] for run in runs(store) if run.info.run_id != one.info.run_id}
    assert errors == {"interrupted by SIGINT", "interrupted by SIGTERM"}


def test_a_sweep_where_a_core_has_little_memory_and_dask_is_set_otherwise(store, start, windows):
    """What a container's limit does, ulimit does here: Dask reads both."""
    users = {"MULTIPROCESSING_METHOD": "fork", "MEMORY__TERMINATE": "0.1", "MEMORY__PAUSE": "0.05"}
    process = start(
        *("bash", "-c", 'ulimit -m 1000000; exec "$0" "$@"', *SWEEP),
        *("--data", str(windows), "--seeds", "1", "--epochs", "2"),
        **{f"DASK_DISTRIBUTED__WORKER__{name}": value for name, value in users.items()},
    )
    assert process.wait() == 0, process.said
    assert "Traceback" not in process.said
    if environment.cpus() > 1:
        (line,) = [line for line in process.said.splitlines() if "workers" in line]
        assert line.startswith("1 of 2 workers: there are 1.0 GB of memory, and each")
    assert len(trials(store, "FINISHED")) == 2


@pytest.mark.nightly
def test_a_worker_that_is_frozen_does_not_finish_a_trial_twice(store, start, windows):
    """For longer than Dask waits: its trial runs again elsewhere, and then it wakes up."""
    words = ("--data", str(windows), "--seeds", "1", "--epochs", "3000")
    process = start(*SWEEP, *words, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="25s")

    def training():
        there = [run for run in trials(store, "RUNNING") if "train/loss" in run.data.metrics]
        return there if len(there) == 2 else None

    one, _ = wait_for(training, "two trainings", process)
    pid = int(one.data.tags["pid"].split()[0])
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: trials(store, "KILLED"), "the frozen child's end", process)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    assert process.wait() == 0, process.said
    finished = [run.info.run_name for run in trials(store, "FINISHED")]
    assert sorted(finished) == sorted(set(finished))
    assert len(finished) == 2
    assert store.get_run(one.info.run_id).info.status == "KILLED"
    assert "Traceback" not in process.said


def tls_of_the_docs(folder):
    """The variables that docs/running.md sets for a cluster of one's own, with its files here."""
    servers.certificates(folder)
    text = (ROOT / "docs" / "running.md").read_text()
    found = dict(re.findall(r"^export (DASK_\w+)=(\S+)$", text, re.M))
    assert len(found) == 8
    return {name: value.replace("~/dask", str(folder)) for name, value in found.items()}


def address_in(file):
    """The address in a scheduler's file, once it is written."""
    try:
        return json.loads(file.read_text())["address"]
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def test_a_cluster_by_hand_and_a_server_on_postgresql(store, start, windows, tmp_path):
    """The whole of ``har`` and a study through them, as docs/running.md says."""
    tls = tls_of_the_docs(tmp_path)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(servers.postgresql())
        uri, _ = servers.mlflow_server(start, database, tmp_path / "artifacts")
        # A port of the scheduler's own choice: one that is free now another cluster may take.
        file = tmp_path / "scheduler.json"
        words = ("--host", "127.0.0.1", "--port", "0", "--protocol", "tls", "--no-dashboard")
        scheduler = start("dask", "scheduler", *words, "--scheduler-file", str(file), **tls)
        address = wait_for(lambda: address_in(file), "the scheduler's start", scheduler)
        assert address.startswith("tls://127.0.0.1:")
        for _ in range(2):
            words = (address, "--nthreads", "1", "--nworkers", "1", "--no-dashboard")
            start("dask", "worker", *words, "--host", "127.0.0.1", **tls, MLFLOW_TRACKING_URI=uri)
        common = {"MLFLOW_TRACKING_URI": uri, "DASK_SCHEDULER_ADDRESS": address, **tls}
        small = ("--configurations", "20x5x0.1,20x4x0.1", "--seeds", "1", "--epochs", "2")
        har = start(
            "tfnets", "har", "all", "--data", str(windows), *small, "--max-epochs", "3", **common
        )
        assert har.wait() == 0, har.said
        assert "Warning" not in har.said
        study = ("--study", "hidden_size", "--values", "8,16", "--steps", "4", "--batch-size", "5")
        addition = start("tfnets", "addition", "study", *study, **common)
        assert addition.wait() == 0, addition.said
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        for task in ("har", "addition"):
            experiment = client.get_experiment_by_name(task)
            found = client.search_runs([experiment.experiment_id])
            assert {run.info.status for run in found} == {"FINISHED"}
            parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
            assert parents
            assert all(run.info.artifact_uri.startswith("mlflow-artifacts:") for run in found)
            names = {entry.path for entry in client.list_artifacts(parents[-1].info.run_id)}
            assert names
        aliases = set(client.get_registered_model("har-rnn").aliases)
        assert aliases == {"best", "runner-up", "champion"}


@pytest.mark.nightly
def test_no_cluster_at_an_address(start):
    addresses = (f"tcp://127.0.0.1:{free_port()}", "tls://127.0.0.1:1", "nonsense")
    started = [start(sys.executable, "-c", NO_SERVER.format(address=each)) for each in addresses]
    for address, process in zip(addresses, started, strict=True):
        assert process.wait() == 1
        last = process.said.strip().splitlines()[-1]
        assert last.startswith(f"Error: scheduler {address!r}: no Dask cluster there whose")
        assert "Traceback" not in process.said


@pytest.mark.nightly
def test_no_cluster_where_one_is_said_to_be(store, start, windows, monkeypatch):
    address = f"tcp://127.0.0.1:{free_port()}"
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    process = start(*SWEEP, "--data", str(windows))
    assert process.wait() == 1
    last = process.said.strip().splitlines()[-1]
    assert last.startswith(f"Error: the runs of a Dask cluster ({address}) need an MLflow server")


@pytest.mark.nightly
def test_a_scheduler_that_dies_is_one_true_line(store, start, windows, tmp_path):
    uri, _ = servers.mlflow_server(start, mlflow.get_tracking_uri(), tmp_path / "artifacts")
    file = tmp_path / "scheduler.json"
    words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    scheduler = start("dask", "scheduler", *words, "--scheduler-file", str(file))
    address = wait_for(lambda: address_in(file), "the scheduler's start", scheduler)
    start(
        *("dask", "worker", address, "--nthreads", "1", "--nworkers", "1", "--no-dashboard"),
        MLFLOW_TRACKING_URI=uri,
    )
    words = ("--data", str(windows), "--seeds", "1", "--epochs", "100000")
    process = start(*SWEEP, *words, "--scheduler", address, MLFLOW_TRACKING_URI=uri)

    def training():
        return [run for run in trials(store, "RUNNING") if "train/loss" in run.data.metrics]

    (trained,) = wait_for(training, "a training", process)
    os.killpg(scheduler.pid, signal.SIGKILL)
    assert process.wait() == 1, process.said
    last = process.said.strip().splitlines()[-1]
    (parent,) = runs(store, "tags.stage = 'sweep'")
    assert last == (
        f"Error: the connection to scheduler '{address}' is lost; 0 of 2 runs are done, and -P "
        f"resume={parent.info.run_id} trains what is missing."
    )
    for word in ("Traceback", "failed", "distributed"):
        assert word not in process.said
    assert parent.info.status == "FAILED"
    assert store.get_run(trained.info.run_id).info.status == "KILLED"


NIGHTLY = [0.0, 0.2, 0.5, 1.0, 1.5, 3.0, 4.0, 6.0]


@pytest.mark.race
@pytest.mark.parametrize(
    "seconds", [2.0, 5.0, *(pytest.param(s, marks=pytest.mark.nightly) for s in NIGHTLY)]
)
def test_a_signal_while_workers_start(store, start, windows, seconds):
    words = ("--data", str(windows), "--seeds", "1", "--epochs", "100000")
    process = start(*SWEEP, *words)
    wait_for(lambda: "runs to train" in process.said, "the cluster's start", process)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT, process.said
    assert process.said.strip().splitlines()[-1] == "Error: interrupted by SIGINT."
    for word in ("Traceback", "distributed", "asyncio", "rror in"):
        assert word not in process.said
    assert {run.info.status for run in runs(store)} == {"KILLED"}
