"""The number of parameters of a model, derived layer by layer from its configuration.

Nothing here counts weights: every figure comes from the closed forms of the
reports (speech_rnn, section 1.4.1; speech_cnn, sections 1.1.2 and 1.4.1), with the
layer's own sizes filled in, so that the table can be checked by hand and the sum
be held against ``model.count_params()``.

>>> from tfnets import parameters, speech
>>> print(parameters.derive(speech.build("gru")))
layer          kind   output     parameters
gru_1          GRU    101 x 64   (40+64+2)*3*64 = 20352
gru_2          GRU    64         (64+64+2)*3*64 = 24960
dense_1        Dense  128        (64+1)*128 = 8320
dense_2        Dense  128        (128+1)*128 = 16512
probabilities  Dense  3          (128+1)*3 = 387
total                            20352+24960+8320+16512+387 = 70531
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, prod

import keras
import psutil

from tfnets import tables
from tfnets.errors import InputError


@dataclass(frozen=True)
class Row:
    """One layer of the derivation.

    Attributes:
        layer: The layer's name.
        kind: Its class, as Keras calls it.
        output: Shape of one sample's output, ``"97 x 36 x 32"``, or how it comes
            about: ``"floor((101-5+0)/1 + 1) = 97, ..."`` stands in ``output_formula``.
        output_formula: The output size by the report's formula, one term a
            dimension, for convolutions and pooling; else empty.
        formula: The parameters with the sizes filled in, ``"(40+64+2)*3*64"``;
            empty for a layer without parameters.
        parameters: The number that the formula gives.
    """

    layer: str
    kind: str
    output: str
    output_formula: str
    formula: str
    parameters: int

    def __str__(self) -> str:
        return f"{self.formula} = {self.parameters}" if self.formula else "0"


@dataclass(frozen=True)
class Derivation:
    """The table of a whole model; ``print`` it, or take its ``rows``."""

    rows: tuple[Row, ...]

    @property
    def total(self) -> int:
        """The model's number of parameters."""
        return sum(row.parameters for row in self.rows)

    @property
    def total_formula(self) -> str:
        """The sum with its terms, ``"20352+24960+8320+16512+387"``."""
        return "+".join(str(row.parameters) for row in self.rows if row.parameters) or "0"

    def columns(self) -> dict[str, list]:
        """The table by columns, as ``mlflow.log_table`` and pandas take it."""
        sizes = ["output_formula"] if any(row.output_formula for row in self.rows) else []
        names = ("layer", "kind", "output", *sizes, "formula", "parameters")
        table = {name: [getattr(row, name) for row in self.rows] for name in names}
        last = {"layer": "total", "formula": self.total_formula, "parameters": self.total}
        return {name: [*column, last.get(name, "")] for name, column in table.items()}

    def __str__(self) -> str:
        columns = {
            "layer": [row.layer for row in self.rows] + ["total"],
            "kind": [row.kind for row in self.rows] + [""],
            "output": [row.output for row in self.rows] + [""],
            "output size": [row.output_formula for row in self.rows] + [""],
            "parameters": [*map(str, self.rows), f"{self.total_formula} = {self.total}"],
        }
        if not any(columns["output size"]):
            del columns["output size"]
        return tables.text(columns)


def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """Output size of a convolution or a pooling layer along one dimension.

    floor((I - K + 2P) / S + 1); speech_cnn, section 1.1.2, equation (1).
    """
    return floor((size - kernel + 2 * padding) / stride + 1)


def dense(inputs: int, units: int, bias: bool = True) -> str:
    """(m + 1) * n; speech_cnn, section 1.4.1."""
    return f"({inputs}+1)*{units}" if bias else f"{inputs}*{units}"


def convolution(kernel: Sequence[int], channels: int, filters: int, bias: bool = True) -> str:
    """Kx * Ky * C_in * C_out + C_out; speech_cnn, section 1.4.1."""
    sizes = "*".join(map(str, kernel))
    return f"{sizes}*{channels}*{filters}" + (f"+{filters}" if bias else "")


def embedding(vocabulary: int, dimension: int) -> str:
    """One vector for each entry of the vocabulary."""
    return f"{vocabulary}*{dimension}"


def recurrent(inputs: int, units: int, gates: int = 1, biases: int = 1) -> str:
    """(m + n + biases) * gates * n.

    ``gates`` is 1 for the simple RNN, 3 for the GRU and 4 for the LSTM. ``biases``
    is 2 for the GRU of the report (speech_rnn, section 1.4.1) and for
    ``reset_after=True``, 1 for stock Keras' RNN, LSTM and "before" GRU. PyTorch's
    RNN and LSTM carry 2, of which one is redundant.
    """
    factor = f"*{gates}" if gates > 1 else ""
    return f"({inputs}+{units}{f'+{biases}' if biases else ''}){factor}*{units}"


GATES = {"rnn": 1, "gru": 3, "lstm": 4}  # of the recurrent cells


