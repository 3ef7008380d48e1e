"""What the options of the commands on spoken words are."""

import click

from mlproject.process.options import (
    DUPLICATES,
    EPOCHS,
    AutoList,
    NoneList,
    OneOf,
    batch_size,
    learning_rate,
    momentum,
    optimizer,
    seed,
    weight_decay,
)
from mlproject.speech.published import Network

OPTIMIZERS = ("adam", "sgd")

DATA = (
    click.option(
        "--data",
        default="builtin",
        help="'builtin' (synthesised speech, rendered on first use), 'speech_commands' (Google's "
        "recordings, 2.4 GB, downloaded on first use), a folder with a folder of recordings for "
        "each word, a folder with a --pattern, a manifest (.csv or .parquet with path, word, "
        "speaker, split, start, end), or an .npz file with x_train, y_train, x_test, y_test.",
    ),
    click.option(
        "--words",
        type=AutoList(),
        default="auto",
        help="Classes, separated by commas: words of the data, or words for the built-in "
        "corpus to speak; 'auto' is no,go,down where the data has them, else all its words. "
        "Ignored for an .npz file, which has its own.",
    ),
    click.option(
        "--clips",
        type=click.IntRange(15, 100_000),
        default=3000,
        help="Training clips per word of the built-in corpus.",
    ),
    click.option(
        "--pattern",
        default="none",
        help="How recordings in a folder are called, such as {word}_{speaker}_{take}.wav, with "
        "{word}, {speaker}, {take}, {split} and *.",
    ),
)

SPLIT = (
    click.option(
        "--split",
        type=click.Choice(["speaker", "clip"]),
        default="speaker",
        help="'speaker' tests on people who are never trained on; 'clip' on other clips of the "
        "same people, which flatters.",
    ),
    click.option(
        "--test-speakers",
        type=NoneList(),
        default="none",
        help="Who is tested on, separated by commas; the next ones validate. 'none' for the "
        "source's lists, or the hash of the names.",
    ),
    click.option(
        "--folds",
        type=click.IntRange(0, 100_000),
        default=0,
        help="Into how many parts the speakers are cut, one of which is tested on; 0 for none.",
    ),
    click.option(
        "--fold", type=click.IntRange(1, 100_000), default=1, help="Which part is tested on."
    ),
    click.option(
        "--unknown",
        type=NoneList(),
        default="none",
        help="Other words, separated by commas, that become one more class _unknown_; 'rest' for "
        "all other words of the data.",
    ),
    click.option(
        "--silence",
        type=bool,
        default=False,
        help="Whether noise and near-silence become one more class _silence_.",
    ),
)

PROTOCOL = (
    click.option(
        "--protocol",
        type=click.Choice(["report", "tfnets"]),
        default="report",
        help="What 'auto' means below: 'report' as the reports train, 'tfnets' for models that "
        "hold up outside their corpus (level clip, augment, keep best, calibrate).",
    ),
    click.option(
        "--level",
        type=click.Choice(["auto", "none", "clip", "running"]),
        default="auto",
        help="What features are relative to: 'clip' the loudest bin of the clip, 'running' the "
        "loudest so far (for streams), 'none' full scale, as in the reports.",
    ),
    click.option(
        "--augment",
        type=OneOf(("auto",), click.BOOL),
        default="auto",
        help="Change training clips anew in each epoch: time, tempo, voice, noise, loudness, "
        "masks.",
    ),
    DUPLICATES,
)

CHOICE = (
    click.option(
        "--keep",
        type=click.Choice(["auto", "last", "best"]),
        default="auto",
        help="Whose weights are kept: the last epoch's, as in the reports, or those of the epoch "
        "with the best validation accuracy.",
    ),
    click.option(
        "--calibrate",
        type=OneOf(("auto",), click.BOOL),
        default="auto",
        help="Fit one temperature to the validation split, by which the exported model's "
        "probabilities mean what they say (Guo et al. 2017).",
    ),
)

LENGTH = (EPOCHS, batch_size(1024, "Clips per step."))

INITIALIZER = click.option(
    "--initializer",
    type=click.Choice(["keras", "torch"]),
    default="keras",
    help="Initial weights: Keras' defaults, or those of PyTorch's modules, which the reports "
    "trained.",
)

A_SEED = seed(0, "order of the clips")


def training(default: str) -> tuple:
    """The options of one training, with the optimizer that its report uses."""
    return (
        *LENGTH,
        INITIALIZER,
        optimizer(OPTIMIZERS, default),
        learning_rate("the reports': 0.001 for Adam, 0.01 for SGD"),
        momentum(0.9),
        weight_decay(1e-5),
        A_SEED,
    )


POOLING = click.option(
    "--pooling",
    type=click.Choice(["last", "mean", "flatten"]),
    default="last",
    help="How the frames of the second GRU layer become one vector.",
)
AUTO_POOLING = click.option(
    "--pooling",
    type=click.Choice(["auto", "last", "mean", "flatten"]),
    default="auto",
    help="How the frames of the second GRU layer become one vector; 'auto' is last with protocol "
    "report, mean with protocol tfnets.",
)


MODEL = click.option(
    "--model",
    default="latest",
    help="'latest' (the newest finished speech run with a model, from this experiment if it "
    "has one), id of a run, or model URI such as models:/name@alias.",
)


PART = click.option(
    "--part",
    type=click.Choice(["test", "val", "all"]),
    default="test",
    help="Which clips: those of a split, or all that there are.",
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
