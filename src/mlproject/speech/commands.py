"""The commands and what each of their options means."""

from pathlib import Path

import click

from mlproject.process.imports import late_imports
from mlproject.process.options import (
    AGAINST,
    RESUME,
    SEED,
    OneOf,
    Several,
    add_options,
    checkpoint,
    defaults,
    skip,
)
from mlproject.speech.options import (
    A_SEED,
    AUTO_POOLING,
    CHOICE,
    DATA,
    INITIALIZER,
    LENGTH,
    MODEL,
    PART,
    POOLING,
    PROTOCOL,
    SPLIT,
    NetworkType,
    training,
)
from mlproject.speech.published import Network
from mlproject.sweeps import space
from mlproject.tracking.task import Task

TASK = Task("speech")


@click.group(context_settings={"show_default": True}, short_help="Tell spoken words apart.")
def cli():
    """Spoken words: train, compare and use classifiers."""


@cli.command("fc")
@add_options(DATA, SPLIT, PROTOCOL, training("sgd"), CHOICE)
def fc(**options):
    """Train the fully connected network of report speech_rnn (567,171 parameters)."""
    _train("fc", options)


@cli.command("cnn")
@add_options(DATA, SPLIT, PROTOCOL, training("adam"), CHOICE)
def cnn(**options):
    """Train the convolutional network of report speech_cnn (346,067 parameters)."""
    _train("cnn", options)


@cli.command("gru")
@add_options(DATA, SPLIT, PROTOCOL, training("adam"), CHOICE, [AUTO_POOLING])
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
@add_options(DATA, SPLIT, PROTOCOL, LENGTH, [INITIALIZER], CHOICE)
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


@cli.command("cross-validation")
@add_options(DATA, PROTOCOL, LENGTH, [INITIALIZER], CHOICE)
@click.option(
    "--models",
    type=Several(NetworkType()),
    default="gru+adam",
    help="Networks (fc, cnn, gru), each with its optimizer (adam, sgd), separated by commas; the "
    "first is the reference.",
)
@click.option(
    "--folds",
    type=OneOf(("speaker",), click.IntRange(2, 100_000)),
    default="5",
    help="Into how many parts the speakers are cut, each tested on once; 'speaker' leaves out one "
    "at a time.",
)
@click.option(
    "--seeds",
    type=Several(SEED),
    default="0",
    help="Seeds to train each fold with, separated by commas; averaged within a speaker.",
)
@add_options([AGAINST, RESUME])
def cross_validation(**options):
    """Test on every speaker once, by networks that never heard them; compare by speaker."""
    models, seeds = options["models"], options["seeds"]
    name = f"cross-validation {_count(models, 'model')}, {_count(seeds, 'seed')}"
    of_networks = {name: defaults(cli.commands[name]) for name, _ in models}
    with TASK.start_run(name, "cross-validation", options) as run:
        with late_imports():
            from mlproject.speech.cross_validation import cross_validate
        click.echo(cross_validate(options, of_networks, run))


@cli.command("search")
@click.option(
    "--model",
    type=NetworkType(),
    default="gru+adam",
    help="Network (fc, cnn, gru) with its optimizer (adam, sgd).",
)
@add_options(
    space.options("learning_rate=0.0003..0.01:log,batch_size=64|256|1024", "speech-words"),
    DATA,
    SPLIT,
    PROTOCOL,
    LENGTH,
    [INITIALIZER, A_SEED],
    CHOICE,
    [RESUME],
)
def search(**options):
    """Look for good options of a network by validation accuracy; register the best."""
    network = options["model"]
    command = cli.commands[network.architecture]
    space.check(options["space"], command, space.NOT_SEARCHED)
    name = f"search {network.title}, {options['trials']} trials"
    with TASK.start_run(name, "search", options) as run:
        with late_imports():
            from mlproject.speech.search import search
        click.echo(search(options, network, defaults(command), command, run))


@cli.command("from-torch")
@add_options(
    [checkpoint("a PyTorch module of one of the reports' networks"), skip()],
    DATA,
    SPLIT,
    [POOLING],
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
    "--wav",
    type=click.Path(),
    help="Recording to classify, of any format and rate: its first second; '-' reads standard "
    "input.",
)
@add_options([MODEL])
def classify(clip, **options):
    """Classify a clip with a trained model: the word and all probabilities."""
    if (clip is None) == (options["wav"] is None):
        raise click.UsageError("expected one clip: classify CLIP, or classify --wav CLIP.")
    options["wav"] = clip if options["wav"] is None else options["wav"]
    with TASK.start_run("classify", "classify", options) as run:
        with late_imports():
            from mlproject.speech.classify import classify, log
        heard = classify(options["wav"], options["model"], run)
        click.echo(heard)  # first of all: no trouble with logging may cost the answer
        log(heard, run)


@cli.command("evaluate")
@add_options([MODEL], DATA, SPLIT, [PART])
def evaluate(**options):
    """Evaluate a trained model on other recordings: accuracy, calibration, false alarms."""
    with TASK.start_run("evaluate", "evaluate", options) as run:
        with late_imports():
            from mlproject.speech.judging import evaluate
        click.echo(evaluate(options, run))


@cli.command("robustness")
@add_options([MODEL], DATA, SPLIT, [PART])
@click.option("--seed", type=SEED, default=0, help="Random seed of the noise.")
def robustness(**options):
    """Evaluate a trained model on clips made louder, later, noisier, of other sample rates."""
    with TASK.start_run("robustness", "robustness", options) as run:
        with late_imports():
            from mlproject.speech.judging import robustness
        click.echo(robustness(options, run))


def _train(architecture: str, options: dict) -> None:
    name = Network(architecture, options["optimizer"]).run_name(options["seed"])
    with TASK.start_run(name, "train", options) as run:
        with late_imports():
            from mlproject.speech.settings import resolve
            from mlproject.speech.train import train
        click.echo(train(resolve(architecture, options), run))


def _count(things: tuple, name: str) -> str:
    return f"{len(things)} {name}{'s' if len(things) > 1 else ''}"
