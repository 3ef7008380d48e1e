"""The whole story: sweep, registration, early stopping of the best and the runner-up."""

from mlproject import tracking
from mlproject.har.early_stopping import evaluate_registered
from mlproject.har.results import STOPPING
from mlproject.har.sweep import train_all
from mlproject.results import log_times, summary
from tfnets.progress import duration


def story(parameters: dict, run: tracking.Run) -> str:
    """Sweeps, registers the best two, and puts both through early stopping.

    Args:
        parameters: The command's options by name.
        run: The parent of all runs.

    Returns:
        A summary for the user.
    """
    outcome = train_all(parameters, run)
    parts = [outcome.text]
    fraction = parameters["validation_fraction"]
    for alias, version in outcome.registered.items():
        given = {
            "model": f"{version.name}/{version.number}",
            "validation_fraction": 0.1 if fraction in ("auto", 0) else fraction,
            **{name: parameters[name] for name in STOPPING},
        }
        with tracking.run(
            f"early stopping {version.tags['run']} ({alias})",
            task=run.task,
            stage="early-stopping",
            parameters=given,
            tags={"study": f"sweep {run.id[:6]}"},
            parent=run.as_parent,
        ) as child:
            parts.append(evaluate_registered(given, child).text)
            log_times(child)
    log_times(run)
    return "".join(parts) + summary(("Wall time", duration(run.elapsed)), run=run)
