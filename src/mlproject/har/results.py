"""Logs the data and the network of a run, and summarises them."""

from dataclasses import dataclass

import numpy as np

from mlproject.tracking import summaries
from mlproject.tracking.limits import escaped
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import classes, log_confusion, optimizer, sizes
from tfnets import evaluation, figures, programs, tables, training
from tfnets.dataset import Dataset
from tfnets.har import figures as har_figures
from tfnets.naming import natural
from tfnets.parameters import Derivation
from tfnets.progress import count, duration

TOPS = ("accuracy", "top2", "top3")

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


def log_data(data: Dataset, run: Run) -> None:
    """Logs the data: windows, people and classes of each split."""
    run.log_dataset(data)
    # Classes are rows: there can be many, and one may be called "subjects".
    table = {"class": [*data.classes, "all windows", "subjects"]}
    for name, split in data.splits.items():
        counts = np.bincount(split.y, minlength=len(data.classes)).tolist()
        table[name] = [*map(str, counts), str(len(split)), subjects(data, name)]
    run.log_text(f"{tables.text(table)}\n", "data.txt")
    people = {f"data.{name}_subjects": subjects(data, name) for name in ("train", "test")}
    run.log_tags({"data.split": data.split_kind, **people})


def subjects(data: Dataset, name: str) -> str:
    """Whose windows a split has, ``"9, 10"``, as far as that is known and told apart."""
    split = data.splits[name]
    if name == "val":
        return "as train"
    if split.groups is None:
        return "not told apart"
    return ", ".join(sorted(set(split.groups.tolist()), key=natural))


def draw(result: Result, data: Dataset, run: Run) -> evaluation.Judgement:
    """Logs the figures of a run: curves, hidden states, weights, confusion matrix."""
    trained = result.trained
    title = f"{run.name}: {data.name}"
    assert trained.start is not None  # train_on asks for it
    history = [trained.start[0], *trained.history]
    run.log_figure(figures.stopping(history, trained.best, title, first=0), "curves.png")
    hidden = har_figures.activations(
        trained.model, data.test, data.classes, f"{title}\n{units(result.units)}"
    )
    run.log_figure(hidden, "hidden.png")
    run.log_figure(har_figures.weights(trained.model, title), "weights.png")
    scores = programs.predict(trained.model, data.test.x)
    judgement = evaluation.judge(np.argmax(scores[:, -1], axis=-1), data.test, data.classes)
    log_confusion(judgement, data, run)
    _log_mistakes(scores[:, -1], data, title, run)
    return judgement


def _log_mistakes(scores: np.ndarray, data: Dataset, title: str, run: Run) -> None:
    """The windows of the test that are wrong with the highest score, and whose they are."""
    test = data.test
    wrong = evaluation.mistakes(scores, test.y)
    if not len(wrong):
        return
    heard = scores[wrong].argmax(axis=1)
    people = ["-"] * len(wrong) if test.groups is None else test.groups[wrong].astype(str)
    columns = {
        "window": wrong.tolist(),
        "person": list(map(str, people)),
        "true": [data.classes[n] for n in test.y[wrong]],
        "predicted": [data.classes[n] for n in heard],
        "score": scores[wrong].max(axis=1).astype(float).tolist(),
    }
    run.log_table(columns, "mistakes.json")
    labels = [
        f"{true} as {taken}, {score:.2f}"
        for true, taken, score in zip(
            columns["true"], columns["predicted"], columns["score"], strict=True
        )
    ]
    figure = har_figures.mistakes(test.x[wrong], labels, f"{title}\nmost certain mistakes, test")
    run.log_figure(figure, "mistakes.png")


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


def describe(result: Result, recipe: training.Recipe, data: Dataset, run: Run) -> None:
    """Logs the description that the UI shows on top of a run."""
    trained = result.trained
    lines = [
        f"Test accuracy **{result.metrics['test']['accuracy']:.4f}** at the last step on "
        f"*{escaped(data.name)}* ({classes(data)}), {result.table.total:,} parameters, after "
        f"{count(len(trained.history), 'epoch')} ({duration(trained.seconds)}) with "
        f"{optimizer(recipe.optimizer, recipe.step)}; the weights are those of epoch "
        f"{trained.best}.",
        f"```\n{accuracies(result.metrics)}\n```",
        f"Data: {sizes(data)} windows, split {data.split_kind}.",
    ]
    takes = (
        "The deployed model takes windows of acceleration and answers with a probability for each "
        "class:"
    )
    summaries.describe(lines, takes, result.table, run)
