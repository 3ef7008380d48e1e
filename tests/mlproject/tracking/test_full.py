"""Folders that cannot be written to, a full output, models whose logging was cut off."""

import os
import signal
import subprocess
import sys

import mlflow
import pytest

from mlproject.tracking.lifecycle import start_run
from processes import starter
from servers import mlflow_server
from tfnets.errors import InputError

KILLED = """
import os, signal, sys
from mlproject.tracking.lifecycle import start_run

def save(folder, about):
    folder.mkdir()
    (folder / "half").touch()
    if sys.argv[1] == "here":
        os.kill(os.getpid(), signal.SIGKILL)

with start_run("r", task="speech", stage="train", options={}) as run:
    run.log_model(save, {})
"""


FINALIZE = mlflow.MlflowClient.finalize_logged_model


class Experiment:
    """One of the test's own: experiment 0 keeps its files where other tests do."""

    def __init__(self, store, folder):
        self.store, self.folder = store, folder
        self.id = store.create_experiment("own", artifact_location=str(folder))

    def models(self):
        return self.store.search_logged_models([self.id])

    def files(self):
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def runs(self, condition=""):
        return self.store.search_runs([self.id], condition)


@pytest.fixture
def experiment(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "own")
    return Experiment(store, tmp_path / "artifacts")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), InputError("no")])
def test_half_a_model_is_removed(experiment, error):
    def save(folder, about):
        folder.mkdir()
        (folder / "half").touch()
        raise error

    with (
        pytest.raises(InputError),
        start_run("r", task="speech", stage="train", options={}) as run,
    ):
        run.log_model(save, {})
    (run,) = experiment.runs()
    assert run.info.status == "FAILED"
    assert experiment.models() == []
    assert experiment.files() == []


def saved(folder, about):
    folder.mkdir()
    (folder / "all.txt").write_text("all")
    about.save(str(folder / "MLmodel"))


@pytest.mark.slow
@pytest.mark.nightly
def test_half_a_model_is_removed_from_a_server(store, tmp_path, monkeypatch):
    """Its files go through the server, and to the server's place."""
    place, sent = tmp_path / "artifacts", []

    def refuse_ready(client, model_id, status):
        """As if the store were full when all files are there."""
        if str(status) == "READY":
            sent.extend(sorted(path.name for path in place.rglob("*") if path.is_file()))
            raise mlflow.MlflowException("no space for it")
        return FINALIZE(client, model_id, status)

    with starter(tmp_path) as start:
        uri, _ = mlflow_server(start, mlflow.get_tracking_uri(), place)
        client = mlflow.MlflowClient(tracking_uri=uri)
        client.create_experiment("served")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "served")
        monkeypatch.setattr(mlflow.MlflowClient, "finalize_logged_model", refuse_ready)
        mlflow.set_tracking_uri(uri)
        with (
            pytest.raises(InputError, match="no space for it"),
            start_run("r", task="speech", stage="train", options={}) as run,
        ):
            run.log_model(saved, {})
        assert client.search_logged_models([run.experiment_id]) == []
        assert client.get_run(run.id).info.status == "FAILED"
    assert sent == ["MLmodel", "all.txt"]
    assert [path for path in place.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_a_model_whose_process_was_killed_is_removed_by_the_next_start(experiment):
    done = subprocess.run([sys.executable, "-c", KILLED, "here"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [str(model.status) for model in experiment.models()] == ["PENDING"]
    with start_run("next", task="speech", stage="train", options={}):
        pass
    assert experiment.models() == []
    assert experiment.files() == []
    (killed,) = experiment.runs("attributes.status = 'KILLED'")
    assert killed.data.tags["error"] == "its process is gone"


def test_an_artifact_folder_that_cannot_be_written_to_is_named(experiment):
    root = experiment.folder
    root.write_text("a file where the folder has to be")
    with (
        pytest.raises(InputError, match=f"^cannot log to {root}") as caught,
        start_run("r", task="speech", stage="train", options={}) as run,
    ):
        run.log_text("x", "x.txt")
    assert "\n" not in str(caught.value)
    (run,) = experiment.runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == str(caught.value)


@pytest.mark.slow
def test_who_has_closed_the_outputs_gets_a_run_all_the_same(store, tmp_path):
    with starter(tmp_path) as start:
        words = "tfnets addition rnn --steps 4 --batch-size 5 >&- 2>&-"
        assert start("bash", "-c", words).wait() == 0
    (run,) = store.search_runs([store.get_experiment_by_name("addition").experiment_id])
    assert run.info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_output_is_one_line(store, tmp_path):
    with starter(tmp_path) as start:
        commands = {
            "help": "tfnets --help > /dev/full",
            "run": "tfnets addition rnn --steps 4 --batch-size 5 > /dev/full",
        }
        started = {name: start("bash", "-c", words) for name, words in commands.items()}
        for process in started.values():
            assert process.wait() == 1
            assert "Traceback" not in process.said
            last = process.said.strip().splitlines()[-1]
            assert last == "Error: cannot write the output: No space left on device."
    (run,) = store.search_runs([store.get_experiment_by_name("addition").experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["error"].endswith("No space left on device")
