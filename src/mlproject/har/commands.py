"""The commands, what each of their options means, and nothing else."""

import click

from mlproject import command
from mlproject.options import ON_DASK, AutoFloat, AutoList, OneOf, Several, options

# Two threads at one small product are slower than one, and add up in another order.
TASK = command.Task("har", threads=1)
SEED = click.IntRange(0, 2**32 - 1)


class Configuration(click.ParamType):
    """Batch size, units and learning rate, ``30x100x0.1``; becomes a triple."""

    name = "batch x units x rate"

    def convert(self, value, param, ctx) -> tuple[int, int, float]:
        """The triple."""
        if isinstance(value, tuple):
            return value
        try:
            batch, units, rate = value.lower().split("x")
            triple = int(batch), int(units), float(rate)
        except ValueError:
            triple = (0, 0, 0.0)
        if min(triple) <= 0 or not triple[2] < float("inf"):
            what = "batch size x units x learning rate, such as 30x100x0.1"
            self.fail(f"{value!r} is not {what}.", param, ctx)
        return triple


# Table I of the report, a line a run.
CONFIGURATIONS = ",".join(
    (
        "10x50x0.05",
        "10x50x0.1",
        "10x100x0.05",
        "10x100x0.1",
        "30x50x0.05",
        "30x50x0.1",
        "30x100x0.05",
        "30x100x0.1",
    )
)

DATA = (
    click.option(
        "--data",
        default="builtin",
        help="'builtin' (smartwatch exercises), the course's .h5 file, the folder of UCI HAR or "
        "of MotionSense, WISDM_ar_v1.1_raw.txt, or an .npz file with x_train, y_train, x_test, "
        "y_test.",
    ),
    click.option(
        "--split",
        type=click.Choice(["subject", "random"]),
        default="subject",
        help="Test on people who are never trained on, or mix everybody's windows, which "
        "flatters.",
    ),
    click.option(
        "--test-subjects",
        type=AutoList(),
        default="auto",
        help="Who is tested on, separated by commas; 'auto' is the source's choice.",
    ),
    click.option(
        "--validation-fraction",
        type=AutoFloat(0, 1),
        default="auto",
        help="Share of the training windows that is held out, the same of each class; 'auto' is "
        "0.1, of protocol report 0.",
    ),
)

METHOD = (
    click.option(
        "--protocol",
        type=click.Choice(["tfnets", "report"]),
        default="tfnets",
        help="What 'auto' means: softmax cross-entropy, gradients clipped at 1, a tenth held "
        "out for validation; or the report's equations: its own loss, and none of these.",
    ),
    click.option(
        "--cell",
        type=click.Choice(["rnn", "lstm", "gru"]),
        default="rnn",
        help="Kind of the recurrent layer.",
    ),
    click.option(
        "--activation",
        type=click.Choice(["auto", "sigmoid", "softmax"]),
        default="auto",
        help="Of the outputs; the loss decides it, and what contradicts the loss is refused.",
    ),
    click.option(
        "--initializer",
        type=click.Choice(["uniform", "glorot"]),
        default="uniform",
        help="Initial weights: uniform in [-0.1, 0.1] as in the report, or Keras' own.",
    ),
    click.option(
        "--optimizer",
        type=click.Choice(["sgd", "adam"]),
        default="sgd",
        help="Both make PyTorch's steps; adam with its defaults.",
    ),
    click.option(
        "--momentum",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        help="SGD only; ignored by Adam.",
    ),
    click.option(
        "--weight-decay",
        type=click.FloatRange(0),
        default=0.0,
        help="SGD only, on every parameter, coupled as in PyTorch; ignored by Adam.",
    ),
    click.option(
        "--schedule",
        type=click.Choice(["constant", "linear", "cosine"]),
        default="constant",
        help="How the learning rate falls to 0 until the last step, if it does.",
    ),
    click.option(
        "--keep",
        type=click.Choice(["last", "best"]),
        default="last",
        help="Keep the weights of the last epoch, or those of the best validation top-1.",
    ),
    click.option(
        "--clipnorm",
        type=AutoFloat(0),
        default="auto",
        help="Largest norm of the gradient of all weights together; 0 for no limit, 'auto' is 1, "
        "of protocol report 0.",
    ),
    click.option(
        "--loss",
        type=click.Choice(["auto", "softmax", "normalised", "binary", "raw"]),
        default="auto",
        help="Cross-entropy of softmax outputs, of sigmoids that are made to sum to 1, of one "
        "yes-or-no question a class, or of the right class' sigmoid alone (the report's); 'auto' "
        "is softmax, with protocol report raw.",
    ),
)

EPOCHS = click.option(
    "--epochs", type=click.IntRange(1, 2**31 - 1), default=50, help="Passes over the data."
)

