"""Cross-entropies, each equal to its formula on the outputs that a network gives.

Keras' own ``categorical_crossentropy`` looks behind the tensor: an activation of Keras leaves
its input on its output, the sigmoid's too, and the loss then is that of the softmax of those
logits, whatever the outputs are. Here a loss is a function of the outputs. Logits serve only
where TensorFlow's graph says which activation made the outputs, and only to compute the very
same logarithm without rounding the outputs to 0 or 1 first.
"""

from typing import Any

import numpy as np
import tensorflow as tf

# The smallest number whose logarithm float32 has without losing digits.
TINY = float(np.finfo(np.float32).tiny)


def log_of(outputs: tf.Tensor) -> tf.Tensor:
    """The logarithm of outputs in [0, 1], ``(..., classes)``.

    Outputs that are neither a sigmoid's nor a softmax's in a graph, and all in eager mode,
    count as at least 1.2e-38, whose logarithm is -87.3.
    """
    activation, logits = _origin(outputs)
    if activation == "Sigmoid":
        return -tf.nn.softplus(-logits)
    if activation == "Softmax":
        return tf.nn.log_softmax(logits)
    return tf.math.log(tf.maximum(outputs, TINY))


def log_of_rest(outputs: tf.Tensor) -> tf.Tensor:
    """The logarithm of 1 - outputs, ``(..., classes)``.

    Outputs that are not a sigmoid's in a graph, and all in eager mode, count as at most
    1 - 6e-8, the largest float32 below 1: the logarithm of the rest is -16.6.
    """
    activation, logits = _origin(outputs)
    if activation == "Sigmoid":
        return -tf.nn.softplus(logits)
    return tf.math.log1p(-tf.minimum(outputs, 1 - 2**-24))


def of_label(labels: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Of values ``(..., classes)`` that of each label ``(...)``: ``(...)``."""
    return tf.reduce_sum(tf.one_hot(labels, values.shape[-1], dtype=values.dtype) * values, -1)


def cross_entropy(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """-log a_y, the cross-entropy of probabilities (speech_rnn, section 1.3).

    Args:
        labels: Class numbers y, ``(...)`` integers.
        outputs: Probabilities a, ``(..., classes)``.

    Returns:
        ``(...)``, natural logarithm.
    """
    return -of_label(labels, log_of(outputs))


def _origin(outputs: tf.Tensor) -> tuple[str, Any]:
    """What operation of the graph made a tensor, and from what; nothing in eager mode."""
    if not tf.is_symbolic_tensor(outputs):
        return "", None
    return outputs.op.type, next(iter(outputs.op.inputs), None)
