"""One small comparison through the real command, and all that it leaves behind."""

import re
from statistics import mean, pstdev

import numpy as np
import pytest

from mlproject.speech.commands import cli
from mlproject.tracking.views import VIEWS
from records import children_of, rows_of, text_of
from tfnets.errors import InputError

pytestmark = pytest.mark.slow

SMALL = {"epochs": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def result(shared_store, shared_speech_folder, command):
    models = {"models": "fc+sgd, GRU+adam", "seeds": "1,0"}
    return command(cli, "compare", data=shared_speech_folder, **SMALL, **models)


@pytest.fixture(scope="module")
def parent(result, shared_store):
    assert result.exception is None, result.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'compare'")
    return run


@pytest.fixture(scope="module")
def children(parent, shared_store):
    return children_of(shared_store, parent)


@pytest.fixture(scope="module")
def artifact(parent):
    return lambda path: text_of(parent, path)


def test_one_parent_with_a_run_for_each_network_and_seed(parent, children):
    assert parent.info.run_name == "compare 2 models, 2 seeds"
    assert parent.info.status == "FINISHED"
    assert parent.data.params["models"] == "fc+sgd,gru+adam"
    assert parent.data.params["seeds"] == "1,0"
    assert set(children) == {"fc sgd seed0", "fc sgd seed1", "gru adam seed0", "gru adam seed1"}
    for run in children.values():
        assert run.info.status == "FINISHED"
        assert run.data.tags["stage"] == "trial"
        assert run.data.tags["study"] == f"compare {parent.info.run_id[:6]}"
        assert run.data.params["data"] == parent.data.params["data"]
        assert run.data.params["epochs"] == "2"
    assert children["fc sgd seed1"].data.params["seed"] == "1"
    assert children["fc sgd seed1"].data.params["used/weight_decay"] == "1e-05"
    assert children["fc sgd seed1"].data.metrics["params/total"] == 567_171
    assert children["gru adam seed1"].data.params["used/learning_rate"] == "0.001"
    assert "used/momentum" not in children["gru adam seed1"].data.params
    assert "test/accuracy" not in parent.data.metrics  # it would mix with its children's


def test_a_child_is_what_a_run_of_its_own_gives(
    children, shared_store, shared_speech_folder, command
):
    """To the bit, whatever was trained before it in the same process."""
    alone = command(cli, "gru", data=shared_speech_folder, seed=1, **SMALL)
    assert alone.exception is None, alone.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'train'")
    child = children["gru adam seed1"]
    names = {name for name in run.data.metrics if not name.startswith("time/")}
    assert names == {name for name in child.data.metrics if not name.startswith("time/")}
    for name in names:
        one, other = (
            [(m.step, m.value) for m in shared_store.get_metric_history(r.info.run_id, name)]
            for r in (run, child)
        )
        assert one == other, name
    assert run.data.params == child.data.params


def test_the_table_has_means_beside_what_is_published(result, children, artifact):
    lines = result.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("network"))
    fc, gru = lines[start + 1 : start + 3]

    def spread(network, metric, form=".4f"):
        values = [children[f"{network} seed{seed}"].data.metrics[metric] for seed in (1, 0)]
        return f"{mean(values):{form}} ± {pstdev(values):{form.removeprefix('+')}}"

    assert fc.startswith(f"FC + SGD    {spread('fc sgd', 'test/accuracy')}  ")
    assert gru.startswith(f"GRU + Adam  {spread('gru adam', 'test/accuracy')}  ")
    to_90 = spread("fc sgd", "epochs/to_90_of_final", ".1f")
    assert re.split(r"\s{2,}", fc)[-2:] == [to_90, spread("fc sgd", "gap/accuracy", "+.4f")]
    for published in ("0.7828", "0.8796", "0:04:31", "567,171"):
        assert published in fc
    for published in ("0.9194", "0.9569", "1:16:21", "70,531"):
        assert published in gru
    text = artifact("comparison.txt")
    assert fc in text
    assert "24 train" in text
    assert "mean ± standard deviation (ddof 0)" in " ".join(text.split())
    assert "other data" in " ".join(text.split())


