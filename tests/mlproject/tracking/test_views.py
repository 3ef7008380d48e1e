"""The saved views, as MLflow's page reads them: JSON in tags of the experiment."""

import json

from mlproject.tracking.lifecycle import start_run
from mlproject.tracking.views import VIEWS, View


def test_a_view_is_the_json_that_mlflow_reads():
    view = View(
        "key",
        "A name",
        ("metrics.test/accuracy", "tags.data.name"),
        "metrics.test/accuracy",
        group_by=("tags.model", "params.optimizer"),
    )
    name, value = view.tag(12.5)
    assert name == "mlflow.sharedViewState.key"
    envelope = json.loads(value)
    assert envelope["name"] == "A name"
    assert envelope["createdAt"] == envelope["updatedAt"] == 12_500
    state = json.loads(envelope["state"])
    assert state["selectedColumns"] == ["metrics.`test/accuracy`", "tags.`data.name`"]
    assert state["orderByKey"] == "metrics.`test/accuracy`"
    assert state["groupBy"]["groupByKeys"] == [
        {"mode": "tag", "groupByData": "model"},
        {"mode": "param", "groupByData": "optimizer"},
    ]


def test_an_experiment_gets_the_views_once(store):
    def run():
        with start_run("x", task="speech", stage="train", options={}):
            pass
        return store.get_experiment("0").tags

    first = run()
    keys = {f"mlflow.sharedViewState.{view.key}" for view in VIEWS["speech"]}
    assert keys <= set(first)
    store.set_experiment_tag("0", min(keys), "changed by the user")
    assert run() == first | {min(keys): "changed by the user"}
