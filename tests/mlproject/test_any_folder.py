"""Commands in folders with any name: an address is not a path."""

from pathlib import Path

import mlflow
import numpy as np
import pytest

from mlproject.tracking import store, ui
from mlproject.tracking.lifecycle import start_run
from processes import serve

ROOT = Path(__file__).parents[2]
NAMES = ["My Project", "Übung", "50% #1", "what?", "a+b&c;d='e'"]


@pytest.fixture
def folder_of(tmp_path, monkeypatch, _empty_store):
    """Makes a folder and goes there; no store is named, so that MLflow names its own."""

    def make(name):
        folder = tmp_path / "around" / name
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
        mlflow.set_tracking_uri(None)
        return folder

    yield make
    mlflow.set_tracking_uri(None)


def contents(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_in_a_folder_of_any_name(folder_of, name):
    folder = folder_of(name)
    for _ in range(2):  # the second finds the store
        with start_run("r", task="speech", stage="train", options={}) as run:
            run.log_text("hello", "a/b.txt")
            mlflow.MlflowClient().search_registered_models()  # a store of its own
            assert ui.ui_lines(run)[0] == "mlflow ui"
        store.check()
        (artifact,) = folder.glob(f"mlruns/*/{run.id}/artifacts/a/b.txt")
        assert artifact.read_text() == "hello"
    assert contents(folder) == {"mlflow.db", "mlruns"}
    assert contents(folder.parent) == {name}
    assert store.sqlite_file(mlflow.get_tracking_uri()) == folder / "mlflow.db"
    runs = mlflow.MlflowClient().search_runs(["0"])
    assert [each.info.status for each in runs] == ["FINISHED"] * 2


@pytest.mark.parametrize("name", NAMES)
def test_half_a_model_is_removed_in_a_folder_of_any_name(folder_of, monkeypatch, name):
    folder = folder_of(name)

    def save(place, about):
        place.mkdir()
        (place / "weights").write_text("half")
        about.save(str(place / "MLmodel"))

    real = mlflow.MlflowClient.finalize_logged_model

    def broken(self, model_id, status):
        if status == "READY":
            assert list(folder.rglob("weights"))
            raise OSError("disk full")
        return real(self, model_id, status)

    monkeypatch.setattr(mlflow.MlflowClient, "finalize_logged_model", broken)

    def train():
        with start_run("r", task="speech", stage="train", options={}) as run:
            run.log_model(save, {})

    with pytest.raises(Exception, match="disk full"):
        train()
    assert not list(folder.rglob("weights"))
    assert contents(folder.parent) == {name}


@pytest.mark.parametrize(
    ("name", "read"), [("My%20Project", "My Project"), ("100%25", "100%"), ("50% #1", None)]
)
def test_it_is_said_where_files_go_if_mlflow_decodes_the_folders_name(
    folder_of, capsys, name, read
):
    folder = folder_of(name)
    with start_run("r", task="speech", stage="train", options={}) as run:
        run.log_text("hello", "a.txt")
    (artifact,) = (folder.parent / (read or name)).glob("mlruns/*/*/artifacts/a.txt")
    said = capsys.readouterr().err
    assert (f"files are in {artifact.parent}: MLflow decodes" in said) == (read is not None)
    assert len(said.splitlines()) == (read is not None)


@pytest.mark.slow
def test_everything_works_in_a_folder_of_any_name(folder_of, start, write_clip):
    """A training, a sweep, ``mlflow run``, a served model, adding and classifying."""
    name = "Übung 1: 50% #1"
    folder = folder_of(name)
    write_clip(folder / "clip 1.wav")
    y = np.arange(90) % 3
    x = np.random.default_rng(0).normal(0, 0.3, (90, 20, 3)).astype(np.float32)
    x[np.arange(90), :, y] += 1
    np.savez(folder / "own data.npz", x_train=x, y_train=y, x_test=x[:30] + 0.01, y_test=y[:30])
    small = ("--epochs", "2", "--seeds", "1", "--configurations", "10x8x0.1,10x9x0.1")
    project = ("mlflow", "run", str(ROOT), "--env-manager=local", "-e")
    for words in (
        ("tfnets", "har", "sweep", "--data", "own data.npz", *small),
        (*project, "addition_rnn", "-Psteps=20", "-Phidden_size=8", "-Pregister_as=adder"),
        ("tfnets", "addition", "add", "57", "68"),
        ("tfnets", "speech", "gru", "--clips", "15", "--epochs", "1"),
        ("tfnets", "speech", "classify", "clip 1.wav"),
    ):
        process = start(*words, MLFLOW_TRACKING_URI="")
        assert process.wait() == 0, process.said
        assert "Traceback" not in process.said
    client = mlflow.MlflowClient()
    assert store.sqlite_file(mlflow.get_tracking_uri()) == folder / "mlflow.db"
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert len(runs) >= 7
    assert {run.info.status for run in runs} == {"FINISHED"}
    uri = f"sqlite:///{folder}/mlflow.db".replace("%", "%25")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        answers = serve(start, "models:/har-rnn@best")(x[:4].tolist())
    assert np.sum(list(answers.values()), axis=0) == pytest.approx(1, abs=1e-5)
    assert contents(folder) >= {"mlflow.db", "mlruns"}
