import click
import pytest

from mlproject.process.options import AutoFloat, Several, add_options


def test_auto_or_a_positive_number():
    kind = AutoFloat()
    assert kind.convert("auto", None, None) == "auto"
    assert kind.convert("1e-3", None, None) == 0.001
    for bad in ("0", "-1", "fast", "nan", "inf"):
        with pytest.raises(click.BadParameter, match="is neither a positive number nor 'auto'"):
            kind.convert(bad, None, None)


def test_several_values_each_once():
    kind = Several(click.IntRange(0, 9))
    assert kind.convert("3, 1,2", None, None) == (3, 1, 2)
    for bad, message in (("1,1", "names 1 twice"), ("1,", "'' is not a valid"), ("10", "range")):
        with pytest.raises(click.BadParameter, match=message):
            kind.convert(bad, None, None)


def test_options_of_groups_keep_their_order():
    @click.command()
    @add_options([click.option("--a"), click.option("--b")], [click.option("--c")])
    def command(**parameters):
        pass

    assert [option.name for option in command.params] == ["a", "b", "c"]
