"""Every command and every Python example of README and docs/, run at a small size.

In this process, through the same click commands; that MLproject calls them with the same options
is tested elsewhere. Blocks under ``<!-- measured: ... -->`` were run by hand, at the date and
commit that stand there: their options are checked.
"""

import os
import re
import shlex
from pathlib import Path
from unittest import mock

import click
import nbformat
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from nbclient import NotebookClient

from mlproject.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = ("README", "docs/speech", "docs/har", "docs/addition", "docs/models", "docs/pytorch",
         "docs/running", "docs/performance", "docs/own_recordings", "docs/evidence")  # fmt: skip
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]

BLOCK = re.compile(r"(<!-- measured: [^>]*-->\n)?^ *```(sh|python)\n(.*?)^ *```", re.M | re.S)

# What is not ours, or is tried by other tests: serving, environments, the benchmarks.
OTHERS = re.compile(
    r"(python3\.11 -m venv|\. \.venv|pip install|mlflow (ui|models serve)|curl|pytest|export|"
    r"python benchmarks/|eval|for |do$|done$|dask |tfnets har sweep --scheduler|"
    r"tfnets (recover|report))"
)

SMALL = {
    "speech": {"clips": 15, "epochs": 1, "batch_size": 16},
    "speech compare": {"models": "fc+sgd,gru+adam", "seeds": "0"},
    "speech cross-validation": {"models": "fc+sgd", "seeds": "0", "folds": "2"},
    "har cross-validation": {"folds": "2"},
    "har search": {"trials": "2"},
    "addition search": {"trials": "2"},
    "speech search": {"trials": "2"},
    "har": {"epochs": 1, "max_epochs": 1, "batch_size": 100, "units": 4, "seeds": "1",
            "configurations": "200x4x0.1,100x5x0.1"},
    "addition": {"steps": 4, "batch_size": 5, "seeds": "0"},
}  # fmt: skip


def commands_of(text):
    """Commands, each a line; what is continued, joined; without comments and variables."""
    text = re.sub(r"\\\n\s*", "", text)
    for line in re.split(r"\n|&&", text):
        line = re.sub(r"\s+#.*|^#.*", "", line.strip())
        line = re.sub(r"^([A-Z_]+=\S+ )+", "", line)
        if line:
            yield line


def examples(kind):
    found = []
    for page in PAGES:
        for measured, language, text in BLOCK.findall((ROOT / f"{page}.md").read_text()):
            if language == kind:
                found += [(page, bool(measured), text)]
    return found


def parsed(line):
    """The command of a line and its options, ``("speech", "gru", {"epochs": "2"}, [])``."""
    words = shlex.split(line)
    if words[:2] == ["mlflow", "run"]:
        entry = PROJECT[words[words.index("-e") + 1]]["command"].split()
        given = [words[i + 1] for i, word in enumerate(words) if word == "-P"]
        options = dict(word.split("=", 1) for word in given)
        return entry[2].removeprefix("mlproject."), entry[3], options, []
    assert words[0] == "tfnets", line
    task, name, *rest = words[1:]
    options = {}
    while len(rest) > 1 and rest[0].startswith("--"):
        key, value, *rest = rest
        options[key[2:].replace("-", "_")] = value
    return task, name, options, rest


def lines(measured):
    return [
        pytest.param(line, id=f"{page}: {line}")
        for page, by_hand, text in examples("sh")
        for line in commands_of(text)
        if by_hand == measured and not OTHERS.match(line)
    ]


def words_of(task, name, options, arguments):
    named = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    return [task, name, *named, *arguments]


@pytest.mark.parametrize("line", [*lines(measured=True), *lines(measured=False)])
def test_options_of_commands(line):
    task, name, options, arguments = parsed(line.replace("$seed", "0"))
    command = cli.commands[task].commands[name]
    context = command.make_context(name, words_of(task, name, options, arguments)[2:])
    assert set(options) <= set(context.params)


# One store and one folder for all: a page's commands build on each other.


