"""The commands, what each of their options means, and nothing else."""

from pathlib import Path

import click

from mlproject import command
from mlproject.options import AutoFloat, Several, checkpoint, options, skip

TASK = command.Task("speech")

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
        help="The classes, separated by commas: folders of the data, or what the built-in "
        "corpus speaks. An .npz file has its own.",
    ),
    click.option(
        "--clips",
        type=click.IntRange(15, 100_000),
        default=3000,
        help="Training clips a word of the built-in corpus.",
    ),
)

LENGTH = (
    click.option(
        "--epochs", type=click.IntRange(1, 2**31 - 1), default=50, help="Passes over the data."
    ),
    click.option(
        "--batch-size", type=click.IntRange(1, 2**31 - 1), default=1024, help="Clips a step."
    ),
)

INITIALIZER = click.option(
    "--initializer",
    type=click.Choice(["keras", "torch"]),
    default="keras",
    help="Initial weights as Keras' layers have them, or as PyTorch's modules, in which the "
    "reports trained.",
)

SEED = click.IntRange(0, 2**32 - 1)


def training(optimizer: str) -> tuple:
    """The options of one training, with the optimizer that its report uses."""
    return (
        *LENGTH,
        INITIALIZER,
        click.option(
            "--optimizer",
            type=click.Choice(["adam", "sgd"]),
            default=optimizer,
            help="Both make PyTorch's steps; adam with its defaults.",
        ),
        click.option(
            "--learning-rate",
            type=AutoFloat(),
            default="auto",
            help="The optimizer's step size; 'auto' is the reports': 0.001 of adam, 0.01 of sgd.",
        ),
        click.option(
            "--momentum",
            type=click.FloatRange(0, 1, max_open=True),
            default=0.9,
            help="Of sgd; adam has none and ignores it.",
        ),
        click.option(
            "--weight-decay",
            type=click.FloatRange(0),
            default=1e-5,
            help="Of sgd, on every parameter, coupled as in PyTorch; adam ignores it.",
        ),
        click.option(
            "--seed",
            type=SEED,
            default=0,
            help="Decides the initial weights and the order of the clips.",
        ),
    )


POOLING = click.option(
    "--pooling",
    type=click.Choice(["last", "mean", "flatten"]),
    default="last",
    help="From the frames of the second GRU layer to one vector.",
)


class Network(click.ParamType):
    """A network and its optimizer, ``gru+adam``; becomes a pair."""

    name = "network+optimizer"

    def convert(self, value, param, ctx) -> tuple[str, str]:
        """The pair."""
        if isinstance(value, tuple):
            return value
        model, _, optimizer = value.lower().partition("+")
        if model not in ("fc", "cnn", "gru") or optimizer not in ("adam", "sgd"):
            self.fail(f"{value!r} is not one of fc, cnn, gru with +adam or +sgd.", param, ctx)
        return model, optimizer


@click.group(context_settings={"show_default": True})
def cli():
    """Spoken words: train, compare and use networks that tell them apart."""


@cli.command("fc")
@options(DATA, training("sgd"))
def fc(**parameters):
    """Train the fully connected network of report speech_rnn (567,171 parameters)."""
    _train("fc", parameters)


@cli.command("cnn")
@options(DATA, training("adam"))
def cnn(**parameters):
    """Train the convolutional network of report speech_cnn (346,067 parameters)."""
    _train("cnn", parameters)


@cli.command("gru")
@options(DATA, training("adam"), [POOLING])
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
def gru(**parameters):
    """Train the two-layer GRU of report speech_rnn (70,531 parameters)."""
    _train("gru", parameters)


@cli.command("compare")
@options(DATA, LENGTH, [INITIALIZER])
@click.option(
    "--models",
    type=Several(Network()),
    default="fc+sgd,cnn+sgd,cnn+adam,gru+adam",
    help="What to compare: networks (fc, cnn, gru) with their optimizers (adam, sgd), "
    "separated by commas.",
)
@click.option(
    "--seeds",
    type=Several(SEED),
    default="0",
    help="Train each with these seeds, separated by commas; of several, the table has mean "
    "and standard deviation (ddof 0).",
)
def compare(**parameters):
    """Train several networks on the same data and set them beside the reports' results."""
    models, seeds = parameters["models"], parameters["seeds"]
    name = f"compare {_count(models, 'model')}, {_count(seeds, 'seed')}"
    shown = {
        "models": ",".join(map("+".join, models)),
        "seeds": ",".join(map(str, seeds)),
    }
    defaults = {
        model: {option.name: option.default for option in cli.commands[model].params}
        for model, _ in models
    }
    with TASK.run(name, "compare", parameters | shown) as run:
        click.echo(TASK.imported("compare").compare(parameters, defaults, run))


@cli.command("from-torch")
@options([checkpoint("a PyTorch module of one of the reports' networks"), skip()], DATA, [POOLING])
def from_torch(**parameters):
    """Take over a network that was trained in PyTorch, evaluate it, make it deployable."""
    name = f"from torch {Path(parameters['checkpoint']).name}"
    shown = {"skip": ",".join(parameters["skip"]) or "none"}
    with TASK.run(name, "import", parameters | shown) as run:
        click.echo(TASK.imported("from_torch").from_torch(parameters, run))


@cli.command("classify")
@click.option(
    "--wav", type=click.Path(), required=True, help="A clip: 16 kHz mono 16-bit PCM, a second."
)
@click.option(
    "--model",
    default="latest",
    help="'latest' (the newest finished speech run with a model, of this experiment if it has "
    "one), a run's id, or a model URI such as models:/name@alias.",
)
def classify(**parameters):
    """Say which word a trained model hears in a clip, with the probabilities."""
    with TASK.run("classify", "classify", parameters) as run:
        module = TASK.imported("classify")
        heard = module.classify(parameters["wav"], parameters["model"], run)
        click.echo(heard)  # first of all: no trouble with logging may cost the answer
        module.log(heard, run)


def _train(model: str, parameters: dict) -> None:
    name = f"{model} {parameters['optimizer']} seed{parameters['seed']}"
    with TASK.run(name, "train", parameters) as run:
        click.echo(TASK.imported("train").train(model, parameters, run))


def _count(things: tuple, name: str) -> str:
    return f"{len(things)} {name}{'s' if len(things) > 1 else ''}"
