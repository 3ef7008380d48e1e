"""The commands and what each of their options means."""

from pathlib import Path

import click

from mlproject.process.imports import late_imports
from mlproject.process.options import (
    RESUME,
    AutoFloat,
    Several,
    add_options,
    checkpoint,
    defaults,
    skip,
)
from mlproject.speech.published import Network
from mlproject.tracking.task import Task

TASK = Task("speech")
OPTIMIZERS = ("adam", "sgd")

DATA = (
    click.option(
        "--data",
        default="builtin",
        help="'builtin' (synthesised speech, rendered on first use), 'speech_commands' (Google's "
        "recordings, 2.4 GB, downloaded on first use), a folder in their layout, or an .npz file "
        "with x_train, y_train, x_test, y_test.",
    ),
    click.option(
        "--words",
        default="no,go,down",
        help="Classes, separated by commas: folders of the data, or words for the built-in "
        "corpus to speak. Ignored for an .npz file, which has its own.",
    ),
    click.option(
        "--clips",
        type=click.IntRange(15, 100_000),
        default=3000,
        help="Training clips per word of the built-in corpus.",
    ),
)

LENGTH = (
    click.option(
        "--epochs",
        type=click.IntRange(1, 2**31 - 1),
        default=50,
        help="Passes over the training data.",
    ),
    click.option(
        "--batch-size", type=click.IntRange(1, 2**31 - 1), default=1024, help="Clips per step."
    ),
)

INITIALIZER = click.option(
    "--initializer",
    type=click.Choice(["keras", "torch"]),
    default="keras",
    help="Initial weights: Keras' defaults, or those of PyTorch's modules, which the reports "
    "trained.",
)

SEED = click.IntRange(0, 2**32 - 1)


def training(optimizer: str) -> tuple:
    """The options of one training, with the optimizer that its report uses."""
    return (
        *LENGTH,
        INITIALIZER,
        click.option(
            "--optimizer",
            type=click.Choice(OPTIMIZERS),
            default=optimizer,
            help="Optimizer, with PyTorch's update rule; Adam has PyTorch's defaults.",
        ),
        click.option(
            "--learning-rate",
            type=AutoFloat(),
            default="auto",
            help="Learning rate; 'auto' is the reports': 0.001 for Adam, 0.01 for SGD.",
        ),
        click.option(
            "--momentum",
            type=click.FloatRange(0, 1, max_open=True),
            default=0.9,
            help="SGD only; ignored by Adam.",
        ),
        click.option(
            "--weight-decay",
            type=click.FloatRange(0),
            default=1e-5,
            help="SGD only, on every parameter, coupled as in PyTorch; ignored by Adam.",
        ),
        click.option(
            "--seed",
            type=SEED,
            default=0,
            help="Random seed of the initial weights and the order of the clips.",
        ),
    )


POOLING = click.option(
    "--pooling",
    type=click.Choice(["last", "mean", "flatten"]),
    default="last",
    help="How the frames of the second GRU layer become one vector.",
)


class NetworkType(click.ParamType):
    """A network and its optimizer, ``gru+adam``; becomes a :class:`Network`."""

    name = "network+optimizer"

    def convert(self, value, param, ctx) -> Network:
        """The pair."""
        if isinstance(value, Network):
            return value
        network = Network(*value.lower().partition("+")[::2])
        if network.architecture not in ("fc", "cnn", "gru") or network.optimizer not in OPTIMIZERS:
            self.fail(f"{value!r} is not one of fc, cnn, gru with +adam or +sgd.", param, ctx)
        return network


@click.group(context_settings={"show_default": True}, short_help="Tell spoken words apart.")
def cli():
    """Spoken words: train, compare and use classifiers."""


@cli.command("fc")
@add_options(DATA, training("sgd"))
def fc(**options):
    """Train the fully connected network of report speech_rnn (567,171 parameters)."""
    _train("fc", options)


@cli.command("cnn")
@add_options(DATA, training("adam"))
def cnn(**options):
    """Train the convolutional network of report speech_cnn (346,067 parameters)."""
    _train("cnn", options)


@cli.command("gru")
@add_options(DATA, training("adam"), [POOLING])
@click.option(
    "--reset-after",
    type=bool,
    default=False,
    help="Apply the reset gate after the recurrent product, as PyTorch does.",
)
@click.option(
    "--recurrent-bias",
    type=bool,
    default=True,
    help="Give each gate a recurrent bias beside the input bias, as the report does.",
)
def gru(**options):
    """Train the two-layer GRU of report speech_rnn (70,531 parameters)."""
    _train("gru", options)


@cli.command("compare")
@add_options(DATA, LENGTH, [INITIALIZER])
@click.option(
    "--models",
    type=Several(NetworkType()),
    default="fc+sgd,cnn+sgd,cnn+adam,gru+adam",
    help="Networks to compare (fc, cnn, gru), each with its optimizer (adam, sgd), separated by "
    "commas.",
)
@click.option(
    "--seeds",
    type=Several(SEED),
    default="0",
    help="Seeds to train each with, separated by commas; for several, the table has mean "
    "and standard deviation (ddof 0).",
)
@add_options([RESUME])
def compare(**options):
    """Train several networks on the same data and compare them with the reports."""
    models, seeds = options["models"], options["seeds"]
    name = f"compare {_count(models, 'model')}, {_count(seeds, 'seed')}"
    of_networks = {name: defaults(cli.commands[name]) for name, _ in models}
    with TASK.start_run(name, "compare", options) as run:
        with late_imports():
            from mlproject.speech.sweep import compare
        click.echo(compare(options, of_networks, run))


@cli.command("from-torch")
@add_options(
    [checkpoint("a PyTorch module of one of the reports' networks"), skip()], DATA, [POOLING]
)
def from_torch(**options):
    """Import a network trained in PyTorch, evaluate it, and log a deployable model."""
    name = f"from torch {Path(options['checkpoint']).name}"
    with TASK.start_run(name, "import", options) as run:
        with late_imports():
            from mlproject.speech.from_torch import from_torch
        click.echo(from_torch(options, run))


@cli.command("classify")
@click.argument("clip", required=False)
@click.option(
    "--wav", type=click.Path(), help="Clip to classify: one second, 16 kHz mono 16-bit PCM."
)
@click.option(
    "--model",
    default="latest",
    help="'latest' (the newest finished speech run with a model, from this experiment if it "
    "has one), id of a run, or model URI such as models:/name@alias.",
)
def classify(clip, **options):
    """Classify a clip with a trained model: the word and all probabilities."""
    if (clip is None) == (options["wav"] is None):
        raise click.UsageError("expected one clip: classify CLIP, or classify --wav CLIP.")
    options["wav"] = options["wav"] or clip
    with TASK.start_run("classify", "classify", options) as run:
        with late_imports():
            from mlproject.speech.classify import classify, log
        heard = classify(options["wav"], options["model"], run)
        click.echo(heard)  # first of all: no trouble with logging may cost the answer
        log(heard, run)


def _train(architecture: str, options: dict) -> None:
    name = Network(architecture, options["optimizer"]).run_name(options["seed"])
    with TASK.start_run(name, "train", options) as run:
        with late_imports():
            from mlproject.speech.settings import resolve
            from mlproject.speech.train import train
        click.echo(train(resolve(architecture, options), run))


def _count(things: tuple, name: str) -> str:
    return f"{len(things)} {name}{'s' if len(things) > 1 else ''}"
