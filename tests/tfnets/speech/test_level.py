"""Features that do not change with gain, and training clips that never are the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnets import speech, training
from tfnets.dataset import Varied
from tfnets.errors import InputError
from tfnets.speech import augmentation, features, level

RNG = np.random.default_rng(0)
LOUDNESS = 0.3 + np.hanning(16_000)
CLIPS = (0.02 * RNG.standard_normal((4, 16_000)) * LOUDNESS).astype(np.float32)
X = features.log_mel(CLIPS)


def by_hand(x, kind):
    """The definition, frame by frame."""
    result = np.empty_like(x)
    for n, clip in enumerate(x):
        top = -np.inf if kind == "running" else clip.max()
        for t, frame in enumerate(clip):
            if kind == "running":
                top = max(frame.max(), top - level.DECAY)
            here = max(top, level.LEAST)
            result[n, t] = np.maximum(frame - here, -level.SPAN)
    return result


@pytest.mark.parametrize("kind", ["clip", "running"])
def test_against_the_definition(kind):
    np.testing.assert_allclose(level.apply(X, kind), by_hand(X, kind), atol=2e-4)


@pytest.mark.parametrize("kind", ["clip", "running"])
@pytest.mark.parametrize("gain", [-30, -10, 10])
def test_gain_changes_nothing(kind, gain):
    louder = features.log_mel(CLIPS * np.float32(10 ** (gain / 20)))
    # Quiet bins reach the transform's own floor first.
    heard = np.abs(level.apply(X, kind) - level.apply(louder, kind))
    assert np.quantile(heard, 0.99) < 1e-2


def test_a_running_level_is_causal():
    changed = X.copy()
    changed[:, 60:] += 20
    before, after = level.apply(X, "running"), level.apply(changed, "running")
    np.testing.assert_array_equal(before[:, :60], after[:, :60])
    assert (before[:, 60:] != after[:, 60:]).any()


def test_an_unknown_level():
    with pytest.raises(InputError, match="unknown level 'loud'; choose from none, clip, running"):
        level.apply(X, "loud")


@pytest.mark.parametrize("kind", ["none", "clip", "running"])
def test_the_exported_model_does_what_training_did(kind, tmp_path):
    network = speech.build("gru")
    x = level.apply(X, kind)
    mean, std = float(x.mean()), float(x.std())
    deployed = speech.deployable(
        network, ("a", "b", "c"), mean=mean, std=std, level=kind, temperature=2.0
    )
    deployed.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    answers = np.stack([loaded(CLIPS)[name] for name in "abc"], 1)
    z = np.log(network((x - mean) / std).numpy()) / 2
    expected = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert sum(w.numpy().size for w in loaded.trainable_variables) == network.count_params()


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (np.zeros((1, 16_001), np.float32), "more than the 16000 samples that are listened to"),
        (np.full((1, 100), 9.0, np.float32), "far above full scale, 1; divide 16-bit integers"),
    ],
)
def test_inputs_at_the_door(clip, message):
    deployed = speech.deployable(speech.build("fc"), "abc", mean=0.0, std=1.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        deployed(clip)
    deployed(np.full((1, 100), 3.0, np.float32))  # a float recording may reach above 1


# Augmentation


def nothing(n, **changes):
    """What changes nothing, but for what is given."""
    zero, one = np.zeros(n, np.float32), np.ones(n, np.float32)
    masks = np.zeros((n, augmentation.MASKS, 2), np.float32)
    drawn = {"shift": zero, "tempo": one, "voice": one, "noise": zero.astype(np.int32)}
    drawn |= {"snr": zero + 200, "gain": zero, "time": masks, "band": masks} | changes
    return {name: tf.constant(each) for name, each in drawn.items()}


def changed(x, **changes):
    bank = tf.ones((1, *features.SHAPE))
    scale = tf.constant([0.0, 1.0])
    return augmentation.changed(tf.constant(x), bank, scale, nothing(len(x), **changes)).numpy()


def test_without_changes_nothing_changes():
    np.testing.assert_allclose(changed(X), X, atol=1e-3)


def test_gain_and_shift_are_those_of_the_waveform():
    later = np.zeros_like(CLIPS)
    later[:, 1_600:] = CLIPS[:, :-1_600] * np.float32(2)
    gain = np.full(len(X), 20 * np.log10(2), np.float32)
    mine = changed(X, shift=np.full(len(X), 10, np.float32), gain=gain)
    inside = slice(13, 98)  # a frame at the edge sees the edge
    np.testing.assert_allclose(mine[:, inside], features.log_mel(later)[:, inside], atol=0.05)


def test_noise_has_the_ratio_that_was_drawn():
    noise = np.stack([augmentation.noise("white", 16_000, RNG) for _ in range(64)]) * 0.05
    clips = np.repeat(CLIPS[:1], 64, 0)
    power = np.mean(clips[0].astype(float) ** 2)
    scaled = noise * np.sqrt(power / np.mean(noise**2) / 10)
    of_waveforms = 10 ** (features.log_mel((clips + scaled).astype(np.float32)) / 10)
    bank = 10 ** (features.log_mel(noise.astype(np.float32)) / 10)
    drawn = nothing(64, snr=np.full(64, 10, np.float32), noise=np.arange(64, dtype=np.int32))
    mine = augmentation.changed(
        tf.constant(features.log_mel(clips)), tf.constant(bank), tf.constant([0.0, 1.0]), drawn
    )
    mine = 10 ** (mine.numpy() / 10)
    # In the mean over noises; one at a time they differ by the sign of what they share.
    distance = 10 * np.log10(mine.mean(0).sum() / of_waveforms.mean(0).sum())
    assert abs(distance) < 0.3


def test_tempo_and_voice_move_frames_and_bands():
    peak = np.full((1, *features.SHAPE), -80, np.float32)
    peak[0, 70, 20] = 0
    faster = changed(peak, tempo=np.float32([1.1]))[0]
    assert faster.max(1).argmax() == round(50 + 20 / 1.1)
    higher = changed(peak, voice=np.float32([1.15]))[0]
    lower = changed(peak, voice=np.float32([0.87]))[0]
    assert lower.max(0).argmax() < 20 < higher.max(0).argmax()


def test_masks_cover_what_they_say():
    time = np.zeros((4, 2, 2), np.float32)
    time[:, 0] = (5, 20)
    band = np.zeros((4, 2, 2), np.float32)
    band[:, 1] = (30, 3)
    masked = changed(X, time=time, band=band)
    assert (masked[:, 5:25] == 0).all()
    assert (masked[:, :, 30:33] == 0).all()
    np.testing.assert_allclose(masked[:, 25:, :30], X[:, 25:, :30], atol=1e-3)


@pytest.fixture
def varied(speech_folder):
    return speech.load(speech_folder, level="clip", augment=True, progress=False)


def test_augmented_training_is_reproducible_to_the_bit(varied):
    assert isinstance(varied.train, Varied)
    recipe = training.Recipe(epochs=3, batch_size=8, keep="best")
    weights = [
        training.train(
            lambda: speech.build("fc"), varied, recipe, progress=False
        ).model.get_weights()
        for _ in range(2)
    ]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_epoch_has_other_clips_in_the_same_order(varied, speech_folder):
    plain = speech.load(speech_folder, level="clip", progress=False)
    recipe = training.Recipe(epochs=2, batch_size=8)
    drawn = list(training._training_samples(varied.train, recipe))
    usual = training._training_samples(plain.train, recipe)
    assert not np.array_equal(drawn[0][0], drawn[1][0])
    for (x, y, order), (_, _, expected) in zip(drawn, usual, strict=False):
        np.testing.assert_array_equal(order, expected)
        np.testing.assert_array_equal(y, plain.train.y)
        assert x.shape == plain.train.x.shape
    np.testing.assert_array_equal(varied.val.x, plain.val.x)
