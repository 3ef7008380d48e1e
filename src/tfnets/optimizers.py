"""The reports' two optimizers, to the letter of PyTorch, in which the reports trained.

Four facts differ between PyTorch and Keras, and all are put right here:

- PyTorch's ``SGD(weight_decay=...)`` is *coupled*: it adds ``weight_decay * w`` to the
  gradient, so that the decay goes through the momentum. Keras' argument of that name
  shrinks the weights beside the gradient step (decoupled, as in AdamW).
- PyTorch's SGD multiplies what its momentum holds by the learning rate of the moment, Keras'
  by the one that was in force when each gradient went in. With a rate that falls they differ.
- PyTorch's Adam has epsilon 1e-8, Keras' 1e-7, and PyTorch adds it after the correction
  of the bias, Keras before. At the first step Keras' counts for 32 times as much: that
  moves the loss by more than 1e-5 wherever gradients are small.
- The gradient of an embedding comes in pieces, one for each use of an entry. Keras' Adam
  squares the pieces and adds up the squares; PyTorch's squares the sum.
"""

import math
from numbers import Real
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfnets.errors import InputError

OPTIMIZERS = ("adam", "sgd")

# How the learning rate changes over a training.
SCHEDULES = ("constant", "linear", "cosine")

# The step size that each has in the reports.
LEARNING_RATES = {"adam": 0.001, "sgd": 0.01}


class _WithNumbers:
    """An optimizer whose numbers a compiled program can have as variables.

    Keras compiles momentum and the like as constants. Where ``variables`` has one of them, the
    step reads that instead (:func:`with_variables`).
    """

    variables_of_numbers: "_Variables | None" = None

    def number(self, name: str):
        """A number by the name of its argument: a float, or the program's variable."""
        live = self.variables_of_numbers
        return live.by_name[name] if live else getattr(self, name)

    def apply(self, grads, trainable_variables=None):
        """Changes the variables by their gradients."""
        live = self.variables_of_numbers
        if live and "global_clipnorm" in live.by_name:
            # Keras' formula, which it can only compute with a constant.
            norm = ops.sqrt(ops.sum(ops.stack([ops.sum(ops.square(each)) for each in grads])))
            limit = live.by_name["global_clipnorm"]
            scale = limit * ops.minimum(1.0 / norm, 1.0 / limit) + (norm - norm)
            grads = [each * scale for each in grads]
        super().apply(grads, trainable_variables)


class _Variables:
    """Plain TensorFlow variables, which Keras does not count among the optimizer's."""

    def __init__(self, numbers: dict[str, float]):
        self.by_name = {
            name: tf.Variable(value, dtype=tf.float32, trainable=False)
            for name, value in numbers.items()
        }


