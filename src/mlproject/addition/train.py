"""Trains one network and logs everything about it."""

from dataclasses import dataclass
from pathlib import Path

import tfnets.addition
from mlproject import models, registry, tracking
from mlproject.addition.results import ALMOST_ALL, Settings, load, settings
from mlproject.registry import CHAMPION
from mlproject.results import count, log_network, log_times, optimizer, summary
from tfnets import tables, training
from tfnets.addition import Adder, figures
from tfnets.dataset import Dataset
from tfnets.parameters import Derivation
from tfnets.progress import duration

_SERVED = Path(__file__).with_name("served.py")
_EXAMPLE = {"a": "1", "b": "1"}  # there are these in any base
_MOST_MISTAKES = 5


@dataclass(frozen=True)
class Result:
    """A network that was trained.

    Attributes:
        trained: The training.
        history: The metrics that were logged at each step.
        lengths: Accuracy on held-out pairs by ``seq_len``, by columns; the first row is the
            test, at the length that was trained on.
        mistakes: The first mistakes of the test, then of other lengths, by columns.
        to_99: After how many steps 99 % of the validation was right; None for never.
        table: Where the network's parameters come from.
    """

    trained: training.Trained
    history: dict[int, dict[str, float]]
    lengths: dict[str, list]
    mistakes: dict[str, list]
    to_99: int | None
    table: Derivation

    def __str__(self) -> str:
        columns = {"numbers of": [count(n - 1, "digit") for n in self.lengths["seq_len"]]}
        columns["numbers of"][0] += " (trained on)"
        for name, words in (("accuracy", "exact match"), ("digit_accuracy", "digits right")):
            columns[words] = [f"{value:.4f}" for value in self.lengths[name]]
        columns["pairs"] = [f"{pairs:,}" for pairs in self.lengths["pairs"]]
        parts = [tables.text(columns), "No mistakes in these."]
        if self.mistakes["a"]:
            rows = {name: [_cut(str(v)) for v in each] for name, each in self.mistakes.items()}
            parts[1] = f"The first mistakes\n\n{tables.text(rows)}"
        return "\n\n".join(parts)


