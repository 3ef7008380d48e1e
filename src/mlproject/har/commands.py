"""The commands and what each of their options means."""

import click

from mlproject.har.published import RUNS, Configuration
from mlproject.process.imports import late_imports
from mlproject.process.options import (
    AGAINST,
    COUNT,
    DUPLICATES,
    EPOCHS,
    ON_DASK,
    SEED,
    AutoFloat,
    AutoList,
    FloatRange,
    OneOf,
    Several,
    add_options,
    batch_size,
    defaults,
    learning_rate,
    momentum,
    optimizer,
    seed,
    weight_decay,
)
from mlproject.sweeps import space
from mlproject.tracking.task import Task

# Two threads at one small product are slower than one, and add up in another order.
TASK = Task("har", threads=1)


class ConfigurationType(click.ParamType):
    """Batch size, units and learning rate, ``30x100x0.1``; becomes a :class:`Configuration`."""

    name = "batch x units x rate"

    def convert(self, value, param, ctx) -> Configuration:
        """The configuration."""
        if isinstance(value, Configuration):
            return value
        try:
            batch, units, rate = value.lower().split("x")
            found = Configuration(int(batch), int(units), float(rate))
        except ValueError:
            found = Configuration(0, 0, 0.0)
        if min(found) <= 0 or not found.learning_rate < float("inf"):
            what = "batch size x units x learning rate, such as 30x100x0.1"
            self.fail(f"{value!r} is not {what}.", param, ctx)
        return found


CUTTING = (
    click.option(
        "--window",
        type=OneOf(("auto",), click.IntRange(1, 1_000_000)),
        default="auto",
        help="Steps of a window, for data that hold recordings; 'auto' is 150.",
    ),
    click.option(
        "--stride",
        type=OneOf(("auto",), click.IntRange(1, 1_000_000)),
        default="auto",
        help="Steps from one window to the next; 'auto' is 40.",
    ),
    click.option(
        "--rate",
        type=AutoFloat(1, 10_000),
        default="auto",
        help="Sampling rate to convert recordings to, Hz; 'auto' keeps their own.",
    ),
    click.option(
        "--standardise",
        type=bool,
        default=False,
        help="Standardise each channel by the training windows' mean and deviation.",
    ),
    click.option(
        "--augment",
        type=bool,
        default=False,
        help="Turn, scale and jitter the training windows anew in each epoch.",
    ),
    DUPLICATES,
)

DATA = (
    click.option(
        "--data",
        default="builtin",
        help="'builtin' (smartwatch exercises), a .csv or .parquet file (activity, subject, x, y, "
        "z, time), the course's .h5 file, the folder or archive of UCI HAR, MotionSense or WISDM, "
        "or an .npz file with x, y, subjects, or with x_train, y_train, x_test, y_test.",
    ),
    click.option(
        "--split",
        type=click.Choice(["subject", "random"]),
        default="subject",
        help="Test on people who are never trained on, or mix everybody's windows (optimistic).",
    ),
    click.option(
        "--test-subjects",
        type=AutoList(),
        default="auto",
        help="People to test on, separated by commas; 'auto' is the source's choice.",
    ),
    click.option(
        "--validation-fraction",
        type=AutoFloat(0, 1),
        default="auto",
        help="Fraction of the training windows held out for validation, stratified by class; "
        "'auto' is 0.1, or 0 with protocol report.",
    ),
)

METHOD = (
    click.option(
        "--protocol",
        type=click.Choice(["tfnets", "report"]),
        default="tfnets",
        help="Meaning of 'auto': softmax cross-entropy, gradient norm clipped at 1 and 10 % "
        "validation data (tfnets), or the report's loss and neither of these (report).",
    ),
    click.option(
        "--cell",
        type=click.Choice(["rnn", "lstm", "gru"]),
        default="rnn",
        help="Type of the recurrent layer.",
    ),
    click.option(
        "--activation",
        type=click.Choice(["auto", "sigmoid", "softmax"]),
        default="auto",
        help="Activation of the outputs; it must be the one that the loss needs.",
    ),
    click.option(
        "--initializer",
        type=click.Choice(["uniform", "glorot"]),
        default="uniform",
        help="Initial weights: uniform in [-0.1, 0.1] as in the report, or Keras' defaults.",
    ),
    optimizer(["sgd", "adam"], "sgd"),
    momentum(0.0),
    weight_decay(0.0),
    click.option(
        "--schedule",
        type=click.Choice(["constant", "linear", "cosine"]),
        default="constant",
        help="Learning rate schedule; linear and cosine decay to 0 at the last step.",
    ),
    click.option(
        "--keep",
        type=click.Choice(["last", "best"]),
        default="last",
        help="Keep the weights of the last epoch, or of the one with the best validation top-1.",
    ),
    click.option(
        "--clipnorm",
        type=AutoFloat(0),
        default="auto",
        help="Maximum norm of the gradient of all weights; 0 for no limit; 'auto' is 1, or 0 "
        "with protocol report.",
    ),
    click.option(
        "--loss",
        type=click.Choice(["auto", "softmax", "normalised", "binary", "raw"]),
        default="auto",
        help="Cross-entropy of softmax outputs (softmax), of sigmoids normalised to sum to 1 "
        "(normalised), of each class separately (binary), or of the true class' sigmoid (raw, "
        "the report's); 'auto' is softmax, or raw with protocol report.",
    ),
)

NETWORK = (
    batch_size(30, "Windows per step."),
    click.option("--units", type=COUNT, default=100, help="Hidden units."),
    learning_rate("0.1 for SGD, 0.003 for Adam"),
)

A_SEED = seed(42, "order of the windows")

