"""Where MLflow's UI shows a run."""

from pathlib import Path

import mlflow

from mlproject.tracking.run import Run
from mlproject.tracking.views import VIEWS


def ui_lines(current: Run) -> tuple[str, str]:
    """The command that opens the UI, or none, and the address of a run's experiment in it."""
    uri = mlflow.get_tracking_uri()
    place = f"/#/experiments/{current.experiment_id}/runs?workflowType=machine_learning"
    for view in VIEWS.get(current.task, ())[:1]:
        place += f"&viewStateShareKey={view.key}"
    if uri.startswith("http"):
        return "", f"{uri.rstrip('/')}{place}"
    default = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    command = "mlflow ui" if uri in (default, "sqlite:///mlflow.db") else ""
    command = command or f"mlflow ui --backend-store-uri {uri}"
    return command, f"http://127.0.0.1:5000{place}"
