"""Trains one network and logs everything about it."""

from collections.abc import Sequence

import keras

import tfnets.har
from mlproject.har.results import (
    BY_EPOCH,
    FIRST,
    ONCE,
    TOPS,
    Result,
    accuracies,
    describe,
    draw,
    log_data,
)
from mlproject.har.settings import Settings, load
from mlproject.tracking import models
from mlproject.tracking.callbacks import LogEpochs
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_network, log_times, log_used, sizes, summary
from tfnets import training
from tfnets.dataset import Dataset
from tfnets.har import figures
from tfnets.progress import count, duration

_PLOTTED = ("loss", *TOPS, "epoch_s")


def train(settings: Settings, run: Run) -> str:
    """Loads the data, trains and evaluates one network, logs everything about it.

    Args:
        settings: What to load, build and train.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    data = load(settings.data)
    result = train_on(data, settings, run)
    draw(result, data, run)
    log_times(run)
    seconds = result.trained.seconds
    epochs = count(len(result.trained.history), "epoch")
    rest = duration(run.elapsed - seconds - run.seconds)
    return f"\n{accuracies(result.metrics)}\n" + summary(
        ("Data", f"{data.name}: {sizes(data)} windows; split {data.split_kind}"),
        ("Parameters", f"{result.table.total:,}"),
        ("Training time", f"{duration(seconds)} for {epochs}"),
        ("Wall time", f"{duration(run.elapsed)}: logging {duration(run.seconds)}, rest {rest}"),
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
    """Trains and evaluates one network on data that is loaded; logs all but figures.

    Args:
        data: From :func:`tfnets.har.load`.
        settings: What to build and train.
        run: Where to log.
        progress: Whether to show how far the training is.
        callbacks: Keras callbacks, after those that log.
    """
    recipe = settings.recipe
    execution = tfnets.har.execution(settings.network["cell"], recipe.batch_size)
    log_used(recipe, execution, run, loss=settings.loss)
    run.log_tags({"model": settings.network["cell"], "inputs": "acceleration"})
    log_data(data, run)

    def build() -> keras.Model:
        return tfnets.har.build(
            input_shape=data.input_shape,
            num_classes=len(data.classes),
            seed=recipe.seed,
            **settings.network,
        )

    trained = training.train(
        build,
        data,
        recipe,
        progress=progress,
        callbacks=[LogEpochs(run, names=_by_epoch), *callbacks],
        objective=tfnets.har.objective(settings.loss, len(data.classes)),
        execution=execution,
        watched=("val", "test"),
        from_start=True,
    )
    metrics = {name: trained.evaluate(split) for name, split in data.splits.items()}
    once = {f"{ONCE[s]}/{name}": v for s, each in metrics.items() for name, v in each.items()}
    for moment, of_all in zip(FIRST, trained.start or (), strict=True):
        once |= {f"{moment}_{name}": v for name, v in of_all.items()}
    shares = figures.unit_shares(trained.model, data.test.x)
    once |= {f"units/{name}": share for name, share in shares.items()}
    run.log_metrics(once | {"time/train_s": trained.seconds, "epochs/best": trained.best})
    table = log_network(trained.model, run)
    deployed = tfnets.har.deployable(trained.model, data.classes, settings.loss, data.channels)
    about = {"classes": list(data.classes), "data": data.name, "input": "acceleration"}
    models.log(run, deployed, data.test.x[:1], about)
    result = Result(trained, metrics, shares, table)
    describe(result, recipe, data, run)
    return result


def _by_epoch(name: str) -> str | None:
    """The name under which a metric of an epoch is logged: what the report plots."""
    split, _, metric = name.partition("/")
    return f"{BY_EPOCH.get(split, split)}/{metric}" if metric in _PLOTTED else None