SWEEP = (
    click.option(
        "--configurations",
        type=Several(ConfigurationType()),
        default=",".join(map(str, RUNS)),
        help="Configurations to compare: batch size x units x learning rate, separated by "
        "commas; by default the eight runs of the report.",
    ),
    click.option(
        "--seeds",
        type=Several(SEED),
        default="42,263,682",
        help="Seeds to train each with, separated by commas.",
    ),
    EPOCHS,
    click.option(
        "--register-as",
        default="har-rnn",
        help="Name in the model registry for the best configuration and the runner-up.",
    ),
    *ON_DASK,
)

FOLDS = click.option(
    "--folds",
    type=OneOf(("person",), click.IntRange(2, 100_000)),
    default="person",
    help="Into how many parts the people are cut, each tested on once; 'person' leaves out one "
    "at a time.",
)

SEARCH = (
    *space.options(
        "units=10..150:log,learning_rate=0.003..0.5:log,batch_size=10|30|100", "har-rnn"
    ),
    space.PARALLEL,
)

STOPPING = (
    click.option(
        "--max-epochs",
        type=COUNT,
        default=1000,
        help="Maximum number of passes over the training data.",
    ),
    click.option(
        "--patience",
        type=COUNT,
        default=30,
        help="Stop after this many epochs without a better validation top-1.",
    ),
    click.option(
        "--min-delta",
        type=FloatRange(0, 1, max_open=True),
        default=1e-5,
        help="Smallest increase that counts as better.",
    ),
)


@click.group(
    context_settings={"show_default": True},
    short_help="Tell activities apart by acceleration.",
)
def cli():
    """Human activities: train, compare and register classifiers."""


@cli.command("rnn")
@add_options(DATA, CUTTING, METHOD)
@add_options(NETWORK)
@add_options([EPOCHS])
@add_options([A_SEED])
def rnn(**options):
    """Train one many-to-many network of report har_rnn (11,006 parameters; its run 8)."""
    name = f"{options['cell']} {options['units']} {options['optimizer']}"
    with TASK.start_run(f"{name} seed {options['seed']}", "train", options) as run:
        with late_imports():
            from mlproject.har.settings import resolve
            from mlproject.har.train import train
        click.echo(train(resolve(options), run))


@cli.command("sweep")
@add_options(SWEEP, DATA, CUTTING, METHOD)
def sweep(**options):
    """Train every configuration with every seed, rank them, register the best two."""
    with TASK.start_run(_name("sweep", options), "sweep", options) as run:
        with late_imports():
            from mlproject.har.sweep import sweep
        click.echo(sweep(options, run))


@cli.command("cross-validation")
@add_options([FOLDS], DATA[:1], DATA[-1:], CUTTING, METHOD, NETWORK, [EPOCHS])
@click.option(
    "--seeds",
    type=Several(SEED),
    default="42",
    help="Seeds to train each fold with, separated by commas; averaged within a person.",
)
@add_options([AGAINST], ON_DASK)
def cross_validation(**options):
    """Test on everybody once, by networks that never saw them; compare by person."""
    name = f"cross-validation {options['cell']} {options['units']} {options['optimizer']}"
    with TASK.start_run(name, "cross-validation", options) as run:
        with late_imports():
            from mlproject.har.cross_validation import cross_validate
        click.echo(cross_validate(options, run))


@cli.command("search")
@add_options(SEARCH, DATA, CUTTING, METHOD, NETWORK, [EPOCHS, A_SEED], ON_DASK)
def search(**options):
    """Look for good options by validation accuracy; register the best."""
    of_search = [option for option in options if option not in defaults(rnn)]
    space.check(options["space"], rnn, space.NOT_SEARCHED)
    with TASK.start_run(f"search {options['trials']} trials", "search", options) as run:
        with late_imports():
            from mlproject.har.search import search
        click.echo(search(options, of_search, rnn, run))


@cli.command("early-stopping")
@click.option(
    "--model",
    default="har-rnn@best",
    help="Registered model whose configuration is trained, name@alias or name/version.",
)
@click.option(
    "--configuration",
    type=OneOf(("none",), Several(ConfigurationType())),
    default="none",
    help="Configurations to train instead, separated by commas: batch size x units x learning "
    "rate; 30x100x0.1 and 30x100x0.05 are the report's runs 8 and 7. The options below apply to "
    "them only.",
)
@click.option(
    "--validation-fraction",
    type=FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    help="Fraction of the training windows held out for validation, stratified by class.",
)
@add_options(STOPPING)
@click.option(
    "--register-as",
    default="none",
    help="Name in the model registry for the model of a configuration; 'none' registers nothing.",
)
@add_options(DATA[:-1], CUTTING, METHOD, [A_SEED])
def early_stopping(**options):
    """Train a configuration until its validation accuracy stops growing."""
    chosen = options["configuration"]
    what = options["model"] if chosen == "none" else ",".join(map(str, chosen))
    of_command = defaults(cli.commands["early-stopping"])
    with TASK.start_run(f"early stopping {what}", "early-stopping", options) as run:
        with late_imports():
            from mlproject.har.early_stopping import early_stopping
        click.echo(early_stopping(options, of_command, run))


@cli.command("all")
@add_options(SWEEP, DATA, CUTTING, METHOD, STOPPING)
def everything(**options):
    """The whole pipeline: sweep, registration, early stopping of the best and the runner-up."""
    with TASK.start_run(_name("pipeline", options), "sweep", options) as run:
        with late_imports():
            from mlproject.har.pipeline import run_pipeline
        click.echo(run_pipeline(options, run))


def _name(what: str, options: dict) -> str:
    configurations, seeds = options["configurations"], options["seeds"]
    return f"{what} {options['protocol']} {options['cell']}, {len(configurations)} x {len(seeds)}"
