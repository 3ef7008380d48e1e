"""Trains one network and logs everything about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

import tfnets.speech
from mlproject.speech.results import Evaluated, describe, evaluate, log_data, log_loading
from mlproject.speech.settings import Settings, load
from mlproject.sweeps import people
from mlproject.tracking.callbacks import LogEpochs
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, log_used, optimizer, summary
from tfnets import figures, training
from tfnets.dataset import Dataset, Varied
from tfnets.progress import count, duration
from tfnets.speech.clips import SILENCE

# Which share of its last validation accuracy a network must reach to have come far.
_FAR = 0.9


@dataclass(frozen=True)
class Result:
    """A network that was trained.

    Attributes:
        trained: The training.
        evaluated: What the test says of it.
    """

    trained: training.Trained
    evaluated: Evaluated


def train(settings: Settings, run: Run) -> str:
    """Loads the data, trains and evaluates one network, logs everything about it.

    Args:
        settings: What to load, build and train.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    data = load(settings.data)
    log_loading(data, run)
    result = train_on(data, settings, run)
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


def train_on(
    data: Dataset,
    settings: Settings,
    run: Run,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Result:
    """Trains and evaluates one network on data that is loaded, and logs everything about it.

    Args:
        data: From :func:`tfnets.speech.load`.
        settings: What to build and train.
        run: Where to log.
        callbacks: Keras callbacks, after those that log.
    """
    architecture, recipe = settings.architecture, settings.recipe
    execution = tfnets.speech.execution(architecture, recipe.batch_size)
    augment = isinstance(data.train, Varied)
    used = {"level": data.level, "augment": augment, "keep": recipe.keep}
    log_used(recipe, execution, run, **used, calibrate=settings.calibrate)
    log_data(data, architecture, run)

    def build() -> keras.Model:
        return tfnets.speech.build(
            architecture,
            input_shape=data.input_shape,
            num_classes=len(data.classes),
            **settings.network,
        )

    trained = training.train(
        build, data, recipe, callbacks=[LogEpochs(run), *callbacks], execution=execution
    )
    gap = {f"gap/{name}": value for name, value in trained.gap.items()}
    to_90 = trained.epochs_to(_FAR)
    once = {
        "epochs/to_90_of_final": to_90,
        "epochs/best": trained.best,
        "time/train_s": trained.seconds,
        "time/drawing_s": trained.drawing,
    }
    run.log_metrics(gap | once)
    run.log_figure(figures.curves(trained.history, f"{run.name}: {data.name}"), "curves.png")
    evaluated = evaluate(trained.model, data, run, calibrate=settings.calibrate)
    epochs = count(len(trained.history), "epoch")
    about = (
        f"after {epochs}, {duration(trained.seconds)} of training with "
        f"{optimizer(recipe.optimizer, recipe.step)}. In the last epoch training is "
        f"{trained.gap['accuracy']:+.4f} better in accuracy than validation, "
        f"{trained.gap['loss']:+.4f} in loss; 90 % of its validation accuracy were there after "
        f"{count(to_90, 'epoch')}."
    )
    describe(architecture, about, evaluated, data, run)
    return Result(trained, evaluated)


def log_speakers(result: Result, data: Dataset, run: Run) -> None:
    """Logs how each speaker of the test was understood; silence is nobody's."""
    if data.test.groups is None:
        return
    spoken = np.array([name != SILENCE for name in data.classes])[data.test.y]
    people.log_fold(result.evaluated.test.predicted, data, run, spoken)
