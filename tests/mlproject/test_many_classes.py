"""More classes, and longer texts, than a tag has room for."""

import csv
import json
import re

import mlflow
import numpy as np
import pytest

from mlproject.har.commands import cli as har
from mlproject.speech.commands import cli as speech
from mlproject.tracking import limits
from mlproject.tracking.lifecycle import start_run
from records import text_of

TRAININGS = {
    "speech": (speech, "fc", {"epochs": 1, "batch_size": 100}),
    "har": (har, "rnn", {"epochs": 1, "batch_size": 100, "units": 3}),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "length"), [("speech", 90), pytest.param("har", 1, marks=pytest.mark.nightly)]
)
def test_a_training_with_many_classes(store, command, tmp_path, task, length):
    classes = [f"c{n} ".ljust(length, "x").strip() for n in range(130)]
    y = np.tile(np.arange(len(classes)), 10)
    x = np.random.default_rng(0).normal(size=(len(y), 6, 3)) + y[:, None, None]
    n = 2 * len(classes)
    np.savez(
        tmp_path / "many.npz",
        x_train=x,
        y_train=y,
        x_test=x[:n] + 0.01,
        y_test=y[:n],
        classes=classes,
    )
    group, name, options = TRAININGS[task]
    result = command(group, name, data=tmp_path / "many.npz", **options)
    assert result.exception is None, result.output
    assert max(map(len, result.stdout.splitlines())) < 300
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FINISHED"
    tags = {tag.key: tag.value for tag in run.inputs.dataset_inputs[0].tags}
    count = len(classes)
    assert re.fullmatch(
        re.escape(", ".join(classes[:3])) + rf", .*{re.escape(classes[3])}.* \.\.\. "
        rf"\({count}, all in classes\.txt\)",
        tags["classes"],
    )

    def artifact(path):
        return text_of(run, path)

    assert artifact("classes.txt").splitlines() == classes
    by_class = json.loads(artifact("test_by_class.json"))
    assert [row[0] for row in by_class["data"]] == classes
    rows = list(csv.reader(artifact("confusion_matrix.csv").splitlines()))
    assert rows[0][1:] == [row[0] for row in rows[1:]] == classes
    assert [sum(map(int, row[1:])) for row in rows[1:]] == [2] * count
    note = run.data.tags["mlflow.note.content"]
    assert "Where the parameters come from" in note
    assert "all in classes.txt)" in note
    assert {entry.path for entry in store.list_artifacts(run.info.run_id)} >= {
        "confusion_matrix.png"
    }
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert list(model.predict(x[:1].astype(np.float32))) == classes
    assert model.metadata.metadata["classes"] == classes


def test_what_is_too_long_is_cut_and_an_artifact_has_all_of_it(store):
    words = ",".join(f"w{n}" for n in range(2000))
    subjects = ", ".join(map(str, range(3000)))
    table = "```\n" + "row\n" * 4000 + "```\n"
    with start_run("x", task="har", stage="train", options={"words": words, "a": 1}) as run:
        run.log_tags({"data.train_subjects": subjects, "short": "b"})
        run.describe(table)
    (run,) = store.search_runs(["0"])
    assert len(run.data.params["words"]) == 6000
    assert run.data.params["words"].startswith("w0,w1,w2,")
    assert run.data.params["words"].endswith(" ... (10,889 characters, all in long/words.txt)")
    assert (run.data.params["a"], run.data.tags["short"]) == ("1", "b")
    assert len(run.data.tags["data.train_subjects"]) == 8000
    note = run.data.tags["mlflow.note.content"]
    assert note.count("```") == 2
    assert note.endswith("row\n```\n\n... (16,008 characters, all in description.md)")
    wholes = {
        path: text_of(run, path)
        for path in ("long/words.txt", "long/data.train_subjects.txt", "description.md")
    }
    assert list(wholes.values()) == [words, subjects, table]


def test_names_are_kept_whole_as_many_as_fit():
    names = ["alpha", "beta", "gamma"]
    assert limits.names(names, 18, "x") == "alpha, beta, gamma"
    many = ["alpha"] * 100
    assert limits.names(many, 40, "all.txt") == "alpha, alpha ... (100, all in all.txt)"
    assert limits.names(["a" * 99], 30, "f") == "aaaaaaaaaaaaa ... (1, all in f)"[-30:]
    assert limits.text("short", 5, "f") == limits.markdown("short", 5, "f") == "short"
    assert limits.markdown("some text\n" * 9, 60, "f") == (
        "some text\nsome text\n\n... (90 characters, all in f)"
    )
