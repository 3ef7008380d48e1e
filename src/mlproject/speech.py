"""Entry points for spoken words: ``python -m mlproject.speech gru | classify``."""

import click

from mlproject import command

TASK = "speech"


@click.group(help=__doc__, context_settings={"show_default": True})
def cli():
    """The group of commands; see the module's docstring."""


@cli.command("gru")
@click.option(
    "--data",
    default="builtin",
    help="'builtin' (synthesised speech, rendered on first use), a folder in the Speech "
    "Commands layout, or an .npz file with x_train, y_train, x_test, y_test.",
)
@click.option(
    "--words",
    default="no,go,down",
    help="The classes, separated by commas: folders of the data, or what the built-in "
    "corpus speaks. An .npz file has its own.",
)
@click.option(
    "--clips",
    type=click.IntRange(15, 100_000),
    default=3000,
    help="Training clips a word of the built-in corpus.",
)
@click.option(
    "--epochs", type=click.IntRange(1, 2**31 - 1), default=50, help="Passes over the data."
)
@click.option(
    "--batch-size", type=click.IntRange(1, 2**31 - 1), default=1024, help="Clips a step."
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=0.001,
    help="Adam's step size.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    help="Decides the initial weights and the order of the clips.",
)
@click.option(
    "--pooling",
    type=click.Choice(["last", "mean", "flatten"]),
    default="last",
    help="From the frames of the second GRU layer to one vector.",
)
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
    name = f"gru adam seed{parameters['seed']}"
    with _run(name, "train", parameters) as run:
        command.start_tensorflow()
        speech_run = command.imported("mlproject.speech_run")
        summary = speech_run.train("gru", parameters, run)
    click.echo(summary)


@cli.command("classify")
@click.option(
    "--wav", type=click.Path(), required=True, help="A clip: 16 kHz mono 16-bit PCM, a second."
)
@click.option(
    "--model",
    default="latest",
    help="'latest' (the newest finished speech run), a run's id, or a model URI such as "
    "models:/name@alias.",
)
def classify(**parameters):
    """Say which word a trained model hears in a clip, with the probabilities."""
    with _run("classify", "classify", parameters) as run:
        command.start_tensorflow()
        speech_run = command.imported("mlproject.speech_run")
        heard = speech_run.classify(parameters["wav"], parameters["model"])
        click.echo(heard)  # first of all: no trouble with logging may cost the answer
        speech_run.log_heard(heard, run)


def _run(name: str, stage: str, parameters: dict):
    """A tracked run."""
    return command.imported("mlproject.tracking").run(
        name, task=TASK, stage=stage, parameters=parameters
    )


if __name__ == "__main__":
    command.main(cli)
