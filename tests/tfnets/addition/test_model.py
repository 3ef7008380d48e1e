import random

import numpy as np
import pytest

from tfnets import addition, torch_weights
from tfnets.errors import InputError


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 17_482),
        ({"num_layers": 1}, 17_482 - 8_256),
        ({"base": 2}, 2 * 32 + 2 * 8_256 + 65 * 2),
        ({"cell": "lstm"}, 320 + 2 * (64 + 64 + 1) * 4 * 64 + 650),
        ({"cell": "gru"}, 320 + 2 * (64 + 64 + 2) * 3 * 64 + 650),
        (
            {"embedding_dim": 8, "hidden_size": 16},
            80 + (16 + 16 + 1) * 16 + (16 + 16 + 1) * 16 + 170,
        ),
    ],
)
def test_counts(options, count):
    assert addition.build(**options).count_params() == count


def test_it_takes_numbers_of_any_length_digit_by_digit():
    model = addition.build()
    digits = np.random.default_rng(0).integers(0, 10, (3, 7, 2)).astype(np.int32)
    assert model(digits).shape == (3, 7, 10)
    # The lower digits of the sum do not depend on the higher ones of the numbers.
    np.testing.assert_allclose(model(digits)[:, :4], model(digits[:, :4]), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initializer": "zeros"}, "unknown initializer 'zeros'; choose from torch, keras"),
        ({"cell": "transformer"}, "unknown cell 'transformer'; choose from rnn, lstm, gru"),
        ({"base": 1}, "base is 1; it must be from 2 to 36"),
        ({"base": 37}, "base is 37"),
        ({"embedding_dim": 0}, "embedding_dim is 0; it must be 1 or more"),
        ({"num_layers": 0}, "num_layers is 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        addition.build(**options)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_weights_start_as_those_of_pytorchs_modules(cell):
    model = addition.build(cell, hidden_size=256, embedding_dim=50, seed=0)
    weights = {weight.path: weight.numpy() for weight in model.weights}
    embeddings = weights.pop("embedding/embeddings")
    assert abs(embeddings.mean()) < 0.15
    assert embeddings.std() == pytest.approx(1, abs=0.1)
    assert len(weights) == 8
    for path, weight in weights.items():
        assert np.abs(weight).max() <= 1 / 16, path
        if weight.size > 100:
            assert np.abs(weight).max() > 0.9 / 16, path
            assert abs(weight.mean()) < 0.01, path  # no forget bias of 1, no bias of 0


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_pytorch_module_says_what_it_is_made_of(cell):
    """In any order of its entries; here embedding and dense layer have the same shape."""
    form = {"cell": cell, "base": 7, "embedding_dim": 6, "hidden_size": 6, "num_layers": 11}
    if cell == "gru":
        form["reset_after"] = True
    model = addition.build(**form, seed=3)
    entries = torch_weights.to_torch(model)
    one_module = {name.replace(f"{cell}_1.", "rnn."): a for name, a in entries.items()}
    for layer in range(2, 12):
        one_module = {
            name.replace(f"{cell}_{layer}.", "rnn.").replace("_l0", f"_l{layer - 1}")
            if name.startswith(f"{cell}_{layer}.")
            else name: a
            for name, a in one_module.items()
        }
    assert len(one_module) == len(entries)
    shuffled = {name: one_module[name] for name in sorted(one_module, reverse=True)}
    options, in_order = addition.of_torch(shuffled)
    assert options == form
    again = addition.build(**options)
    torch_weights.load(again, in_order)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


TORCHS = {
    "e.weight": (10, 4),
    "r.weight_ih_l0": (3, 8),
    "r.weight_hh_l0": (3, 3),
    "r.bias_ih_l0": (3,),
    "r.bias_hh_l0": (3,),
    "d.weight": (10, 3),
    "d.bias": (10,),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"e.weight": None}, "has 0 of Embedding, 1 of RNN, LSTM or GRU, 1 of Linear with a bias"),
        ({"d.bias": None}, "has 2 of Embedding, 1 of RNN, LSTM or GRU, 0 of Linear with a bias"),
        ({"q.weight_hh_l0": (3, 3)}, "2 of RNN, LSTM or GRU, .*; an adder has one of each but"),
        ({"c.weight": (1, 1, 5, 5)}, "1 of Conv2d; an adder has one of each but Conv2d"),
        ({"r.weight_hh_l0": None}, "entry 'r.weight_hh_l0' is missing; it says which kind"),
        ({"r.weight_hh_l0": (6, 3)}, r"'r.weight_hh_l0' has the shape \(6, 3\); expected \(n, n"),
    ],
)
def test_modules_that_are_no_adders(changes, message):
    shapes = {name: shape for name, shape in (TORCHS | changes).items() if shape}
    with pytest.raises(InputError, match=message):
        addition.of_torch({name: np.zeros(shape) for name, shape in shapes.items()})
    assert addition.of_torch({n: np.zeros(s) for n, s in TORCHS.items()})[0]["cell"] == "rnn"


@pytest.mark.parametrize("initializer", ["torch", "keras"])
def test_a_seed_decides_the_weights(initializer):
    def weights(seed):
        random.random()  # what Keras would take seeds from
        return addition.build("lstm", initializer=initializer, seed=seed).get_weights()

    one, same, other = weights(0), weights(0), weights(1)
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))
    # No two of a kind start alike.
    assert abs(np.corrcoef(one[2].ravel(), one[5].ravel())[0, 1]) < 0.1


def test_the_objective_counts_whole_numbers_and_digits():
    labels = np.array([[1, 2, 3, 0], [4, 4, 4, 4]])
    said = np.array([[1, 2, 3, 0], [4, 4, 0, 4]])
    of = addition.OBJECTIVE.of(labels, 10 * np.eye(10, dtype=np.float32)[said])
    assert of["accuracy"].numpy().tolist() == [1, 0]
    assert of["digit_accuracy"].numpy().tolist() == [1, 0.75]
    # Of logits 10 and nine zeros, each digit; one of four digits costs ten more.
    right = np.log(np.exp(10) + 9) - 10
    np.testing.assert_allclose(of["loss"], [right, right + 10 / 4], rtol=1e-3)
