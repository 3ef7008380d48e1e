"""When a recurrent layer of ours takes its own way through time, and when Keras'."""

import keras
import tensorflow as tf
from keras import ops

from tfnets.layers import bptt


class FastLoop:
    """Mixin for a ``keras.layers.RNN`` whose cell has a hand-derived step.

    Stands before the Keras layer in the order of bases, and needs the attribute ``step``,
    a :class:`~tfnets.layers.bptt.Step` of the recurrent kernel alone. What the step does
    not cover goes to Keras' own loop: masks, dropout while training, ``stateful``,
    ``go_backwards``, ``unroll``, other activations than tanh and sigmoid, mixed precision,
    and GPUs where Keras would use cuDNN.
    """

    step: bptt.Step

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if not self._is_fast(sequences, initial_state, mask, training):
            return super().inner_loop(sequences, initial_state, mask, training)
        cell = self.cell
        a = ops.matmul(ops.transpose(sequences, (1, 0, 2)), cell.kernel)
        if cell.bias is not None:
            a = a + cell.bias
        outputs, states = bptt.scan(
            self.step,
            a,
            initial_state,
            [tf.convert_to_tensor(cell.recurrent_kernel)],
            outputs=self.return_sequences,
            keep=bool(training),
        )
        outputs = states[0][:, None] if outputs is None else ops.transpose(outputs, (1, 0, 2))
        return states[0], outputs, list(states)

    def _is_fast(self, sequences, initial_state, mask, training) -> bool:
        cell = self.cell
        gates = getattr(cell, "recurrent_activation", keras.activations.sigmoid)
        return (
            keras.tree.flatten(mask) in ([], [None])
            and not (training and (cell.dropout or cell.recurrent_dropout))
            and not (self.stateful or self.go_backwards or self.unroll)
            and cell.activation is keras.activations.tanh
            and gates is keras.activations.sigmoid
            and sequences.shape.rank == 3
            and all(x.dtype == cell.kernel.dtype for x in (sequences, *initial_state))
            and cell.compute_dtype == cell.variable_dtype in ("float32", "float64")
            and not (self._has_cudnn() and tf.config.list_physical_devices("GPU"))
        )

    def _has_cudnn(self) -> bool:
        """Whether cuDNN has this layer."""
        return False
