"""Trains one network and logs everything about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

import tfnets.addition
from mlproject.addition.results import Evaluated, describe, evaluate, log_data, register
from mlproject.addition.settings import ALMOST_ALL, Settings, load
from mlproject.tracking.callbacks import LogEpochs
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, log_used, optimizer, summary
from tfnets import training
from tfnets.addition import figures
from tfnets.dataset import Dataset
from tfnets.progress import duration


@dataclass(frozen=True)
class Result:
    """A network that was trained.

    Attributes:
        trained: The training.
        history: The metrics that were logged at each step.
        evaluated: What the test says of it.
        to_99: After how many steps 99 % of the validation was right; None for never.
    """

    trained: training.Trained
    history: dict[int, dict[str, float]]
    evaluated: Evaluated
    to_99: int | None


def train(settings: Settings, run: Run) -> str:
    """Trains and evaluates one network, logs everything about it, registers it.

    Args:
        settings: What to build, train and test.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    data = load(settings.test.data)
    result = train_on(data, settings, run)
    run.log_figure(figures.curves(result.history, f"{run.name}: {data.name}"), "curves.png")
    registered = register(settings.test, result.evaluated, run)
    log_times(run)
    trained = result.trained
    share = trained.drawing / trained.seconds
    reached = "not reached" if result.to_99 is None else f"after {result.to_99:,} steps"
    rest = duration(run.elapsed - trained.seconds - run.seconds)
    return f"\n{result.evaluated}\n" + summary(
        ("Data", f"{data.name}, drawn anew for every step; held out {data.split_kind}"),
        ("Parameters", f"{result.evaluated.table.total:,}"),
        ("99 % right", f"{reached} (validation)"),
        (
            "Training time",
            f"{duration(trained.seconds)} for {settings.recipe.steps:,} steps; "
            f"{100 * share:.1f} % of it for drawing numbers",
        ),
        ("Wall time", f"{duration(run.elapsed)}: logging {duration(run.seconds)}, rest {rest}"),
        *registered,
        run=run,
    )


def train_on(
    data: Dataset,
    settings: Settings,
    run: Run,
    *,
    progress: bool = True,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Result:
    """Trains and evaluates one network; logs all but figures.

    Args:
        data: From :func:`tfnets.addition.load`, by the same settings.
        settings: What to build, train and test.
        run: Where to log.
        progress: Whether to show how far the training is.
        callbacks: Keras callbacks, after those that log.
    """
    recipe, network = settings.recipe, settings.network
    execution = tfnets.addition.execution(network["cell"], recipe.batch_size)
    log_used(recipe, execution, run)
    log_data(data, network["cell"], run)
    trained = training.train(
        lambda: tfnets.addition.build(**network),
        data,
        recipe,
        progress=progress,
        callbacks=[LogEpochs(run, recipe.steps_after), *callbacks],
        objective=tfnets.addition.OBJECTIVE,
        execution=execution,
    )
    history = {recipe.steps_after(n): metrics for n, metrics in enumerate(trained.history, 1)}
    evaluated = evaluate(trained.model, trained.evaluate, data, settings.test, run)
    right = {step: metrics["val/accuracy"] for step, metrics in history.items()}
    to_99 = next((step for step, share in right.items() if share >= ALMOST_ALL), None)
    once = {"time/train_s": trained.seconds, "time/draw_s": trained.drawing}
    run.log_metrics(once | ({} if to_99 is None else {"steps/to_99": to_99}))
    reached = ""
    if to_99 is not None:
        reached = f"; 99 % of the validation were right after {to_99:,} steps"
    about = (
        f"after {recipe.steps:,} steps of {recipe.batch_size} pairs "
        f"({duration(trained.seconds)}) with {optimizer(recipe.optimizer, recipe.step)}{reached}."
    )
    describe(about, evaluated, data, run)
    return Result(trained, history, evaluated, to_99)
