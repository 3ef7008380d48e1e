"""Waveforms of any length up to a second -> waveforms of one length."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfnets")
class FixedLength(keras.layers.Layer):
    """Pads waveforms with silence at their end to a fixed length; refuses what it cannot hear.

    Args:
        samples: The length, the most that is listened to.
        loudest: What no sample may exceed, so that integers are not taken for floats in [-1, 1].
        **kwargs: As for ``keras.layers.Layer``.

    Call arguments:
        waveforms: ``(batch, any length)``.

    Returns:
        ``(batch, samples)``.

    Raises:
        tf.errors.InvalidArgumentError: For waveforms without samples, with more than are listened
            to, with NaN or infinity, or far above full scale: a network would give them
            probabilities like any other.
    """

    def __init__(self, samples, loudest=8.0, **kwargs):
        super().__init__(**kwargs)
        self.samples, self.loudest = samples, loudest

    def call(self, waveforms):
        tf.debugging.assert_positive(ops.shape(waveforms)[1], "the waveform is empty")
        tf.debugging.assert_less_equal(
            ops.shape(waveforms)[1],
            self.samples,
            f"the waveform has more than the {self.samples} samples that are listened to; send "
            "parts of that length",
        )
        waveforms = tf.debugging.assert_all_finite(waveforms, "the waveform holds NaN or infinity")
        tf.debugging.assert_less_equal(
            ops.max(ops.abs(waveforms)),
            float(self.loudest),
            "the waveform is far above full scale, 1; divide 16-bit integers by 32768",
        )
        return ops.pad(waveforms, [[0, 0], [0, self.samples]])[:, : self.samples]

    def compute_output_shape(self, waveforms_shape):
        return (waveforms_shape[0], self.samples)

    def get_config(self):
        return {**super().get_config(), "samples": self.samples, "loudest": self.loudest}
