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
"""

import keras
from keras import ops

_PACKAGE = "tfnets"


@keras.saving.register_keras_serializable(package=_PACKAGE)
class GRUCell(keras.layers.GRUCell):
    """One time step of :class:`GRU`.

    Args:
        units: Number of hidden units n.
        reset_after: Whether the reset gate is applied after the recurrent
            product (PyTorch, cuDNN) or before it (the report).
        recurrent_bias: Whether each gate has a bias of its own on the recurrent
            side. Only ``reset_after=False`` can do without.
        **kwargs: As for ``keras.layers.GRUCell``.

    Call arguments:
        inputs: ``(batch, features)``.
        states: A list with the previous state, ``(batch, units)``.

    Raises:
        ValueError: For ``reset_after=True`` with ``recurrent_bias=False``.
    """

    def __init__(self, units, *, reset_after=False, recurrent_bias=True, **kwargs):
        if reset_after and not recurrent_bias:
            raise ValueError(
                "recurrent_bias=False goes with reset_after=False only: with reset_after=True "
                "the recurrent bias of the candidate state stands inside the reset gate."
            )
        super().__init__(units, reset_after=reset_after, **kwargs)
        self.recurrent_bias = recurrent_bias

    @property
    def _biases_add_up(self):
        return self.use_bias and self.recurrent_bias and not self.reset_after

    def build(self, input_shape):
        super().build(input_shape)
        if self._biases_add_up:
            # Keras has made the single bias of its own "before" form: replace it.
            del self.bias
            self.bias = self.add_weight(
                shape=(2, 3 * self.units),
                name="bias",
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

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


class _OwnCell(keras.layers.RNN):
    """Stands between ``keras.layers.GRU`` and ``keras.layers.RNN`` in the order of
    initialisation and puts our cell in the place of the one that ``keras.layers.GRU`` made.
    """

    def __init__(self, cell, *args, recurrent_bias, **kwargs):
        config = {**cell.get_config(), "implementation": cell.implementation}
        super().__init__(GRUCell(**config, recurrent_bias=recurrent_bias), *args, **kwargs)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class GRU(keras.layers.GRU, _OwnCell):
    """Gated recurrent unit, by default in the report's form (equations (1)-(4) above).

    Source: speech_rnn, section 1.4.1; Cho et al. 2014 (arXiv:1406.1078).

    Args:
        units: Number of hidden units n.
        reset_after: False (default) applies the reset gate before the recurrent
            product, True after it, as PyTorch and cuDNN do.
        recurrent_bias: Whether each gate has a recurrent bias beside the input
            bias. False gives stock Keras' ``reset_after=False`` layer.
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

    def __init__(self, units, *, reset_after=False, recurrent_bias=True, **kwargs):
        super().__init__(units, reset_after=reset_after, recurrent_bias=recurrent_bias, **kwargs)

    @property
    def recurrent_bias(self):
        """Whether each gate has a bias on the recurrent side too."""
        return self.cell.recurrent_bias

    def get_config(self):
        return {**super().get_config(), "recurrent_bias": self.recurrent_bias}
