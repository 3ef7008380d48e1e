"""What PyTorch computed is what a checkpoint of an adder gives here, by the user's command."""

from pathlib import Path

import mlflow
import numpy as np
import pytest
import safetensors.numpy

from mlproject.addition.commands import cli
from tfnets import addition

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "addition_rnn.npz", allow_pickle=False) as file:
        arrays = dict(file)
    weights = {k.removeprefix("weights/"): a for k, a in arrays.items() if k.startswith("weights")}
    return weights, arrays["x"], arrays["logits"]


def by_hand(w, x):
    """Logits of the report's module, of 2 layers: h_t = tanh(W x_t + b + U h_{t-1} + c)."""
    states = w["embedding.weight"][x].reshape(*x.shape[:2], -1).astype(np.float64)
    for layer in ("l0", "l1"):
        h, outputs = 0 * w[f"rnn.bias_ih_{layer}"], []
        for t in range(x.shape[1]):
            a = states[:, t] @ w[f"rnn.weight_ih_{layer}"].T + w[f"rnn.bias_ih_{layer}"]
            h = np.tanh(a + h @ w[f"rnn.weight_hh_{layer}"].T + w[f"rnn.bias_hh_{layer}"])
            outputs.append(h)
        states = np.stack(outputs, axis=1)
    return states @ w["fc.weight"].T + w["fc.bias"]


def test_predictions_are_those_of_pytorch(store, command, tmp_path, golden):
    weights, x, logits = golden
    np.testing.assert_allclose(by_hand(weights, x), logits, atol=1e-5)
    np.savez(tmp_path / "adder.npz", **weights)
    options = {"checkpoint": tmp_path / "adder.npz", "seq_len": 8, "lengths": "5"}
    result = command(cli, "from-torch", **options)
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "from torch adder.npz"
    assert run.data.tags["model"] == "rnn"
    assert run.data.metrics["params/total"] == 17_482
    for said in (result.stdout, run.data.tags["mlflow.note.content"]):
        assert "17,610" in said  # with both biases of PyTorch
        assert "2 x rnn of 64 units, embedding of 32, base 10" in said
    names = {entry.path for entry in store.list_artifacts(run.info.run_id)}
    assert {"lengths.json", "mistakes.json", "parameters.txt"} <= names
    assert not store.search_registered_models()

    for seq_len, prefix in ((8, "test/"), (5, "by_length/")):
        split = addition.held_out(seq_len, 10, 2000)
        right = by_hand(weights, split.x).argmax(-1) == split.y
        logged = {
            each.step: each.value
            for each in store.get_metric_history(run.info.run_id, f"{prefix}digit_accuracy")
        }
        assert logged[seq_len if prefix == "by_length/" else 0] == pytest.approx(right.mean())
    split = addition.held_out(8, 10, 2000)
    z = by_hand(weights, split.x)
    own = np.take_along_axis(z, split.y[..., None], -1)[..., 0]
    loss = (np.log(np.exp(z).sum(-1)) - own).mean()
    assert run.data.metrics["test/loss"] == pytest.approx(loss, rel=1e-5)

    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    a, b = (["".join(map(str, row[::-1])) for row in x[..., which]] for which in (0, 1))
    for said, left, right, of_torch in zip(
        model.predict([{"a": m, "b": n} for m, n in zip(a, b, strict=True)])["sum"],
        a,
        b,
        logits.argmax(-1),
        strict=True,
    ):
        length = max(len(str(int(left))), len(str(int(right))))
        digits = [int(digit) for digit in reversed(said.zfill(8))]
        assert digits[:length] == of_torch[:length].tolist()


def test_who_asks_for_it_has_it_registered_and_any_order_will_do(store, command, tmp_path, golden):
    safetensors.numpy.save_file(golden[0], tmp_path / "adder.safetensors")
    options = {"seq_len": 3, "lengths": "2", "register_as": "auto"}
    result = command(cli, "from-torch", checkpoint=tmp_path / "adder.safetensors", **options)
    assert result.exception is None, result.output
    assert "adder version 1, the champion" in result.stdout
    answer = command(cli, "add", a="1", b="2")
    assert answer.exception is None, answer.output
    assert answer.stdout.startswith("1 + 2 = ")


def test_a_checkpoint_that_is_no_adder(store, command, tmp_path, golden):
    wrong = golden[0] | {"fc.weight": np.zeros((9, 64), np.float32)}
    np.savez(tmp_path / "adder.npz", **wrong)
    result = command(cli, "from-torch", checkpoint=tmp_path / "adder.npz", seq_len=3)
    assert str(result.exception) == (
        f"checkpoint {tmp_path / 'adder.npz'}: entry 'fc.weight' has the shape (9, 64); layer "
        "'logits' (Linear) needs (10, 64)."
    )
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"
    assert not store.list_artifacts(run.info.run_id)
