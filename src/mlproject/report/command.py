"""Writes the report."""

import tempfile
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path

import click

from mlproject.report import collect, page
from mlproject.tracking import store
from tfnets.errors import InputError


def report(
    tasks: Mapping[str, click.Group], out: str, results: str | None, keep: str | None
) -> str:
    """Writes a page, as HTML or Markdown by its name.

    Args:
        tasks: The commands of each task.
        out: Where to, ``.html`` or ``.md``.
        results: Recorded results to show instead of the store's; None for the store.
        keep: Where to record the results as JSON; None for nowhere.

    Returns:
        What to tell the user.

    Raises:
        InputError: If there is nothing to show, or it cannot be written.
    """
    target = Path(out).expanduser()
    if target.suffix.lower() not in (".html", ".md"):
        raise InputError(f"out is {out!r}; expected a name that ends in .html or .md.")
    if results is None:
        store.check()
        sections = collect.from_store(tasks, figures=target.suffix.lower() == ".html")
        source = store.shown()
    else:
        sections, source = collect.from_file(Path(results).expanduser()), results
    facts = {
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "by tfnets": metadata.version("tfnets"),
        "from": source,
    }
    shown = page.to_html if target.suffix.lower() == ".html" else page.to_markdown
    _write(target, shown(sections, facts))
    if keep is not None:
        _write(Path(keep).expanduser(), collect.recorded(sections))
    entries = sum(len(section.entries) for section in sections)
    return f"{target}: {entries} {'entry' if entries == 1 else 'entries'} of {source}"


def _write(path: Path, text: str) -> None:
    """Writes a file at once or not at all."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            new = Path(folder) / path.name
            new.write_text(text)
            new.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from None
