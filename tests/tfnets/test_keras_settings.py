"""Keras as a user has set it: what does not matter, and what is refused in one line."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfnets import addition, har, keras_settings, speech
from tfnets.errors import InputError


@pytest.fixture
def restored():
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    data_format = keras.config.image_data_format()
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format(data_format)


CALLS = [
    lambda: speech.build("fc"),
    har.build,
    addition.build,
    lambda: speech.load("/nowhere"),
    lambda: har.load("/nowhere"),
    addition.load,
]


@pytest.mark.parametrize("call", CALLS)
def test_other_floats_are_refused_before_anything_is_read(restored, call):
    keras.config.set_floatx("float64")
    line = (
        r"^Keras' floatx is 'float64' \(set in this process\); tfnets computes in float32: call ke"
    )
    with pytest.raises(InputError, match=line):
        call()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("mixed_float16")
    with pytest.raises(InputError, match=r"^Keras' dtype policy is 'mixed_float16' .* call keras"):
        call()


def test_the_file_that_says_so_is_named(restored, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_text(json.dumps({"floatx": "float16"}))
    keras.config.set_floatx("float16")
    with pytest.raises(
        InputError, match=rf"floatx is 'float16' \({tmp_path}/keras\.json\); tfnets"
    ):
        speech.build("fc")


@pytest.mark.parametrize(
    ("model", "options"), [("cnn", {}), ("fc", {}), ("gru", {"pooling": "mean"})]
)
def test_the_order_of_channels_does_not_matter(restored, model, options):
    x = np.random.default_rng(0).normal(size=(2, 20, 24)).astype(np.float32)
    answers, weights = [], None
    for data_format in ("channels_last", "channels_first"):
        keras.config.set_image_data_format(data_format)
        network = speech.build(model, input_shape=(20, 24), **options)
        weights = weights or network.get_weights()
        network.set_weights(weights)
        deployed = speech.deployable(network, "abc", mean=0.5, std=2, waveforms=False)
        answers.append([np.asarray(network(x)), *map(np.asarray, deployed(x).values())])
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", ["variable", "file"])
def test_another_backend_is_one_line_at_import(tmp_path, where):
    """In a process: Keras, and a backend that need not be installed, must not be imported."""
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    if where == "variable":
        environment["KERAS_BACKEND"] = "torch"
        expected = "'torch' (environment variable KERAS_BACKEND)"
    else:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
        expected = f"'jax' ({tmp_path}/keras.json)"
    code = "from tfnets import speech"
    done = subprocess.run([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == (
        f"ImportError: the backend of Keras is {expected}; tfnets needs 'tensorflow': set "
        "KERAS_BACKEND=tensorflow before Keras is imported."
    )


def test_a_backend_that_is_in_use_already(monkeypatch):
    keras_settings.check_backend()
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(ImportError, match=r"'torch' \(Keras has been imported with it\); tfnets"):
        keras_settings.check_backend()
