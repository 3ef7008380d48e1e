"""A small sweep on real Dask workers: what it logs, ranks, registers and resumes."""

import dataclasses
import json
import re
import sys

import mlflow
import numpy as np
import pytest

from mlproject.har import published
from mlproject.har.commands import cli
from mlproject.har.published import Configuration
from mlproject.har.settings import load, resolve
from mlproject.har.sweep import plan
from mlproject.process import environment, signals
from mlproject.process.options import defaults
from mlproject.sweeps import statistics
from mlproject.sweeps.resuming import resumed
from mlproject.sweeps.trials import Trial
from mlproject.tracking import queries
from mlproject.tracking.lifecycle import start_run
from records import children_of, rows_of, text_of
from tfnets.errors import InputError

# All sweeps in one process, for they share a cluster.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_cluster"),
    pytest.mark.xdist_group("sweeps"),
]

# Run 8 of the report, and one that it does not have.
SMALL = {"configurations": "30x100x0.1,20x5x0.1", "seeds": "42,7", "epochs": 2}


@pytest.fixture(scope="module")
def result(shared_store, one_cluster, windows, command):
    return command(cli, "sweep", data=windows, **SMALL)


@pytest.fixture(scope="module")
def parent(result, shared_store):
    assert result.exception is None, result.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'sweep'")
    return run


@pytest.fixture(scope="module")
def children(parent, shared_store):
    return children_of(shared_store, parent)


@pytest.fixture(scope="module")
def artifact(parent):
    return lambda path: text_of(parent, path)


def test_a_run_for_each_configuration_and_seed(parent, children):
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "sweep tfnets rnn, 2 x 2"
    assert parent.data.params["configurations"] == "30x100x0.1,20x5x0.1"
    assert parent.data.params["seeds"] == "42,7"
    names = {f"{name} seed {seed}" for name in ("run 8", "20x5x0.1") for seed in (42, 7)}
    assert set(children) == names
    for run in children.values():
        assert run.info.status == "FINISHED"
        assert run.data.tags["stage"] == "trial"
        assert run.data.tags["study"] == f"sweep {parent.info.run_id[:6]}"
        assert run.data.tags["threads"] == "1"
        assert run.data.tags["pid"] != parent.data.tags["pid"]
    # TensorFlow is imported once a process, and there are not more of them than cores.
    pids = {run.data.tags["pid"] for run in children.values()}
    assert len(pids) <= min(4, environment.cpus())
    assert children["run 8 seed 7"].data.params["units"] == "100"
    assert children["20x5x0.1 seed 7"].data.tags["configuration"] == "20x5x0.1"
    assert "test/accuracy" not in parent.data.metrics  # it would mix with its children's


def test_the_reports_runs_are_the_default():
    assert list(defaults(cli.commands["sweep"])["configurations"]) == list(published.RUNS)
    assert [row.number for row in published.RUNS.values()] == list(range(1, 9))


def test_a_child_is_what_a_run_of_its_own_gives(children, store, start, windows, shared_store):
    """To the bit, in a process whose threads draw random numbers of their own."""
    options = ("--batch-size", "20", "--units", "5", "--seed", "7", "--epochs", "2")
    words = (sys.executable, "-m", "mlproject.har", "rnn", "--data", str(windows))
    alone = start(*words, *options)
    assert alone.wait() == 0, alone.said
    (run,) = store.search_runs(["0"], "tags.stage = 'train'")
    assert run.data.tags["threads"] == "1"
    child = children["20x5x0.1 seed 7"]
    names = {name for name in run.data.metrics if not name.startswith("time/")}
    assert names == {name for name in child.data.metrics if not name.startswith("time/")}
    for name in names:
        one = [(m.step, m.value) for m in store.get_metric_history(run.info.run_id, name)]
        other = shared_store.get_metric_history(child.info.run_id, name)
        assert one == [(m.step, m.value) for m in other], name
    differ = {k for k, v in child.data.params.items() if run.data.params[k] != v}
    assert differ == {"learning_rate"}  # "auto" there, and the same number


def test_the_tables_of_the_report(children, artifact, result):
    text = artifact("tables.txt")
    titles = ["settings and training time", "test accuracy", "top-1 accuracy", "top-2 accuracy"]
    for numeral, title in zip(("I", "II", "III", "IV"), titles, strict=True):
        assert f"Table {numeral}: {title}" in text
    assert "Table V" not in text  # of three classes a third guess is always right

    def spread(name, metric):
        values = [100 * children[f"{name} seed {s}"].data.metrics[metric] for s in (42, 7)]
        return f"{np.mean(values):.3f} ± {np.std(values):.3f}"

    second = text.partition("Table II:")[2].partition("Table III")[0]
    (row,) = (line for line in second.splitlines() if line.startswith("run 8"))
    assert re.split(r"\s{2,}", row)[1] == spread("run 8", "test/accuracy")
    assert "33.167 ± 0.981" in row
    (other,) = (line for line in second.splitlines() if line.startswith("20x5x0.1"))
    assert other.count(" -") == 2  # nothing published
    third = text.partition("Table III:")[2].partition("Table IV")[0]
    for metric in ("final_train/accuracy", "final_val/accuracy", "test/accuracy"):
        assert spread("20x5x0.1", metric) in third
    assert "33.278 ± 0.986" in third
    assert "of 4 runs are in these tables" not in text
    assert spread("run 8", "test/top2") in result.stdout


