"""The report: tables read back, compared with what is published, one page that needs nothing."""

import html.parser
import json
import os
import re
import shutil
import subprocess

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import servers
from mlproject.addition.commands import cli as addition
from mlproject.cli import cli
from mlproject.har.commands import cli as har
from mlproject.report import agreement, collect, page
from mlproject.report.collect import Entry, Section, Table
from tfnets import tables

WORD = st.text("abcXYZ0189±.,%+-", min_size=1, max_size=6)
CELL = st.lists(WORD, min_size=1, max_size=3).map(" ".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.integers(2, 5), st.integers(1, 5))
def test_a_table_is_read_back_as_it_was_written(data, width, height):
    names = data.draw(st.lists(CELL, min_size=width, max_size=width, unique=True))
    columns = {name: data.draw(st.lists(CELL, min_size=height, max_size=height)) for name in names}
    assert tables.parse(tables.text(columns)) == columns


def test_what_is_no_table_is_none():
    assert tables.parse("Only a sentence.\nAnd another one.") == {}
    assert tables.parse("a  b\nthis is no cell") == {}


def test_texts_of_runs_are_split_into_titles_tables_and_notes():
    text = (
        "Table I: settings\n\nrun    seconds\nrun 8  1.0\n\n\n"
        "Table II: test accuracy\n\nrun    top-1  har_rnn, top-1\nrun 8  71.2 ± 2.8  33.3\n\n"
        "A note that\ngoes on.\n"
    ).replace("top-1  har", "top-1       har")
    first, second, note = collect.split(text)
    assert first == Table("Table I: settings", {"run": ["run 8"], "seconds": ["1.0"]})
    assert second.title == "Table II: test accuracy"
    assert second.columns["har_rnn, top-1"] == ["33.3"]
    assert note == Table("", {}, "A note that goes on.")


def test_results_are_compared_with_published_ones():
    columns = {
        "network": ["a", "b", "c", "d", "e"],
        "test accuracy": ["0.70 ± 0.02", "0.80 ± 0.01", "0.85 ± 0.05", "0.90 ± 0.01", "0.95"],
        "of speech_rnn": ["0.71", "0.90", "0.91", "0.93", "0.96"],
        "of group530": ["-", "-", "-", "-", "0.5"],
    }
    first, second = agreement.compare(columns)
    assert first.rows[0] == (0.70, 0.02, 0.71)
    assert first.rows[4] == (0.95, None, 0.96)
    apart = np.mean([-0.01, -0.1, -0.06, -0.03, -0.01])
    assert f"5 rows, ours {apart:+.4g} on average" in str(first)
    assert "; 2 of 4 within two deviations over seeds" in str(first)
    assert "in the same order (Spearman 1.00" in str(first)
    assert str(second) == "test accuracy beside group530: 1 row, ours +0.45 on average."
    shuffled = columns | {"of speech_rnn": ["0.96", "0.71", "0.9", "0.93", "0.91"]}
    assert "; not in the same order" in str(agreement.compare(shuffled)[0])


class _Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.cells, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


SECTIONS = [
    Section(
        "har",
        "Human <activities>",
        [
            Entry(
                "sweep & more",
                "mlflow run . -e har_sweep",
                {"run": "1", "data": "<script>alert(1)</script>"},
                [Table("Table", {"run": ["<b>8</b>"], "top-1": ["1"], "har_rnn, top-1": ["2"]})],
                [("loss.png", b"\x89PNG")],
            )
        ],
    )
]


def test_the_page_shows_everything_as_text_and_needs_nothing():
    text = page.to_html(SECTIONS, {"made": "today"})
    reader = _Reader()
    reader.feed(text)
    assert not reader.open
    assert "<b>8</b>" in reader.cells
    assert "script" not in {tag for tag, _ in reader.tags}
    sources = [a["src"] for tag, a in reader.tags if tag == "img"]
    assert sources == ["data:image/png;base64,iVBORw=="]
    assert not re.search(r"(src|href)=.(?!data:|#)", text)
    assert "top-1 beside har_rnn, top-1: 1 row, ours -1 on average." in text


