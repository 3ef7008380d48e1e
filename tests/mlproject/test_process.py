"""What only shows in processes of their own: ``mlflow run``, signals, seeds, serving."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import psutil
import pytest

from mlproject.speech.commands import cli
from processes import ask_as_a_server_does, wait_for, where_nothing_is_installed
from tfnets.speech import audio

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TINY = ("--clips", "15", "--epochs", "2", "--batch-size", "16")
LONG = ("--clips", "15", "--epochs", "100000", "--batch-size", "45")


def direct(*words, name="fc"):
    return (sys.executable, "-m", "mlproject.speech", name, *words)


def project(*words, entry="speech_fc"):
    """``mlflow run`` of the checkout with ``--name value`` as ``-P name=value``."""
    pairs = zip(words[::2], words[1::2], strict=True)
    parameters = [f"-P{name[2:].replace('-', '_')}={value}" for name, value in pairs]
    return ("mlflow", "run", str(ROOT), "-e", entry, "--env-manager=local", *parameters)


def the_run(store):
    (run,) = store.search_runs(["0"])
    return run


def has_started(word, process):
    """Whether a process has a child with a word in its command."""
    with contextlib.suppress(psutil.Error):  # it has ended meanwhile
        for child in psutil.Process(process.pid).children():
            if any(word in part for part in child.cmdline()):
                return True
    return False


def test_mlflow_run_trains_with_every_parameter(store, start):
    words = (*TINY, "--words", "yes,left", "--seed", "3", "--pooling", "flatten")
    words += ("--learning-rate", "1e-2", "--reset-after", "true", "--recurrent-bias", "True")
    words += ("--optimizer", "sgd", "--momentum", "0.5", "--weight-decay", "0")
    words += ("--initializer", "torch", "--level", "running", "--augment", "True")
    words += ("--duplicates", "keep")
    words += ("--pattern", "none", "--split", "clip", "--test-speakers", "none", "--folds", "0")
    words += ("--fold", "1", "--unknown", "none", "--silence", "False", "--protocol", "report")
    words += ("--keep", "best", "--calibrate", "False")
    process = start(*project(*words, entry="speech_gru"))
    assert process.wait() == 0, process.said
    run = the_run(store)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "gru sgd seed3"
    given = {w[2:].replace("-", "_"): v for w, v in zip(words[::2], words[1::2], strict=True)}
    used = {"learning_rate": "0.01", "momentum": "0.5", "weight_decay": "0.0"}
    used |= {"level": "running", "augment": "True", "keep": "best", "calibrate": "False"}
    used = {f"used/{name}": value for name, value in used.items()}
    assert run.data.params == {"data": "builtin"} | given | used
    assert run.data.tags["mlflow.project.entryPoint"] == "speech_gru"
    if (ROOT / ".git").exists():
        assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert len(store.get_metric_history(run.info.run_id, "val/accuracy")) == 2
    # Two classes, all 101 frames side by side, the form with the reset gate after.
    assert run.data.metrics["params/total"] == 45312 + 6465 * 128 + 16512 + 258
    text = process.said
    assert "Test accuracy" in text
    assert "Traceback" not in text
    assert "cudart" not in text


@pytest.mark.nightly
def test_same_seed_same_bits_other_seed_others(store, start, command):
    """Also in a process that has trained before; and whether its terminal is closed or not."""
    process = start("nohup", *direct(*TINY, "--seed", "1", name="gru"))
    wait_for(lambda: "epoch 1/" in process.said, "training", process)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 0, process.said
    assert the_run(store).info.status == "FINISHED"
    for seed in (2, 1):
        here = command(cli, "gru", clips=15, epochs=2, batch_size=16, seed=seed)
        assert here.exception is None, here.output
    runs = store.search_runs(["0"])
    assert len({run.data.tags["pid"] for run in runs}) == 2

    def measured(run):
        names = [name for name in run.data.metrics if not name.startswith("time/")]
        assert {"train/loss", "val/loss", "val/accuracy", "test/loss"} <= set(names)
        return {
            name: [(m.step, m.value) for m in store.get_metric_history(run.info.run_id, name)]
            for name in names
        }

    first, again = (measured(run) for run in runs if run.data.params["seed"] == "1")
    (other,) = (measured(run) for run in runs if run.data.params["seed"] == "2")
    assert first == again
    assert first["train/loss"] != other["train/loss"]
    assert first["test/loss"] != other["test/loss"]


def test_what_keras_and_tensorflow_are_set_to_elsewhere_changes_nothing(
    store, start, command, tmp_path, keras_of_others
):
    """Backend, float64, channels first, epsilon; and who asks for less output has no more."""
    y = np.arange(60) % 3
    x = np.random.default_rng(0).normal(size=(60, 20, 16)) + y[:, None, None]
    np.savez(tmp_path / "small.npz", x_train=x, y_train=y, x_test=x + 0.01, y_test=y)
    words = ("--data", str(tmp_path / "small.npz"), "--epochs", "1")
    process = start(*direct(*words, name="cnn"), **keras_of_others, TF_CPP_MIN_LOG_LEVEL="3")
    here = command(cli, "cnn", data=tmp_path / "small.npz", epochs=1)
    assert here.exception is None, here.output
    assert process.wait() == 0, process.said
    assert process.said.startswith("epoch 1/1"), process.said
    assert len(process.said.splitlines()) == len(here.output.splitlines())
    one, other = (run.data.metrics for run in store.search_runs(["0"]))
    for name in ("train/loss", "val/loss", "test/loss", "test/accuracy"):
        assert one[name] == other[name]


@pytest.mark.nightly
def test_a_signal_ends_the_run_as_killed(store, start):
    """As others do: Ctrl-C while something else goes on, SIGTERM in a comparison."""
    process = start(*direct(*LONG))
    wait_for(lambda: "epoch      1/" in process.said, "training", process)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 128 + signal.SIGHUP
    run = the_run(store)
    assert run.info.status == "KILLED"
    assert run.data.tags["error"] == "interrupted by SIGHUP"
    assert process.said.strip().splitlines()[-1] == "Error: interrupted by SIGHUP."
    assert "Traceback" not in process.said


@pytest.mark.nightly
def test_a_signal_ends_a_comparison_and_its_runs(store, start):
    models = ("--models", "fc+sgd,gru+adam")
    process = start(*direct(*LONG[:2], "--epochs", "150", *models, name="compare"))
    wait_for(lambda: "gru adam seed0" in process.said, "the second run", process)
    wait_for(lambda: process.said.count("epoch   1/") == 2, "training", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    runs = {run.info.run_name: run for run in store.search_runs(["0"])}
    assert {name: run.info.status for name, run in runs.items()} == {
        "compare 2 models, 1 seed": "KILLED",
        "fc sgd seed0": "FINISHED",
        "gru adam seed0": "KILLED",
    }
    assert runs["gru adam seed0"].data.tags["error"] == "interrupted by SIGTERM"
    assert process.said.strip().splitlines()[-1] == "Error: interrupted by SIGTERM."
    assert "Traceback" not in process.said


# A signal at the worst moment: while MLflow makes the run, or while it ends it.
BAD_MOMENT = """
import os, signal, sys
from mlflow.tracking import MlflowClient