def test_the_numbers_of_every_run(parent, children):
    rows = rows_of(parent, "runs.json")
    assert [row["run"] for row in rows] == [
        "run 8 seed 42",
        "run 8 seed 7",
        "20x5x0.1 seed 42",
        "20x5x0.1 seed 7",
    ]
    for row in rows:
        run = children[row["run"]]
        assert row["run_id"] == run.info.run_id
        for name in ("test/accuracy", "final_val/top2_mean", "final_train/loss"):
            assert row[name] == pytest.approx(run.data.metrics[name])


def test_figures_data_and_description(parent, shared_store, artifact):
    names = {entry.path for entry in shared_store.list_artifacts(parent.info.run_id)}
    assert names == {
        "accuracy.png",
        "loss.png",
        "data.txt",
        "ranking.txt",
        "runs.json",
        "tables.txt",
    }
    note = parent.data.tags["mlflow.note.content"]
    assert "har_rnn, top-1" in note
    assert artifact("ranking.txt").strip() in note


def test_progress_says_how_far_it_is(result):
    lines = [line for line in result.stderr.splitlines() if line.startswith("run ")]
    assert [line.partition(":")[0] for line in lines] == [f"run {n} of 4" for n in (1, 2, 3, 4)]
    assert all("; best so far " in line for line in lines)
    assert all(line.endswith(" left") for line in lines[:3])


def test_the_best_and_the_runner_up_are_registered(parent, children, shared_store):
    def score(name):
        values = [children[f"{name} seed {s}"].data.metrics["final_val/accuracy"] for s in (42, 7)]
        return np.mean(values) - np.std(values)

    aliases = shared_store.get_registered_model("har-rnn").aliases
    assert set(aliases) == {"best", "runner-up"}
    order = sorted(("run 8", "20x5x0.1"), key=score, reverse=True)
    for alias, name in zip(("best", "runner-up"), order, strict=True):
        version = shared_store.get_model_version("har-rnn", aliases[alias])
        tags = version.tags
        assert tags["run"] == name
        assert tags["parent_run"] == parent.info.run_id
        assert tags["rule"] == "mean - standard deviation of validation top-1 over 2 seeds"
        assert float(tags["mean"]) - float(tags["deviation"]) == pytest.approx(score(name))
        seeds = {
            s: children[f"{name} seed {s}"].data.metrics["final_val/accuracy"] for s in (42, 7)
        }
        assert seeds[int(tags["seed"])] == max(seeds.values())
        configuration = json.loads(tags["configuration"])
        assert configuration["seed"] == int(tags["seed"])
        child = children[f"{name} seed {tags['seed']}"]
        assert version.run_id == child.info.run_id
        assert {k: str(v) for k, v in configuration.items()}.items() <= child.data.params.items()
        assert parent.data.tags[f"registered.{alias}"] == f"har-rnn/{version.version}"
    loaded = mlflow.pyfunc.load_model("models:/har-rnn@best")
    assert list(loaded.predict(np.zeros((2, 12, 3), np.float32))) == ["calm", "slow", "fast"]


def test_resuming_trains_what_is_missing(parent, shared_store, command, windows):
    more = SMALL | {"configurations": "20x5x0.1", "seeds": "42,7,1"}
    again = command(cli, "sweep", data=windows, resume=parent.info.run_id, **more)
    assert again.exception is None, again.output
    assert "2 of 3 runs are done already" in again.stderr
    (two,) = shared_store.search_runs(["0"], f"tags.resumed = '{parent.info.run_id}'")
    assert set(children_of(shared_store, two)) == {"20x5x0.1 seed 1"}
    assert [row["seed"] for row in rows_of(two, "runs.json")] == [42, 7, 1]
    # What was resumed can be resumed, and nothing is left to train.
    third = command(cli, "sweep", data=windows, resume=two.info.run_id, **more)
    assert third.exception is None, third.output
    assert "3 of 3 runs are done already" in third.stderr
    assert "over 3 seeds" in third.stdout
    assert len(shared_store.search_runs(["0"], "tags.stage = 'trial'")) == 5


