"""A GRU with the reset gate before the recurrent product *and* two biases a gate.

The report (speech_rnn, section 1.4.1) derives a layer with input size m and n
hidden units from

    h_t  = (1 - z_t) * h_{t-1} + z_t * hh_t                              (1)
    hh_t = tanh(W_h x_t + b_hW + U_h (r_t * h_{t-1}) + b_hU)             (2)
    z_t  = sigmoid(W_z x_t + b_zW + U_z h_{t-1} + b_zU)                  (3)
    r_t  = sigmoid(W_r x_t + b_rW + U_r h_{t-1} + b_rU)                  (4)

and so counts (m + n + 2) * 3 * n parameters. Stock Keras ties the number of
biases to the place of the reset gate: ``reset_after=False`` has one bias a gate,
``reset_after=True`` two. :class:`GRU` separates the two questions:

| ``reset_after`` | ``recurrent_bias`` | parameters     | whose form                    |
|-----------------|--------------------|----------------|-------------------------------|
| False           | True               | (m+n+2) * 3n   | the report's equations        |
| False           | False              | (m+n+1) * 3n   | ``keras.layers.GRU`` "before" |
| True            | True               | (m+n+2) * 3n   | PyTorch, cuDNN, Keras' default |

Keras writes (1) as ``h_t = z_t * h_{t-1} + (1 - z_t) * hh_t``. That is the same
family of functions with z replaced by 1 - z, which a change of sign of W_z, U_z
and b_z brings about. Keras' convention and its gate order z, r, h are kept, so
that weights can be exchanged with stock Keras layers.

**Backpropagation through time**, by hand (see :mod:`tfnets.layers.bptt`). With
a_t = x_t W + b, gates in Keras' order, [.] for columns side by side and s for sigmoid,
the form with the reset gate *before* the product is

    [z_t, r_t] = s([a_t]_zr + h_{t-1} U_zr)                  (batch, 2n)
    c_t        = tanh([a_t]_h + (r_t * h_{t-1}) U_h)         (batch, n)
    h_t        = z_t * h_{t-1} + (1 - z_t) * c_t             (batch, n)

where b is the sum of the two biases of a gate: nothing stands between them, so each has
the gradient of their sum. Backwards, with dh_t = dE/dh_t directly + what comes back,

    dc_t     = dh_t * (1 - z_t) * (1 - c_t^2)                (batch, n)
    dq_t     = dc_t U_h'                                     (batch, n)   of r_t * h_{t-1}
    dz_t     = dh_t * (h_{t-1} - c_t) * z_t (1 - z_t)        (batch, n)
    dr_t     = dq_t * h_{t-1} * r_t (1 - r_t)                (batch, n)
    dh_{t-1} = dh_t * z_t + dq_t * r_t + [dz_t, dr_t] U_zr'  (batch, n)

    dU_zr = H_prev' [dZ, dR]      (n, 2n)
    dU_h  = (R * H_prev)' dC      (n, n)

and *after* the product, with a recurrent bias v that the reset gate scales,

    [u_z, u_r, u_h] = h_{t-1} U + v                          (batch, 3n)
    [z_t, r_t] = s([a_t]_zr + [u_z, u_r])                    (batch, 2n)
    c_t        = tanh([a_t]_h + r_t * u_h)                   (batch, n)

    dc_t, dz_t as above;  dr_t = dc_t * u_h * r_t (1 - r_t)  (batch, n)
    du_t     = [dz_t, dr_t, dc_t * r_t]                      (batch, 3n)
    dh_{t-1} = dh_t * z_t + du_t U'                          (batch, n)

    dU = H_prev' dU_all,  dv = sum of dU_all's rows          (n, 3n), (3n,)

where dU_all has the rows du_t. In both, da_t = [dz_t, dr_t, dc_t], and

    dW = X' dA,  db = sum of dA's rows                       (m, 3n), (3n,)
"""

import keras
import tensorflow as tf
from keras import ops

from tfnets.layers import bptt
from tfnets.layers.fast import FastLoop

_PACKAGE = "tfnets"
_INITIALIZERS = ("kernel_initializer", "recurrent_initializer", "bias_initializer")


