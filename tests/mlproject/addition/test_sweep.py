"""Small studies on real Dask workers: children, tables, figures, what is resumed."""

import re

import pytest

from mlproject.addition import settings, sweep, tables
from mlproject.addition.commands import cli
from mlproject.addition.published import STUDIES
from mlproject.tracking.lifecycle import start_run
from records import children_of, rows_of, text_of

# All sweeps in one process, for they share a cluster.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_cluster"),
    pytest.mark.xdist_group("sweeps"),
]

SMALL = {"steps": 4, "batch_size": 5}
DEFAULTS = {option.name: option.default for option in cli.commands["rnn"].params}


@pytest.fixture(scope="module")
def result(shared_store, one_cluster, command):
    return command(cli, "study", study="small_cell", values="rnn,lstm", seeds="0,7", **SMALL)


@pytest.fixture(scope="module")
def parent(result, shared_store):
    assert result.exception is None, result.output
    (run,) = shared_store.search_runs(["0"], "tags.stage = 'study'")
    return run


@pytest.fixture(scope="module")
def children(parent, shared_store):
    return children_of(shared_store, parent)


def test_a_run_for_each_value_and_seed(parent, children):
    names = {f"small_cell {cell} seed {seed}" for cell in ("rnn", "lstm") for seed in (0, 7)}
    assert set(children) == names
    assert parent.info.run_name == "study small_cell, seeds 0,7"
    for name, run in children.items():
        assert run.info.status == "FINISHED"
        assert run.data.tags["stage"] == "trial"
        assert run.data.tags["configuration"] == name.rpartition(" seed")[0]
        assert run.data.tags["threads"] == "1"
        assert run.data.params["hidden_size"] == "8"
        assert run.data.params["embedding_dim"] == "32"
        assert run.data.params["steps"] == "4"
    assert children["small_cell lstm seed 7"].data.params["cell"] == "lstm"


def test_a_child_is_what_a_run_of_its_own_gives(children, store, command):
    """But for rounding, for it has all threads."""
    options = SMALL | {"cell": "lstm", "hidden_size": 8, "embedding_dim": 32, "seed": 7}
    alone = command(cli, "rnn", **options)
    assert alone.exception is None, alone.output
    (run,) = store.search_runs(["0"], "tags.stage = 'train'")
    child = children["small_cell lstm seed 7"]
    there = {k: v for k, v in child.data.metrics.items() if not k.startswith("time/")}
    here = {k: v for k, v in run.data.metrics.items() if not k.startswith("time/")}
    assert here == pytest.approx(there, rel=1e-4, abs=1e-3)


def test_tables_stand_beside_the_reports(parent, children, result):
    text = text_of(parent, "tables.txt")
    assert "small_cell: kind of the recurrent layers, of 8 units (section 2.2.4)" in text
    header, *lines = (
        re.split(r"\s{2,}", line)
        for line in text.splitlines()
        if line.startswith(("cell  ", "rnn  ", "lstm  "))
    )
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    assert [row["parameters"] for row in rows] == ["1,130", "3,290"]
    for row in rows:
        values = [
            100
            * children[f"small_cell {row['cell']} seed {s}"].data.metrics["test/digit_accuracy"]
            for s in (0, 7)
        ]
        mean, deviation = map(float, row["digits"].split(" ± "))
        assert mean == pytest.approx(sum(values) / 2, abs=0.01)
        assert deviation == pytest.approx(abs(values[0] - values[1]) / 2, abs=0.01)
        assert row["99 % after"] == "-, -"
        losses = [
            children[f"small_cell {row['cell']} seed {s}"].data.metrics["train/loss"]
            for s in (0, 7)
        ]
        assert float(row["final loss"].split(" ± ")[0]) == pytest.approx(sum(losses) / 2, 0.05)
        # Four steps are not the report's experiment.
        assert row["addition_rnn"] == "-"
    assert text.partition("\n\n\n")[0] in result.stdout
    assert "on the pairs of the last 4 steps of training" in " ".join(text.split())
    assert "runs are in these tables" not in text


def test_one_figure_one_table_of_runs(parent, children, shared_store):
    names = {entry.path for entry in shared_store.list_artifacts(parent.info.run_id)}
    assert names == {"small_cell.png", "tables.txt", "runs.json"}
    for row in rows_of(parent, "runs.json"):
        child = children[f"{row['study']} {row['value']} seed {row['seed']}"]
        assert row["run_id"] == child.info.run_id
        for metric in ("test/loss", "train/loss"):
            assert row[metric] == pytest.approx(child.data.metrics[metric])
    assert len(rows_of(parent, "runs.json")) == 4


def test_other_values_and_what_is_resumed(parent, shared_store, command, children):
    again = command(
        cli,
        "study",
        study="small_cell",
        values="lstm,gru",
        seeds="7",
        resume=parent.info.run_id,
        **SMALL,
    )
    assert again.exception is None, again.output
    assert "1 of 2 runs are done already" in again.stderr
    (other,) = shared_store.search_runs(["0"], f"tags.resumed = '{parent.info.run_id}'")
    assert set(children_of(shared_store, other)) == {"small_cell gru seed 7"}
    assert [row["value"] for row in rows_of(other, "runs.json")] == ["lstm", "gru"]
    assert (
        rows_of(other, "runs.json")[0]["run_id"] == children["small_cell lstm seed 7"].info.run_id
    )


GIVEN = {
    "study": "all",
    "values": "report",
    "seeds": (0,),
    "base": 10,
    "initializer": "torch",
    "steps": 3000,
    "batch_size": 200,
}