A_SEED = click.option(
    "--seed",
    type=SEED,
    default=42,
    help="Decides the initial weights and the order of the windows.",
)

SWEEP = (
    click.option(
        "--configurations",
        type=Several(Configuration()),
        default=CONFIGURATIONS,
        help="What to compare: batch size x units x learning rate, separated by commas; by "
        "default the eight runs of the report.",
    ),
    click.option(
        "--seeds",
        type=Several(SEED),
        default="42,263,682",
        help="Train each with these seeds, separated by commas.",
    ),
    EPOCHS,
    click.option(
        "--register-as",
        default="har-rnn",
        help="Name in the model registry for the best configuration and the runner-up.",
    ),
    *ON_DASK,
)

STOPPING = (
    click.option(
        "--max-epochs",
        type=click.IntRange(1, 2**31 - 1),
        default=1000,
        help="The most passes over the data.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(1, 2**31 - 1),
        default=30,
        help="Stop when validation top-1 has not become better for so many epochs.",
    ),
    click.option(
        "--min-delta",
        type=click.FloatRange(0, 1, max_open=True),
        default=1e-5,
        help="By how much more it must be to be better.",
    ),
)


@click.group(context_settings={"show_default": True})
def cli():
    """Human activities: train, compare and register networks that tell them apart."""


@cli.command("rnn")
@options(DATA, METHOD)
@click.option(
    "--batch-size", type=click.IntRange(1, 2**31 - 1), default=30, help="Windows a step."
)
@click.option("--units", type=click.IntRange(1, 2**31 - 1), default=100, help="Hidden units.")
@click.option(
    "--learning-rate",
    type=AutoFloat(),
    default="auto",
    help="The optimizer's step size; 'auto' is 0.1 of sgd, 0.003 of adam.",
)
@options([EPOCHS])
@options([A_SEED])
def rnn(**parameters):
    """Train one many-to-many network of report har_rnn (11,006 parameters; its run 8)."""
    name = f"{parameters['cell']} {parameters['units']} {parameters['optimizer']}"
    with TASK.run(f"{name} seed {parameters['seed']}", "train", parameters) as run:
        click.echo(TASK.imported("train").train(parameters, run))


@cli.command("sweep")
@options(SWEEP, DATA, METHOD)
def sweep(**parameters):
    """Train every configuration with every seed, rank them, register the best two."""
    with TASK.run(_name("sweep", parameters), "sweep", _shown(parameters)) as run:
        click.echo(TASK.imported("sweep").sweep(parameters, run))


@cli.command("early-stopping")
@click.option(
    "--model",
    default="har-rnn@best",
    help="A registered model, name@alias or name/version, whose configuration is trained.",
)
@click.option(
    "--configuration",
    type=OneOf(("none",), Several(Configuration())),
    default="none",
    help="What to train instead: batch size x units x learning rate, 30x100x0.1 and 30x100x0.05 "
    "for the report's runs 8 and 7; several are separated by commas. The options below count for "
    "it only.",
)
@click.option(
    "--validation-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    help="Share of the training windows that is held out, the same of each class.",
)
@options(STOPPING)
@click.option(
    "--register-as",
    default="none",
    help="Name in the model registry for what a configuration gives; 'none' registers nothing.",
)
@options(DATA[:-1], METHOD, [A_SEED])
def early_stopping(**parameters):
    """Train a configuration until its validation accuracy stops growing."""
    chosen = parameters["configuration"]
    what = parameters["model"] if chosen == "none" else _configurations(chosen)
    defaults = {option.name: option.default for option in cli.commands["early-stopping"].params}
    shown = parameters | {"configuration": _configurations(chosen)}
    with TASK.run(f"early stopping {what}", "early-stopping", shown) as run:
        module = TASK.imported("early_stopping")
        click.echo(module.early_stopping(parameters, defaults, run))


@cli.command("all")
@options(SWEEP, DATA, METHOD, STOPPING)
def everything(**parameters):
    """The whole story: sweep, registration, early stopping of the best and the runner-up."""
    with TASK.run(_name("story", parameters), "sweep", _shown(parameters)) as run:
        click.echo(TASK.imported("story").story(parameters, run))


def _name(what: str, parameters: dict) -> str:
    configurations, seeds = parameters["configurations"], parameters["seeds"]
    return (
        f"{what} {parameters['protocol']} {parameters['cell']}, {len(configurations)} x "
        f"{len(seeds)}"
    )


def _shown(parameters: dict) -> dict:
    """The options as one writes them."""
    return parameters | {
        "configurations": _configurations(parameters["configurations"]),
        "seeds": ",".join(map(str, parameters["seeds"])),
    }


def _configurations(chosen: tuple | str) -> str:
    """As one writes them: ``"30x100x0.1,30x100x0.05"``."""
    if isinstance(chosen, str):
        return chosen
    return ",".join("x".join(map(str, each)) for each in chosen)
