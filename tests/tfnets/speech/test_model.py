import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import speech
from tfnets.errors import InputError
from tfnets.layers import GRU


def test_the_reports_model():
    model = speech.build("gru")
    assert isinstance(model, keras.Model)
    assert model.__class__.__name__ == "Functional"
    assert model.count_params() == 70_531
    grus = [layer for layer in model.layers if isinstance(layer, GRU)]
    assert [layer.reset_after for layer in grus] == [False, False]
    assert model.input_shape == (None, 101, 40)
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"reset_after": True}, 70_531),
        ({"recurrent_bias": False}, 70_147),
        ({"pooling": "mean"}, 70_531),
        ({"pooling": "flatten"}, 70_531 + 100 * 64 * 128),
        ({"num_classes": 5}, 70_531 + 2 * 129),
    ],
)
def test_counts_of_the_options(options, count):
    assert speech.build("gru", **options).count_params() == count


@pytest.mark.parametrize(("model", "count"), [("fc", 567_171), ("cnn", 346_067)])
def test_the_reports_other_models(model, count):
    built = speech.build(model)
    assert built.count_params() == count
    assert built.input_shape == (None, 101, 40)
    assert built.output_shape == (None, 3)
    assert speech.build(model, num_classes=5).count_params() == count + 2 * 129


def test_every_model_says_how_it_is_executed():
    assert speech.execution("gru").xla
    assert not speech.execution("cnn").xla
    with pytest.raises(InputError, match="unknown model 'transformer'; there is: fc, cnn, gru"):
        speech.execution("transformer")


def test_poolings_look_at_the_frames_as_they_say():
    x = np.random.default_rng(0).normal(size=(2, 9, 5)).astype(np.float32)
    for pooling, expected in (
        ("last", lambda h: h[:, -1]),
        ("mean", lambda h: h.mean(axis=1)),
        ("flatten", lambda h: h.reshape(2, -1)),
    ):
        model = speech.build("gru", input_shape=(9, 5), pooling=pooling)
        into_dense = keras.Model(model.input, model.get_layer("dense_1").input)
        first, second = model.get_layer("gru_1"), model.get_layer("gru_2")
        every_frame = GRU(64, return_sequences=True)
        every_frame.build((None, 9, 64))
        every_frame.set_weights(second.get_weights())
        frames = np.asarray(every_frame(first(x)))
        np.testing.assert_allclose(into_dense(x), expected(frames), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "transformer"}, "unknown model 'transformer'"),
        ({"model": "cnn", "input_shape": (15, 40)}, "15 x 40 are too small for the CNN; it needs"),
        ({"pooling": "max"}, "unknown pooling 'max'; there is: last, mean, flatten"),
        ({"num_classes": 1}, "num_classes is 1"),
        ({"reset_after": True, "recurrent_bias": False}, "recurrent_bias=False goes with"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        speech.build(**options)


def test_the_deployed_model_is_features_standardisation_network():
    from tfnets.speech import features

    network = speech.build("gru", num_classes=4)
    deployed = speech.deployable(network, ["a", "b", "c", "d"], mean=-20.0, std=17.0)
    assert deployed.count_params() == network.count_params()
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, size=(3, 16_000)).astype(np.float32)
    by_hand = network.predict((features.log_mel(sound) + 20) / 17, verbose=0)
    outputs = deployed.predict(sound, verbose=0)
    assert list(outputs) == ["a", "b", "c", "d"]
    np.testing.assert_allclose(np.stack(list(outputs.values()), axis=1), by_hand, atol=1e-5)


def test_the_deployed_model_pads_and_cuts_to_one_second():
    network = speech.build("gru")
    deployed = speech.deployable(network, ["a", "b", "c"], mean=-20.0, std=17.0)
    sound = np.random.default_rng(2).uniform(-0.5, 0.5, size=(1, 20_000)).astype(np.float32)

    def answer(samples):
        return np.stack(list(deployed.predict(samples, verbose=0).values()))

    np.testing.assert_array_equal(answer(sound), answer(sound[:, :16_000]))
    silence = np.zeros((1, 6_000), np.float32)
    padded = np.concatenate([sound[:, :10_000], silence], axis=1)
    np.testing.assert_array_equal(answer(sound[:, :10_000]), answer(padded))


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.full((1, 16_000), np.nan, np.float32), "the waveform holds NaN or infinity"),
        (np.full((1, 20_000), np.inf, np.float32), "the waveform holds NaN or infinity"),
        (np.zeros((1, 0), np.float32), "the waveform is empty"),
    ],
)
def test_the_deployed_model_refuses_what_is_no_sound(sound, message):
    deployed = speech.deployable(speech.build("gru"), ["a", "b", "c"], mean=-20.0, std=17.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        deployed.predict(sound, verbose=0)


def test_a_deployed_model_of_matrices_standardises_them():
    network = speech.build("gru", input_shape=(7, 5))
    deployed = speech.deployable(network, ["a", "b", "c"], mean=2.0, std=4.0, waveforms=False)
    x = np.random.default_rng(3).normal(2, 4, size=(2, 7, 5)).astype(np.float32)
    outputs = deployed.predict(x, verbose=0)
    by_hand = network.predict((x - 2) / 4, verbose=0)
    np.testing.assert_allclose(np.stack(list(outputs.values()), axis=1), by_hand, atol=1e-5)
