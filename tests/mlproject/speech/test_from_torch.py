"""What PyTorch computed is what a checkpoint gives here, by the command a user has."""

import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
import safetensors.numpy

from mlproject.speech.commands import cli
from tfnets.errors import InputError

GOLDEN = Path(__file__).parents[2] / "golden"


def golden(network):
    with np.load(GOLDEN / f"speech_{network}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    weights = {k.removeprefix("weights/"): a for k, a in arrays.items() if k.startswith("weights")}
    return weights, arrays["x"], arrays["y"], arrays["logits"]


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def write_matrices(path, x, y):
    """Matrices whose training split has mean 3 and deviation 2, and whose test are x."""
    train = np.stack([np.full(x.shape[1:], value, np.float32) for value in (1, 5, 1, 5, 1, 5)])
    labels = np.array([0, 1, 2, 0, 1, 2])
    np.savez(
        path, x_train=train, y_train=labels, x_val=train, y_val=labels, x_test=2 * x + 3, y_test=y
    )
    return path


def save(weights, folder, kind):
    path = folder / f"checkpoint{kind}"
    if kind == ".npz":
        np.savez(path, **weights)
    else:
        safetensors.numpy.save_file(weights, path)
    return path


@pytest.mark.parametrize("kind", [".npz", ".safetensors"])
@pytest.mark.parametrize("network", ["fc", "cnn", "gru"])
def test_predictions_are_those_of_pytorch(store, command, tmp_path, network, kind):
    weights, x, y, logits = golden(network)
    data = write_matrices(tmp_path / "matrices.npz", x, y)
    result = command(cli, "from-torch", checkpoint=save(weights, tmp_path, kind), data=data)
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["model"] == network
    right = (logits.argmax(axis=1) == y).mean()
    assert run.data.metrics["test/accuracy"] == pytest.approx(right)
    loss = -np.log(softmax(logits)[np.arange(len(y)), y]).mean()
    assert run.data.metrics["test/loss"] == pytest.approx(loss, rel=1e-4)
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    answers = np.stack(list(model.predict(2 * x + 3).values()), axis=1)
    np.testing.assert_allclose(answers, softmax(logits), atol=1e-5)
    names = {entry.path for entry in store.list_artifacts(run.info.run_id)}
    assert {"confusion_matrix.png", "parameters.txt", "test_by_class.json"} <= names
    assert "trained in PyTorch" in run.data.tags["mlflow.note.content"]
    assert f"{right:.4f}" in result.stdout


def test_entries_of_no_layer_are_skipped_by_name_only(store, command, tmp_path):
    weights, x, y, logits = golden("fc")
    data = write_matrices(tmp_path / "matrices.npz", x, y)
    extra = {"criterion.weight": np.ones(3, np.float32), "accuracy.total": np.array([4])}
    given = {"checkpoint": save(weights | extra, tmp_path, ".npz"), "data": data}
    refused = command(cli, "from-torch", **given)
    assert "'accuracy.total' of shape (1,) is superfluous" in str(refused.exception)
    assert "can be named in skip" in str(refused.exception)
    refused = command(cli, "from-torch", **given, skip="criterion.*,ema.*")
    assert "skip names 'ema.*', which is no entry's name" in str(refused.exception)
    result = command(cli, "from-torch", **given, skip="criterion.*, accuracy.total")
    assert result.exception is None, result.output
    run, *_ = store.search_runs(["0"], order_by=["attributes.start_time DESC"])
    assert run.data.params["skip"] == "criterion.*,accuracy.total"
    assert run.data.tags["checkpoint.skipped"] == "criterion.weight, accuracy.total"
    assert re.search(r"Skipped +criterion.weight, accuracy.total\n", result.stdout)
    right = (logits.argmax(axis=1) == y).mean()
    assert run.data.metrics["test/accuracy"] == pytest.approx(right)


def test_pooling_is_not_in_the_weights(store, command, tmp_path):
    weights, x, y, logits = golden("gru")
    data = write_matrices(tmp_path / "matrices.npz", x, y)
    path = save(weights, tmp_path, ".npz")
    result = command(cli, "from-torch", checkpoint=path, data=data, pooling="mean")
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    last = -np.log(softmax(logits)[np.arange(len(y)), y]).mean()
    assert run.data.metrics["test/loss"] != pytest.approx(last, rel=1e-4)


def test_a_checkpoint_for_other_data(store, command, tmp_path):
    weights, x, y, _ = golden("fc")
    data = write_matrices(tmp_path / "matrices.npz", x[:, :-1], y)
    path = save(weights, tmp_path, ".npz")
    result = command(cli, "from-torch", checkpoint=path, data=data)
    assert isinstance(result.exception, InputError)
    assert "has the shape (128, 30); layer 'dense_1' (Linear) needs (128, 25)." in str(
        result.exception
    )
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"
    assert not store.list_artifacts(run.info.run_id)


def test_a_pickle_is_refused_before_anything_is_loaded(store, command, tmp_path):
    (tmp_path / "module.pt").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    result = command(cli, "from-torch", checkpoint=tmp_path / "module.pt", data="/nowhere")
    assert isinstance(result.exception, InputError)
    message = str(result.exception)
    assert "can hold code and is not opened" in message
    assert "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')" in message
    assert "np.savez('weights.npz', **" in message
    assert "\n" not in message
