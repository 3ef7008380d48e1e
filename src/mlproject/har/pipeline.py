"""The whole pipeline: sweep, registration, early stopping of the best and the runner-up."""

from mlproject.har.early_stopping import evaluate_registered
from mlproject.har.settings import STOPPING
from mlproject.har.sweep import train_all
from mlproject.tracking.lifecycle import start_run
from mlproject.tracking.run import Run
from mlproject.tracking.summaries import log_times, summary
from tfnets.progress import duration


def run_pipeline(options: dict, run: Run) -> str:
    """Sweeps, registers the best two, and puts both through early stopping.

    Args:
        options: The command's options by name.
        run: The parent of all runs.

    Returns:
        A summary for the user.
    """
    swept = train_all(options, run)
    parts = [swept.text]
    fraction = options["validation_fraction"]
    for alias, version in swept.registered.items():
        given = {
            "model": f"{version.name}/{version.number}",
            "validation_fraction": 0.1 if fraction in ("auto", 0) else fraction,
            **{name: options[name] for name in STOPPING},
        }
        with start_run(
            f"early stopping {version.tags['run']} ({alias})",
            task=run.task,
            stage="early-stopping",
            options=given,
            tags={"study": f"sweep {run.id[:6]}"},
            parent=run.reference,
        ) as child:
            parts.append(evaluate_registered(given, child).text)
            log_times(child)
    log_times(run)
    return "".join(parts) + summary(("Wall time", duration(run.elapsed)), run=run)
