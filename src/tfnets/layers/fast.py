"""When a recurrent layer of ours takes its own way through time, and when Keras'."""

from typing import Any

import keras
import tensorflow as tf

from tfnets.layers import bptt


class FastLoop:
    """Mixin for a ``keras.layers.RNN`` whose cell has a hand-derived step.

    Stands before the Keras layer in the order of bases, and needs the attribute ``step``,
    a :class:`~tfnets.layers.bptt.Step`. What the step does not cover goes to Keras' own
    loop: masks, dropout while training, ``stateful``, ``go_backwards``, ``unroll``, other
    activations than tanh and sigmoid, mixed precision, an initial state of one sample for
    all, and GPUs where Keras would use cuDNN. Second derivatives and forward-mode
    differentiation are refused with NotImplementedError: the layers of Keras have them.
    """

    step: bptt.Step
    # Of the Keras layer that stands behind.
    cell: Any
    return_sequences: bool
    stateful: bool
    go_backwards: bool
    unroll: bool

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if not self._is_fast(sequences, initial_state, mask, training):
            return super().inner_loop(sequences, initial_state, mask, training)
        bias, weights = self._input_bias(), self._recurrent_weights()
        kernel = tf.convert_to_tensor(self.cell.kernel)
        outputs, states = bptt.scan(
            self.step,
            sequences,
            initial_state,
            kernel,
            tf.zeros_like(kernel[0]) if bias is None else tf.convert_to_tensor(bias),
            [tf.convert_to_tensor(each) for each in weights],
            layout=bptt.layout_for(sequences.shape[0]),
            outputs=self.return_sequences,
            keep=bool(training),
        )
        return states[0], states[0][:, None] if outputs is None else outputs, list(states)

    def _input_bias(self):
        """What is added to ``x_t W``, or None."""
        return self.cell.bias

    def _recurrent_weights(self) -> list:
        """The weights that the step takes."""
        return [self.cell.recurrent_kernel]

    def _is_fast(self, sequences, initial_state, mask, training) -> bool:
        cell = self.cell
        gates = getattr(cell, "recurrent_activation", keras.activations.sigmoid)
        return (
            keras.tree.flatten(mask) in ([], [None])
            and not (training and (cell.dropout or cell.recurrent_dropout))
            and not (self.stateful or self.go_backwards or self.unroll)
            and cell.activation is keras.activations.tanh
            and gates is keras.activations.sigmoid
            and getattr(self, "use_cudnn", "auto") is not True
            and sequences.shape.rank == 3
            and all(x.shape[0] in (sequences.shape[0], None) for x in initial_state)
            and all(x.dtype == cell.kernel.dtype for x in (sequences, *initial_state))
            and cell.compute_dtype == cell.variable_dtype in ("float32", "float64")
            and not (self._has_cudnn() and tf.config.list_physical_devices("GPU"))
        )

    def _has_cudnn(self) -> bool:
        """Whether cuDNN has this layer."""
        return False
