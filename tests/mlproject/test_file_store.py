"""Every task logs to a store of files, where a name that is another's folder has no place."""

import mlflow
import numpy as np
import pytest

from mlproject.addition.commands import cli as addition
from mlproject.har.commands import cli as har
from mlproject.speech.commands import cli as speech

pytestmark = pytest.mark.slow

TRAININGS = {
    "speech": (speech, "fc", {"epochs": 1}),
    "har": (har, "rnn", {"epochs": 1, "units": 2}),
    "addition": (addition, "rnn", {"steps": 1, "seq_len": 3, "hidden_size": 4, "num_layers": 1}),
}


@pytest.mark.parametrize(
    "task", ["addition", *(pytest.param(t, marks=pytest.mark.nightly) for t in ("speech", "har"))]
)
def test_a_training_in_a_store_of_files(store, command, tmp_path, monkeypatch, task):
    group, name, options = TRAININGS[task]
    if task != "addition":
        y = np.arange(60) % 3
        x = np.random.default_rng(0).normal(size=(60, 6, 3)) + y[:, None, None]
        np.savez(tmp_path / "small.npz", x_train=x, y_train=y, x_test=x + 0.01, y_test=y)
        options = options | {"data": tmp_path / "small.npz"}
    uri = f"file://{tmp_path / 'mlruns'}"
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    result = command(group, name, **options)
    assert result.exception is None, result.output
    (run,) = mlflow.MlflowClient(tracking_uri=uri).search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert float(run.data.params["used/learning_rate"]) > 0
    for names in (run.data.params, run.data.metrics, run.data.tags):
        assert not [(one, two) for one in names for two in names if two.startswith(f"{one}/")]