def test_the_numbers_of_every_run(parent, children):
    rows = rows_of(parent, "comparison.json")
    assert [row["run"] for row in rows] == [
        "fc sgd seed1",
        "fc sgd seed0",
        "gru adam seed1",
        "gru adam seed0",
    ]
    for row in rows:
        run = children[row["run"]]
        assert row["run_id"] == run.info.run_id
        assert row["test_accuracy"] == pytest.approx(run.data.metrics["test/accuracy"])
        assert row["gap_accuracy"] == pytest.approx(run.data.metrics["gap/accuracy"])
        assert row["epochs_to_90_of_final"] == run.data.metrics["epochs/to_90_of_final"]
        assert row["parameters"] == run.data.metrics["params/total"]
    assert rows[0]["speech_rnn_test_accuracy"] == 0.7828
    assert rows[0]["speech_group530_test_accuracy"] == 0.8796
    assert rows[3]["speech_rnn_train_s"] == pytest.approx(4581.49)


def test_figures_and_description(parent, shared_store):
    names = {entry.path for entry in shared_store.list_artifacts(parent.info.run_id)}
    assert names == {"comparison.json", "comparison.txt", "curves.png", "gap.png"}
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("```\nnetwork     test accuracy")
    assert "\nGRU + Adam  " in note
    contexts = {tag.value for i in parent.inputs.dataset_inputs for tag in i.tags}
    assert {"training", "validation", "test"} <= contexts


def test_progress_says_how_far_it_is(result):
    lines = result.stderr.splitlines()
    assert "4 runs to train" in lines
    assert "training fc sgd seed1 (1 of 4)" in lines
    runs = [line for line in lines if line.startswith("run ")]
    assert [line.partition(", test accuracy")[0] for line in runs] == [
        "run 1 of 4: fc sgd seed1",
        "run 2 of 4: gru adam seed1",
        "run 3 of 4: fc sgd seed0",
        "run 4 of 4: gru adam seed0",
    ]
    assert all("; best so far " in line for line in runs)
    assert all(line.endswith(" left") for line in runs[:3])


def test_resuming_trains_what_is_missing(parent, children, command, shared_store, result):
    """To the bit what an uninterrupted comparison has."""
    options = {"data": parent.data.params["data"], "seeds": "1", "models": "gru+adam,fc+adam"}
    again = command(cli, "compare", resume=parent.info.run_id, **options, **SMALL)
    assert again.exception is None, again.output
    assert "1 of 2 runs are done already" in again.stderr
    (other,) = shared_store.search_runs(["0"], f"tags.resumed = '{parent.info.run_id}'")
    assert set(children_of(shared_store, other)) == {"fc adam seed1"}

    def row(text):
        return next(line for line in text.splitlines() if line.startswith("GRU + Adam"))

    accuracy = children["gru adam seed1"].data.metrics["test/accuracy"]
    assert row(again.stdout).startswith(f"GRU + Adam  {accuracy:.4f}  ")


@pytest.mark.parametrize("view", VIEWS["speech"], ids=lambda view: view.key)
def test_the_saved_views_show_what_a_run_logs(children, view):
    for column in (*view.columns, view.order_by, *view.group_by):
        kind, name = column.split(".", 1)
        for run in children.values():
            assert name in getattr(run.data, kind)


def test_means_are_of_trials_that_are_done(children, parent, shared_store):
    """With what MLflow's own search makes of the views' filter."""
    running = shared_store.create_run("0", tags={"stage": "trial", "task": "speech"})
    try:
        for view in VIEWS["speech"] + VIEWS["har"] + VIEWS["addition"]:
            found = {run.info.run_id for run in shared_store.search_runs(["0"], view.filter)}
            assert {run.info.run_id for run in children.values()} <= found
            assert (running.info.run_id in found) == (not view.group_by)
            assert (parent.info.run_id in found) == (not view.group_by)
    finally:
        shared_store.delete_run(running.info.run_id)


