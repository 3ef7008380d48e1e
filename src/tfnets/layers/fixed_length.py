"""Waveforms of any length -> waveforms of one length."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfnets")
class FixedLength(keras.layers.Layer):
    """Pads waveforms with silence at their end, or cuts them, to a fixed length.

    Args:
        samples: The length.
        **kwargs: As for ``keras.layers.Layer``.

    Call arguments:
        waveforms: ``(batch, any length)``.

    Returns:
        ``(batch, samples)``.

    Raises:
        tf.errors.InvalidArgumentError: For waveforms without samples or with NaN or
            infinity in them: a network would give them probabilities like any other.
    """

    def __init__(self, samples, **kwargs):
        super().__init__(**kwargs)
        self.samples = samples

    def call(self, waveforms):
        tf.debugging.assert_positive(ops.shape(waveforms)[1], "the waveform is empty")
        tf.debugging.assert_all_finite(waveforms, "the waveform holds NaN or infinity")
        return ops.pad(waveforms, [[0, 0], [0, self.samples]])[:, : self.samples]

    def compute_output_shape(self, waveforms_shape):
        return (waveforms_shape[0], self.samples)

    def get_config(self):
        return {**super().get_config(), "samples": self.samples}