@keras.saving.register_keras_serializable(package=_PACKAGE)
class GRUCell(keras.layers.GRUCell):
    """One time step of :class:`GRU`.

    Args:
        units: Number of hidden units n.
        reset_after: Whether the reset gate is applied after the recurrent
            product (PyTorch, cuDNN) or before it (the report).
        recurrent_bias: Whether each gate has a bias of its own on the recurrent
            side. Only ``reset_after=False`` can do without.
        *args: As for ``keras.layers.GRUCell``: activation, recurrent_activation ...
        **kwargs: As for ``keras.layers.GRUCell``.

    Call arguments:
        inputs: ``(batch, features)``.
        states: A list with the previous state, ``(batch, units)``.

    Raises:
        ValueError: For ``reset_after=True`` with ``recurrent_bias=False``.
    """

    def __init__(self, units, *args, reset_after=False, recurrent_bias=True, **kwargs):
        if reset_after and not recurrent_bias:
            raise ValueError(
                "recurrent_bias=False goes with reset_after=False only: with reset_after=True "
                "the recurrent bias of the candidate state stands inside the reset gate."
            )
        super().__init__(units, *args, reset_after=reset_after, **kwargs)
        self.recurrent_bias = recurrent_bias

    @property
    def _biases_add_up(self):
        return self.use_bias and self.recurrent_bias and not self.reset_after

    def build(self, input_shape):
        # Keras makes two biases for its "after" form only; nothing else differs in the weights.
        two, form = self._biases_add_up, self.reset_after
        self.reset_after = two or form
        try:
            super().build(input_shape)
        finally:
            self.reset_after = form

    def call(self, inputs, states, training=False):
        if not self._biases_add_up:
            return super().call(inputs, states, training=training)
        n = self.units
        h = states[0] if isinstance(states, (list, tuple)) else states
        # No gate stands between the two biases of (2), (3) and (4): they add up.
        x = self._gates(
            inputs,
            self.kernel,
            self.get_dropout_mask(inputs) if training and self.dropout > 0 else None,
        )
        x_z, x_r, x_h = ops.split(x + ops.sum(self.bias, axis=0), 3, axis=-1)

        masks = None
        if training and self.recurrent_dropout > 0:
            masks = self.get_recurrent_dropout_mask(h)
        u = self._gates(h, self.recurrent_kernel[:, : 2 * n], masks)
        z = self.recurrent_activation(x_z + u[:, :n])
        r = self.recurrent_activation(x_r + u[:, n:])
        gated = r * h if masks is None else r * h * masks[2]
        candidate = self.activation(x_h + ops.matmul(gated, self.recurrent_kernel[:, 2 * n :]))
        h = z * h + (1 - z) * candidate
        return h, [h] if isinstance(states, (list, tuple)) else h

    def _gates(self, x, kernel, masks):
        """``x @ kernel`` with x dropped out, by one mask a gate where there are several."""
        if masks is None:
            return ops.matmul(x, kernel)
        if not isinstance(masks, (list, tuple)):
            return ops.matmul(x * masks, kernel)
        blocks = ops.split(kernel, kernel.shape[-1] // self.units, axis=-1)
        products = [ops.matmul(x * m, w) for m, w in zip(masks, blocks, strict=False)]
        return ops.concatenate(products, axis=-1)

    def get_config(self):
        return {**super().get_config(), "recurrent_bias": self.recurrent_bias}


def _gates(layout, x):
    """The columns of z and r, and those of the candidate."""
    n = x.shape[layout.axis] // 3
    return tf.split(x, [2 * n, n], layout.axis)


def _forward_before(layout, a, states, weights):
    (h,), (u_zr, u_h), (a_zr, a_h) = states, weights, _gates(layout, a)
    zr = tf.sigmoid(a_zr + layout.product(h, u_zr))
    z, r = tf.split(zr, 2, layout.axis)
    c = tf.tanh(a_h + layout.product(r * h, u_h))
    return (c + z * (h - c),), (zr, c)


def _backward_before(layout, d_states, kept, before, after, weights):
    (d_h,), (zr, c), (h,), (u_zr, u_h) = d_states, kept, before, weights
    z, r = tf.split(zr, 2, layout.axis)
    d_c = d_h * (1 - z) * (1 - c * c)
    d_q = layout.product(d_c, u_h)
    d_zr = tf.concat([d_h * (h - c) * z * (1 - z), d_q * h * r * (1 - r)], layout.axis)
    d_h = d_h * z + d_q * r + layout.product(d_zr, u_zr)
    return (d_zr, d_c), (d_h,)


def _gradients_before(layout, d_a, kept, before):
    (zr, _), (h,), (d_zr, d_c) = kept, before, d_a
    _, r = tf.split(zr, 2, layout.axis)
    return layout.outer(h, d_zr), layout.outer(r * h, d_c)


def _forward_after(layout, a, states, weights):
    (h,), (u, v), (a_zr, a_h) = states, weights, _gates(layout, a)
    u_zr, u_h = _gates(layout, layout.plus(layout.product(h, u), v))
    z, r = tf.split(tf.sigmoid(a_zr + u_zr), 2, layout.axis)
    c = tf.tanh(a_h + r * u_h)
    return (c + z * (h - c),), (z, r, c, u_h)


def _backward_after(layout, d_states, kept, before, after, weights):
    (d_h,), (z, r, c, u_h), (h,), (u, _) = d_states, kept, before, weights
    d_c = d_h * (1 - z) * (1 - c * c)
    d_zr = tf.concat([d_h * (h - c) * z * (1 - z), d_c * u_h * r * (1 - r)], layout.axis)
    d_h = d_h * z + layout.product(tf.concat([d_zr, d_c * r], layout.axis), u)
    return (d_zr, d_c), (d_h,)


def _gradients_after(layout, d_a, kept, before):
    (_, r, _, _), (h,), (d_zr, d_c) = kept, before, d_a
    d_u = tf.concat([d_zr, d_c * r], layout.axis)
    return layout.outer(h, d_u), layout.total(d_u)


BEFORE = bptt.Step(_forward_before, _backward_before, _gradients_before)
AFTER = bptt.Step(_forward_after, _backward_after, _gradients_after)


class _OwnCell(keras.layers.RNN):
    """Stands between ``keras.layers.GRU`` and ``keras.layers.RNN`` in the order of
    initialisation and puts our cell in the place of the one that ``keras.layers.GRU`` made.
    """

    def __init__(self, cell, *args, recurrent_bias, **kwargs):
        config = {**cell.get_config(), "implementation": cell.implementation, "seed": 0}
        # Keras' own initializers and dropout seeds: new ones, drawn from what the process draws
        # seeds from, would give other weights than Keras' layer has, here and in later layers.
        config |= {name: getattr(cell, name) for name in _INITIALIZERS}
        own = GRUCell(**config, recurrent_bias=recurrent_bias)
        own.seed = cell.seed
        own.seed_generator.state.assign(cell.seed_generator.state)
        super().__init__(own, *args, **kwargs)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class GRU(FastLoop, keras.layers.GRU, _OwnCell):
    """Gated recurrent unit, by default in the report's form (equations (1)-(4) above).

    Source: speech_rnn, section 1.4.1; Cho et al. 2014 (arXiv:1406.1078).

    Args:
        units: Number of hidden units n.
        reset_after: False (default) applies the reset gate before the recurrent
            product, True after it, as PyTorch and cuDNN do.
        recurrent_bias: Whether each gate has a recurrent bias beside the input
            bias. False gives stock Keras' ``reset_after=False`` layer.
        *args: As for ``keras.layers.GRU``: activation, recurrent_activation ...
        **kwargs: As for ``keras.layers.GRU``.

    Weights:
        ``kernel`` ``(features, 3 * units)`` and ``recurrent_kernel``
        ``(units, 3 * units)``, gates in the order z, r, h; ``bias``
        ``(2, 3 * units)``, the input bias and the recurrent bias, or
        ``(3 * units,)`` with ``recurrent_bias=False``.

    Call arguments:
        sequences: ``(batch, time, features)``.

    Returns:
        The last state ``(batch, units)``, or every state
        ``(batch, time, units)`` with ``return_sequences=True``.

    Raises:
        ValueError: For ``reset_after=True`` with ``recurrent_bias=False``.
    """

    def __init__(self, units, *args, reset_after=False, recurrent_bias=True, **kwargs):
        form = {"reset_after": reset_after, "recurrent_bias": recurrent_bias}
        super().__init__(units, *args, **form, **kwargs)

    @property
    def recurrent_bias(self):
        """Whether each gate has a bias on the recurrent side too."""
        return self.cell.recurrent_bias

    def get_config(self):
        return {**super().get_config(), "recurrent_bias": self.recurrent_bias}

    @property
    def step(self):
        """The hand-derived step of this layer's form."""
        return AFTER if self.reset_after else BEFORE

    def _input_bias(self):
        bias = self.cell.bias
        if bias is None or len(bias.shape) == 1:
            return bias
        return bias[0] if self.reset_after else ops.sum(bias, axis=0)

    def _recurrent_weights(self):
        u, bias = self.cell.recurrent_kernel, self.cell.bias
        if not self.reset_after:
            return ops.split(u, [2 * self.units], axis=1)
        return [u, tf.zeros_like(u[0]) if bias is None else bias[1]]

    def _has_cudnn(self):
        return self.reset_after and self.use_cudnn in ("auto", True)