def check_memory(sizes: str, *formulas: str) -> None:
    """Refuses a network that cannot be trained on this machine, before anything is allocated.

    Its weights, their gradients and an optimizer's two moments are there at once, 16 bytes for a
    parameter.

    Args:
        sizes: What makes it large: ``"hidden_size=2147483647, num_layers=2"``.
        formulas: The parameters of its layers, as the functions above give them.

    Raises:
        InputError: If it needs more than the machine has.
    """
    count = sum(map(_value, formulas))
    memory = psutil.virtual_memory().total
    if 16 * count > memory:
        raise InputError(
            f"{sizes} makes {count:,} parameters; their training needs {16 * count / 1e9:,.0f} "
            f"GB, and this machine has {memory / 1e9:,.0f} GB."
        )


def _of_dense(layer: keras.layers.Dense) -> str:
    return dense(layer.input.shape[-1], layer.units, layer.use_bias)


def _of_convolution(layer: keras.layers.Layer) -> str:
    channels = layer.input.shape[-1 if layer.data_format == "channels_last" else 1]
    return convolution(layer.kernel_size, channels // layer.groups, layer.filters, layer.use_bias)


def _of_embedding(layer: keras.layers.Embedding) -> str:
    return embedding(layer.input_dim, layer.output_dim)


def _of_simple_rnn(layer: keras.layers.SimpleRNN) -> str:
    return recurrent(_features(layer), layer.units, 1, int(layer.use_bias))


def _of_lstm(layer: keras.layers.LSTM) -> str:
    return recurrent(_features(layer), layer.units, 4, int(layer.use_bias))


def _of_gru(layer: keras.layers.GRU) -> str:
    two = layer.reset_after or getattr(layer, "recurrent_bias", False)
    return recurrent(_features(layer), layer.units, 3, int(layer.use_bias) * (2 if two else 1))


def _features(layer: keras.layers.RNN) -> int:
    inputs = layer.input
    sequences = inputs[0] if isinstance(inputs, list) else inputs
    return sequences.shape[-1]


# Subclasses count as what they derive from, so that faster layers need no entry.
_FORMULAS: dict[type, Callable[[keras.layers.Layer], str]] = {
    keras.layers.Dense: _of_dense,
    keras.layers.Conv1D: _of_convolution,
    keras.layers.Conv2D: _of_convolution,
    keras.layers.Embedding: _of_embedding,
    keras.layers.SimpleRNN: _of_simple_rnn,
    keras.layers.LSTM: _of_lstm,
    keras.layers.GRU: _of_gru,
}

_WITHOUT_PARAMETERS = (
    keras.layers.Activation,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.Concatenate,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.Permute,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.Reshape,
    keras.layers.Softmax,
)


def derive(model: keras.Model) -> Derivation:
    """Derives the parameters of every layer of a built functional or sequential model.

    Raises:
        ValueError: For a kind of layer whose parameters have no formula here.
    """
    return Derivation(
        tuple(
            _row(layer) for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)
        )
    )


def _row(layer: keras.layers.Layer) -> Row:
    formula = ""
    for kind, of in _FORMULAS.items():
        if isinstance(layer, kind):
            formula = of(layer)
            break
    else:
        if not isinstance(layer, _WITHOUT_PARAMETERS):
            known = ", ".join(sorted(kind.__name__ for kind in _FORMULAS))
            raise ValueError(
                f"no formula for the parameters of layer {layer.name!r} of kind "
                f"{type(layer).__name__}; there is one for {known}."
            )
    shape = layer.output[0].shape if isinstance(layer.output, list) else layer.output.shape
    return Row(
        layer=layer.name,
        kind=type(layer).__name__,
        output=" x ".join("?" if size is None else str(size) for size in shape[1:]),
        output_formula=_sizes(layer),
        formula=formula,
        parameters=_value(formula),
    )


def _sizes(layer: keras.layers.Layer) -> str:
    """The output size along each dimension with the formula filled in, where a layer has one."""
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if not kernel or getattr(layer, "dilation_rate", None) not in (None, (1,), (1, 1)):
        return ""
    first = 1 if layer.data_format == "channels_last" else 2
    sizes = layer.input.shape[first : first + len(kernel)]
    terms = []
    for size, k, stride in zip(sizes, kernel, layer.strides, strict=True):
        if size is None:
            terms.append("?")
        elif layer.padding == "valid":
            result = output_size(size, k, stride=stride)
            terms.append(f"floor(({size}-{k}+0)/{stride} + 1) = {result}")
        else:
            terms.append(f"ceil({size}/{stride}) = {-(-size // stride)}")
    return ", ".join(terms)


def _value(formula: str) -> int:
    """The value of a formula: sums, products and brackets of whole numbers."""
    total = 0
    for term in _split(formula, "+"):
        factors = _split(term, "*")
        total += prod(_value(f[1:-1]) if f.startswith("(") else int(f) for f in factors)
    return total


def _split(text: str, operator: str) -> list[str]:
    """``text`` at each ``operator`` outside brackets."""
    parts, depth = [""] if text else [], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == operator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
