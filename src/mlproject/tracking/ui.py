"""Where MLflow's UI shows a run."""

import shlex
from pathlib import Path

import mlflow

from mlproject.tracking import store
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
    path = store.sqlite_file(uri)
    is_default = path is not None and Path.cwd() / path == Path.cwd() / "mlflow.db"
    command = "mlflow ui" if is_default else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
    return command, f"http://127.0.0.1:5000{place}"