def test_recorded_results_give_the_same_page(tmp_path):
    (tmp_path / "results.json").write_text(collect.recorded(SECTIONS))
    read = collect.from_file(tmp_path / "results.json")
    assert page.to_markdown(read, {}) == page.to_markdown(SECTIONS, {})


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--out", "page.txt"], "out is 'page.txt'; expected a name that ends in .html or .md."),
        ([], "there are no finished runs to report; train something first"),
        (["--results", "none.json"], "none.json: cannot be read: No such file or directory."),
        (["--results", "bad.json"], "bad.json: no recorded results (tfnets report --save):"),
        (["--out", "nowhere/x.html", "--results", "good.json"], "nowhere/x.html: cannot be writ"),
        (
            ["--out", "page.md", "--results", "good.json", "--save", "nowhere/r.json"],
            "nowhere/r.json: cannot be written: No such file or directory.",
        ),
    ],
)
def test_what_cannot_be_reported_is_one_line(store, options, line):
    with open("bad.json", "w") as file:
        json.dump({"format": 1}, file)
    with open("good.json", "w") as file:
        json.dump({"format": 1, "sections": []}, file)
    before = set(os.listdir())
    result = CliRunner().invoke(cli, ["report", *options], standalone_mode=False)
    assert line in str(result.exception)
    assert "\n" not in str(result.exception)
    assert set(os.listdir()) - {"page.md"} == before


def test_where_no_store_is_none_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_tracking_uri(None)
    result = CliRunner().invoke(cli, ["report"], standalone_mode=False)
    assert "there is no store at sqlite:///" in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def reported(shared_store, command, tmp_path_factory, one_cluster):
    """A page of a store with a training and a study."""
    small = {"steps": 10, "batch_size": 10}
    for group, name, options in (
        (addition, "study", small | {"values": "8,16", "seeds": "0,1"}),
        (har, "rnn", {"epochs": 1, "units": 4, "batch_size": 500}),
    ):
        result = command(group, name, **options)
        assert result.exception is None, result.output
    folder = tmp_path_factory.mktemp("report")
    for name in ("report.html", "report.md"):
        words = ["report", "--out", str(folder / name), "--save", str(folder / "results.json")]
        result = CliRunner().invoke(cli, words, standalone_mode=False)
        assert result.exception is None, result.output
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("sweeps")
def test_a_report_of_a_store(reported, shared_store):
    text = (reported / "report.md").read_text()
    assert (
        "mlflow run . -e addition_study --env-manager=local -P values=8,16 -P seeds=0,1 -P "
        in text
    )
    assert "-P steps=10 -P batch_size=10" in text
    assert "| hidden_size | exact match | addition_rnn |" in text
    (training,) = shared_store.search_runs(
        [each.experiment_id for each in shared_store.search_experiments()],
        "tags.stage = 'train'",
    )
    assert f"{training.data.metrics['test/accuracy']:.4f}" in text
    from_results = CliRunner().invoke(
        cli,
        [
            "report",
            "--out",
            str(reported / "again.md"),
            "--results",
            str(reported / "results.json"),
        ],
        standalone_mode=False,
    )
    assert from_results.exception is None

    def body(name):
        return (reported / name).read_text().split("\n", 3)[3]

    assert body("again.md") == body("report.md")


@pytest.mark.slow
@pytest.mark.xdist_group("sweeps")
def test_a_browser_shows_it(reported):
    """In Chromium: no errors, nothing asked of anybody, no scrolling sideways at 400 pixels."""
    browser = shutil.which("chromium")
    if browser is None:
        servers.missing("chromium", "there is no Chromium (apt-get install chromium)")
    frame = reported / "frame.html"
    frame.write_text(
        '<iframe id="f" src="report.html" style="width:400px;height:800px;border:0"></iframe>'
        "<pre id=out></pre><script>onload = () => { const d = f.contentDocument;"
        "out.textContent = JSON.stringify({width: d.documentElement.scrollWidth,"
        "images: [...d.images].map(i => i.naturalWidth), title: d.title,"
        "tables: d.querySelectorAll('table').length}) }</script>"
    )
    log = reported / "net.json"
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         f"--user-data-dir={reported / 'profile'}", "--enable-logging=stderr", "--v=0",
         f"--log-net-log={log}", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = json.loads(re.search(r'<pre id="out">(.*?)</pre>', done.stdout)[1])
    assert found["title"] == "tfnets report"
    assert found["width"] <= 400
    assert len(found["images"]) >= 1
    assert min(found["images"]) > 100
    assert found["tables"] >= 2
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console
