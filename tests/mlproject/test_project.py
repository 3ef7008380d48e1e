"""MLproject repeats name, type and default of the click options; here they are compared."""

import re
from pathlib import Path

import click
import pytest
import yaml

from mlproject.addition.commands import cli as addition
from mlproject.har.commands import cli as har
from mlproject.speech.commands import cli

PROJECT = yaml.safe_load((Path(__file__).parents[2] / "MLproject").read_text())
GROUPS = {"mlproject.speech": cli, "mlproject.har": har, "mlproject.addition": addition}


def entry_points():
    return PROJECT["entry_points"].items()


def command_of(entry):
    module, name = re.match(r"python -m (\S+) (\S+)", entry["command"]).groups()
    return GROUPS[module].commands[name]


def options_of(command):
    """What can be given by name; an argument, given by place, is for those who type commands."""
    return [each for each in command.params if isinstance(each, click.Option)]


def type_of(option):
    return (
        "float"
        if isinstance(option.type, click.types.IntParamType | click.FloatRange)
        else ("string")
    )


@pytest.mark.parametrize(("name", "entry"), entry_points())
def test_parameters_are_the_options(name, entry):
    context = click.Context(command_of(entry))
    options = {option.name: option for option in options_of(context.command)}
    assert set(entry["parameters"]) == set(options)
    for key, option in options.items():
        declared = entry["parameters"][key]
        assert declared["type"] == type_of(option), key
        default = option.get_default(context)
        if not isinstance(default, str | int | float):  # click has two words for "none"
            assert "default" not in declared, key
        else:
            assert declared["default"] == default, key
            assert type(declared["default"]) is type(default), key


@pytest.mark.parametrize(("name", "entry"), entry_points())
def test_every_parameter_reaches_its_option(name, entry):
    words = entry["command"].split()[4:]
    passed = dict(zip(words[::2], words[1::2], strict=True))
    assert passed == {f"--{key.replace('_', '-')}": f"{{{key}}}" for key in entry["parameters"]}


def test_every_command_is_an_entry_point():
    entries = {tuple(entry["command"].split()[2:4]) for _, entry in entry_points()}
    commands = {(module, name) for module, group in GROUPS.items() for name in group.commands}
    assert entries == commands


def test_main_is_the_speech_gru():
    assert PROJECT["entry_points"]["main"] == PROJECT["entry_points"]["speech_gru"]


def test_the_corpus_has_as_many_clips_as_the_option_allows():
    from tfnets.speech import corpus

    (clips,) = (option for option in cli.commands["gru"].params if option.name == "clips")
    assert clips.type.max == corpus.MOST_CLIPS


def test_every_option_has_a_help_text():
    for group in GROUPS.values():
        for command in group.commands.values():
            assert command.help
            assert all(option.help for option in options_of(command))
