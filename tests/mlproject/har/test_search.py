"""Searches: what is tried, what is pruned, what is resumed, who becomes the champion."""

import json

import pytest

from mlproject.har.commands import cli as har
from records import text_of

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("sweeps")]

SPACE = "units=2..8:log,learning_rate=0.0001..0.1:log"
SMALL = {"space": SPACE, "optimizer": "adam", "epochs": 8, "batch_size": 20}


@pytest.fixture(scope="module")
def result(shared_store, windows, command, one_cluster):
    return command(har, "search", data=windows, trials=9, parallel=1, **SMALL)


@pytest.fixture(scope="module")
def run(result, shared_store):
    assert result.exception is None, result.output
    return shared_store.search_runs(["0"], "tags.stage = 'search'")[-1]  # the first


def children(store, run):
    return store.search_runs(["0"], f"tags.mlflow.parentRunId = '{run.info.run_id}'")


def rows_of(run):
    logged = json.loads(text_of(run, "trials.json"))
    return [dict(zip(logged["columns"], row, strict=True)) for row in logged["data"]]


def accuracies(store, run_id):
    return [m.value for m in store.get_metric_history(run_id, "val/accuracy") if m.step > 0]


def test_every_trial_is_a_run_with_what_it_tried(run, shared_store):
    by_id = {child.info.run_id: child for child in children(shared_store, run)}
    rows = rows_of(run)
    assert sorted(row["trial"] for row in rows) == list(range(9))
    for row in rows:
        child = by_id.pop(row["run_id"])
        assert child.data.params["units"] == str(row["units"])
        assert float(child.data.params["learning_rate"]) == row["learning_rate"]
        assert 2 <= row["units"] <= 8
        assert 0.0001 <= row["learning_rate"] <= 0.1
        assert child.data.tags["trial"] == str(row["trial"])
    assert not by_id


def test_the_best_is_the_best_on_validation(run, shared_store):
    rows = rows_of(run)
    whole = [row for row in rows if not row["pruned_after"]]
    for row in whole:
        child = shared_store.get_run(row["run_id"])
        assert child.info.status == "FINISHED"
        assert row["val_accuracy"] == pytest.approx(child.data.metrics["final_val/accuracy"])
    assert whole[0]["val_accuracy"] == max(row["val_accuracy"] for row in whole)
    assert run.data.metrics["val/accuracy"] == pytest.approx(whole[0]["val_accuracy"])


def test_a_pruned_trial_was_worse_than_the_median_and_says_so(run, shared_store):
    """By the definition, from the curves in the store; not by asking Optuna again."""
    rows = {row["trial"]: row for row in rows_of(run)}
    pruned = [row for row in rows.values() if row["pruned_after"]]
    assert run.data.metrics["trials/pruned"] == len(pruned)
    assert pruned  # learning rates from 0.0001: else this test says nothing
    for row in pruned:
        child = shared_store.get_run(row["run_id"])
        assert child.info.status == "KILLED"
        assert child.data.tags["error"].startswith(
            f"pruned after evaluation {row['pruned_after']}"
        )
        epoch = row["pruned_after"]
        mine = accuracies(shared_store, row["run_id"])
        assert len(mine) == epoch
        before = [
            accuracies(shared_store, rows[number]["run_id"])
            for number in range(row["trial"])
            if not rows[number]["pruned_after"]
        ]
        assert len(before) >= 4
        others = sorted(curve[epoch - 1] for curve in before)
        middle = (others[(len(others) - 1) // 2] + others[len(others) // 2]) / 2
        assert max(mine) < middle


def test_figures_table_and_champion(run, result, shared_store):
    names = {entry.path for entry in shared_store.list_artifacts(run.info.run_id)}
    assert {"parallel_coordinates.png", "trials.json", "trials.txt"} <= names
    best = rows_of(run)[0]
    champion = shared_store.get_model_version_by_alias("har-rnn", "champion")
    assert champion.run_id == best["run_id"]
    assert float(champion.tags["val.accuracy"]) == pytest.approx(best["val_accuracy"])
    assert "Registered as har-rnn version 1. It is the first champion." in result.stdout


@pytest.mark.nightly
def test_the_same_search_tries_the_same_resumed_or_not(run, shared_store, windows, command):
    """Four trials, then five more: as the nine in one go; nothing is trained twice."""
    expected = {row["trial"]: row for row in rows_of(run)}
    first = command(har, "search", data=windows, trials=4, parallel=1, **SMALL)
    assert first.exception is None, first.output
    part = shared_store.search_runs(["0"], "tags.stage = 'search'")[0]
    second = command(
        har, "search", data=windows, trials=9, parallel=1, resume=part.info.run_id, **SMALL
    )
    assert second.exception is None, second.output
    whole = shared_store.search_runs(["0"], "tags.stage = 'search'")[0]
    assert len(children(shared_store, part)) == 4
    assert len(children(shared_store, whole)) == 5
    for row in rows_of(whole):
        same = expected[row["trial"]]
        for name in ("units", "learning_rate", "val_accuracy", "pruned_after"):
            assert row[name] == same[name]
    # The same best does not beat itself.
    assert "The champion stays har-rnn version 1: validation" in " ".join(second.stdout.split())
    assert shared_store.get_model_version_by_alias("har-rnn", "champion").version == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": "nothing"}, "no run 'nothing' at sqlite:///"),
        ({"validation_fraction": 0}, "without validation data nothing can be chosen"),
        ({"register_as": "a/b"}, "register_as is 'a/b'; expected a name"),
    ],
)
def test_bad_searches_are_one_line(store, windows, command, options, message):
    result = command(har, "search", data=windows, trials=1, **SMALL | options)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"
