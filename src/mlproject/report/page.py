"""A report as one HTML page that needs nothing else, and as Markdown."""

import base64
import html
from collections.abc import Iterator, Mapping, Sequence

from mlproject.report.agreement import compare
from mlproject.report.collect import Entry, Section, Table

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #f6f8fa; --text: #1f2328;
  --page: #fff; --mark: #0969da; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --soft: #151b23; --text: #e6edf3; --page: #0d1117; --mark: #58a6ff; }
  img { background: #fff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin-bottom: .3rem; } h4 { margin: 1rem 0 .3rem; }
a { color: var(--mark); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left;
  white-space: nowrap; overflow-wrap: normal; }
th { background: var(--soft); }
.facts { color: var(--text); opacity: .75; font-size: .85rem; margin: 0; }
pre { background: var(--soft); padding: .5rem; white-space: pre-wrap; font-size: .85rem; }
img { max-width: 100%; height: auto; }
.verdict { border-left: .3rem solid var(--mark); padding-left: .6rem; }
@media print {
  body { max-width: none; font-size: 10pt; } .scroll { overflow: visible; }
  th, td { white-space: normal; } h2 { break-before: page; } nav { display: none; }
  img, table { break-inside: avoid; }
}
"""

# Nothing from elsewhere, and no scripts: the browser holds us to it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def to_html(sections: Sequence[Section], facts: Mapping[str, str]) -> str:
    """One page; figures are in it.

    Args:
        sections: What to show.
        facts: Where it comes from and when.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>tfnets report</title><style>{_STYLE}</style></head><body>",
        "<h1>tfnets report</h1>",
        f'<p class="facts">{_facts(facts)}</p>',
        "<nav><ul>",
    ]
    parts += [f'<li><a href="#{s.task}">{html.escape(s.title)}</a></li>' for s in sections]
    parts.append("</ul></nav><main>")
    for section in sections:
        parts.append(f'<section id="{section.task}"><h2>{html.escape(section.title)}</h2>')
        for entry in section.entries:
            parts += _entry(entry)
        parts.append("</section>")
    parts.append("</main></body></html>\n")
    return "\n".join(parts)


def _entry(entry: Entry) -> Iterator[str]:
    yield f"<article><h3>{html.escape(entry.title)}</h3>"
    yield f'<p class="facts">{_facts(entry.facts)}</p>'
    yield f"<pre>{html.escape(entry.command)}</pre>"
    for table in entry.tables:
        if table.title:
            yield f"<h4>{html.escape(table.title)}</h4>"
        if table.columns:
            yield _table(table.columns)
        for line in verdicts(table):
            yield f'<p class="verdict">{html.escape(line)}</p>'
        if table.text:
            yield f"<p>{html.escape(table.text)}</p>"
    for name, png in entry.figures:
        data = base64.b64encode(png).decode()
        alt = html.escape(f"{name.removesuffix('.png').replace('_', ' ')}: {entry.title}")
        yield f'<p><img alt="{alt}" src="data:image/png;base64,{data}"></p>'
    yield "</article>"


def _table(columns: Mapping[str, Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    rows = [
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in zip(*columns.values(), strict=True)
    ]
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _facts(facts: Mapping[str, str]) -> str:
    return html.escape(_plain(facts))


def verdicts(table: Table) -> list[str]:
    """What a table says of published results, a sentence for each pair of columns."""
    return [str(pair) for pair in compare(table.columns)]


def to_markdown(sections: Sequence[Section], facts: Mapping[str, str]) -> str:
    """The same without figures, for a README or a wiki."""
    parts = ["# tfnets report", _plain(facts)]
    for section in sections:
        parts.append(f"## {section.title}")
        for entry in section.entries:
            parts += [f"### {entry.title}", _plain(entry.facts), f"```sh\n{entry.command}\n```"]
            for table in entry.tables:
                if table.title:
                    parts.append(f"**{table.title}**")
                if table.columns:
                    parts.append(table_markdown(table.columns))
                parts += verdicts(table)
                if table.text:
                    parts.append(table.text)
    return "\n\n".join(parts) + "\n"


def table_markdown(columns: Mapping[str, Sequence[str]]) -> str:
    """A table of Markdown's."""
    rows = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    cells = [[str(cell).replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _plain(facts: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in facts.items())