@keras.saving.register_keras_serializable(package="tfnets")
class SGD(_WithNumbers, keras.optimizers.SGD):
    """``keras.optimizers.SGD`` with PyTorch's coupled weight decay.

    With gradient g, weight w, momentum m, learning rate lr and decay d, each step is

        g' = g + d w
        b  = m b + g'
        w  = w - lr b              or with Nesterov    w = w - lr (g' + m b)

    Source: ``torch.optim.SGD``, with dampening 0.

    Args:
        learning_rate: As for ``keras.optimizers.SGD``.
        momentum: A float in [0, 1].
        nesterov: Whether to look one step of momentum ahead.
        coupled_weight_decay: d. It applies to every trainable variable, biases too, as
            in PyTorch, and after any clipping of the gradient.
        **kwargs: As for ``keras.optimizers.SGD``; ``weight_decay`` is Keras' own,
            decoupled one.

    Raises:
        InputError: For a ``coupled_weight_decay`` that is negative or not finite.
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        coupled_weight_decay: float = 0.0,
        **kwargs,
    ):
        _check("coupled_weight_decay", coupled_weight_decay)
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, **kwargs)
        self.coupled_weight_decay = float(coupled_weight_decay)

    def update_step(self, gradient, variable, learning_rate):
        """Changes one variable by its gradient; Keras calls it."""
        # TensorFlow's conversion, unlike Keras', adds up the pieces of an embedding's gradient.
        step = ops.cast(tf.convert_to_tensor(gradient), variable.dtype)
        if self.coupled_weight_decay:
            # Minus a negative: TensorFlow 2.21 fuses two sums after a product of matrices into a
            # kernel that it does not have, where the first looks like a bias.
            decay = self.number("coupled_weight_decay")
            step = step - ops.cast(-decay, variable.dtype) * variable
        if self.momentum:
            momentum = ops.cast(self.number("momentum"), variable.dtype)
            buffer = self.momentums[self._get_variable_index(variable)]
            held = momentum * buffer + step
            self.assign(buffer, held)
            step = step + momentum * held if self.nesterov else held
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * step)

    def get_config(self):
        """The arguments, so that a saved model knows its optimizer."""
        return {**super().get_config(), "coupled_weight_decay": self.coupled_weight_decay}


@keras.saving.register_keras_serializable(package="tfnets")
class Adam(_WithNumbers, keras.optimizers.Adam):
    """``keras.optimizers.Adam`` that makes PyTorch's steps.

    With gradient g of weight w, learning rate lr, and t = 1, 2, ... the step's number,

        m = beta_1 m + (1 - beta_1) g
        v = beta_2 v + (1 - beta_2) g^2
        w = w - lr / (1 - beta_1^t) * m / (sqrt(v / (1 - beta_2^t)) + epsilon)

    where Keras adds epsilon to sqrt(v). An embedding's gradient is added up before
    it is squared.

    Source: Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1; ``torch.optim.Adam``.

    Args:
        learning_rate: As for ``keras.optimizers.Adam``.
        beta_1: Decay of the mean of the gradients.
        beta_2: Decay of the mean of their squares.
        epsilon: As small as PyTorch's by default.
        **kwargs: As for ``keras.optimizers.Adam``; there is no ``amsgrad``.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, **kwargs):
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **kwargs)
        if self.amsgrad:
            raise InputError("amsgrad is True; keras.optimizers.Adam has it, tfnets' has not.")

    def update_step(self, gradient, variable, learning_rate):
        """Changes one variable by its gradient; Keras calls it."""
        # TensorFlow's conversion, unlike Keras', adds up the pieces of an embedding's gradient.
        gradient = ops.cast(tf.convert_to_tensor(gradient), variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        corrected_1 = 1 - ops.power(ops.cast(self.beta_1, variable.dtype), step)
        corrected_2 = 1 - ops.power(ops.cast(self.beta_2, variable.dtype), step)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        rate = ops.cast(learning_rate, variable.dtype) / corrected_1
        scale = ops.sqrt(v) / ops.sqrt(corrected_2) + self.epsilon
        self.assign_sub(variable, rate * m / scale)


def settings(
    name: str = "adam",
    learning_rate: float | None = None,
    *,
    momentum: float = 0.9,
    weight_decay: float = 1e-5,
    nesterov: bool = False,
    clipnorm: float = 0.0,
) -> dict[str, float | bool]:
    """The arguments of :func:`build` that an optimizer uses, with defaults filled in.

    Returns:
        ``learning_rate`` as a number; ``clipnorm`` if there is one; for ``"sgd"``
        ``momentum``, ``weight_decay`` and ``nesterov`` too.

    Raises:
        InputError: As for :func:`build`.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"unknown optimizer {name!r}; choose from {', '.join(OPTIMIZERS)}.")
    if learning_rate is None:
        learning_rate = LEARNING_RATES[name]
    if not _is_finite(learning_rate) or learning_rate <= 0:
        raise InputError(f"learning_rate is {learning_rate!r}; expected a positive number.")
    if not _is_finite(momentum) or not 0 <= momentum < 1:
        raise InputError(f"momentum is {momentum!r}; expected a number from 0 to below 1.")
    _check("weight_decay", weight_decay)
    _check("clipnorm", clipnorm)
    common = {"learning_rate": float(learning_rate)}
    if clipnorm:
        common["clipnorm"] = float(clipnorm)
    if name == "adam":
        return common
    if nesterov and not momentum:
        raise InputError("momentum is 0; with nesterov=True it must be above 0.")
    own = {"momentum": float(momentum), "weight_decay": float(weight_decay)}
    return common | own | {"nesterov": bool(nesterov)}


def build(
    name: str = "adam",
    learning_rate: float | None = None,
    *,
    schedule: str = "constant",
    steps: int = 1,
    **options: Any,
) -> keras.optimizers.Optimizer:
    """Builds an optimizer that makes the same steps as PyTorch's.

    Args:
        name: ``"adam"`` (``torch.optim.Adam``: beta 0.9 and 0.999, epsilon 1e-8) or
            ``"sgd"`` (``torch.optim.SGD``).
        learning_rate: Step size; None for the reports' 0.001 of Adam, 0.01 of SGD.
        schedule: What becomes of the learning rate: ``"constant"``, or until the last step
            down to 0 on a straight line (``"linear"``) or on half a cosine (``"cosine"``,
            Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).
        steps: How many steps there will be, for the schedule.
        **options: ``clipnorm`` (0: none), the largest norm of the gradient of all
            variables together, as ``torch.nn.utils.clip_grad_norm_`` has it. Those of SGD,
            which Adam ignores: ``momentum`` (0.9), at least 0 and below 1;
            ``weight_decay`` (1e-5), coupled as in PyTorch, 0 or more; ``nesterov``
            (False), with a momentum above 0.

    Raises:
        InputError: For an unknown name or schedule, or a number out of its range.
    """
    chosen: dict[str, Any] = settings(name, learning_rate, **options)
    check_schedule(schedule)
    if schedule != "constant":
        chosen["learning_rate"] = _SCHEDULES[schedule](chosen["learning_rate"], steps)
    # Keras calls clipnorm what it does to each variable alone.
    chosen["global_clipnorm"] = chosen.pop("clipnorm", None)
    if name == "adam":
        return Adam(**chosen)
    return SGD(coupled_weight_decay=chosen.pop("weight_decay"), **chosen)


# What may differ between trainings by one compiled program: as arguments of an optimizer and of
# a schedule of its learning rate.
_NUMBERS = ("momentum", "coupled_weight_decay", "global_clipnorm")
_OF_SCHEDULE = ("initial_learning_rate", "decay_steps")


def form(optimizer: keras.optimizers.Optimizer) -> str | None:
    """The part of an optimizer that is compiled, as text: its kind, and which numbers are not 0.

    Returns:
        None for optimizers that are not of this module.
    """
    if type(optimizer) not in (SGD, Adam):
        return None
    config = optimizer.get_config()
    del config["name"]  # Keras numbers them
    for name in _NUMBERS:
        config[name] = bool(config.get(name))
    schedule = config.pop("learning_rate")
    if isinstance(schedule, dict):
        of = {k: v for k, v in schedule["config"].items() if k not in _OF_SCHEDULE}
        config["schedule"] = schedule["class_name"], of
    return f"{type(optimizer).__name__} {sorted(config.items())}"


def constants(optimizer: keras.optimizers.Optimizer) -> str:
    """What a compiled step has of any optimizer as constants: all but its rate's value."""
    rate = optimizer._learning_rate
    config = {k: v for k, v in optimizer.get_config().items() if k != "learning_rate"}
    scheduled = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
    return f"{id(rate) if scheduled else 'a variable'} {sorted(config.items(), key=str)}"


def with_variables(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """An optimizer of the same :func:`form`, whose numbers are variables.

    Args:
        optimizer: From :func:`build`.
    """
    config = optimizer.get_config()
    numbers = _numbers(config)
    schedule = config["learning_rate"]
    live = _Variables(numbers)
    if isinstance(schedule, dict):
        by_class = {"PolynomialDecay": "linear", "CosineDecay": "cosine"}
        # The schedules take what they compute with as it is.
        config["learning_rate"] = _SCHEDULES[by_class[schedule["class_name"]]](
            *(live.by_name[name] for name in _OF_SCHEDULE)
        )
    config["global_clipnorm"] = None
    like = type(optimizer)(**config)
    object.__setattr__(like, "variables_of_numbers", live)
    return like


def copy_numbers(source: keras.optimizers.Optimizer, target: keras.optimizers.Optimizer) -> None:
    """Sets the variables of :func:`with_variables` to another optimizer's numbers."""
    for name, value in _numbers(source.get_config()).items():
        target.variables_of_numbers.by_name[name].assign(value)


def _numbers(config: dict[str, Any]) -> dict[str, float]:
    numbers = {name: config[name] for name in _NUMBERS if config.get(name)}
    if isinstance(config["learning_rate"], dict):
        numbers |= {name: config["learning_rate"]["config"][name] for name in _OF_SCHEDULE}
    return numbers


def check_schedule(name: str) -> None:
    """Raises InputError for an unknown schedule of the learning rate."""
    if name not in SCHEDULES:
        raise InputError(f"unknown schedule {name!r}; choose from {', '.join(SCHEDULES)}.")


_SCHEDULES = {
    "linear": lambda rate, steps: keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0),
    "cosine": keras.optimizers.schedules.CosineDecay,
}


def _check(name: str, decay: float) -> None:
    if not _is_finite(decay) or decay < 0:
        raise InputError(f"{name} is {decay!r}; expected a number of 0 or more.")


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
