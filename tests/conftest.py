"""Fixtures that several rooms share: a cache of our own, small clips, an empty MLflow store."""

import contextlib
import os
import shutil
import time
import zlib
from unittest import mock

import numpy as np
import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
if "PYTEST_XDIST_WORKER" in os.environ:
    # As the commands do it, so that the garbage collector never looks through these packages.
    from mlproject.process.imports import late_imports

    with late_imports():
        import mlproject.tracking.lifecycle  # noqa: F401

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

WORDS = ("no", "go", "down")


def pytest_itemcollected(item):
    """Tests of a file run in one process, unless a mark of their own groups them otherwise.

    What depends on the machine's mood is tried twice, and the report says so; not what looks for
    races, which one failure proves.
    """
    if not item.get_closest_marker("xdist_group"):
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    if item.get_closest_marker("slow") and not item.get_closest_marker("race"):
        item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_modifyitems(config, items):
    """What is ``nightly`` runs only where it is asked for, also where it is ``slow``, too."""
    if "nightly" not in config.option.markexpr:
        left = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory):
    os.environ["TFNETS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["TFNETS_STATE"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def _environment_of_a_test():
    """What a test or a command that it calls in this process sets ends with it."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def pass_time(monkeypatch):
    """Lets seconds pass for whoever measures them, without waiting: ``pass_time(3)``."""
    measured, passed = time.perf_counter, []
    monkeypatch.setattr(time, "perf_counter", lambda: measured() + sum(passed))
    return passed.append


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """An empty cache for one test."""
    monkeypatch.setenv("TFNETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def write_clip():
    """Writes a tone as a 16 kHz mono 16-bit clip: the pitch tells the words apart."""
    from tfnets.speech import audio

    def write(path, hertz=400.0, samples=16_000, seed=None):
        if seed is None:  # each clip is another recording
            seed = zlib.crc32("/".join(path.parts[-2:]).encode())
        noise = np.random.default_rng(seed).normal(scale=300, size=samples)
        tone = 8_000 * np.sin(2 * np.pi * hertz * np.arange(samples) / 16_000)
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, (tone + noise).astype(np.int16))

    return write


@pytest.fixture
def speech_folder(tmp_path, write_clip):
    """A folder in the Speech Commands layout with lists: 3 words, 6 speakers, 2 takes each."""
    return make_speech_folder(tmp_path / "commands", write_clip)


def make_speech_folder(folder, write_clip):
    lists = {"validation_list.txt": [], "testing_list.txt": []}
    for number, word in enumerate(WORDS):
        for speaker in range(6):
            for take in range(2):
                name = f"{word}/speaker{speaker}_nohash_{take}.wav"
                write_clip(folder / name, 300.0 * 2**number, seed=10 * speaker + take)
                if speaker >= 4:
                    lists["validation_list.txt" if speaker == 4 else "testing_list.txt"] += [name]
    for name, clips in lists.items():
        (folder / name).write_text("\n".join(clips) + "\n")
    return folder


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory):
    """An MLflow database with its tables, made once: making it takes seconds."""
    import mlflow

    path = tmp_path_factory.mktemp("store") / "empty.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)  # where the first experiment's artifacts go for good
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="module")
def shared_speech_folder(tmp_path_factory, write_clip):
    """As ``speech_folder``, for all tests of a module; not to be changed."""
    return make_speech_folder(tmp_path_factory.mktemp("shared") / "commands", write_clip)


@contextlib.contextmanager
def new_store(empty_store, folder):
    """A real, empty sqlite store in ``folder``, which becomes the working directory."""
    import mlflow

    shutil.copy(empty_store, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        mlflow.set_tracking_uri(uri)
        yield mlflow.MlflowClient(tracking_uri=uri)
        mlflow.set_tracking_uri(None)


@pytest.fixture
def store(_empty_store, tmp_path):
    """A client of a store of this test's own."""
    (tmp_path / "work").mkdir()
    with new_store(_empty_store, tmp_path / "work") as client:
        yield client


@pytest.fixture(scope="module")
def shared_store(_empty_store, tmp_path_factory):
    """A client of a store that all tests of a module share."""
    with new_store(_empty_store, tmp_path_factory.mktemp("work")) as client:
        yield client


@pytest.fixture(scope="session")
def command():
    """Runs a command of a task in this process: ``command("gru", epochs=2)``."""
    from click.testing import CliRunner

    def run(group, name, **parameters):
        words = [name]
        for key, value in parameters.items():
            words += [f"--{key.replace('_', '-')}", str(value)]
        with mock.patch.dict(os.environ):  # a command says how many threads TensorFlow has
            return CliRunner().invoke(group, words, standalone_mode=False)

    return run
