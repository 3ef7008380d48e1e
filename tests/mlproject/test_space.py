"""What a search tries, as users write it."""

import click
import optuna
import pytest

from mlproject.har.commands import rnn
from mlproject.sweeps import search as searching
from mlproject.sweeps import space
from mlproject.sweeps.space import Axis, SpaceType


def parsed(text):
    return SpaceType().convert(text, None, None)


def test_what_a_user_writes():
    assert parsed("units=10..200:log, learning-rate=0.001..0.1,cell=rnn|gru") == (
        Axis("units", (), 10, 200, True),
        Axis("learning_rate", (), 0.001, 0.1, False),
        Axis("cell", ("rnn", "gru")),
    )
    for text in ("units=10..200:log", "learning_rate=0.001..0.1", "cell=rnn|gru"):
        (axis,) = parsed(text)
        assert str(axis) == text
    assert [axis.whole for axis in parsed("units=1..9,rate=0.1..1,rate2=1..1.5")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("units", "'units' is no option with values, such as units=10..200"),
        ("units=", "'units=' is no option with values"),
        ("units=9..2", "'units=9..2' is no range low..high or low..high:log"),
        ("units=1..x", "'units=1..x' is no range"),
        ("units=1..9:ln", "'units=1..9:ln' is no range"),
        ("units=0..9:log", "a logarithmic range is of positive numbers"),
        ("cell=rnn|", "'cell=rnn|' has an empty value, or one twice"),
        ("cell=rnn|rnn", "'cell=rnn|rnn' has an empty value, or one twice"),
        ("units=1..9,units=2..4", "names units twice; give each once"),
        ("unit=1..9", "unit is no option of rnn"),
        ("seed=1..9", "seed is no choice: the best seed is the luckiest"),
        ("data=a|b", "data decides what is trained on, which all trials share"),
        ("units=0..9", "units: 0 is not in the range"),
        ("cell=rnn|tcn", "cell: 'tcn' is not one of 'rnn', 'lstm', 'gru'"),
    ],
)
def test_what_cannot_be_searched_is_one_line(text, line):
    with pytest.raises(click.BadParameter) as caught:
        space.check(parsed(text), rnn, space.NOT_SEARCHED)
    assert line in caught.value.message
    assert "\n" not in caught.value.message


def test_the_distributions_are_optunas():
    of = searching._distribution
    whole, number, choice = parsed("units=10..200:log,rate=0.1..0.5,cell=rnn|gru")
    assert of(whole) == optuna.distributions.IntDistribution(10, 200, log=True)
    assert of(number) == optuna.distributions.FloatDistribution(0.1, 0.5)
    assert of(choice) == optuna.distributions.CategoricalDistribution(("rnn", "gru"))
