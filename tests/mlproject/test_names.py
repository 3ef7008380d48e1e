"""Names of classes, data and runs are shown as they are, never read as markup."""

import numpy as np
import pytest

from mlproject.har.commands import cli as har
from mlproject.speech.commands import cli as speech
from mlproject.tracking import limits

# What is mathtext, Markdown, HTML, a link, rich's markup, a spreadsheet's formula; and a comma.
NAMES = [r"$\frac{$", "**bold**_x_`y`", "<b>x</b>", "[a](http://b)", "[red]c[/red]", "=1+1, |d|"]


def matrices(path, shape):
    rng, y = np.random.default_rng(0), np.arange(72) % len(NAMES)
    x = rng.normal(size=(72, *shape)).astype(np.float32)
    np.savez(path, x_train=x, y_train=y, x_test=x + 0.01, y_test=y, classes=NAMES)


@pytest.mark.parametrize(
    ("cli", "command_name", "shape", "options"),
    [
        pytest.param(
            *(har, "rnn", (8, 3), {"units": 3, "validation_fraction": 0.2}),
            marks=pytest.mark.nightly,
        ),
        (speech, "fc", (101, 40), {}),
    ],
)
@pytest.mark.slow
def test_a_training_with_names_that_look_like_markup(
    cli, command_name, shape, options, store, command, tmp_path
):
    path = tmp_path / r"$\sqrt{$ *my* data.npz"
    matrices(path, shape)
    result = command(cli, command_name, data=path, epochs=1, batch_size=12, **options)
    assert result.exception is None, result.output
    (run,) = store.search_runs(["0"])
    assert run.info.status == "FINISHED"
    figures = {entry.path for entry in store.list_artifacts(run.info.run_id)}
    assert {"confusion_matrix.png", "curves.png"} <= figures
    note = run.data.tags["mlflow.note.content"]
    assert limits.escaped(path.stem) in note
    for name in NAMES:
        assert limits.escaped(name) in note
        assert name not in note
    assert path.stem in result.stdout


def test_markdown_that_is_escaped():
    assert limits.escaped("external rotation (2.5 kg), no-go") == (
        "external rotation (2.5 kg), no-go"
    )
    assert limits.escaped(r"$a$ *b* \c <d> [e] `f` g_h") == (
        r"\$a\$ \*b\* \\c \<d\> \[e\] \`f\` g\_h"
    )
