"""Backpropagation through time, derived by hand: the loop that all recurrent layers share.

**Forward.** A recurrent layer takes x_t, t = 1..T, and carries states s_t (h_t; an LSTM
also c_t). The input enters each step only through its pre-activation

    a_t = x_t W + b                                 (batch, k*n), k gates of n units

which needs no earlier step. So all of them are one product before the loop, X W with
X of T*batch rows, and the loop carries what is left: s_t = step(a_t, s_{t-1}; U).

**Backward.** Let E be the loss and dv mean dE/dv. Backpropagation through time
(har_rnn, equations (1)-(13), for a plain RNN) goes through the steps in reverse:

    ds_t     = dE/ds_t directly + what step t+1 passes back       (batch, n) each
    da_t     = ds_t times the step's derivative                   (batch, k*n)
    ds_{t-1} = what da_t passes back through U, and the step itself

Nothing else is sequential. The gradient of the recurrent weights is a sum over steps,

    dU = sum_t s_{t-1}' da_t  =  S_prev' dA         (n, k*n), rows of all steps together

which automatic differentiation of a loop adds up step by step: T small products and T
additions of an (n, k*n) matrix, inside the loop. Here the loop only writes da_t into
dA, and dU is **one** product of (n, T*batch) and (T*batch, k*n) after it. That is
legitimate because a product of matrices with T*batch rows *is* the sum over these
rows; only the order of the floating-point additions differs. In the same way dW = X' dA,
db = sum of dA's rows and dX = dA W' are one product each: the derivative of a_t = x_t W
+ b above, which needs no help of ours.

The steps and their derivatives are in :mod:`~tfnets.layers.simple_rnn` and
:mod:`~tfnets.layers.lstm`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

Tensors = tuple[tf.Tensor, ...]


@dataclass(frozen=True)
class Step:
    """One time step of a recurrent layer and its derivative.

    Attributes:
        forward: ``(a, states, weights) -> (states, kept)``: from the pre-activation
            a_t ``(batch, k*n)``, the states before and the recurrent weights to the
            states after, ``(batch, n)`` each, the output first; and whatever the
            derivative needs beside the states.
        backward: ``(d_states, kept, before, after, weights) -> (d_a, d_states)``: from
            the gradients of the states after to those of the pre-activation and of the
            states before.
        weights: ``(d_a, kept, before, weights) -> gradients``: of the recurrent
            weights, from all steps' rows at once; ``(T*batch, ...)`` each.
    """

    forward: Callable[[tf.Tensor, Tensors, Tensors], tuple[Tensors, Tensors]]
    backward: Callable[[Tensors, Tensors, Tensors, Tensors, Tensors], tuple[tf.Tensor, Tensors]]
    weights: Callable[[tf.Tensor, Tensors, Tensors, Tensors], Tensors]


def scan(
    step: Step,
    a: tf.Tensor,
    states: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    *,
    outputs: bool,
    keep: bool,
) -> tuple[tf.Tensor | None, Tensors]:
    """Runs a step over time; differentiable once, by the derivative that the step names.

    Args:
        step: What happens in a time step.
        a: Pre-activations from the input, ``(time, batch, k*n)``.
        states: Initial states, ``(batch, n)`` each.
        weights: Recurrent weights.
        outputs: Whether the outputs of all steps are wanted.
        keep: Whether to keep what the backward pass needs. If not, and gradients are
            asked for all the same, the forward pass is done again for them.

    Returns:
        The outputs ``(time, batch, n)``, or None, and the last states, ``(batch, n)`` each.

    Raises:
        NotImplementedError: If the gradient of the gradient is asked for.
    """
    count = len(states)

    @tf.custom_gradient
    def run(a, *args):
        states, weights = args[:count], args[count:]
        passed, kept = _forward(step, a, states, weights, keep)

        def gradient(*d):
            d_outputs, d_last = (d[0], d[1:]) if outputs else (None, d)
            if keep:
                seen, saved = passed, kept
            else:
                seen, saved = _forward(step, a, states, weights, True)
            return _only_once(*_backward(step, d_outputs, d_last, seen, saved, weights))

        last = tuple(state[-1] for state in passed)
        return ((passed[0][1:], *last) if outputs else last), gradient

    result = run(a, *states, *weights)
    return (result[0], result[1:]) if outputs else (None, result)


def _forward(step, a, states, weights, keep):
    """All states ``(time + 1, batch, n)``, the initial ones first, and what is kept."""
    time = _length(a)
    passed = tuple(_array(state, time + 1).write(0, state) for state in states)
    kept = ()
    if keep:
        # What a step keeps shows when it is taken: one step beside the loop, whose values are
        # never used (nor computed, in a graph).
        kept = tuple(_array(each, time) for each in step.forward(a[0], states, weights)[1])

    def body(t, states, passed, kept):
        states, news = step.forward(a[t], states, weights)
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


def _backward(step, d_outputs, d_last, passed, kept, weights):
    """Gradients of the pre-activations, the initial states and the recurrent weights."""
    time = _length(passed[0]) - 1

    def back(t, d_states):
        if d_outputs is not None:
            d_states = (d_states[0] + d_outputs[t], *d_states[1:])
        return step.backward(
            d_states,
            tuple(k[t] for k in kept),
            tuple(p[t] for p in passed),
            tuple(p[t + 1] for p in passed),
            weights,
        )

    def body(t, d_states, d_a):
        d_step, d_states = back(t, d_states)
        return t - 1, d_states, d_a.write(t, d_step)

    d_a = _array(back(0, d_last)[0], time)
    _, d_states, d_a = tf.while_loop(
        lambda t, *_: t >= 0,
        body,
        (tf.convert_to_tensor(time - 1), tuple(d_last), d_a),
        parallel_iterations=1,
    )
    d_a = d_a.stack()
    before = tuple(rows(p[:-1]) for p in passed)
    return d_a, *d_states, *step.weights(rows(d_a), tuple(map(rows, kept)), before, weights)


def _length(x: tf.Tensor) -> int | tf.Tensor:
    return tf.shape(x)[0] if x.shape[0] is None else x.shape[0]


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


def rows(x: tf.Tensor) -> tf.Tensor:
    """``(time, batch, n) -> (time * batch, n)``."""
    return tf.reshape(x, (-1, x.shape[-1]))


def of_one_kernel(d_a: tf.Tensor, kept: Tensors, before: Tensors, weights: Tensors) -> Tensors:
    """``dU = H_prev' dA``, the ``weights`` of a :class:`Step` with a_t + h_{t-1} U."""
    return (tf.matmul(before[0], d_a, transpose_a=True),)