def test_networks_without_published_results(store, command, shared_speech_folder):
    result = command(
        cli, "compare", data=shared_speech_folder, models="fc+adam", epochs=1, batch_size=8
    )
    assert result.exception is None, result.output
    (row,) = (line for line in result.stdout.splitlines() if line.startswith("FC + Adam"))
    assert row.split()[4] == "-"
    assert "±" not in result.stdout
    # The newest model is that of the comparison's only run.
    clip = shared_speech_folder / "go/speaker5_nohash_0.wav"
    heard = command(cli, "classify", wav=clip)
    (child,) = store.search_runs(["0"], "tags.stage = 'trial'")
    model = f"Model: runs:/{child.info.run_id}/model (fc adam seed0)"
    assert heard.stdout.strip().endswith(model)


def test_a_run_that_fails_costs_only_itself(store, command, shared_speech_folder, monkeypatch):
    from tfnets import training

    train = training.train

    def fail(build, data, recipe, *args, **kwargs):
        if recipe.optimizer == "adam" and build().name == "speech_fc":
            raise InputError("the training loss is nan.")
        return train(build, data, recipe, *args, **kwargs)

    monkeypatch.setattr(training, "train", fail)
    models = "fc+sgd,fc+adam,gru+adam"
    result = command(cli, "compare", data=shared_speech_folder, models=models, **SMALL)
    runs = {run.info.run_name: run for run in store.search_runs(["0"])}
    parent = runs["compare 3 models, 1 seed"]
    assert str(result.exception) == (
        "1 of 3 runs failed, fc adam seed0: the training loss is nan. The others are done: -P "
        f"resume={parent.info.run_id} trains only what is missing; -P models=... leaves out what "
        "cannot be trained."
    )
    assert {name: run.info.status for name, run in runs.items()} == {
        "compare 3 models, 1 seed": "FAILED",
        "fc sgd seed0": "FINISHED",
        "fc adam seed0": "FAILED",
        "gru adam seed0": "FINISHED",
    }
    assert parent.data.tags["error"] == str(result.exception)
    note = parent.data.tags["mlflow.note.content"]
    assert "FC + SGD" in note
    assert "FC + Adam" not in note
    assert "2 of 3 runs are in this table." in note
    names = {entry.path for entry in store.list_artifacts(parent.info.run_id)}
    assert names == {"comparison.json", "comparison.txt", "curves.png", "gap.png"}


def test_matrices_that_one_network_cannot_take(store, command, tmp_path):
    y = np.arange(60) % 2
    x = np.random.default_rng(0).normal(size=(60, 9, 4))
    np.savez(tmp_path / "small.npz", x_train=x, y_train=y, x_test=x + 0.01, y_test=y)
    result = command(cli, "compare", data=tmp_path / "small.npz", models="fc+sgd,cnn+sgd")
    assert "matrices of 9 x 4 are too small for the CNN" in str(result.exception)
    (run,) = store.search_runs(["0"])  # before anything was trained
    assert run.info.status == "FAILED"
    result = command(cli, "compare", data=tmp_path / "small.npz", models="fc+sgd", epochs=1)
    assert result.exception is None, result.output
    assert "small (54 train, 6 val, 60 test)" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": "fc+sgd,rnn+adam"}, "'rnn+adam' is not one of fc, cnn, gru with +adam or +s"),
        ({"models": "gru"}, "'gru' is not one of fc, cnn, gru with +adam or +sgd."),
        ({"models": "fc+sgd,FC+SGD"}, "'fc+sgd,FC+SGD' names FC+SGD twice; give each once."),
        ({"seeds": "0,0"}, "'0,0' names 0 twice; give each once."),
        ({"seeds": "0,one"}, "'one' is not a valid integer."),
        ({"seeds": "-1"}, "-1 is not in the range"),
    ],
)
def test_bad_options(command, options, message):
    result = command(cli, "compare", **options)
    assert message in result.exception.format_message()
