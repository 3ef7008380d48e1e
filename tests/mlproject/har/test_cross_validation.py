"""Everybody is tested on once; who is understood how well, and which network better."""

import json

import mlflow
import numpy as np
import pytest

from mlproject.har.commands import cli
from records import text_of
from tfnets import evidence

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sweeps")]

SMALL = {"epochs": 2, "units": 4, "batch_size": 10}
PEOPLE = ("ann", "ben", "cem", "dana", "eli", "fay")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Windows of six people: two activities told apart by their mean, the sixth turned around."""
    rng = np.random.default_rng(0)
    y = np.tile(np.repeat([0, 1], 5), len(PEOPLE))
    subjects = np.repeat(PEOPLE, 10)
    side = np.where(subjects == "fay", -1, 1) * (2 * y - 1)
    x = rng.normal(scale=0.3, size=(len(y), 8, 3)) + side[:, None, None]
    path = tmp_path_factory.mktemp("people") / "own.npz"
    names = np.array(["still", "walking"])[y]
    np.savez(path, x=x.astype(np.float32), y=names, subjects=subjects)
    return path


@pytest.fixture(scope="module")
def result(shared_store, recorded, command, one_cluster):
    options = {"optimizer": "adam", "learning_rate": 0.02, "seeds": "1,2", "folds": 2}
    return command(cli, "cross-validation", data=recorded, **SMALL | options)


@pytest.fixture(scope="module")
def run(result, shared_store):
    assert result.exception is None, result.output
    runs = shared_store.search_runs(["0"], "tags.stage = 'cross-validation'")
    return runs[-1]  # the first


@pytest.fixture(scope="module")
def children(run, shared_store):
    return shared_store.search_runs(["0"], f"tags.mlflow.parentRunId = '{run.info.run_id}'")


def table_of(run, path):
    return json.loads(text_of(run, path))


def people_of(child, split):
    return child.data.tags[f"data.{split}_subjects"].split(", ")


def test_everybody_is_tested_on_once_with_each_seed(children):
    found = sorted((who, c.data.params["seed"]) for c in children for who in people_of(c, "test"))
    assert found == sorted((who, seed) for who in PEOPLE for seed in ("1", "2"))
    for child in children:
        assert sorted(people_of(child, "test") + people_of(child, "train")) == sorted(PEOPLE)


def test_what_is_logged_by_person_is_what_the_model_says(run, children, recorded):
    """By the deployed model, loaded from the store, on the file's own arrays."""
    with np.load(recorded) as file:
        x, y, subjects = file["x"], file["y"], file["subjects"]
    ours = {}
    for child in children:
        model = mlflow.pyfunc.load_model(f"runs:/{child.info.run_id}/model")
        for who in people_of(child, "test"):
            answer = model.predict(x[subjects == who])
            shares = np.stack(list(answer.values()), axis=1)
            heard = np.array(list(answer))[shares.argmax(axis=1)]
            ours.setdefault(who, []).append(np.mean(heard == y[subjects == who]))
    logged = table_of(run, "by_person.json")
    rows = [dict(zip(logged["columns"], row, strict=True)) for row in logged["data"]]
    assert min(map(len, ours.values())) == 2
    assert {row["person"]: row["samples"] for row in rows} == dict.fromkeys(PEOPLE, 10)
    accuracies = {row["person"]: row["accuracy"] for row in rows}
    assert accuracies == pytest.approx({who: np.mean(each) for who, each in ours.items()})
    mean, low, high, _ = evidence.interval(list(accuracies.values()))
    metrics = run.data.metrics
    assert metrics["by_person/accuracy"] == pytest.approx(mean)
    assert metrics["by_person/low"] == pytest.approx(low)
    assert metrics["by_person/high"] == pytest.approx(high)
    assert metrics["by_person/worst"] == pytest.approx(min(accuracies.values()))
    assert metrics["by_person/people"] == 6


def test_tables_and_figures(run, result, shared_store):
    text = text_of(run, "tables.txt")
    assert text.strip() in result.stdout
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1:7]] == list(PEOPLE)
    assert lines[7].startswith("mean")
    assert "95 % interval" in lines[8]
    names = {entry.path for entry in shared_store.list_artifacts(run.info.run_id)}
    assert {"by_person.json", "by_person.png", "confusion_matrix.png", "tables.txt"} <= names
    note = run.data.tags["mlflow.note.content"]
    assert "people who were not trained on, mean over 6 people; least for" in note


@pytest.fixture(scope="module")
def compared(run, shared_store, recorded, command, one_cluster):
    """Two more, the last beside both earlier ones."""
    results, against = [], run.info.run_id
    for options in ({"learning_rate": 0.001}, {"learning_rate": 0.002}):
        result = command(
            cli, "cross-validation", data=recorded, folds=2, against=against, **SMALL | options
        )
        assert result.exception is None, result.output
        results.append(result)
        newest = shared_store.search_runs(["0"], "tags.stage = 'cross-validation'")[0]
        against += f",{newest.info.run_id}"
    return results, newest


def test_networks_are_compared_by_person(compared, run):
    (first, second), newest = compared
    reference = f"rnn 4 softmax, adam 0.02, batch 10 ({run.info.run_id[:6]})"
    assert f"beside {reference}" in first.stdout
    assert "the smallest p that 6 people can give is 0.0312" in " ".join(first.stdout.split())
    assert "Average ranks" not in first.stdout  # of two there are none
    logged = table_of(newest, "comparison.json")
    rows = [dict(zip(logged["columns"], row, strict=True)) for row in logged["data"]]
    assert [row["reference"] for row in rows] == [reference] * 2
    assert all(row["p"] <= row["p_holm"] <= 1 for row in rows)
    assert "Average ranks" in second.stdout
    assert "Critical difference" in " ".join(second.stdout.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 7}, "folds is 7; expected 2 to 6, for there are the subjects ann, ben, cem"),
        ({"against": "nothing"}, "no run 'nothing' at sqlite:///"),
        ({"against": "CHILD"}, "which is no cross-validation of har"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    children, shared_store, recorded, command, one_cluster, options, message
):
    options = {k: children[0].info.run_id if v == "CHILD" else v for k, v in options.items()}
    result = command(cli, "cross-validation", data=recorded, **SMALL | options)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    newest = shared_store.search_runs(["0"], "tags.stage = 'cross-validation'")[0]
    assert newest.info.status == "FAILED"


def test_it_needs_to_know_who_is_who(store, command, windows, tmp_path):
    result = command(cli, "cross-validation", data=windows, **SMALL)
    assert "has its own split; a cross-validation needs x, y and subjects" in str(result.exception)
