"""Imports an adder trained in PyTorch: weights, evaluation, deployable model."""

from collections.abc import Callable

import keras
import tensorflow as tf

import tfnets.addition
from mlproject.addition.results import describe, evaluate, log_data, register
from mlproject.addition.settings import load, test_of
from mlproject.tracking.checkpoints import log_skipped, named, origin, rows
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, summary
from tfnets import optimizers, torch_weights
from tfnets.dataset import Split
from tfnets.execution import Execution
from tfnets.loop import Loop
from tfnets.progress import duration

_AT_ONCE = 200  # pairs, as in training


def from_torch(options: dict, run: Run) -> str:
    """Builds the network of a checkpoint, tests it, logs it as a trained one is logged.

    Args:
        options: The command's options by name.
        run: Where to log.

    Returns:
        A summary for the user.
    """
    path = options["checkpoint"]
    checkpoint = torch_weights.read_file(path)
    with named(path):
        skipped = torch_weights.skipped(checkpoint.entries, options["skip"])
        needed = {k: v for k, v in checkpoint.entries.items() if k not in skipped}
        form, entries = tfnets.addition.of_torch(needed)
        network = tfnets.addition.build(**form)
        torch_weights.load(network, entries)
    log_skipped(skipped, run)
    test = test_of(options, form["base"])
    data = load(test.data)
    log_data(data, form["cell"], run)
    evaluated = evaluate(network, _loss_of(network), data, test, run)
    words = (
        f"{form['num_layers']} x {form['cell']} of {form['hidden_size']} units, "
        f"embedding of {form['embedding_dim']}, base {form['base']}"
    )
    folded = sum(each.size for each in entries.values()) - evaluated.table.total
    notes = [f"{origin(path)} It is {words}."]
    counts = f"{evaluated.table.total:,}"
    if folded:
        there = evaluated.table.total + folded
        counts += f"; {there:,} in PyTorch, where each recurrent layer has two biases: their sum"
        notes.append(
            f"PyTorch counts {there:,} parameters: there each recurrent layer has two biases, "
            "here their sum, which does the same."
        )
    notes.append(
        "Whether PyTorch trained on some of the test's pairs is not known; of long numbers hardly."
    )
    describe(" ".join(notes), evaluated, data, run)
    registered = register(test, evaluated, run)
    log_times(run)
    return f"\n{evaluated}\n" + summary(
        ("Network", f"{words}; from {path}"),
        ("Data", f"{data.name}, held out {data.split_kind}"),
        ("Parameters", counts),
        *rows(skipped),
        ("Wall time", duration(run.elapsed)),
        *registered,
        run=run,
    )


def _loss_of(network: keras.Model) -> Callable[[Split], dict[str, float]]:
    """A function that computes the loss on a split, as for a network trained here."""
    # Nothing is trained: which optimizer it is does not matter.
    loop = Loop(network, optimizers.build(), tfnets.addition.OBJECTIVE, _AT_ONCE, Execution())
    return lambda split: loop.evaluate(tf.constant(split.x), tf.constant(split.y))
