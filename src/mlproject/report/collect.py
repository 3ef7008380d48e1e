"""Reads from a store, or from a file of recorded results, what a report shows."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import click

from mlproject.process.options import defaults
from mlproject.tracking import queries
from mlproject.tracking.queries import Record
from mlproject.tracking.run import parameter
from tfnets import tables
from tfnets.errors import InputError, first_line

FORMAT = 1

# By task and stage the entry points of MLproject, the command, and the text with its tables.
_KINDS = {
    ("speech", "compare"): ("speech_compare", "compare", "comparison.txt"),
    ("speech", "cross-validation"): ("speech_cross_validation", "cross-validation", "tables.txt"),
    ("speech", "search"): ("speech_search", "search", "trials.txt"),
    ("har", "sweep"): ("har_sweep", "sweep", "tables.txt"),
    ("har", "early-stopping"): ("har_early_stopping", "early-stopping", "tables.txt"),
    ("har", "cross-validation"): ("har_cross_validation", "cross-validation", "tables.txt"),
    ("har", "search"): ("har_search", "search", "trials.txt"),
    ("addition", "study"): ("addition_study", "study", "tables.txt"),
    ("addition", "search"): ("addition_search", "search", "trials.txt"),
}
_MORE = ("ranking.txt",)
_TITLES = {
    "speech": "Spoken words (reports speech_cnn, speech_rnn, speech_group530)",
    "har": "Human activities (report har_rnn)",
    "addition": "Addition digit by digit (report addition_rnn)",
}
_MOST_RUNS = 12
_NEVER_SHOWN = ("resume", "scheduler")


@dataclass(frozen=True)
class Table:
    """A table, or a text where there is none.

    Attributes:
        title: What it shows.
        columns: By name; empty for a text.
        text: What stands below it, or the text itself.
    """

    title: str
    columns: dict[str, list[str]]
    text: str = ""


@dataclass(frozen=True)
class Entry:
    """A run of a command that compares, or several trainings.

    Attributes:
        title: Its name.
        command: What makes it again.
        facts: Date, data, digest, time, versions; by name.
        tables: Its tables.
        figures: ``(name, PNG)``; not part of recorded results.
    """

    title: str
    command: str
    facts: dict[str, str]
    tables: list[Table]
    figures: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """All of a task.

    Attributes:
        task: ``"speech"``, ``"har"`` or ``"addition"``.
        title: With the reports that it is about.
        entries: What was run, the newest first.
    """

    task: str
    title: str
    entries: list[Entry]


def from_store(tasks: Mapping[str, click.Group], figures: bool = True) -> list[Section]:
    """What the store at MLFLOW_TRACKING_URI holds: of each command the newest finished run.

    Args:
        tasks: The commands of each task.
        figures: Whether to read figures, too.

    Raises:
        InputError: If there are no finished runs.
    """
    sections = []
    for task, group in tasks.items():
        entries = list(_entries(task, group, figures))
        trained = _trainings(task)
        if trained:
            entries.append(trained)
        if entries:
            sections.append(Section(task, _TITLES[task], entries))
    if not sections:
        raise InputError(
            "there are no finished runs to report; train something first, such as tfnets har rnn."
        )
    return sections


def _entries(task: str, group: click.Group, figures: bool) -> Iterator[Entry]:
    seen = set()
    for (of_task, stage), (entry, name, path) in _KINDS.items():
        if of_task != task:
            continue
        for record in queries.finished(f"tags.task = '{task}' and tags.stage = '{stage}'"):
            if "mlflow.parentRunId" in record.tags:
                continue
            command = command_of(record, entry, group.commands[name])
            if command in seen:
                continue
            seen.add(command)
            texts = [queries.text(record.id, each) for each in (path, *_MORE)]
            names = [n for n in queries.artifacts(record.id) if n.endswith(".png")]
            shown = [(n, queries.content(record.id, n)) for n in names] if figures else []
            found = [table for text in texts for table in split(text)]
            yield Entry(record.name, command, _facts(record), found, shown)


def command_of(record: Record, entry: str, command: click.Command) -> str:
    """What makes a run again: ``mlflow run . -e har_sweep -P protocol=report``."""
    known = defaults(command)
    words = [f"mlflow run . -e {entry} --env-manager=local"]
    for name, default in known.items():
        value = record.parameters.get(name)
        if value is None or name in _NEVER_SHOWN or value == parameter(name, default):
            continue
        words.append(f"-P {name}={value}" if re.fullmatch(r"[\w.,+:/-]+", value) else
                     f"-P {name}='{value}'")  # fmt: skip
    return " ".join(words)


def _facts(record: Record) -> dict[str, str]:
    tags, metrics = record.tags, record.metrics
    facts = {"run": record.id}
    facts["date"] = datetime.fromtimestamp(record.started).strftime("%Y-%m-%d %H:%M")
    if "data.name" in tags:
        facts["data"] = tags["data.name"]
    if "data.digest" in tags:
        facts["data digest"] = tags["data.digest"][:12]
    if "time/total_s" in metrics:
        facts["seconds"] = f"{metrics['time/total_s']:.0f}"
    if "mlflow.source.git.commit" in tags:
        facts["commit"] = tags["mlflow.source.git.commit"][:8]
    names = ("tfnets", "tensorflow", "keras", "mlflow", "python")
    versions = [f"{n} {tags[f'version.{n}']}" for n in names if f"version.{n}" in tags]
    if versions:
        facts["with"] = ", ".join(versions)
    return facts


def _trainings(task: str) -> Entry | None:
    """Single trainings as one table, the newest first."""
    records = queries.finished(f"tags.task = '{task}' and tags.stage = 'train'", _MOST_RUNS)
    if not records:
        return None
    columns: dict[str, list[str]] = {
        "run": [record.name for record in records],
        "data": [record.tags.get("data.name", "-") for record in records],
    }
    for title, metrics, form in (
        ("validation", ("final_val/accuracy", "val/accuracy"), ".4f"),
        ("test", ("test/accuracy",), ".4f"),
        ("parameters", ("params/total",), ",.0f"),
        ("seconds", ("time/train_s",), ".1f"),
    ):
        columns[title] = [_first(record, metrics, form) for record in records]
    facts = {"date": datetime.fromtimestamp(records[0].started).strftime("%Y-%m-%d %H:%M")}
    return Entry("single trainings", f"tfnets {task} --help", facts, [Table("", columns)])


def _first(record: Record, metrics: Sequence[str], form: str) -> str:
    value = next((record.metrics[name] for name in metrics if name in record.metrics), None)
    return "-" if value is None else f"{value:{form}}"


def split(text: str) -> list[Table]:
    """The tables of a text as runs log it: a title, an empty line, a table, and notes."""
    found: list[Table] = []
    title = ""
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.split("\n")
        columns = tables.parse(block) if len(lines) > 1 else {}
        if columns:
            found.append(Table(title, columns))
            title = ""
        elif len(lines) == 1 and len(block) < 99 and not block.rstrip().endswith("."):
            title = block.strip()
        elif block.strip():
            found.append(Table(title, {}, " ".join(block.split())))
            title = ""
    return found


def recorded(sections: Sequence[Section]) -> str:
    """Results as JSON, without figures, for :func:`from_file`."""
    kept = [asdict(section) for section in sections]
    for section in kept:
        for entry in section["entries"]:
            del entry["figures"]
    text = json.dumps({"format": FORMAT, "sections": kept}, indent=1, ensure_ascii=False)
    return f"{text}\n"


def from_file(path: Path) -> list[Section]:
    """What :func:`recorded` gave.

    Raises:
        InputError: If it is no such file.
    """
    try:
        read = json.loads(path.read_text())
        if read["format"] != FORMAT:
            raise ValueError(f"its format is {read['format']!r}, not {FORMAT}")
        return [
            Section(
                each["task"],
                each["title"],
                [
                    Entry(e["title"], e["command"], e["facts"], [Table(**t) for t in e["tables"]])
                    for e in each["entries"]
                ],
            )
            for each in read["sections"]
        ]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no recorded results (tfnets report --save): {first_line(error)}."
        ) from None