@pytest.fixture(scope="module")
def place(shared_store, tmp_path_factory, write_clip):
    """What the pages call ~: recordings, matrices and checkpoints."""
    home = tmp_path_factory.mktemp("home")
    write_clip(home / "clip.wav")
    for hertz, word in ((300, "no"), (600, "go"), (1200, "down")):
        for speaker in range(6):
            for take in range(3):
                path = home / "speech_commands_v0.02" / word / f"s{speaker}_nohash_{take}.wav"
                write_clip(path, float(hertz))
    for word in ("one", "two"):
        for who in ("anna", "ben", "carl", "dora"):
            for take in range(2):
                write_clip(home / "digits" / f"{word}_{who}_{take}.wav", 150.0 * len(who))
    rng = np.random.default_rng(0)
    rows = [f"{who},{act},{who * 99 + n / 50},{n % (7 + len(act))},{rng.normal():.3f},{who}"
            for who in range(3) for act in ("walk", "sit") for n in range(400)]  # fmt: skip
    (home / "watch.csv").write_text("subject,activity,time,x,y,z\n" + "\n".join(rows) + "\n")
    lists = {"validation_list.txt": "s4", "testing_list.txt": "s5"}
    for name, speaker in lists.items():
        listed = (home / "speech_commands_v0.02").glob(f"*/{speaker}_*.wav")
        names = "\n".join(f"{path.parent.name}/{path.name}" for path in listed)
        (home / "speech_commands_v0.02" / name).write_text(f"{names}\n")
    y = np.arange(60) % 3
    x, x_test = (rng.normal(size=(60, 101, 40)) + y[:, None, None] for _ in range(2))
    np.savez(home / "course.npz", x_train=x, y_train=y, x_test=x_test, y_test=y)
    from tfnets import addition, speech, torch_weights

    network = speech.build("gru", reset_after=True)
    from safetensors.numpy import save_file

    save_file(torch_weights.to_torch(network), home / "gru.safetensors")
    module = {"emb.weight": (10, 32), "out.weight": (10, 64), "out.bias": (10,)}
    for layer, inputs in ((0, 64), (1, 64)):
        module |= {f"rnn.weight_ih_l{layer}": (64, inputs), f"rnn.weight_hh_l{layer}": (64, 64)}
        module |= {f"rnn.bias_{kind}_l{layer}": (64,) for kind in ("ih", "hh")}
    arrays = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in module.items()}
    np.savez(home / "adder.npz", **arrays)
    assert addition.of_torch(arrays)
    return home


def invoke(words):
    with mock.patch.dict(os.environ):
        result = CliRunner().invoke(cli, words, standalone_mode=False)
    if result.exception is not None:
        raise AssertionError(f"{words}: {result.exception}") from result.exception


def newest(store):
    experiments = [each.experiment_id for each in store.search_experiments()]
    runs = store.search_runs(experiments, order_by=["attributes.start_time DESC"])
    return next(r.info.run_id for r in runs if "mlflow.parentRunId" not in r.data.tags)


# Pages whose commands run in CI; that the words are right is tested of all.
FIRST = ("README", "docs/own_recordings")


def all_lines():
    for param in lines(measured=False):
        kind = pytest.mark.slow if param.id.startswith(FIRST) else pytest.mark.nightly
        yield pytest.param(*param.values, id=param.id, marks=kind)


@pytest.mark.parametrize("line", list(all_lines()))
def test_commands(line, place, shared_store):
    task, name, options, arguments = parsed(line)
    if options.get("data") == "speech_commands":
        pytest.skip("downloads 2.4 GB")
    options = {key: value.replace("~/", f"{place}/") for key, value in options.items()}
    arguments = [word.replace("~/", f"{place}/") for word in arguments]
    command = cli.commands[task].commands[name]
    known = {option.name for option in command.params if isinstance(option, click.Option)}
    small = SMALL[task] | SMALL.get(f"{task} {name}", {})
    options |= {key: value for key, value in small.items() if key in known}
    if options.pop("resume", None):
        invoke(words_of(task, name, options, arguments))
        options["resume"] = newest(shared_store)
    invoke(words_of(task, name, options, arguments))


EXAMPLES = [
    pytest.param(text, id=f"{page} {number}")
    for number, (page, _, text) in enumerate(examples("python"))
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [pytest.param(t, id=f"{page} {n}") for n, (page, _, t) in enumerate(examples("python"))],
)
def test_python_examples(text, place, shared_store):
    if "safetensors.torch" in text:
        pytest.skip("runs where PyTorch is")
    small = text.replace("speech.load()", "speech.load(clips=15)").replace("epochs=5", "epochs=1")
    exec(compile(small, "example", "exec"), {})


@pytest.mark.slow
def test_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    notebook = nbformat.read(next((ROOT / "examples").glob("*.ipynb")), as_version=4)
    notebook.cells[1].source = "EPOCHS = 1\nCLIPS = 15"
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    kinds = {key for cell in notebook.cells for out in cell.get("outputs", ()) for key in out}
    assert "data" in kinds
    assert (tmp_path / "words.keras").is_file()


def test_links_between_pages():
    for page in (*PAGES, "docs/reports", "docs/architecture", "CONTRIBUTING"):
        path = ROOT / f"{page}.md"
        for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", path.read_text()):
            file = path.parent / target if target else path
            assert file.exists(), f"{page}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.*)", file.read_text(), re.M)
                slugs = {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}
                assert anchor in slugs, f"{page}: {target}#{anchor}"


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
