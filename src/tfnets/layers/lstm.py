"""A long short-term memory layer with hand-derived backpropagation through time.

Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000. With n units,
gates in Keras' order i, f, g, o and [.] for columns side by side,

    a_t = x_t W + b                                          (batch, 4n)
    [i_t, f_t, g_t, o_t] = [s, s, tanh, s](a_t + h_{t-1} U)  (batch, 4n)  s = sigmoid
    c_t = f_t * c_{t-1} + i_t * g_t                          (batch, n)
    h_t = o_t * tanh(c_t)                                    (batch, n)

Backwards, with dh_t and dc_t = what E says directly + what comes back from step t+1, and
each gate's own derivative, s' = s (1 - s) and tanh' = 1 - tanh^2,

    dc_t    += dh_t * o_t * (1 - tanh(c_t)^2)                (batch, n)
    da_t     = [dc_t * g_t * i_t (1 - i_t),                  (batch, 4n)
                dc_t * c_{t-1} * f_t (1 - f_t),
                dc_t * i_t * (1 - g_t^2),
                dh_t * tanh(c_t) * o_t (1 - o_t)]
    dh_{t-1} = da_t U'                                       (batch, n)
    dc_{t-1} = dc_t * f_t                                    (batch, n)

    dU = H_prev' dA                                          (n, 4n)
    dW = X' dA,  db = sum of dA's rows                       (m, 4n), (4n,)

The gates are kept from the forward pass; tanh(c_t) is computed again.
"""

import keras
import tensorflow as tf

from tfnets.layers import bptt
from tfnets.layers.fast import FastLoop


def _forward(layout, a, states, weights):
    (h, c), (u,) = states, weights
    a_i, a_f, a_g, a_o = tf.split(a + layout.product(h, u), 4, layout.axis)
    i, f, g, o = tf.sigmoid(a_i), tf.sigmoid(a_f), tf.tanh(a_g), tf.sigmoid(a_o)
    c = f * c + i * g
    return (o * tf.tanh(c), c), (i, f, g, o)


def _backward(layout, d_states, kept, before, after, weights):
    (d_h, d_c), (i, f, g, o), (u,) = d_states, kept, weights
    tanh_c = tf.tanh(after[1])
    d_c = d_c + d_h * o * (1 - tanh_c * tanh_c)
    d_a = tf.concat(
        [
            d_c * g * i * (1 - i),
            d_c * before[1] * f * (1 - f),
            d_c * i * (1 - g * g),
            d_h * tanh_c * o * (1 - o),
        ],
        layout.axis,
    )
    return (d_a,), (layout.product(d_a, u), d_c * f)


@keras.saving.register_keras_serializable(package="tfnets")
class LSTM(FastLoop, keras.layers.LSTM):
    """``keras.layers.LSTM`` with hand-derived backpropagation through time.

    The same arguments, weights and results; where :class:`~tfnets.layers.fast.FastLoop`
    says so, Keras' own loop. Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000.

    Weights:
        ``kernel`` ``(features, 4 * units)``, ``recurrent_kernel`` ``(units, 4 * units)`` and
        ``bias`` ``(4 * units,)``, gates in the order i, f, g, o.

    Call arguments:
        sequences: ``(batch, time, features)``.

    Returns:
        The last state ``(batch, units)``, or every state ``(batch, time, units)`` with
        ``return_sequences=True``.

    Raises:
        NotImplementedError: If its gradient is to be differentiated again.
    """

    step = bptt.Step(_forward, _backward, bptt.of_one_kernel)

    def _has_cudnn(self):
        return self.use_cudnn in ("auto", True)
