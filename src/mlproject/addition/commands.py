"""The commands and what each of their options means."""

from pathlib import Path

import click

from mlproject.addition.published import STUDIES
from mlproject.process.imports import late_imports
from mlproject.process.options import (
    COUNT,
    ON_DASK,
    SEED,
    AutoSeveral,
    OneOf,
    Several,
    add_options,
    batch_size,
    checkpoint,
    defaults,
    learning_rate,
    momentum,
    optimizer,
    seed,
    skip,
)
from mlproject.sweeps import space
from mlproject.tracking.task import Task

TASK = Task("addition")
LENGTH = click.IntRange(2, 10_000)

TRAINING = (
    click.option(
        "--base",
        type=click.IntRange(2, 36),
        default=10,
        help="Base of the numbers; 2 is the binary adder of the report's section 1.2.",
    ),
    click.option(
        "--initializer",
        type=click.Choice(["torch", "keras"]),
        default="torch",
        help="Initial weights: those of PyTorch's modules, which the report trained, or Keras' "
        "defaults.",
    ),
    click.option("--steps", type=COUNT, default=3000, help="Optimizer steps."),
    batch_size(200, "Pairs of numbers per step, each newly drawn."),
)


LENGTHS = (
    click.option(
        "--seq-len",
        type=LENGTH,
        default=11,
        help="Digits of a sum: one more than the numbers have, for the carry.",
    ),
    click.option(
        "--lengths",
        type=AutoSeveral(LENGTH),
        default="auto",
        help="Other values of seq_len to test with, separated by commas; 'auto' is half, twice "
        "and ten times seq_len.",
    ),
)


NETWORK = (
    click.option(
        "--cell",
        type=click.Choice(["rnn", "lstm", "gru"]),
        default="rnn",
        help="Type of the recurrent layers.",
    ),
    click.option(
        "--embedding-dim",
        type=COUNT,
        default=32,
        help="Size of the embedding of a digit (the report's input_size).",
    ),
    click.option("--hidden-size", type=COUNT, default=64, help="Units per recurrent layer."),
    click.option("--num-layers", type=COUNT, default=2, help="Number of recurrent layers."),
)

OPTIMIZER = (
    optimizer(["adam", "sgd"], "adam"),
    momentum(0.0),
    click.option(
        "--nesterov",
        type=bool,
        default=False,
        help="Nesterov momentum; SGD only, ignored by Adam.",
    ),
    learning_rate("0.001 for Adam, 0.1 for SGD"),
    seed(0, "pairs that are drawn"),
)


def register_as(default: str):
    """The option that names where a network is registered."""
    return click.option(
        "--register-as",
        default=default,
        help="Name in the model registry; 'auto' is adder, or adder-base2 for base 2 and so on; "
        "'none' registers nothing.",
    )


@click.group(context_settings={"show_default": True}, short_help="Add numbers digit by digit.")
def cli():
    """Addition, digit by digit: train networks, study them, and add with them."""


@cli.command("rnn")
@add_options(NETWORK, LENGTHS, TRAINING, OPTIMIZER)
@register_as("auto")
def rnn(**options):
    """Train the adder of report addition_rnn (17,482 parameters)."""
    name = f"{options['cell']} {options['hidden_size']} {options['optimizer']}"
    with TASK.start_run(f"{name} seed {options['seed']}", "train", options) as run:
        with late_imports():
            from mlproject.addition.settings import resolve
            from mlproject.addition.train import train
        click.echo(train(resolve(options), run))


@cli.command("study")
@click.option(
    "--study",
    type=click.Choice(["all", *STUDIES]),
    default="hidden_size",
    help="Study to run, named by the option that it varies; 'all' runs all eight.",
)
@click.option(
    "--values",
    default="report",
    help="Values to compare, separated by commas; 'report' is those of the report.",
)
@click.option(
    "--seeds",
    type=Several(SEED),
    default="0",
    help="Seeds to train each with, separated by commas.",
)
@add_options(TRAINING, ON_DASK)
def study(**options):
    """Vary one option at a time, as the report does, and compare with its results."""
    if options["values"] != "report":
        options["values"] = _values(options["study"], options["values"])
    of_training = defaults(cli.commands["rnn"])
    name = f"study {options['study']}, seeds {','.join(map(str, options['seeds']))}"
    with TASK.start_run(name, "study", options) as run:
        with late_imports():
            from mlproject.addition.sweep import study
        click.echo(study(options, of_training, run))


@cli.command("search")
@add_options(
    space.options(
        "hidden_size=16..128:log,num_layers=1..3,learning_rate=0.0003..0.01:log", "adder"
    ),
    [space.PARALLEL],
    NETWORK,
    LENGTHS,
    TRAINING,
    OPTIMIZER,
    ON_DASK,
)
def search(**options):
    """Look for good options by exact match on validation pairs; register the best."""
    of_search = [option for option in options if option not in defaults(rnn)]
    space.check(options["space"], rnn, space.NOT_SEARCHED)
    with TASK.start_run(f"search {options['trials']} trials", "search", options) as run:
        with late_imports():
            from mlproject.addition.search import search
        click.echo(search(options, of_search, rnn, run))


@cli.command("from-torch")
@add_options([checkpoint("a PyTorch module that adds, such as the report's"), skip()], LENGTHS)
@register_as("none")
def from_torch(**options):
    """Import an adder trained in PyTorch, evaluate it, and log a deployable model.

    It must see what the report's sees: at each step a digit of either number, the least
    significant first, with zeros behind.
    """
    name = f"from torch {Path(options['checkpoint']).name}"
    with TASK.start_run(name, "import", options) as run:
        with late_imports():
            from mlproject.addition.from_torch import from_torch
        click.echo(from_torch(options, run))


@cli.command("add")
@click.argument("numbers", nargs=-1, metavar="[A B]")
@click.option("--a", help="First number, such as 123456789.")
@click.option("--b", help="Second number.")
@click.option(
    "--model",
    default="models:/adder@champion",
    help="Model URI such as models:/adder-base2@champion, id of a run, or 'latest' (the newest "
    "finished training, from this experiment if it has one).",
)
def add(numbers, **options):
    """Add two numbers with a trained network, and check the sum: add 57 68."""
    if len(numbers) == 2 and options["a"] is options["b"] is None:
        options["a"], options["b"] = numbers
    elif numbers or None in (options["a"], options["b"]):
        raise click.UsageError("expected two numbers: add 57 68, or add --a 57 --b 68.")
    with TASK.start_run("add", "add", options) as run:
        with late_imports():
            from mlproject.addition.add import add, log
        answer = add(options["a"], options["b"], options["model"], run)
        click.echo(answer)  # first of all: no trouble with logging may cost the answer
        log(answer, run)


def _values(study: str, given: str) -> tuple:
    """Values of what a study varies: the report's by name, others as the option has them."""
    if study == "all":
        raise click.BadParameter("all studies have the report's; name one.", param_hint="values")
    names = [value.name for value in STUDIES[study].values]
    (option,) = (o for o in cli.commands["rnn"].params if o.name == STUDIES[study].varies)
    try:
        return Several(OneOf(names, option.type)).convert(given, None, None)
    except click.BadParameter as error:
        raise click.BadParameter(error.message, param_hint="values") from None
