"""Trains one network and logs everything about it."""

from dataclasses import dataclass

import keras

import tfnets.speech
from mlproject import tracking
from mlproject.results import count, log_times, optimizer, summary
from mlproject.speech.results import Evaluated, describe, evaluate, load, log_data
from tfnets import figures, training
from tfnets.dataset import Dataset
from tfnets.progress import duration

_RECIPE = ("epochs", "batch_size", "optimizer", "momentum", "weight_decay", "seed")
_FORM = ("pooling", "reset_after", "recurrent_bias", "initializer")

# Which share of its last validation accuracy a network has to have, to have come far.
_FAR = 0.9


@dataclass(frozen=True)
class Result:
    """A network that was trained.

    Attributes:
        trained: The training.
        evaluated: What the test says of it.
        to_90: After how many epochs validation accuracy was 90 % of what it is in the end.
    """

    trained: training.Trained
    evaluated: Evaluated
    to_90: int


def train(architecture: str, parameters: dict, run: tracking.Run) -> str:
    """Loads the data, trains and evaluates one network, logs everything about it.

    Args:
        architecture: As for :func:`tfnets.speech.build`.
        parameters: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    tfnets.speech.check(architecture, **_form(parameters))
    _recipe(parameters)  # what is wrong with it is to be known before the data are loaded
    data = load(parameters, run)
    result = train_on(data, architecture, parameters, run)
    log_times(run)
    seconds = data.seconds | {"training": result.trained.seconds, "logging": run.seconds}
    spent = ", ".join(f"{name} {duration(value)}" for name, value in seconds.items())
    epochs = count(len(result.trained.history), "epoch")
    rest = duration(run.elapsed - sum(seconds.values()))
    return summary(
        *result.evaluated.rows(data),
        ("Training time", f"{duration(result.trained.seconds)} for {epochs}"),
        ("Wall time", f"{duration(run.elapsed)}: {spent}, imports and the rest {rest}"),
        run=run,
    )


def train_on(data: Dataset, architecture: str, parameters: dict, run: tracking.Run) -> Result:
    """Trains and evaluates one network on data that is loaded, and logs everything about it.

    Args:
        data: From :func:`tfnets.speech.load`.
        architecture: As for :func:`tfnets.speech.build`.
        parameters: The options of its command by name.
        run: Where to log.
    """
    recipe, form = _recipe(parameters), _form(parameters)
    execution = tfnets.speech.execution(architecture, recipe.batch_size)
    # The options say "auto", and have numbers for both optimizers; these are the ones in use.
    run.log_parameters({f"used/{key}": value for key, value in recipe.step.items()})
    run.log_tags({"execution": str(execution)})
    log_data(data, architecture, run)

    def build() -> keras.Model:
        return tfnets.speech.build(
            architecture, input_shape=data.input_shape, num_classes=len(data.classes), **form
        )

    trained = training.train(build, data, recipe, run.log_epoch, execution=execution)
    gap = {f"gap/{name}": value for name, value in trained.gap.items()}
    to_90 = trained.epochs_to(_FAR)
    once = {"epochs/to_90_of_final": to_90, "time/train_s": trained.seconds}
    run.log_metrics(gap | once)
    run.log_figure(figures.curves(trained.history, f"{run.name}: {data.name}"), "curves.png")
    evaluated = evaluate(trained.model, data, run)
    epochs = count(len(trained.history), "epoch")
    about = (
        f"after {epochs}, {duration(trained.seconds)} of training with "
        f"{optimizer(recipe.optimizer, recipe.step)}. In the last epoch training is "
        f"{trained.gap['accuracy']:+.4f} better in accuracy than validation, "
        f"{trained.gap['loss']:+.4f} in loss; 90 % of its validation accuracy were there after "
        f"{count(to_90, 'epoch')}."
    )
    describe(architecture, about, evaluated, data, run)
    return Result(trained, evaluated, to_90)


def _recipe(parameters: dict) -> training.Recipe:
    rate = parameters["learning_rate"]
    return training.Recipe(
        **{key: parameters[key] for key in _RECIPE}, learning_rate=None if rate == "auto" else rate
    )


def _form(parameters: dict) -> dict:
    return {key: parameters[key] for key in _FORM if key in parameters}
