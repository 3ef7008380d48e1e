"""Training clips that are never the same twice: time, tempo, voice, noise, loudness, masks.

All is done on mel power (the log-mel matrices without their logarithm), where it costs a fraction
of the waveform's transform:

* A **gain** multiplies it: exact.
* **Noise** adds its own mel power: the expectation of what the waveforms' sum has, for their
  phases are independent.
* A **shift**, a **tempo** and a **voice** (the frequency axis warped as by a longer or shorter
  vocal tract, Jaitly and Hinton 2013) move frames and bands, with linear interpolation between
  them; of a shift by whole frames of 10 ms that is exact.
* **Masks** of time and frequency (SpecAugment, Park et al. 2019, arXiv:1904.08779) after
  standardisation, at the mean.

``benchmarks/augmentation.py`` trains on waveforms changed in the same way, and compares.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfnets.speech import features
from tfnets.speech.level import Level

SHIFT = 10.0  # frames of 10 ms, either way
TEMPO = (0.85, 1.18)
VOICE = (0.87, 1.15)
NOISY = 0.6  # share of the clips that get noise
SNR = (5.0, 35.0)  # dB, of the whole second
GAIN = (-26.0, 6.0)  # dB
MASKS = 2  # of each kind
TIME_MASK, BAND_MASK = 12, 5  # the widest, frames and bands

NOISES = 256  # seconds of noise to choose from
_AT_ONCE = 256
_NO_NOISE = 200.0  # dB
_QUIETEST = float(features.SETTINGS["min_power"])


@dataclass(frozen=True)
class Draw:
    """What is done to each clip, ``(n,)`` or ``(n, masks, 2)`` float32.

    Attributes:
        shift: Frames that everything comes later.
        tempo: Factor on the speed.
        voice: Factor on all frequencies.
        noise: Number of the noise, int32.
        snr: Signal-to-noise ratio, dB.
        gain: dB.
        time, band: Masks: first frame (band) and how many.
    """

    shift: np.ndarray
    tempo: np.ndarray
    voice: np.ndarray
    noise: np.ndarray
    snr: np.ndarray
    gain: np.ndarray
    time: np.ndarray
    band: np.ndarray


def draw(rng: np.random.Generator, n: int, noises: int = NOISES) -> Draw:
    """What is done to each of ``n`` clips in an epoch."""

    def masks(length: int, widest: int) -> np.ndarray:
        width = rng.integers(0, widest + 1, (n, MASKS))
        first = rng.integers(0, length - width + 1)
        return np.stack([first, width], -1).astype(np.float32)

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, n).astype(np.float32)

    return Draw(
        shift=uniform(-SHIFT, SHIFT).round(),
        tempo=np.exp(uniform(*np.log(TEMPO))),
        voice=np.exp(uniform(*np.log(VOICE))),
        noise=rng.integers(0, noises, n, np.int32),
        snr=np.where(rng.random(n) < NOISY, uniform(*SNR), _NO_NOISE).astype(np.float32),
        gain=uniform(*GAIN),
        time=masks(features.FRAMES, TIME_MASK),
        band=masks(features.BANDS, BAND_MASK),
    )


@dataclass(frozen=True)
class Augmentation:
    """Makes an epoch's training samples out of log-mel matrices.

    Attributes:
        noises: Mel power of noises, ``(noises, 101, 40)``, from :func:`noise_bank`.
        level: The level that features are relative to (:mod:`tfnets.speech.level`).
        mean, std: What they are standardised with.
    """

    noises: np.ndarray
    level: str
    mean: float
    std: float

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Samples for one epoch.

        Args:
            x: Log-mel matrices ``(n, 101, 40)`` in dB, as :func:`features.log_mel` has them.
            rng: Where all chance comes from.

        Returns:
            The same shape, changed, levelled and standardised.
        """
        drawn = draw(rng, len(x), len(self.noises))
        program, noises = _program(self.level), tf.constant(self.noises)
        scale = tf.constant([self.mean, self.std], tf.float32)
        result = np.empty_like(x)
        for start in range(0, len(x), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            of_part = {name: tf.constant(each[part]) for name, each in vars(drawn).items()}
            result[part] = program(tf.constant(x[part]), noises, scale, of_part).numpy()
        return result


@functools.cache
def _program(level: str):
    layer = None if level == "none" else Level(level)
    return tf.function(functools.partial(changed, level=layer), reduce_retracing=True)


def changed(x, noises, scale, drawn, level=None):
    """What :class:`Augmentation` does with a part of the clips, in TensorFlow."""
    power = tf.exp(x * (np.log(10) / 10))
    power = _in_time(drawn["shift"], drawn["tempo"]) @ power @ _in_bands(drawn["voice"])
    noise = tf.gather(noises, drawn["noise"])
    ratio = tf.reduce_mean(power, (1, 2)) / tf.reduce_mean(noise, (1, 2))
    power += noise * (ratio * 10 ** (-drawn["snr"] / 10))[:, None, None]
    power *= (10 ** (drawn["gain"] / 10))[:, None, None]
    decibels = tf.math.log(tf.maximum(power, _QUIETEST)) * (10 / np.log(10))
    if level is not None:
        decibels = level(decibels)
    standardised = (decibels - scale[0]) / scale[1]
    time, band = (
        _unmasked(drawn["time"], features.FRAMES),
        _unmasked(drawn["band"], features.BANDS),
    )
    return standardised * time[:, :, None] * band[:, None, :]


def _in_time(shift, tempo):
    """``(n, 101, 101)``: a new frame's shares in the old ones, nothing beyond the clip."""
    middle = (features.FRAMES - 1) / 2
    frames = tf.range(features.FRAMES, dtype=tf.float32)
    place = (frames - middle - shift[:, None]) * tempo[:, None] + middle
    return tf.nn.relu(1 - tf.abs(place[:, :, None] - frames))


def _in_bands(voice):
    """``(n, 40, 40)``: an old band's shares in the new ones; the last one goes on."""
    centre, width, lowest = _bands()
    hertz = 700 * (tf.exp(centre / 1127) - 1) / voice[:, None]
    place = (1127 * tf.math.log1p(hertz / 700) - lowest) / width
    place = tf.clip_by_value(place, 0.0, features.BANDS - 1.0)
    bands = tf.range(features.BANDS, dtype=tf.float32)
    return tf.nn.relu(1 - tf.abs(place[:, None, :] - bands[:, None]))


@functools.cache
def _bands() -> tuple[np.ndarray, float, float]:
    """Centres of the mel bands, mel; the distance of two; the first one."""
    low, high = (1127 * np.log1p(f / 700) for f in (20.0, features.SETTINGS["max_freq"]))
    width = float((high - low) / (features.BANDS + 1))
    centre = low + width * np.arange(1, features.BANDS + 1)
    return np.asarray(centre, np.float32), width, float(low + width)


def _unmasked(masks, length: int):
    """``(n, length)``: 0 under a mask, else 1."""
    place = tf.range(length, dtype=tf.float32)
    first, width = masks[:, :, :1], masks[:, :, 1:]
    under = (place >= first) & (place < first + width)
    return 1 - tf.cast(tf.reduce_any(under, 1), tf.float32)


def noise(kind: str, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with a mean power of 1: ``"white"``, ``"pink"`` (1/f) or ``"brown"`` (1/f^2)."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
    spectrum[:1] = 0
    sound = np.fft.irfft(spectrum, samples)
    return sound / np.sqrt(np.mean(sound**2))


def noise_bank(recorded: Sequence[np.ndarray] = (), seed: int = 0) -> np.ndarray:
    """Mel power of seconds of noise to add: white, pink, and recorded ones where there are some.

    Args:
        recorded: Recordings of noise ``(samples,)`` at 16 kHz, cut anywhere.
        seed: Decides which.

    Returns:
        ``(256, 101, 40)`` float32.
    """
    rng = np.random.default_rng([seed, NOISES])
    long = [each for each in recorded if len(each) > features.SAMPLES and each.any()]
    sounds = np.empty((NOISES, features.SAMPLES), np.float32)
    for number in range(NOISES):
        kind = number % (4 if long else 2)
        if kind < 2:
            sounds[number] = 0.05 * noise(("white", "pink")[kind], features.SAMPLES, rng)
        else:
            of = long[int(rng.integers(len(long)))]
            start = int(rng.integers(len(of) - features.SAMPLES))
            sounds[number] = of[start : start + features.SAMPLES]
    return np.power(10, features.log_mel(sounds) / 10).astype(np.float32)