def test_only_the_same_configuration_on_the_same_data_is_resumed(parent, windows, shared_store):
    given = {"data": str(windows), "register_as": "x", "scheduler": "local", "resume": "none"}
    small = Configuration(20, 5, 0.1)
    of_sweep = {"configurations": (small,), "seeds": (42,), "epochs": 2}
    given = defaults(cli.commands["sweep"]) | given | of_sweep
    data = load(resolve(given | small._asdict() | {"seed": 42}).data)
    with start_run("resumes", task="har", stage="sweep", options={}) as run:

        def found(data=data, **changes):
            (group,) = plan(given | changes, run)
            former = parent.info.run_id
            digests = {trial.name: data.digest for trial in group.trials}
            return list(resumed(former, group.trials, "sweep", digests, run))

        assert found() == ["20x5x0.1 seed 42"]
        other = {"data": dataclasses.replace(data, digest="other")}
        for change in ({"epochs": 3}, {"momentum": 0.5}, {"seeds": (43,)}, other):
            # The parent here has logged none of its parameters.
            with pytest.raises(InputError, match="finished nothing that is needed here; it had"):
                found(**change)


def test_a_run_that_fails_costs_only_itself(store, command, windows):
    bad = {"configurations": "20x5x1e39,20x5x0.1", "seeds": "1", "epochs": 1, "clipnorm": 0}
    result = command(cli, "sweep", data=windows, **bad)
    message = str(result.exception)
    (parent,) = store.search_runs(["0"], "tags.stage = 'sweep'")
    assert message.startswith("1 of 2 runs failed, 20x5x1e+39 seed 1: the ")
    assert f"-P resume={parent.info.run_id} trains only what is missing" in message
    runs = children_of(store, parent)
    assert runs["20x5x1e+39 seed 1"].info.status == "FAILED"
    assert runs["20x5x0.1 seed 1"].info.status == "FINISHED"
    assert parent.info.status == "FAILED"
    assert not store.search_registered_models()
    text = text_of(parent, "tables.txt")
    assert "1 of 2 runs are in these tables" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"configurations": "30x100"}, "'30x100' is not batch size x units x learning rate"),
        ({"configurations": "0x100x0.1"}, "'0x100x0.1' is not batch size x units x"),
        ({"configurations": "5x5x0.1,5x5x0.1"}, "names 5x5x0.1 twice"),
        ({"seeds": "1,x"}, "'x' is not a valid integer"),
        ({"register_as": "o'neil"}, 'register_as is "o\'neil"; expected a name of letters'),
        ({"resume": "0123"}, "no run '0123' at sqlite:///"),
        (
            {"scheduler": "tcp://127.0.0.1:1"},
            "need an MLflow server to log to, http://host:port; ",
        ),
    ],
)
def test_bad_input_is_one_line(store, command, windows, options, message):
    result = command(cli, "sweep", data=windows, **{"epochs": 1, "seeds": "1"} | options)
    error = result.exception
    said = error.format_message() if hasattr(error, "format_message") else str(error)
    assert message in said
    assert "\n" not in said
    assert all(run.info.status == "FAILED" for run in store.search_runs(["0"]))


def test_a_run_that_is_no_sweep_cannot_be_resumed(store, command, windows):
    with start_run("one", task="har", stage="train", options={}) as run:
        pass
    result = command(cli, "sweep", data=windows, resume=run.id)
    assert str(result.exception) == f"resume is {run.id!r}, which is no sweep of har."


def test_missing_seeds_show_in_the_tables():
    trials = [Trial(f"x seed {seed}", {}, {}) for seed in (1, 2, 3)]
    done, said = {}, []
    for seed in (1, 2, 3):
        said.append(statistics.spread(trials, done, "m"))
        done[f"x seed {seed}"] = queries.Record("id", "0", "", "FINISHED", {}, {"m": 0.5}, {})
    said.append(statistics.spread(trials, done, "m"))
    assert said == ["-", "50.000 ± 0.000 (1 of 3)", "50.000 ± 0.000 (2 of 3)", "50.000 ± 0.000"]


def test_children_end_although_the_process_is_to_end(store):
    """The wish is not answered yet; expected each look at the store would raise it again."""
    with start_run("parent", task="har", stage="sweep", options={}) as run:
        child = store.create_run("0", tags={"mlflow.parentRunId": run.id}, run_name="child")
        signals.request()
        try:
            with pytest.raises(signals.Interrupted):
                queries.end_running(run.reference, "its worker was stopped")
        finally:
            signals.acknowledge()
    ended = store.get_run(child.info.run_id)
    assert ended.info.status == "KILLED"
    assert ended.data.tags["error"] == "its worker was stopped"


def test_ranking_weighs_the_mean_against_the_deviation():
    accuracies = {"steady": [0.7, 0.7], "high": [0.6, 0.9], "low": [0.5, 0.5], "same": [0.7, 0.7]}
    ranked = statistics.rank(accuracies)
    assert [each.name for each in ranked] == ["steady", "same", "high", "low"]
    high = ranked[2]
    assert (high.mean, high.best) == (pytest.approx(0.75), 1)
    assert high.deviation == pytest.approx(0.15)  # ddof 0, as in the report
    assert high.score == pytest.approx(0.6)