def plan_of(**changes):
    with start_run("plan", task="addition", stage="study", options={}) as run:
        return sweep.plan(GIVEN | changes, DEFAULTS, run)


def test_the_reports_numbers_stand_beside_its_own_experiment_only(store):
    def column(**changes):
        (groups,) = plan_of(study="optimizer", **changes).values()
        return [tables._theirs(group) for group in groups]

    assert column() == ["0.05", "100", "89.35", "90.65"]
    assert column(values=("sgd nesterov", "sgd")) == ["90.65", "0.05"]
    for change in ({"base": 2}, {"steps": 100}, {"batch_size": 10}, {"initializer": "keras"}):
        assert column(**change) == ["-"] * 4


def test_values_of_the_report_are_what_they_are_in_the_report(store):
    (groups,) = plan_of(study="optimizer", values=("sgd momentum",)).values()
    (trial,) = groups[0].trials
    assert trial.options["learning_rate"] == 0.008
    assert trial.options["momentum"] == 0.5
    (groups,) = plan_of(study="hidden_size", values=(8, 12)).values()
    assert [group.subject.published for group in groups] == ["10.6", "-"]
    assert [group.trials[0].options["hidden_size"] for group in groups] == [8, 12]


def test_all_studies_are_one_plan_that_fits(store):
    plan = plan_of()
    assert list(plan) == list(STUDIES)
    assert len(plan) == 8
    trials = [trial for groups in plan.values() for group in groups for trial in group.trials]
    assert len(trials) == len({trial.name for trial in trials}) == 31
    for trial in trials:
        assert set(trial.options) == set(DEFAULTS)
        assert settings.resolve(trial.options).recipe.steps == 3000


def test_the_report_says_what_it_says():
    """Its tables, by study: exact-match accuracy in percent."""
    published = {
        name: {value.name: value.published for value in each.values}
        for name, each in STUDIES.items()
    }
    assert published["hidden_size"] == {
        "8": "10.6",
        "16": "100",
        "32": "100",
        "64": "100",
        "128": "(100)",
    }
    assert published["num_layers"] == {
        "1": "100",
        "2": "100",
        "3": "(100)",
        "4": "100",
        "8": "99.79",
    }
    assert list(published["optimizer"].values()) == ["0.05", "100", "89.35", "90.65"]
    assert published["learning_rate"] == {"0.1": "77.25", "0.01": "100", "0.001": "100"}
    assert published["small_cell"] == {"rnn": "10.6", "lstm": "88.85", "gru": "-"}


def test_an_optimizer_study_has_one_learning_rate_of_sgd():
    options = [value.options for value in STUDIES["optimizer"].values]
    rates = {each["learning_rate"] for each in options if each["optimizer"] == "sgd"}
    assert len(rates) == 1
    assert [each.get("momentum", 0) for each in options] == [0, 0, 0.5, 0.5]
    assert [each.get("nesterov", False) for each in options] == [False, False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"study": "weather"}, "'weather' is not one of 'all', 'embedding_dim'"),
        ({"values": "4,x"}, "for values: 'x' is not a valid integer"),
        ({"values": "4,4"}, "'4,4' names 4 twice"),
        ({"study": "all", "values": "4"}, "for values: all studies have the report's; name one"),
        ({"study": "cell", "values": "rnn,xyz"}, "'xyz' is not one of 'rnn', 'lstm', 'gru'"),
        ({"study": "learning_rate", "values": "0"}, "for values: '0' is neither a positive"),
        ({"resume": "0123"}, "no run '0123' at sqlite:///"),
        ({"study": "seq_len", "values": "2", "base": 2}, "there are 4 pairs of numbers"),
    ],
)
def test_bad_input_is_one_line(store, command, options, message):
    result = command(cli, "study", **SMALL | options)
    error = result.exception
    said = error.format_message() if hasattr(error, "format_message") else str(error)
    assert message in said
    assert "\n" not in said
    assert all(run.info.status == "FAILED" for run in store.search_runs(["0"]))


def test_who_resumes_with_other_parameters_is_told_which_are_missing(
    parent, shared_store, command
):
    """As when one takes over the id and leaves out the rest: no other study is to be trained."""
    result = command(cli, "study", resume=parent.info.run_id)
    said = str(result.exception)
    assert said.startswith(f"resume is {parent.info.run_id!r}, which has finished nothing that")
    words = set(said.removesuffix(".").partition("give the same: ")[2].split(" -P "))
    assert {word.removeprefix("-P ") for word in words} == {
        "study=small_cell",
        "values=rnn,lstm",
        "seeds=0,7",
        "steps=4",
        "batch_size=5",
    }
    newest = shared_store.search_runs(["0"], max_results=1)[0]
    assert newest.info.status == "FAILED"
    assert not children_of(shared_store, newest)


def test_a_run_that_fails_costs_only_itself(store, command):
    bad = {"study": "learning_rate", "values": "1e38,0.001", "seeds": "3", **SMALL}
    result = command(cli, "study", **bad)
    message = str(result.exception)
    (parent,) = store.search_runs(["0"], "tags.stage = 'study'")
    assert message.startswith("1 of 2 runs failed, learning_rate 1e+38 seed 3: the training loss")
    assert f"-P resume={parent.info.run_id} trains only what is missing" in message
    assert parent.info.status == "FAILED"
    assert "1 of 2 runs are in these tables" in parent.data.tags["mlflow.note.content"]
    names = {entry.path for entry in store.list_artifacts(parent.info.run_id)}
    assert names == {"learning_rate.png", "tables.txt", "runs.json"}
