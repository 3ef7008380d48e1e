"""Weights from files: read as numbers, put in the model's order, never unpickled."""

import json
import pickle
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from tfnets import speech, torch_weights
from tfnets.errors import InputError


def fc_dict(names, seed=0):
    """A state_dict for ``speech.build("fc", input_shape=(2, 3))``, its layers called so."""
    rng = np.random.default_rng(seed)
    sizes = [6, 128, 128, 128, 128, 3]
    entries = {}
    for name, m, n in zip(names, sizes[:-1], sizes[1:], strict=True):
        entries[f"{name}.weight"] = rng.normal(size=(n, m)).astype(np.float32)
        entries[f"{name}.bias"] = rng.normal(size=n).astype(np.float32)
    return entries


def loaded(checkpoint):
    model = speech.build("fc", input_shape=(2, 3))
    torch_weights.load(model, checkpoint.entries, ordered=checkpoint.ordered)
    return [layer.kernel.numpy().T for layer in model.layers if layer.weights]


def save(path, entries):
    if path.suffix == ".npz":
        np.savez(path, **entries)
    else:
        safetensors.numpy.save_file(entries, path)
    return path


@pytest.mark.parametrize(
    "names",
    [
        # In a .safetensors file, "out" comes before "second" or 10 before 2.
        ("hidden1", "hidden2", "hidden3", "hidden4", "out"),
        ("net.0", "net.2", "net.8", "net.10", "net.12"),
        ("layers.8", "layers.9", "layers.10", "layers.11", "a_last"),
    ],
)
@pytest.mark.parametrize("kind", [".npz", ".safetensors"])
def test_layers_come_in_their_order(tmp_path, names, kind):
    entries = fc_dict(names)
    checkpoint = torch_weights.read_file(save(tmp_path / f"w{kind}", entries))
    assert checkpoint.ordered is (kind == ".npz")
    for kernel, name in zip(loaded(checkpoint), names, strict=True):
        np.testing.assert_array_equal(kernel, entries[f"{name}.weight"])


def test_an_order_that_is_lost_is_not_guessed(tmp_path):
    names = ("first", "second", "third", "fourth", "out")
    entries = fc_dict(names)
    kept = torch_weights.read_file(save(tmp_path / "w.npz", entries))
    np.testing.assert_array_equal(loaded(kept)[3], entries["fourth.weight"])
    lost = torch_weights.read_file(save(tmp_path / "w.safetensors", entries))
    with pytest.raises(
        InputError, match=r"have the same shape, and names that .*; save the weights"
    ):
        loaded(lost)


def test_shapes_that_fit_nothing_are_named(tmp_path):
    entries = fc_dict(("l1", "l2", "l3", "l4", "l5"))
    entries["l3.weight"] = entries["l3.weight"][:, :7]
    lost = torch_weights.read_file(save(tmp_path / "w.safetensors", entries))
    with pytest.raises(
        InputError, match=r"entry 'l3.weight' has the shape \(128, 7\); layer 'dens"
    ):
        loaded(lost)


def test_bfloat16_in_a_file(tmp_path):
    """Written by hand, as the format is published: PyTorch is not here to write one."""
    entries = {k: a.astype(ml_dtypes.bfloat16) for k, a in fc_dict("abcde").items()}
    header, start = {}, 0
    for name, array in entries.items():
        offsets = [start, start + array.nbytes]
        header[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": offsets}
        start = offsets[1]
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in entries.values())
    (tmp_path / "w.safetensors").write_bytes(content)
    checkpoint = torch_weights.read_file(tmp_path / "w.safetensors")
    model = speech.build("fc", input_shape=(2, 3))
    torch_weights.load(model, checkpoint.entries)
    np.testing.assert_array_equal(
        model.get_layer("probabilities").kernel.numpy().T, entries["e.weight"].astype(np.float32)
    )


class Evil:
    def __reduce__(self):
        return print, ("unpickled",)


def test_nothing_is_unpickled(tmp_path, capsys):
    np.savez(tmp_path / "evil.npz", **{"l1.weight": np.array([Evil()], dtype=object)})
    with pytest.raises(InputError, match=r"\.npz file of plain arrays: .* holds Python objects"):
        torch_weights.read_file(tmp_path / "evil.npz")
    for name in ("evil.pt", "evil.pth", "evil.bin", "evil.ckpt"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        with pytest.raises(InputError, match=r"can hold code and is not opened; save the weights"):
            torch_weights.read_file(tmp_path / name)
    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.npz", None, "does not exist; expected a .safetensors or .npz file."),
        ("weights.h5", b"", "is no .safetensors or .npz file by its name; save the weights in Py"),
        ("cut.npz", b"PK\x03\x04cut", "is not a readable .npz file of plain arrays: "),
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{", "is not a readable .safetensors file of "),
        ("empty.safetensors", b"", "is not a readable .safetensors file of plain arrays: "),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        torch_weights.read_file(tmp_path / name)
    assert message in str(refused.value)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_single_array_and_a_folder(tmp_path):
    with (tmp_path / "single.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="it holds a single array"):
        torch_weights.read_file(tmp_path / "single.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(InputError, match=r"folder\.npz is a folder; expected a \.safetensors or"):
        torch_weights.read_file(tmp_path / "folder.npz")


@pytest.mark.parametrize(
    ("shapes", "model"),
    [
        ({"a.weight": (3, 4)}, "fc"),
        ({"a.weight": (8, 1, 5, 5), "b.weight": (3, 4)}, "cnn"),
        ({"a.weight_ih_l0": (6, 4), "a.weight_hh_l0": (6, 2), "b.weight": (3, 4)}, "gru"),
    ],
)
def test_the_entries_say_which_network_it_is(shapes, model):
    entries = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert speech.model_of(entries) == model
