"""A plain recurrent layer with hand-derived backpropagation through time.

The report (har_rnn, equations (1)-(13)) derives, with n hidden units,

    a_t = x_t W + b                           (batch, n)
    h_t = tanh(a_t + h_{t-1} U)               (batch, n)   in the loop

and backwards, with dh_t = dE/dh_t directly + what comes back from step t+1,

    da_t     = dh_t * (1 - h_t^2)             (batch, n)   for tanh' = 1 - tanh^2
    dh_{t-1} = da_t U'                        (batch, n)   all that has to be in the loop

    dU = H_prev' dA                           (n, n)
    dW = X' dA,  db = sum of dA's rows        (m, n), (n,)

where H_prev has the rows h_{t-1} and dA the rows da_t of all steps: see
:mod:`tfnets.layers.bptt`, also for when these sums are taken.
"""

import keras
import tensorflow as tf

from tfnets.layers import bptt
from tfnets.layers.fast import FastLoop


def _forward(layout, a, states, weights):
    (h,), (u,) = states, weights
    return (tf.tanh(a + layout.product(h, u)),), ()


def _backward(layout, d_states, kept, before, after, weights):
    (d_h,), (h,), (u,) = d_states, after, weights
    d_a = d_h * (1 - h * h)
    return (d_a,), (layout.product(d_a, u),)


@keras.saving.register_keras_serializable(package="tfnets")
class SimpleRNN(FastLoop, keras.layers.SimpleRNN):
    """``keras.layers.SimpleRNN`` with hand-derived backpropagation through time.

    The same arguments, weights and results; where :class:`~tfnets.layers.fast.FastLoop`
    says so, Keras' own loop. Source: har_rnn, equations (1)-(13).

    Weights:
        ``kernel`` ``(features, units)``, ``recurrent_kernel`` ``(units, units)`` and
        ``bias`` ``(units,)``.

    Call arguments:
        sequences: ``(batch, time, features)``.

    Returns:
        The last state ``(batch, units)``, or every state ``(batch, time, units)`` with
        ``return_sequences=True``.

    Raises:
        NotImplementedError: If its gradient is to be differentiated again.
    """

    step = bptt.Step(_forward, _backward, bptt.of_one_kernel)
