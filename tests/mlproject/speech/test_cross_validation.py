"""Every speaker is tested on once; which network understands whom."""

import json

import numpy as np
import pytest

from mlproject.speech.commands import cli
from records import text_of
from tfnets import speech

pytestmark = pytest.mark.nightly

SMALL = {"epochs": 1, "batch_size": 12, "folds": 2, "models": "fc+sgd,gru+adam"}


@pytest.fixture(scope="module")
def result(shared_store, shared_speech_folder, command):
    return command(cli, "cross-validation", data=shared_speech_folder, **SMALL)


@pytest.fixture(scope="module")
def run(result, shared_store):
    assert result.exception is None, result.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'cross-validation'")
    return run


@pytest.fixture(scope="module")
def children(run, shared_store):
    return shared_store.search_runs(["0"], f"tags.mlflow.parentRunId = '{run.info.run_id}'")


def test_a_run_for_each_network_and_fold(children):
    found = {
        (c.data.tags["model"], c.data.params["fold"], c.data.params["folds"]) for c in children
    }
    assert found == {(model, fold, "2") for model in ("fc", "gru") for fold in ("1", "2")}


def test_every_speaker_is_there_once(run, children):
    logged = json.loads(text_of(run, "by_person.json"))
    rows = [dict(zip(logged["columns"], row, strict=True)) for row in logged["data"]]
    speakers = [f"speaker{number}" for number in range(6)]
    for network in ("FC + SGD", "GRU + Adam"):
        of_network = [row for row in rows if row["configuration"] == network]
        assert [row["person"] for row in of_network] == speakers
        assert {row["samples"] for row in of_network} == {6}
        # The mean over people is the mean over clips, for all have as many.
        tests = [
            c.data.metrics["test/accuracy"]
            for c in children
            if c.data.tags["configuration"] == network
        ]
        mean = np.mean([row["accuracy"] for row in of_network])
        assert mean == pytest.approx(np.mean(tests), abs=1e-6)


def test_the_networks_are_compared(run, result, shared_store):
    words = " ".join(result.stdout.split())
    assert "beside FC + SGD" in words
    assert "the smallest p that 6 people can give is 0.0312" in words
    names = {entry.path for entry in shared_store.list_artifacts(run.info.run_id)}
    assert {
        "by_person.json",
        "by_person.png",
        "comparison.json",
        "confusion_matrix_1.png",
        "confusion_matrix_2.png",
    } <= names


def test_the_folds_of_the_interface_are_those_of_load(shared_speech_folder):
    found = dict(speech.folds(shared_speech_folder, parts=3, progress=False))
    assert len(found) == 3
    everybody = [who for tested in found for who in tested]
    assert sorted(everybody) == [f"speaker{number}" for number in range(6)]
    for number, data in enumerate(found.values(), 1):
        same = speech.load(shared_speech_folder, folds=3, fold=number, progress=False)
        assert data.digest == same.digest
    alone = dict(speech.folds(shared_speech_folder, progress=False))
    assert [len(tested) for tested in alone] == [1] * 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 7}, "folds is 7; expected 2 to 6, for there are the speakers"),
        ({"against": "nothing"}, "no run 'nothing' at sqlite:///"),
    ],
)
def test_what_cannot_be_done_is_one_line(store, shared_speech_folder, command, options, message):
    result = command(cli, "cross-validation", data=shared_speech_folder, **SMALL | options)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FAILED"
