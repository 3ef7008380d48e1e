"""Figure 5 against what the network computes."""

import numpy as np
import pytest

from tfnets import har
from tfnets.dataset import Split
from tfnets.har import figures

CLASSES = ("walking", "upstairs", "sitting", "standing", "laying")


def build(cell="rnn", units=7):
    """Seven units, twelve steps, two channels, five classes: no two alike."""
    return har.build(cell, input_shape=(12, 2), num_classes=len(CLASSES), units=units, loss="raw")


def split(labels):
    x = np.random.default_rng(0).normal(size=(len(labels), 12, 2)).astype(np.float32)
    return Split(x, np.array(labels, np.int32))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def images(figure):
    """Heat maps by their panels' titles; colour bars and hidden panels have none."""
    return {axes.get_title(): axes.images[0] for axes in figure.axes if axes.images}


def separators(axes):
    assert all(len(set(line.get_xdata())) == 1 for line in axes.lines)
    return [line.get_xdata()[0] for line in axes.lines]


def test_activations_are_the_hidden_states_of_the_first_of_each_class():
    model, data = build(), split([3, 0, 3, 1, 0, 4])
    figure = figures.activations(model, data, CLASSES, "rnn, test")
    assert figure.get_suptitle() == "rnn, test"
    shown = images(figure)
    first = {"walking": 1, "upstairs": 3, "standing": 0, "laying": 5}
    assert list(shown) == list(first)
    for name, index in first.items():
        states = model.get_layer("hidden")(data.x[index : index + 1])[0]
        np.testing.assert_allclose(shown[name].get_array(), np.transpose(states), atol=1e-6)
        assert shown[name].get_array().shape == (7, 12)
        assert shown[name].get_clim() == (-1, 1)
        assert shown[name].axes.get_xlabel() == "time step"
    panels, (bar,) = figure.axes[:6], figure.axes[6:]
    assert [axes.get_visible() for axes in panels] == [True] * 4 + [False] * 2
    assert [axes.get_ylabel() for axes in panels] == ["unit", "", ""] * 2
    assert bar.get_ylabel() == "hidden state"


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_activations_of_one_class_and_gates(cell, tmp_path):
    figure = figures.activations(build(cell), split([2, 2]), CLASSES, "t")
    assert list(images(figure)) == ["sitting"]
    assert len(figure.axes) == 2
    figure.savefig(tmp_path / "figure.png")


def test_weights_stand_as_in_the_formulas():
    model = build()
    figure = figures.weights(model, "rnn")
    assert figure.get_suptitle() == "rnn"
    assert len(figure.axes) == 3 + 3  # a colour bar each
    shown = images(figure)
    names = ("W_aa: hidden to hidden", "W_ax: input to hidden", "W_ya: hidden to output")
    assert tuple(shown) == names
    w_aa, w_ax, w_ya = (shown[name].get_array() for name in names)

    x = split([0]).x[0]
    kernel, recurrent, b_a = model.get_layer("hidden").get_weights()
    b_y = model.get_layer("scores").get_weights()[1]
    a = np.zeros(7)
    for x_t in x:
        a = np.tanh(w_aa @ a + w_ax @ x_t + b_a)
    np.testing.assert_allclose(sigmoid(w_ya @ a + b_y), model(x[None])[0, -1], atol=1e-5)
    # A sum over time could hide a small mistake; the matrices themselves cannot.
    np.testing.assert_array_equal(w_aa, recurrent.T)
    np.testing.assert_array_equal(w_ax, kernel.T)

    labels = [(image.axes.get_xlabel(), image.axes.get_ylabel()) for image in shown.values()]
    assert labels == [
        ("from unit (7)", "to unit (7)"),
        ("channel (2)", "to unit (7)"),
        ("from unit (7)", "class (5)"),
    ]
    for image in shown.values():
        limit = np.abs(image.get_array()).max()
        assert image.get_clim() == (-limit, limit)
        assert not separators(image.axes)


@pytest.mark.parametrize(("cell", "gates"), [("lstm", "ifco"), ("gru", "zrh")])
def test_weights_of_gates_stand_side_by_side(cell, gates):
    model = build(cell)
    w_aa, w_ax, w_ya = images(figures.weights(model, cell)).values()
    kernel, recurrent = model.get_layer("hidden").get_weights()[:2]
    for image, weights, sources in ((w_aa, recurrent, 7), (w_ax, kernel, 2)):
        matrix = image.get_array()
        assert matrix.shape == (7, sources * len(gates))
        for number in range(len(gates)):
            np.testing.assert_array_equal(
                matrix[:, sources * number : sources * (number + 1)],
                weights[:, 7 * number : 7 * (number + 1)].T,
            )
        between = [sources * number - 0.5 for number in range(1, len(gates))]
        assert separators(image.axes) == between
        assert [tick.get_text() for tick in image.axes.get_xticklabels()] == list(gates)
        np.testing.assert_allclose(
            image.axes.get_xticks(), [sources * (n + 0.5) - 0.5 for n in range(len(gates))]
        )
    assert w_ax.axes.get_xlabel() == "channel (2), for each gate"
    assert not separators(w_ya.axes)


@pytest.mark.parametrize(
    ("cell", "first_state"),
    [
        ("lstm", lambda g: sigmoid(g["o"]) * np.tanh(sigmoid(g["i"]) * np.tanh(g["c"]))),
        ("gru", lambda g: (1 - sigmoid(g["z"])) * np.tanh(g["h"])),
    ],
)
def test_a_gate_is_what_its_name_says(cell, first_state):
    model, x = build(cell), split([0]).x
    layer = model.get_layer("hidden")
    layer.cell.bias.assign(np.zeros(layer.cell.bias.shape))
    w_ax = images(figures.weights(model, cell))["W_ax: input to hidden"]
    names = [tick.get_text() for tick in w_ax.axes.get_xticklabels()]
    blocks = np.split(np.asarray(w_ax.get_array()), len(names), axis=1)
    gates = {name: block @ x[0, 0] for name, block in zip(names, blocks, strict=True)}
    np.testing.assert_allclose(layer(x)[0, 0], first_state(gates), atol=1e-6)


def test_the_numbers_beside_the_heat_maps_count_units():
    model = build()
    kernel, recurrent, bias, *rest = (0 * w for w in model.get_weights())
    # Of seven units two are always at 0.99, one swings with the input, four stay at 0.
    bias[:2], kernel[0, 2] = 3, 5
    model.set_weights([kernel, recurrent, bias, *rest])
    x = np.random.default_rng(0).normal(size=(6, 12, 2)).astype(np.float32)
    assert np.tanh(5 * x[..., 0]).std() > 0.1
    shares = figures.unit_shares(model, x)
    swinging = (np.abs(np.tanh(5 * x[..., 0])) > 0.95).mean() > 0.5
    assert shares == pytest.approx({"hardly_vary": 6 / 7, "saturated": (2 + swinging) / 7})