def with_signal(method, when):
    def patched(*args, **kwargs):
        if when == "before":
            os.kill(os.getpid(), signal.SIGTERM)
        result = method(*args, **kwargs)
        if when == "after":
            os.kill(os.getpid(), signal.SIGTERM)
        return result
    return patched

method, when, *sys.argv[1:] = sys.argv[1:]
setattr(MlflowClient, method, with_signal(getattr(MlflowClient, method), when))
from mlproject.speech.commands import cli
from mlproject.tracking.task import main
main(cli)
"""


@pytest.mark.parametrize(
    ("method", "when", "status"),
    [("create_run", "after", "KILLED"), ("set_terminated", "before", "FINISHED")],
)
@pytest.mark.nightly
def test_a_signal_while_a_run_starts_or_ends(store, start, method, when, status):
    process = start(sys.executable, "-c", BAD_MOMENT, method, when, "fc", *TINY)
    assert process.wait() == 128 + signal.SIGTERM
    assert the_run(store).info.status == status
    assert the_run(store).info.run_name == "fc sgd seed0"
    assert "Traceback" not in process.said


IN_A_TRANSACTION = """
import os, signal
from sqlalchemy import event
from sqlalchemy.engine import Engine

@event.listens_for(Engine, "after_cursor_execute")
def with_signal(connection, cursor, statement, *rest):
    if statement.startswith("INSERT INTO metrics"):  # written, and not committed
        os.kill(os.getpid(), signal.SIGTERM)

