"""One second of speech at 16 kHz -> 101 frames of 40 log-mel bands, in decibels."""

import functools

import keras
import numpy as np
import tensorflow as tf

SAMPLE_RATE = 16_000
SAMPLES = 16_000
FRAMES, BANDS = SHAPE = (101, 40)

# Goes into the key of cached features: a change beside SETTINGS makes new ones.
RECIPE = 1

SETTINGS = {
    "fft_length": 512,
    "sequence_stride": 160,
    "sequence_length": 400,
    "sampling_rate": SAMPLE_RATE,
    "num_mel_bins": BANDS,
    "max_freq": SAMPLE_RATE / 2,
    # Keras cuts everything more than top_db below the loudest bin *of the whole batch*,
    # so a clip's features would depend on its neighbours. With a floor of 1e-8 (-80 dB)
    # and samples within [-1, 1] (below +50 dB) nothing is ever 200 dB below the loudest.
    "top_db": 200.0,
    "min_power": 1e-8,
}


def mel_layer() -> keras.layers.MelSpectrogram:
    """The Keras layer ``(batch, samples) -> (batch, bands, frames)`` with our settings."""
    return keras.layers.MelSpectrogram(**SETTINGS, name="mel_spectrogram")


@functools.cache
def _transform() -> tf.types.experimental.GenericFunction:
    """The layer as a compiled function, traced once for every batch size."""
    return tf.function(mel_layer(), input_signature=[tf.TensorSpec((None, SAMPLES))])


def log_mel(waveforms: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Log-mel matrices of many clips.

    Args:
        waveforms: ``(clips, 16000)``, float32 in [-1, 1] or int16.
        batch_size: How many clips to transform at a time; no result depends on it
            by more than float32 rounding.

    Returns:
        ``(clips, 101, 40)`` float32, decibels.
    """
    transform = _transform()
    result = np.empty((len(waveforms), *SHAPE), np.float32)
    for start in range(0, len(waveforms), batch_size):
        batch = waveforms[start : start + batch_size]
        if batch.dtype == np.int16:
            batch = batch.astype(np.float32) / 32768
        decibels = transform(tf.constant(batch)).numpy()
        result[start : start + len(batch)] = decibels.transpose(0, 2, 1)
    return result
