"""Folders that cannot be written to, a full output, models whose logging was cut off."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlproject.tracking.lifecycle import start_run
from processes import starter
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


def models_of(store):
    return store.search_logged_models(["0"])


def files_of_models(store):
    root = Path(store.get_experiment("0").artifact_location) / "models"
    return [path for path in root.rglob("*") if path.is_file()] if root.exists() else []


def run_of(store):
    (run,) = store.search_runs(["0"])
    return run


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), InputError("no")])
def test_half_a_model_is_removed(store, error):
    def save(folder, about):
        folder.mkdir()
        (folder / "half").touch()
        raise error

    with (
        pytest.raises(InputError),
        start_run("r", task="speech", stage="train", options={}) as run,
    ):
        run.log_model(save, {})
    assert run_of(store).info.status == "FAILED"
    assert models_of(store) == []
    assert files_of_models(store) == []


def test_a_model_whose_process_was_killed_is_removed_by_the_next_start(store):
    done = subprocess.run([sys.executable, "-c", KILLED, "here"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [str(model.status) for model in models_of(store)] == ["PENDING"]
    with start_run("next", task="speech", stage="train", options={}):
        pass
    assert models_of(store) == []
    assert files_of_models(store) == []
    (killed,) = store.search_runs(["0"], "attributes.status = 'KILLED'")
    assert killed.data.tags["error"] == "its process is gone"


def test_an_artifact_folder_that_cannot_be_written_to_is_named(store):
    root = Path(store.get_experiment("0").artifact_location)
    root.parent.mkdir(parents=True, exist_ok=True)
    root.write_text("a file where the folder has to be")
    with (
        pytest.raises(InputError, match=f"^cannot log to {root}") as caught,
        start_run("r", task="speech", stage="train", options={}) as run,
    ):
        run.log_text("x", "x.txt")
    assert "\n" not in str(caught.value)
    assert run_of(store).info.status == "FAILED"
    assert run_of(store).data.tags["error"] == str(caught.value)


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
