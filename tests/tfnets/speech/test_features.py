import numpy as np

from tfnets.speech import features


def clips(n, seed=0):
    rng = np.random.default_rng(seed)
    level = 10 ** rng.uniform(-4, 0, size=(n, 1))
    return (rng.uniform(-1, 1, size=(n, 16_000)) * level).astype(np.float32)


def test_shape_and_type():
    x = features.log_mel(clips(3))
    assert x.shape == (3, 101, 40)
    assert x.dtype == np.float32


def test_a_clip_does_not_depend_on_its_neighbours():
    quiet, loud = clips(1, seed=1), clips(7, seed=2)
    quiet *= 1e-3 / np.abs(quiet).max()
    loud /= np.abs(loud).max()
    silence = np.zeros_like(loud)
    among_loud = features.log_mel(np.concatenate([quiet, loud]))[0]
    among_silence = features.log_mel(np.concatenate([quiet, silence]))[0]
    alone = features.log_mel(quiet)[0]
    np.testing.assert_array_equal(among_loud, among_silence)
    np.testing.assert_allclose(alone, among_loud, atol=1e-3)
    assert alone.min() > -80  # no band is at the floor, where nothing could change it
    assert among_loud.min() < features.log_mel(loud).max() - 80  # where Keras' default cuts


def test_keras_default_would_depend_on_neighbours():
    """The trap is real: with Keras' default of 80 dB the same clip changes."""
    import keras

    layer = keras.layers.MelSpectrogram(**(features.SETTINGS | {"top_db": 80.0}))
    quiet, loud = clips(1, seed=1) * 1e-3, np.ones((1, 16_000), np.float32)
    loud[:, ::2] = -1
    together = np.asarray(layer(np.concatenate([quiet, loud])))[0]
    assert np.abs(together - np.asarray(layer(quiet))[0]).max() > 1


def test_nothing_is_ever_200_db_below_the_loudest():
    full_scale = np.sign(np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000))
    extremes = np.stack([full_scale, np.ones(16_000), np.zeros(16_000)]).astype(np.float32)
    x = features.log_mel(extremes)
    assert x.min() == -80
    assert x.max() < 60


def test_integers_are_fractions_of_full_scale():
    sound = clips(2)
    integers = np.round(sound * 32767).astype(np.int16)
    np.testing.assert_array_equal(
        features.log_mel(integers), features.log_mel(integers.astype(np.float32) / 32768)
    )


def test_a_tone_is_where_its_pitch_is():
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)[None].astype(np.float32)
    mel = 1127 * np.log(1 + np.array([20.0, 1000.0, 8000.0]) / 700)
    band = (mel[1] - mel[0]) / (mel[2] - mel[0]) * 41 - 1
    assert abs(features.log_mel(tone)[0, 50].argmax() - band) < 1


def test_batches_of_any_size_give_the_same():
    sound = clips(5)
    np.testing.assert_allclose(
        features.log_mel(sound, batch_size=2), features.log_mel(sound), atol=1e-3
    )
