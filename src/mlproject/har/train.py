"""Trains one network and logs everything about it."""

from dataclasses import dataclass

import keras
import numpy as np

import tfnets.har
from mlproject import models, tracking
from mlproject.har.results import TOPS, load, log_data, settings
from mlproject.results import (
    classes,
    count,
    log_judgement,
    log_network,
    log_times,
    optimizer,
    sizes,
    summary,
)
from tfnets import evaluation, figures, tables, training
from tfnets.dataset import Dataset
from tfnets.har import figures as har_figures
from tfnets.parameters import Derivation
from tfnets.progress import duration

# By epoch and once, of the weights that are kept: a chart of its own each.
BY_EPOCH = {"train": "train", "val": "val", "test": "test_by_epoch"}
ONCE = {"train": "final_train", "val": "final_val", "test": "test"}

# Once, of the initial weights, and of those after a single step (har_rnn, section III).
FIRST = ("start", "first_step")


@dataclass(frozen=True)
class Result:
    """A network that was trained.

    Attributes:
        trained: The training.
        metrics: For each split ``loss``, ``accuracy``, ``top2``, ``top3`` at the last step
            and ``accuracy_mean``, ``top2_mean``, ``top3_mean`` of the mean over the steps,
            with the weights that are kept.
        units: Which shares of its hidden units do little, as
            :func:`tfnets.har.figures.unit_shares` has them for the test's windows.
        table: Where the network's parameters come from.
    """

    trained: training.Trained
    metrics: dict[str, dict[str, float]]
    units: dict[str, float]
    table: Derivation


def train(parameters: dict, run: tracking.Run) -> str:
    """Loads the data, trains and evaluates one network, logs everything about it.

    Args:
        parameters: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    chosen = settings(parameters)  # what is wrong with it is to be known before data are loaded
    data = load(chosen)
    result = train_on(data, parameters, run)
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
    data: Dataset, parameters: dict, run: tracking.Run, *, progress: bool = True
) -> Result:
    """Trains and evaluates one network on data that is loaded; logs all but figures.

    Args:
        data: From :func:`tfnets.har.load`.
        parameters: The command's options by name.
        run: Where to log.
        progress: Whether to print a line an epoch.
    """
    chosen = settings(parameters)
    recipe = chosen.recipe
    execution = tfnets.har.execution(chosen.network["cell"], recipe.batch_size)
    # The options say "auto"; these are the ones in use.
    run.log_parameters(
        {f"used/{key}": value for key, value in recipe.step.items()} | {"used/loss": chosen.loss}
    )
    run.log_tags(
        {"execution": str(execution), "model": chosen.network["cell"], "inputs": "acceleration"}
    )
    log_data(data, run)

    def build() -> keras.Model:
        return tfnets.har.build(
            input_shape=data.input_shape,
            num_classes=len(data.classes),
            seed=recipe.seed,
            **chosen.network,
        )

    def log_epoch(epoch: int, metrics: dict[str, float]) -> None:
        shown = {"loss", *TOPS, "epoch_s"}  # what the report plots
        parts = ((name.split("/"), value) for name, value in metrics.items())
        run.log_epoch(
            epoch,
            {
                f"{BY_EPOCH.get(split, split)}/{name}": value
                for (split, name), value in parts
                if name in shown
            },
        )

    trained = training.train(
        build,
        data,
        recipe,
        log_epoch,
        progress,
        objective=tfnets.har.objective(chosen.loss, len(data.classes)),
        execution=execution,
        watched=("val", "test"),
        from_start=True,
    )
    metrics = {name: trained.evaluate(split) for name, split in data.splits.items()}
    once = {f"{ONCE[s]}/{name}": v for s, each in metrics.items() for name, v in each.items()}
    for moment, of_all in zip(FIRST, trained.start, strict=True):
        once |= {f"{moment}_{name}": v for name, v in of_all.items()}
    shares = har_figures.unit_shares(trained.model, data.test.x)
    once |= {f"units/{name}": share for name, share in shares.items()}
    run.log_metrics(once | {"time/train_s": trained.seconds, "epochs/best": trained.best})
    table = log_network(trained.model, run)
    deployed = tfnets.har.deployable(trained.model, data.classes, chosen.loss)
    about = {"classes": list(data.classes), "data": data.name, "input": "acceleration"}
    models.log(run, deployed, data.test.x[:1], about)
    result = Result(trained, metrics, shares, table)
    _describe(result, recipe, data, run)
    return result


def draw(result: Result, data: Dataset, run: tracking.Run) -> evaluation.Judgement:
    """Logs the figures of a run: curves, hidden states, weights, what was taken for what."""
    trained = result.trained
    title = f"{run.name}: {data.name}"
    history = [trained.start[0], *trained.history]
    run.log_figure(figures.stopping(history, trained.best, title, first=0), "curves.png")
    hidden = har_figures.activations(
        trained.model, data.test, data.classes, f"{title}\n{units(result.units)}"
    )
    run.log_figure(hidden, "hidden.png")
    run.log_figure(har_figures.weights(trained.model, title), "weights.png")
    scores = trained.model.predict(data.test.x, batch_size=1024, verbose=0)
    judgement = evaluation.judge(np.argmax(scores[:, -1], axis=-1), data.test, data.classes)
    log_judgement(judgement, data, run)
    return judgement


def units(shares: dict[str, float]) -> str:
    """``"12 % of the units hardly vary, 4 % are saturated"``."""
    return (
        f"{shares['hardly_vary']:.0%} of the units hardly vary, {shares['saturated']:.0%} are "
        "saturated"
    ).replace("%", " %")


def accuracies(metrics: dict[str, dict[str, float]]) -> str:
    """Top-1, top-2, top-3 of each split in percent, at the last step and of the mean."""
    there = [name for name in TOPS if name in metrics["test"]]
    forms = [("", "last step"), ("_mean", "mean over steps")]
    columns = {
        "accuracy, %": [
            f"top-{TOPS.index(name) + 1}, {form}" for _, form in forms for name in there
        ]
    }
    for split, title in (("train", "training"), ("val", "validation"), ("test", "test")):
        if split in metrics:
            columns[title] = [
                f"{100 * metrics[split][name + suffix]:.2f}"
                for suffix, _ in forms
                for name in there
            ]
    return tables.text(columns)


def _describe(result: Result, recipe: training.Recipe, data: Dataset, run: tracking.Run) -> None:
    serve = f"mlflow models serve -m runs:/{run.id}/model --env-manager local -p 5001"
    trained = result.trained
    lines = [
        f"Test accuracy **{result.metrics['test']['accuracy']:.4f}** at the last step on "
        f"*{data.name}* ({classes(data)}), {result.table.total:,} parameters, after "
        f"{count(len(trained.history), 'epoch')} ({duration(trained.seconds)}) with "
        f"{optimizer(recipe.optimizer, recipe.step)}; the weights are those of epoch "
        f"{trained.best}.",
        f"```\n{accuracies(result.metrics)}\n```",
        f"Data: {sizes(data)} windows, split {data.split_kind}.",
        "The deployed model takes windows of acceleration and answers with a probability for "
        "each class:",
        f"```\n{serve}\n```",
        "Where the parameters come from:",
        f"```\n{result.table}\n```",
    ]
    run.describe("\n\n".join(lines))
