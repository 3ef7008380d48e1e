import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import speech
from tfnets.errors import InputError
from tfnets.layers import GRU

RNG = np.random.default_rng(0)


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
    with pytest.raises(InputError, match="unknown model 'transformer'; choose from fc, cnn, gru"):
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
    ("options", "inputs_of_a_unit"),
    [
        ({"model": "fc"}, [4040, 128, 128, 128, 128]),
        ({"model": "cnn"}, [1 * 5 * 5, 32 * 5 * 5, 16 * 22 * 7, 128, 128]),
        ({"model": "gru"}, [64, 64, 64, 128, 128]),  # of GRU layers its units
        ({"model": "gru", "reset_after": True}, [64, 64, 64, 128, 128]),
        ({"model": "gru", "recurrent_bias": False}, [64, 64, 64, 128, 128]),
    ],
)
def test_weights_start_as_those_of_pytorchs_modules(options, inputs_of_a_unit):
    keras.utils.set_random_seed(0)
    model = speech.build(**options, num_classes=30, initializer="torch")
    with_weights = [layer for layer in model.layers if layer.weights]
    starts = []
    for layer, inputs in zip(with_weights, inputs_of_a_unit, strict=True):
        for weight in layer.weights:
            rows = weight.numpy().reshape(2, -1) if weight.shape[0] == 2 else [weight.numpy()]
            starts += [(f"{weight.path} {n}", row.ravel(), inputs) for n, row in enumerate(rows)]
    for path, values, inputs in starts:
        scaled = values * np.sqrt(inputs)  # uniform in +-1
        assert np.abs(scaled).max() <= 1, path
        assert np.abs(scaled).max() > 0.8, path
        error = 1 / np.sqrt(values.size)
        assert abs(scaled.mean()) < 3 * error, path
        assert scaled.std() == pytest.approx(3**-0.5, abs=2 * error), path
    grus = 0 if options["model"] != "gru" else 2
    one_bias = options.get("recurrent_bias") is False
    assert len(starts) == 2 * len(with_weights) + (1 if one_bias else 2) * grus
    # None starts as another does.
    beginnings = {tuple(values[:16] * np.sqrt(inputs)) for _, values, inputs in starts}
    assert len(beginnings) == len(starts)


def test_without_a_word_weights_start_as_those_of_keras():
    def weights(**options):
        keras.utils.set_random_seed(0)
        return [w for layer in speech.build("gru", **options).layers for w in layer.get_weights()]

    default, own, torchs = weights(), weights(initializer="keras"), weights(initializer="torch")
    for a, b, other in zip(default, own, torchs, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - other).max() > 0.01
    kernel, recurrent, bias = default[:3]
    assert np.abs(kernel).max() == pytest.approx(np.sqrt(6 / (40 + 192)), rel=0.01)  # Glorot
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(64), atol=1e-5)
    assert not bias.any()


@pytest.mark.parametrize("initializer", ["keras", "torch"])
@pytest.mark.parametrize("model", ["fc", "cnn", "gru"])
def test_a_seed_decides_the_initial_weights(model, initializer):
    def weights(seed):
        keras.utils.set_random_seed(int(RNG.integers(1000)))
        return speech.build(model, seed=seed, initializer=initializer).get_weights()

    one, again, other = weights(1), weights(1), weights(2)
    assert len(one) > 8
    starts = []
    for a, b, c in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        if a.any():
            assert np.abs(a - c).max() > 0.001
            starts.append(tuple(np.sign(a.ravel()[:40])))
    assert len(set(starts)) == len(starts)  # none starts as another does
    # The kinds are those without a seed.
    keras.utils.set_random_seed(0)
    unseeded = speech.build(model, initializer=initializer)
    for a, b in zip(one, unseeded.get_weights(), strict=True):
        if a.size > 100:
            assert a.std() == pytest.approx(b.std(), rel=0.2, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "transformer"}, "unknown model 'transformer'"),
        ({"model": "cnn", "input_shape": (15, 40)}, "15 x 40 are too small for the CNN; it needs"),
        ({"pooling": "max"}, "unknown pooling 'max'; choose from last, mean, flatten"),
        ({"initializer": "zeros"}, "unknown initializer 'zeros'; choose from keras, torch"),
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


def test_the_deployed_model_pads_to_one_second():
    network = speech.build("gru")
    deployed = speech.deployable(network, ["a", "b", "c"], mean=-20.0, std=17.0)
    sound = np.random.default_rng(2).uniform(-0.5, 0.5, size=(1, 16_000)).astype(np.float32)

    def answer(samples):
        return np.stack(list(deployed.predict(samples, verbose=0).values()))

    silence = np.zeros((1, 6_000), np.float32)
    padded = np.concatenate([sound[:, :10_000], silence], axis=1)
    np.testing.assert_array_equal(answer(sound[:, :10_000]), answer(padded))


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.full((1, 16_000), np.nan, np.float32), "the waveform holds NaN or infinity"),
        (np.full((1, 16_000), np.inf, np.float32), "the waveform holds NaN or infinity"),
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
