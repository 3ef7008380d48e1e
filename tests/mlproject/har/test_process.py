"""What only shows in processes of their own: the whole story, dying workers, other clusters."""

import os
import re
import signal
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest

from processes import free_port, is_up, serve, wait_for
from records import children_of

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_cluster_that_is_there_and_a_server(store, start, windows, tmp_path):
    port, tracking = free_port(), free_port()
    address, uri = f"tcp://127.0.0.1:{port}", f"http://127.0.0.1:{tracking}"
    words = ("--workers", "1", "--host", "127.0.0.1", "--port", str(tracking))
    words += ("--backend-store-uri", f"sqlite:///{tmp_path}/served.db")
    # Of the processes that it starts for jobs of its own nothing is asked here.
    server = start("mlflow", "server", *words, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    start("dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    start("dask", "worker", address, "--nthreads", "2", "--nworkers", "1", "--no-dashboard")
    wait_for(lambda: is_up(f"{uri}/health"), "the server's start", server)
    options = ("--data", str(windows), "--seeds", "1", "--epochs", "2", "--scheduler", address)
    process = start(*SWEEP, *options, MLFLOW_TRACKING_URI=uri)
    assert process.wait() == 0, process.said
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = client.search_runs(["0"])
    assert [run.info.status for run in found] == ["FINISHED"] * 3
    assert set(client.get_registered_model("har-rnn").aliases) == {"best", "runner-up"}
    (parent,) = (run for run in found if run.data.tags["stage"] == "sweep")
    assert parent.info.artifact_uri.startswith("mlflow-artifacts:")
    names = {entry.path for entry in client.list_artifacts(parent.info.run_id)}
    assert "tables.txt" in names


@pytest.mark.slow
def test_no_cluster_at_an_address(start):
    addresses = (f"tcp://127.0.0.1:{free_port()}", "tls://127.0.0.1:1", "nonsense")
    started = [start(sys.executable, "-c", NO_SERVER.format(address=each)) for each in addresses]
    for address, process in zip(addresses, started, strict=True):
        assert process.wait() == 1
        last = process.said.strip().splitlines()[-1]
        assert last.startswith(f"Error: scheduler {address!r}: no Dask cluster there whose")
        assert "Traceback" not in process.said


def test_no_cluster_where_one_is_said_to_be(store, start, windows, monkeypatch):
    address = f"tcp://127.0.0.1:{free_port()}"
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    process = start(*SWEEP, "--data", str(windows))
    assert process.wait() == 1
    last = process.said.strip().splitlines()[-1]
    assert last.startswith(f"Error: the runs of a Dask cluster ({address}) need an MLflow server")
