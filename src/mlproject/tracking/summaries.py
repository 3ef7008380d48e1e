"""What every run of every task logs of its network, and the summary that it prints."""

import csv
import io
from collections.abc import Sequence

import keras

from mlproject.tracking import limits, ui
from mlproject.tracking.run import CLASSES, Run
from tfnets import evaluation, figures
from tfnets.dataset import Dataset
from tfnets.execution import Execution
from tfnets.parameters import Derivation, derive
from tfnets.training import Recipe

CONFUSION = "confusion_matrix.csv"  # the counts, where the figure has no room for them


def log_network(network: keras.Model, run: Run) -> Derivation:
    """Logs how many parameters a network has, where they come from, and its summary."""
    table = derive(network)
    run.log_metrics({"params/total": network.count_params()})
    run.log_table(table.columns(), "parameters.json")
    run.log_text(f"{table}\n", "parameters.txt")
    text = io.StringIO()
    network.summary(print_fn=lambda line: text.write(f"{line}\n"), line_length=80)
    run.log_text(text.getvalue(), "model_summary.txt")
    return table


def log_confusion(test: evaluation.Judgement, data: Dataset, run: Run) -> None:
    """Logs which class was taken for which in the test, as a figure and by class."""
    title = f"{run.name}\n{data.name}, test"
    figure = figures.confusion_matrix(test.confusion, data.classes, title)
    run.log_figure(figure, "confusion_matrix.png")
    run.log_table(test.by_class, "test_by_class.json")
    if not figures.has_counts(data.classes):
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["true \\ predicted", *data.classes])
        for name, row in zip(data.classes, test.confusion.tolist(), strict=True):
            table.writerow([name, *row])
        run.log_text(text.getvalue(), CONFUSION)


def classes(data: Dataset) -> str:
    """``"no, go, down"``, for a sentence in Markdown; of many the first."""
    return limits.escaped(limits.names(data.classes, 300, CLASSES))


def sizes(data: Dataset) -> str:
    """``"9,000 train, 1,200 val, 1,800 test"``."""
    return ", ".join(f"{len(split):,} {name}" for name, split in data.splits.items())


def log_used(recipe: Recipe, execution: Execution, run: Run, **more: object) -> None:
    """Logs what is used where the options say "auto" or hold numbers of another optimizer.

    Args:
        recipe: How the network is trained.
        execution: How its steps are computed.
        run: Where to log.
        **more: What else is used.
    """
    run.log_parameters({f"used/{key}": value for key, value in ({**recipe.step, **more}).items()})
    run.log_tags({"execution": str(execution)})


def describe(lines: Sequence[str], takes: str, table: Derivation, run: Run) -> None:
    """Logs the description that the UI shows on top of a run.

    Args:
        lines: What was trained and what came out, a paragraph each.
        takes: What the deployed model takes, a sentence that ends with a colon.
        table: Where the network's parameters come from.
        run: Where to log.
    """
    serve = f"mlflow models serve -m runs:/{run.id}/model --env-manager local -p 5001"
    paragraphs = [
        *lines,
        takes,
        f"```\n{serve}\n```",
        "Where the parameters come from:",
        f"```\n{table}\n```",
    ]
    run.describe("\n\n".join(paragraphs))


def log_times(run: Run) -> None:
    """Logs how long logging and all of it took; the last that a run does."""
    run.log_metrics({"time/log_s": run.seconds, "time/total_s": run.elapsed})


def summary(*rows: tuple[str, str], run: Run) -> str:
    """Names and what they are, one below the other; then the run and where to see it."""
    command, address = ui.ui_lines(run)
    rows += (
        ("Run", f"{run.name}  {run.id}"),
        ("Open the UI", f"{command}  then  {address}" if command else address),
    )
    width = max(len(name) for name, _ in rows)
    return "\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def optimizer(name: str, step: dict[str, float]) -> str:
    """``"sgd (learning rate 0.1, momentum 0)"``."""
    numbers = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in step.items())
    return f"{name} ({numbers})"