from mlproject.speech.commands import cli
from mlproject.tracking.task import main
main(cli)
"""


def test_a_signal_in_the_middle_of_a_transaction(store, start):
    process = start(sys.executable, "-c", IN_A_TRANSACTION, "fc", *TINY)
    assert process.wait() == 128 + signal.SIGTERM
    run = the_run(store)
    assert run.info.status == "KILLED"
    assert run.data.tags["error"] == "interrupted by SIGTERM"
    assert "locked" not in process.said


def test_a_signal_that_python_loses_is_remembered():
    code = """
import os, signal
from mlproject.process import signals

class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))  # here the signal's exception comes, and is forgotten

signals.install()
Dying()
print("went on")
try:
    signals.check()
except signals.Interrupted as error:
    print(error)

class HalfMade:
    def __del__(self):
        self.attribute_of_a_whole_one

HalfMade()  # as a file is that the exception found in its making
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "went on\ninterrupted by SIGTERM\n"
    assert done.stderr == ""


def test_killing_mlflow_run_while_its_command_starts(store, start):
    """At once: Python has hardly begun to run."""
    process = start(*project(*LONG))
    wait_for(lambda: has_started("mlproject.speech", process), "the command's start", process)
    process.terminate()
    process.wait()
    wait_for(lambda: the_run(store).info.status == "KILLED", "the run's end", process, False)
    assert the_run(store).data.tags["error"] == "interrupted by SIGTERM"
    assert the_run(store).info.run_name == "fc sgd seed0"
    assert "Traceback" not in process.said.partition("=== Running command")[2]


def test_a_store_that_fails_in_the_middle(store, start):
    code = """
import sys
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

def fail(*args, **kwargs):
    raise MlflowException("the server is gone\\nand will not come back")

MlflowClient.log_batch = fail
from mlproject.speech.commands import cli
from mlproject.tracking.task import main
main(cli)
"""
    process = start(sys.executable, "-c", code, "fc", *TINY)
    assert process.wait() == 1
    last = process.said.strip().splitlines()[-1]
    assert last.startswith("Error: cannot log to sqlite:///")
    assert last.endswith(": the server is gone.")
    assert the_run(store).info.status == "FAILED"


def test_a_signal_that_the_process_was_started_to_ignore_stays_ignored(start):
    """As with nohup, or a job in the background of a script."""
    code = """
import os, signal
from mlproject.process import signals

signals.install()
os.kill(os.getpid(), signal.SIGHUP)
signals.check()
print("goes on")
os.kill(os.getpid(), signal.SIGTERM)
"""
    process = start("nohup", sys.executable, "-c", code)
    assert process.wait() == 1
    said = process.said.strip().splitlines()
    assert "goes on" in said
    assert said[-1].endswith("Interrupted: interrupted by SIGTERM")