def train(parameters: dict, run: tracking.Run) -> str:
    """Trains and evaluates one network, logs everything about it, registers it.

    Args:
        parameters: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    chosen = settings(parameters)
    if chosen.register_as:
        registry.check_name(chosen.register_as)
    data = load(chosen)
    result = train_on(data, parameters, run)
    run.log_figure(figures.curves(result.history, f"{run.name}: {data.name}"), "curves.png")
    rows = []
    if chosen.register_as:
        rows.append(("Registered", _register(chosen, result, run)))
    log_times(run)
    trained = result.trained
    share = trained.drawing / trained.seconds
    reached = "not reached" if result.to_99 is None else f"after {result.to_99:,} steps"
    rest = duration(run.elapsed - trained.seconds - run.seconds)
    return f"\n{result}\n" + summary(
        ("Data", f"{data.name}, drawn anew for every step; held out {data.split_kind}"),
        ("Parameters", f"{result.table.total:,}"),
        ("99 % right", f"{reached} (validation)"),
        (
            "Training time",
            f"{duration(trained.seconds)} for {chosen.recipe.steps:,} steps; "
            f"{100 * share:.1f} % of it for drawing numbers",
        ),
        ("Wall time", f"{duration(run.elapsed)}: logging {duration(run.seconds)}, rest {rest}"),
        *rows,
        run=run,
    )


def train_on(
    data: Dataset, parameters: dict, run: tracking.Run, *, progress: bool = True
) -> Result:
    """Trains and evaluates one network; logs all but figures.

    Args:
        data: From :func:`tfnets.addition.load`, for the same options.
        parameters: The command's options by name.
        run: Where to log.
        progress: Whether to print a line every few steps.
    """
    chosen = settings(parameters)
    recipe, network = chosen.recipe, chosen.network
    execution = tfnets.addition.execution(network["cell"], recipe.batch_size)
    # The options say "auto"; these are the ones in use.
    run.log_parameters({f"used/{key}": value for key, value in recipe.step.items()})
    run.log_tags(
        {
            "execution": str(execution),
            "model": network["cell"],
            "inputs": "numbers",
            "data.split": data.split_kind,
        }
    )
    run.log_dataset(data)
    history: dict[int, dict[str, float]] = {}

    def log_epoch(epoch: int, metrics: dict[str, float]) -> None:
        step = recipe.steps_after(epoch)
        history[step] = metrics
        run.log_epoch(step, metrics)

    trained = training.train(
        lambda: tfnets.addition.build(**network),
        data,
        recipe,
        log_epoch,
        progress,
        objective=tfnets.addition.OBJECTIVE,
        execution=execution,
    )
    table = log_network(trained.model, run)
    models.log_program(run, _SERVED, trained.model, _EXAMPLE, ("sum",), chosen.data)
    right = {step: metrics["val/accuracy"] for step, metrics in history.items()}
    to_99 = next((step for step, share in right.items() if share >= ALMOST_ALL), None)
    lengths, mistakes = _evaluate(trained, data, chosen, run)
    once = {"time/train_s": trained.seconds, "time/draw_s": trained.drawing}
    run.log_metrics(once | ({} if to_99 is None else {"steps/to_99": to_99}))
    run.log_table(lengths, "lengths.json")
    run.log_table(mistakes, "mistakes.json")
    result = Result(trained, history, lengths, mistakes, to_99, table)
    _describe(result, chosen, data, run)
    return result


def _evaluate(
    trained: training.Trained, data: Dataset, chosen: Settings, run: tracking.Run
) -> tuple[dict[str, list], dict[str, list]]:
    """Accuracy at the length that was trained on and at others, and the first mistakes."""
    base, seq_len = chosen.data["base"], chosen.data["seq_len"]
    adder = Adder(trained.model, seq_len, base)
    lengths = {"seq_len": [], "accuracy": [], "digit_accuracy": [], "pairs": []}
    mistakes: dict[str, list] = {}
    for length in (seq_len, *chosen.lengths):
        split = data.test
        if length != seq_len:
            split = tfnets.addition.held_out(length, base, len(data.test))
        if not len(split):  # of so short numbers none are held out
            continue
        missing = _MOST_MISTAKES - len(mistakes.get("a", ()))
        metrics, wrong = adder.judge(split, missing)
        if length == seq_len:
            test = trained.evaluate(split) | metrics
            run.log_metrics({f"test/{name}": value for name, value in test.items()})
        run.log_metrics({f"by_length/{name}": value for name, value in metrics.items()}, length)
        for name, value in ({"seq_len": length, "pairs": len(split)} | metrics).items():
            lengths[name].append(value)
        for name, values in wrong.items():
            mistakes[name] = mistakes.get(name, []) + values
    return lengths, mistakes


def _register(chosen: Settings, result: Result, run: tracking.Run) -> str:
    """Registers the run's model, which may become the champion; what became of it, in words."""
    name, seq_len = chosen.register_as, chosen.data["seq_len"]
    accuracy = result.lengths["accuracy"][0]
    tags = {"accuracy": str(accuracy), "seq_len": str(seq_len), "base": str(chosen.data["base"])}
    words = f"{accuracy:.4f} of the sums of numbers of {count(seq_len - 1, 'digit')}"
    version = registry.register(name, run.id, tags, f"{run.name}: {words} are right.")
    number = registry.aliases(name).get(CHAMPION)
    if number is not None:
        champion = registry.find(f"{name}/{number}")
        theirs = {"accuracy": "0", "seq_len": "2"} | champion.tags
        if _merit(theirs) >= _merit(tags):
            digits = count(int(theirs["seq_len"]) - 1, "digit")
            right = float(theirs["accuracy"])
            return f"{version}; the champion stays {champion}, {right:.4f} of {digits}"
    registry.alias(version, CHAMPION)
    return f"{version}, the champion"


def _merit(tags: dict[str, str]) -> tuple:
    """Who adds nearly always beats who does not; of the former who adds longer numbers leads.

    Accuracies at different lengths say little of each other: short numbers are easy.
    """
    accuracy, seq_len = float(tags["accuracy"]), int(tags["seq_len"])
    if accuracy >= ALMOST_ALL:
        return True, seq_len, accuracy
    return False, accuracy, seq_len


def _describe(result: Result, chosen: Settings, data: Dataset, run: tracking.Run) -> None:
    serve = f"mlflow models serve -m runs:/{run.id}/model --env-manager local -p 5001"
    recipe = chosen.recipe
    reached = ""
    if result.to_99 is not None:
        reached = f"; 99 % of the validation were right after {result.to_99:,} steps"
    lines = [
        f"**{result.lengths['accuracy'][0]:.4f}** of the sums are right on *{data.name}*, "
        f"{result.table.total:,} parameters, after {recipe.steps:,} steps of "
        f"{recipe.batch_size} pairs ({duration(result.trained.seconds)}) with "
        f"{optimizer(recipe.optimizer, recipe.step)}{reached}.",
        f"```\n{result}\n```",
        "The deployed model takes numbers as strings:",
        f"```\n{serve}\n```",
        "Where the parameters come from:",
        f"```\n{result.table}\n```",
    ]
    run.describe("\n\n".join(lines))


def _cut(number: str) -> str:
    """A number without its middle if it is long."""
    return number if len(number) <= 24 else f"{number[:10]}...{number[-10:]}"
