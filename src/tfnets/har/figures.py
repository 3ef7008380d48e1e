"""What the report shows of the network itself (har_rnn, figure 5), returned and never saved."""

from collections.abc import Sequence

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfnets import programs
from tfnets.dataset import Split
from tfnets.figures import plain

_MOST = 18  # panels
_GATES = {1: "", 3: "zrh", 4: "ifco"}  # by how many there are: plain RNN, GRU, LSTM


def activations(model: keras.Model, split: Split, classes: Sequence[str], title: str) -> Figure:
    """Hidden states by time step for a sequence of each class (har_rnn, figure 5, top).

    Rows are units, columns time steps. A class that the split has nothing of gets no panel, nor
    do those after the first 18.

    Args:
        model: A network of :func:`tfnets.har.build`.
        split: Sequences; the first of each class is taken.
        classes: Names of the classes.
        title: Which network and which split.
    """
    numbers, first = (each[:_MOST] for each in np.unique(split.y, return_index=True))
    states = _hidden_states(model, split.x[first])
    columns = min(len(numbers), 3)
    rows = -(-len(numbers) // columns)
    figure = Figure(figsize=(2 + 4 * columns, 1 + 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    used, unused = panels.flat[: len(numbers)], panels.flat[len(numbers) :]
    for axes, number, state in zip(used, numbers, states, strict=True):
        image = _image(axes, state.T, limit=1)
        axes.set(title=plain(classes[number]), xlabel="time step")
    for axes in panels[:, 0]:
        axes.set_ylabel("unit")
    for axes in unused:
        axes.set_visible(False)
    figure.colorbar(image, ax=panels, label="hidden state", pad=0.01, aspect=15 * rows)
    figure.suptitle(plain(title))
    return figure


def mistakes(x: np.ndarray, labels: Sequence[str], title: str) -> Figure:
    """Windows below each other, each on a scale of its own.

    Args:
        x: The windows, ``(n, time, channels)``.
        labels: What stands beside each.
        title: What they are.
    """
    figure = Figure(figsize=(9, 1.2 + 0.75 * len(x)), layout="constrained")
    axes = figure.subplots()
    for row, window in enumerate(x):
        middle = (window.max() + window.min()) / 2
        scale = max(float(window.max() - window.min()), 1e-12)
        for channel in range(window.shape[1]):
            name = "xyz"[channel] if window.shape[1] == 3 else f"channel {channel}"
            axes.plot(
                0.9 * (window[:, channel] - middle) / scale - row,
                color=f"C{channel % 10}",
                linewidth=1,
                label=name if row == 0 else None,
            )
    axes.set_yticks([-row for row in range(len(x))], [plain(label) for label in labels])
    axes.set(xlabel="time step", ylim=(0.5 - len(x), 0.5))
    figure.legend(loc="outside lower center", ncols=6)
    figure.suptitle(plain(title))
    return figure


def unit_shares(model: keras.Model, x: np.ndarray) -> dict[str, float]:
    """The numbers beside the heat maps: how many hidden units are of little use.

    The report sees units that contribute much and units that contribute almost nothing
    (har_rnn, section IV).

    Args:
        model: A network of :func:`tfnets.har.build`.
        x: Windows, ``(n, time, channels)``.

    Returns:
        ``hardly_vary``: the share of units whose state has a standard deviation below 0.1 over
        all steps of all windows, of the 2 between -1 and 1. ``saturated``: the share of units
        whose state is beyond -0.95 or 0.95 in more than half of the steps.
    """
    states = _hidden_states(model, x)
    states = states.reshape(-1, states.shape[-1]).astype(np.float64)
    return {
        "hardly_vary": float((states.std(axis=0) < 0.1).mean()),
        "saturated": float(((np.abs(states) > 0.95).mean(axis=0) > 0.5).mean()),
    }


def _hidden_states(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The states of the recurrent layer at every step, ``(n, time, units)``."""
    hidden = keras.Model(model.input, model.get_layer("hidden").output)
    if programs.is_as_built(model):
        programs.built(hidden)
    return programs.predict(hidden, x, 256)


def weights(model: keras.Model, title: str) -> Figure:
    """The matrices W_aa, W_ax and W_ya (har_rnn, figure 5, below the hidden states).

    They stand as in W_aa a + W_ax x and W_ya a: rows are the units or classes that a product
    is for, columns the units or channels that it sums over. That is Keras' kernels
    transposed. An LSTM or GRU has such a matrix for each gate; they are side by side.

    Args:
        model: A network of :func:`tfnets.har.build`.
        title: Which network.
    """
    hidden, scores = model.get_layer("hidden"), model.get_layer("scores")
    gates = _GATES[hidden.cell.kernel.shape[1] // hidden.units]
    figure = Figure(figsize=(9 + 1.2 * len(gates), 8), layout="constrained")
    panels: dict = figure.subplot_mosaic(
        [["aa", "ax"], ["ya", "ya"]], width_ratios=(2, 1), height_ratios=(3, 1)
    )
    aa, ax, ya = (panels[name] for name in ("aa", "ax", "ya"))
    _matrix(aa, hidden.cell.recurrent_kernel, "from unit", "to unit", gates)
    _matrix(ax, hidden.cell.kernel, "channel", "to unit", gates)
    _matrix(ya, scores.kernel, "from unit", "class")
    aa.set_title("W_aa: hidden to hidden")
    ax.set_title("W_ax: input to hidden")
    ya.set_title("W_ya: hidden to output")
    figure.suptitle(plain(title))
    return figure


def _matrix(axes, kernel, source: str, target: str, gates: str = "") -> None:
    """A kernel of Keras, turned to ``(targets, sources)``; gate by gate if it holds several."""
    blocks = np.split(keras.ops.convert_to_numpy(kernel).T, max(len(gates), 1))
    targets, sources = blocks[0].shape
    matrix = np.concatenate(blocks, axis=1)
    image = _image(axes, matrix, limit=np.abs(matrix).max())
    axes.figure.colorbar(image, ax=axes)
    axes.set(xlabel=f"{source} ({sources})", ylabel=f"{target} ({targets})")
    if gates:
        starts = sources * np.arange(len(gates)) - 0.5
        axes.set_xticks(starts + sources / 2, list(gates))
        axes.set_xlabel(f"{source} ({sources}), for each gate")
        for start in starts[1:]:
            axes.axvline(start, color="black", linewidth=1.5)


def _image(axes, values: np.ndarray, limit: float):
    """A heat map in which white is 0."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return axes.imshow(
        values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
