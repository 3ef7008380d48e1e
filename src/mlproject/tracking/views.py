"""Saved views of the run table: MLflow hides metrics until someone chooses columns.

The UI lists saved views under **Views** and opens one by the address's ``viewStateShareKey``.
They are tags of the experiment, in JSON.
"""

import json
from dataclasses import dataclass

_TAG = "mlflow.sharedViewState."
_RUN_NAME = "attributes.`Run Name`"


@dataclass(frozen=True)
class View:
    """A saved view.

    Attributes:
        key: Its key in addresses.
        name: What the menu calls it.
        columns: The columns that are shown: ``"metrics.test/accuracy"``, ``"tags.model"``,
            ``"params.seed"``.
        order_by: The column by which the runs are sorted, largest first.
        group_by: Tags and parameters; runs that have the same are shown as their mean.
        filter: Which runs are shown, in MLflow's search language.
        sections: The order of the charts, by what stands before the slash of their metrics.
    """

    key: str
    name: str
    columns: tuple[str, ...]
    order_by: str
    group_by: tuple[str, ...] = ()
    filter: str = ""
    sections: tuple[str, ...] = ("test", "val", "train", "gap", "epochs", "time", "params")

    def tag(self, now: float) -> tuple[str, str]:
        """The experiment's tag, name and value, for a view made at ``now``, in seconds."""
        columns = [_quoted(column) for column in self.columns]
        state = {
            "selectedColumns": columns,
            "columnOrder": [_RUN_NAME, *columns],
            "columnWidths": {_RUN_NAME: 380},
            "orderByKey": _quoted(self.order_by),
            "orderByAsc": False,
            "searchFilter": self.filter,
            "runsHiddenMode": "FIRST_20_RUNS",
            # The page adds the charts, one for each metric, below these headings.
            "compareRunCharts": [],
            "compareRunSections": [
                {
                    "uuid": name,
                    "name": name,
                    "display": True,
                    "isReordered": False,
                    "deleted": False,
                    "isGenerated": True,
                }
                for name in self.sections
            ],
            "isAccordionReordered": True,
        }
        if self.group_by:
            keys = [column.split(".", 1) for column in self.group_by]
            state["groupBy"] = {
                "aggregateFunction": "average",
                "groupByKeys": [{"mode": kind[:-1], "groupByData": name} for kind, name in keys],
            }
        made = round(now * 1000)
        view = {"name": self.name, "createdAt": made, "updatedAt": made}
        return _TAG + self.key, json.dumps(view | {"state": json.dumps(state)})


def _quoted(column: str) -> str:
    kind, name = column.split(".", 1)
    return f"{kind}.`{name}`"


_SPEECH = (
    "metrics.test/accuracy",
    "metrics.val/accuracy",
    "metrics.gap/accuracy",
    "metrics.epochs/to_90_of_final",
    "metrics.time/train_s",
    "metrics.params/total",
    "params.optimizer",
    "params.seed",
    "params.epochs",
    "tags.model",
    "tags.data.name",
)

_HAR = (
    "metrics.test/accuracy",
    "metrics.test/top2",
    "metrics.test/top3",
    "metrics.final_val/accuracy",
    "metrics.final_train/accuracy",
    "metrics.time/train_s",
    "params.batch_size",
    "params.units",
    "params.learning_rate",
    "params.protocol",
    "params.seed",
    "tags.model",
)
_HAR_SECTIONS = ("test", "final_val", "final_train", "val", "train", "test_by_epoch", "time")

_ADDITION = (
    "metrics.test/accuracy",
    "metrics.test/digit_accuracy",
    "metrics.steps/to_99",
    "metrics.train/loss",
    "metrics.by_length/accuracy",
    "metrics.time/train_s",
    "metrics.params/total",
    "params.cell",
    "params.embedding_dim",
    "params.hidden_size",
    "params.num_layers",
    "params.seq_len",
    "params.optimizer",
    "params.seed",
)
_ADDITION_SECTIONS = ("val", "train", "test", "by_length", "steps", "time", "params")

# Means are of trials that are done: the last epoch of one that is not is no result.
_TRIALS = "tags.stage = 'trial' AND attributes.status = 'FINISHED'"

# By task, the one to open first at the front.
VIEWS = {
    "speech": (
        View("speech-results", "Speech: results", _SPEECH, "metrics.test/accuracy"),
        View(
            "speech-networks",
            "Speech: network means",
            _SPEECH,
            "metrics.test/accuracy",
            group_by=("tags.model", "params.optimizer", "tags.study"),
            filter=_TRIALS,
        ),
    ),
    "har": (
        View(
            "har-results",
            "HAR: results",
            _HAR,
            "metrics.test/accuracy",
            sections=_HAR_SECTIONS,
        ),
        View(
            "har-configurations",
            "HAR: configuration means",
            _HAR,
            "metrics.final_val/accuracy",
            group_by=("tags.configuration", "tags.study"),
            filter=_TRIALS,
            sections=_HAR_SECTIONS,
        ),
    ),
    "addition": (
        View(
            "addition-results",
            "Addition: results",
            _ADDITION,
            "metrics.test/accuracy",
            sections=_ADDITION_SECTIONS,
        ),
        View(
            "addition-studies",
            "Addition: study means",
            _ADDITION,
            "metrics.test/accuracy",
            group_by=("tags.configuration", "tags.study"),
            filter=_TRIALS,
            sections=_ADDITION_SECTIONS,
        ),
    ),
}
