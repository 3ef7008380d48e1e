"""Backpropagation through time, derived by hand: the loop that all recurrent layers share.

**Forward.** A recurrent layer takes x_t, t = 1..T, and carries states s_t (h_t; an LSTM
also c_t). The input enters each step only through its pre-activation

    a_t = x_t W + b                                 (batch, k*n), k gates of n units

which needs no earlier step; what the loop has to carry is s_t = step(a_t, s_{t-1}; U).

**Backward.** Let E be the loss and dv mean dE/dv. Backpropagation through time
(har_rnn, equations (1)-(13), for a plain RNN: (6) is the two parts of ds_t below, (7) the
step's derivative, (8)-(10) what the sums for dU, db and dW are made of, (11) the way back
through U) goes through the steps in reverse:

    ds_t     = dE/ds_t directly + what step t+1 passes back       (batch, n) each
    da_t     = ds_t times the step's derivative                   (batch, k*n)
    ds_{t-1} = what da_t passes back through U, and the step itself

ds_t has two parts because h_t is used twice, as the output of step t and in step t+1, and
by the chain rule what comes back along both ways adds up. If E sees the last output alone
(``return_sequences=False``), the direct part is 0 before step T; after it nothing comes back.

Nothing else is sequential. The gradients of the weights are sums over all steps,

    dU = sum_t s_{t-1}' da_t,   dW = sum_t x_t' da_t,   db = sum_t da_t's rows

and dx_t = da_t W' needs no neighbour. Automatic differentiation of a loop does all that
step by step and keeps every intermediate value for it. Two orders are better; which one
depends on the size of the batch alone:

**A small batch** (:class:`Rows`): a step's products are so small that what surrounds them
costs more. So they leave the loop: X W is one product before it, with X of T*batch rows.
The backward loop only writes da_t into dA, and

    dU = S_prev' dA  (n, k*n),   dW = X' dA  (m, k*n),   dX = dA W'  (T*batch, m)

are **one** product each after it. That is legitimate because a product of matrices with
T*batch rows *is* the sum over these rows; only the order of the floating-point additions
differs.

**A large batch** (:class:`Columns`): each step's products fill the processor by
themselves, and matrices of T*batch rows would only travel to memory and back. So they
stay in the loop, where their operands are in the cache, and the sums are carried along. A
sample is a column here, so that gates are blocks of whole rows of memory. With x_t of shape
(m, batch), h_t (n, batch) and a_t (k*n, batch), and from step T back to step 1,

    a_t  = W' x_t + b                                             (k*n, batch)
    dx_t = W da_t                                                 (m, batch)
    dW  += x_t da_t',   dU += h_{t-1} da_t'                       (m, k*n), (n, k*n)
    db  += da_t's sum over the batch                              (k*n,)

The steps and their derivatives are in :mod:`~tfnets.layers.simple_rnn`,
:mod:`~tfnets.layers.lstm` and :mod:`~tfnets.layers.gru`, for both layouts at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

Tensors = tuple[tf.Tensor, ...]


class Rows:
    """A sample is a row: states ``(batch, n)``, sequences ``(time, batch, n)``."""

    axis = 1  # of the units
    from_batch_first = to_batch_first = (1, 0, 2)

    @staticmethod
    def product(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        """Samples times weights; w is ``(n, k)``, and W' for the way back."""
        return tf.matmul(x, w)

    @staticmethod
    def outer(x: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
        """``(n, k)``, the gradient of the weights of a product whose gradient is d."""
        return tf.matmul(x, d, transpose_a=True)

    @staticmethod
    def plus(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """A bias ``(k,)`` added to every sample."""
        return a + b

    @staticmethod
    def total(d: tf.Tensor) -> tf.Tensor:
        """``(k,)``, the gradient of a bias."""
        return tf.reduce_sum(d, 0)


class Columns:
    """A sample is a column: states ``(n, batch)``, sequences ``(time, n, batch)``.

    The functions are those of :class:`Rows`, turned round.
    """

    axis = 0
    from_batch_first = (1, 2, 0)
    to_batch_first = (2, 0, 1)

    @staticmethod
    def product(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        """Weights times samples; w is W' ``(k, n)``, and W for the way back."""
        return tf.matmul(w, x)

    @staticmethod
    def outer(x: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
        """``(n, k)``, the gradient of the weights of a product whose gradient is d."""
        return tf.matmul(x, d, transpose_b=True)

    @staticmethod
    def plus(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """A bias ``(k,)`` added to every sample."""
        return a + b[:, None]

    @staticmethod
    def total(d: tf.Tensor) -> tf.Tensor:
        """``(k,)``, the gradient of a bias; a product, for XLA adds up a row in single steps."""
        return tf.matmul(d, tf.ones((tf.shape(d)[1], 1), d.dtype))[:, 0]


Layout = type[Rows] | type[Columns]

# From about this batch size on, columns are faster than rows with XLA. Without XLA they are
# not, but there a batch's size is seldom known: model.fit leaves it open.
_LARGE = 128


def layout_for(batch: int | None) -> Layout:
    """The faster layout for a batch size; None is one that only the running graph knows."""
    return Columns if batch is not None and batch >= _LARGE else Rows


@dataclass(frozen=True)
class Step:
    """One time step of a recurrent layer and its derivative, in either layout.

    Attributes:
        forward: ``(layout, a, states, weights) -> (states, kept)``: from the
            pre-activation a_t, the states before and the recurrent weights to the states
            after, the output first; and whatever the derivative needs beside the states.
        backward: ``(layout, d_states, kept, before, after, weights) -> (d_a, d_states)``:
            from the gradients of the states after to those of the pre-activation, in as
            many blocks of units as they come in, and of the states before.
        gradients: ``(layout, d_a, kept, before) -> gradients`` of the recurrent weights,
            with d_a in the same blocks; as rows it is given all steps at once,
            ``(T*batch, ...)``.

    ``weights`` are given as ``layout.product`` takes them in that direction: turned once,
    before the loop, not in every step.
    """

    forward: Callable[[Layout, tf.Tensor, Tensors, Tensors], tuple[Tensors, Tensors]]
    backward: Callable[
        [Layout, Tensors, Tensors, Tensors, Tensors, Tensors], tuple[Tensors, Tensors]
    ]
    gradients: Callable[[Layout, Tensors, Tensors, Tensors], Tensors]


def scan(
    step: Step,
    sequences: tf.Tensor,
    states: Sequence[tf.Tensor],
    kernel: tf.Tensor,
    bias: tf.Tensor,
    weights: Sequence[tf.Tensor],
    *,
    layout: Layout,
    outputs: bool,
    keep: bool,
) -> tuple[tf.Tensor | None, Tensors]:
    """Runs a step over time; differentiable once, by the derivative that the step names.

    Args:
        step: What happens in a time step.
        sequences: ``(batch, time, m)``.
        states: Initial states, ``(batch, n)`` each.
        kernel: W, ``(m, k*n)``.
        bias: b, ``(k*n,)``.
        weights: Recurrent weights, U first.
        layout: How a batch lies inside.
        outputs: Whether the outputs of all steps are wanted.
        keep: Whether to keep what the backward pass needs. If not, and gradients are
            asked for all the same, the forward pass is done again for them.

    Returns:
        The outputs ``(batch, time, n)``, or None, and the last states, ``(batch, n)`` each.

    Raises:
        NotImplementedError: If the gradient of the gradient is asked for.
    """
    count = len(states)
    turned = [_turned(state) for state in states] if layout is Columns else states

    @tf.custom_gradient
    def run(x, kernel, bias, *args):
        states, weights = args[:count], args[count:]
        forwards = [kernel, *weights], [_turned(w) for w in (kernel, *weights)]
        forwards, backwards = forwards if layout is Rows else forwards[::-1]
        passed, kept = _forward(step, layout, x, states, bias, forwards, keep)

        def gradient(*d):
            d_outputs, d_last = (d[0], d[1:]) if outputs else (None, d)
            if keep:
                seen, saved = passed, kept
            else:
                seen, saved = _forward(step, layout, x, states, bias, forwards, True)
            backward = _backward_of_rows if layout is Rows else _backward_of_columns
            return _only_once(
                *backward(step, layout, x, backwards, d_outputs, d_last, seen, saved)
            )

        last = tuple(state[-1] for state in passed)
        return ((passed[0][1:], *last) if outputs else last), gradient

    x = tf.transpose(sequences, layout.from_batch_first)
    result = run(x, kernel, bias, *turned, *weights)
    last = result[1:] if outputs else result
    last = tuple(_turned(state) if layout is Columns else state for state in last)
    return tf.transpose(result[0], layout.to_batch_first) if outputs else None, last


def _turned(w: tf.Tensor) -> tf.Tensor:
    """A transposed matrix; a bias as it is."""
    return tf.transpose(w) if w.shape.rank == 2 else w


def _forward(step, layout, x, states, bias, kernels, keep):
    """All states, the initial ones first (time + 1 of them), and what is kept."""
    time = _size(x, 0)
    kernel, *weights = kernels
    if layout is Rows:
        a = layout.plus(layout.product(_rows(x), kernel), bias)
        a = tf.reshape(a, (time, _size(x, 1), kernel.shape[1]))

    def pre_activation(t):
        return a[t] if layout is Rows else layout.plus(layout.product(x[t], kernel), bias)

    passed = tuple(_array(state, time + 1).write(0, state) for state in states)
    kept = ()
    if keep:
        # What a step keeps shows when it is taken: one step beside the loop, whose values are
        # never used (nor computed, in a graph).
        news = step.forward(layout, pre_activation(0), states, weights)[1]
        kept = tuple(_array(each, time) for each in news)

    def body(t, states, passed, kept):
        states, news = step.forward(layout, pre_activation(t), states, weights)
        passed = tuple(p.write(t + 1, state) for p, state in zip(passed, states, strict=True))
        if keep:
            kept = tuple(k.write(t, new) for k, new in zip(kept, news, strict=True))
        return t + 1, states, passed, kept

    _, _, passed, kept = tf.while_loop(
        lambda t, *_: t < time,
        body,
        (tf.constant(0), tuple(states), passed, kept),
        parallel_iterations=1,
    )
    return tuple(p.stack() for p in passed), tuple(k.stack() for k in kept)


def _steps_back(step, layout, weights, d_outputs, passed, kept):
    """``(t, d_states after step t) -> (da_t, d_states before it)``."""

    def back(t, d_states):
        if d_outputs is not None:
            d_states = (d_states[0] + d_outputs[t], *d_states[1:])
        return step.backward(
            layout,
            d_states,
            tuple(k[t] for k in kept),
            tuple(p[t] for p in passed),
            tuple(p[t + 1] for p in passed),
            weights,
        )

    return back


def _rewind(back, d_last, time, use, carried):
    """Goes back through time; ``use(t, da_t, carried)`` gives what is carried on."""

    def body(t, d_states, carried):
        d_a, d_states = back(t, d_states)
        return t - 1, d_states, use(t, d_a, carried)

    _, d_states, carried = tf.while_loop(
        lambda t, *_: t >= 0,
        body,
        (tf.convert_to_tensor(time - 1), tuple(d_last), carried),
        parallel_iterations=1,
    )
    return d_states, carried


def _backward_of_rows(step, layout, x, kernels, d_outputs, d_last, passed, kept):
    """Gradients of x, W, b, the initial states and the recurrent weights; products after."""
    time = _size(x, 0)
    kernel, *weights = kernels
    back = _steps_back(step, layout, weights, d_outputs, passed, kept)
    blocks = back(0, d_last)[0]

    def use(t, d_a, written):
        return written.write(t, d_a[0] if len(d_a) == 1 else tf.concat(d_a, layout.axis))

    written = tf.TensorArray(x.dtype, time, element_shape=(x.shape[1], kernel.shape[0]))
    d_states, written = _rewind(back, d_last, time, use, written)
    d_a = _rows(written.stack())
    before = tuple(_rows(p[:-1]) for p in passed)
    d_blocks = tf.split(d_a, [block.shape[layout.axis] for block in blocks], layout.axis)
    return (
        tf.reshape(layout.product(d_a, kernel), tf.shape(x)),
        layout.outer(_rows(x), d_a),
        layout.total(d_a),
        *d_states,
        *step.gradients(layout, d_blocks, tuple(map(_rows, kept)), before),
    )


def _backward_of_columns(step, layout, x, kernels, d_outputs, d_last, passed, kept):
    """The same with the products in the loop and their sums carried along."""
    time = _size(x, 0)
    kernel, *weights = kernels
    back = _steps_back(step, layout, weights, d_outputs, passed, kept)
    sizes = [block.shape[layout.axis] for block in back(0, d_last)[0]]
    kernels = tf.split(kernel, sizes, axis=1)

    def use(t, d_a, carried):
        d_x, d_kernels, d_biases, d_weights = carried
        before, saved = tuple(p[t] for p in passed), tuple(k[t] for k in kept)
        gradients = step.gradients(layout, d_a, saved, before)
        passed_on = [layout.product(d, w) for d, w in zip(d_a, kernels, strict=True)]
        return (
            d_x.write(t, tf.add_n(passed_on)),
            [total + layout.outer(x[t], d) for total, d in zip(d_kernels, d_a, strict=True)],
            [total + layout.total(d) for total, d in zip(d_biases, d_a, strict=True)],
            [total + each for total, each in zip(d_weights, gradients, strict=True)],
        )

    nothing = _array(x[0], time), kernels, [each[0] for each in kernels], weights
    nothing = nothing[:1] + tuple([tf.zeros_like(e) for e in each] for each in nothing[1:])
    d_states, (d_x, d_kernels, d_biases, d_weights) = _rewind(back, d_last, time, use, nothing)
    return d_x.stack(), tf.concat(d_kernels, 1), tf.concat(d_biases, 0), *d_states, *d_weights


def _size(x: tf.Tensor, axis: int) -> int | tf.Tensor:
    return tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]


def _array(like: tf.Tensor, size: int | tf.Tensor) -> tf.TensorArray:
    return tf.TensorArray(like.dtype, size, element_shape=like.shape)


@tf.custom_gradient
def _only_once(*gradients):
    def refuse(*_):
        raise NotImplementedError(
            "the hand-derived gradient of a recurrent layer cannot be differentiated again; "
            "use the layer of keras.layers for second derivatives."
        )

    return gradients, refuse


def _rows(x: tf.Tensor) -> tf.Tensor:
    """``(time, batch, n) -> (time * batch, n)``."""
    return tf.reshape(x, (-1, x.shape[-1]))


def of_one_kernel(layout: Layout, d_a: Tensors, kept: Tensors, before: Tensors) -> Tensors:
    """``dU = H_prev' dA``, the ``gradients`` of a :class:`Step` with a_t + h_{t-1} U."""
    return (layout.outer(before[0], d_a[0]),)