@pytest.mark.nightly
def test_ctrl_c_while_the_corpus_is_rendered(store, start, fresh_cache):
    """As a terminal does it: eSpeak's process gets the signal, too."""
    process = start(*direct("--clips", "3000"))
    wait_for(lambda: "rendering" in process.said, "rendering", process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT
    lines = process.said.strip().splitlines()
    assert lines[-1] == "Error: interrupted by SIGINT."
    assert not any("Traceback" in line for line in lines)
    assert the_run(store).info.status == "KILLED"
    assert not [path for path in fresh_cache.rglob("*") if path.is_file()]


def test_ctrl_c_on_mlflow_run_leaves_nothing_running(store, start):
    process = start(*project(*LONG))
    wait_for(lambda: "epoch      1/" in process.said, "training", process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() != 0
    run = the_run(store)
    assert run.info.status in ("KILLED", "FAILED")
    assert run.data.tags["error"] == "interrupted by SIGINT"


@pytest.mark.nightly
def test_killing_mlflow_run_ends_its_training_too(store, start):
    process = start(*project(*LONG))
    wait_for(lambda: "epoch      1/" in process.said, "training", process)
    process.kill()
    process.wait()
    wait_for(lambda: the_run(store).info.status == "KILLED", "the run's end", process, False)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--data", "/nowhere"), 1, "Error: data folder '/nowhere' does not exist; give 'buil"),
        (
            ("--epochs", "0"),
            2,
            "Error: Invalid value for '--epochs': 0 is not in the range 1<=x<=",
        ),
        (("--seed", "x"), 2, "Error: Invalid value for '--seed': 'x' is not a valid integer"),
        (("--pooling", "max"), 2, "Error: Invalid value for '--pooling': 'max' is not one of"),
        (("--speed", "9"), 2, "Error: No such option"),
    ],
)
def test_bad_input_is_one_line(store, start, words, code, message):
    process = start(*direct("--clips", "15", *words, name="gru"))
    assert process.wait() == code
    (line,) = process.said.strip().splitlines()
    assert line.startswith(message)
    assert all(run.info.status == "FAILED" for run in store.search_runs(["0"]))


def test_bad_parameters_under_mlflow_run_end_its_run_as_failed(store, start):
    process = start(*project("--epochs", "0"))
    assert process.wait() == 1
    run = the_run(store)
    assert run.info.status == "FAILED"
    assert run.info.run_name == "speech_fc"
    assert "0 is not in the range 1<=x<=" in run.data.tags["error"]
    assert "Traceback" not in process.said


def test_a_store_that_cannot_be_reached(store, start, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////dev/null/all.db")
    process = start(*direct(*TINY))
    assert process.wait() == 1
    last = process.said.strip().splitlines()[-1]
    assert last.startswith("Error: cannot start a run at sqlite:////dev/null/all.db")


# The deployed model, away from home


@pytest.fixture
def trained(store, command):
    result = command(cli, "gru", clips=15, epochs=2, batch_size=16)
    assert result.exception is None, result.output
    return the_run(store).info.run_id


@pytest.fixture
def sound(trained):
    clip = next(Path(os.environ["TFNETS_CACHE"]).glob("speech/corpus*/go/*.wav"))
    return audio.read(clip).samples[None]


def test_the_model_loads_where_tfnets_is_not_installed_and_answers_a_server(
    trained, sound, tmp_path
):
    np.save(tmp_path / "sound.npy", sound)
    code = f"""
import numpy
model = mlflow.pyfunc.load_model("runs:/{trained}/model")
answer = model.predict(numpy.load({str(tmp_path / "sound.npy")!r}))
import tfnets
assert "/code/tfnets/" in tfnets.__file__, tfnets.__file__
print(json.dumps({{name: float(value[0]) for name, value in answer.items()}}))
"""
    answer = where_nothing_is_installed(code, tmp_path)
    here = mlflow.pyfunc.load_model(f"runs:/{trained}/model").predict(sound)
    assert answer == {name: pytest.approx(float(here[name][0]), abs=1e-6) for name in here}

    predictions = ask_as_a_server_does(f"runs:/{trained}/model", sound.tolist())
    assert list(predictions) == ["no", "go", "down"]
    for name, (value,) in predictions.items():
        assert value == pytest.approx(float(here[name][0]), abs=1e-6)
