"""Small tables as aligned text."""

import re
from collections.abc import Mapping, Sequence


def text(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns side by side under their names, aligned on the left."""
    widths = {name: max(map(len, [name, *column])) for name, column in columns.items()}
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths.values(), strict=True)
        ).rstrip()
        for row in rows
    )


def parse(table: str) -> dict[str, list[str]]:
    """Columns of what :func:`text` gave; cells keep single spaces.

    Args:
        table: Lines, the first of them the names of the columns.

    Returns:
        No columns if these are no such lines.
    """
    lines = table.rstrip("\n").split("\n")
    starts = [0, *(match.end() for match in re.finditer(r" {2,}(?=\S)", lines[0]))]
    ends = [*starts[1:], None]
    cells = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines]
    for line in lines[1:]:  # two spaces before each column, or these are other lines
        if any(line[start - 2 : start].strip() for start in starts[1:]):
            return {}
    names = cells[0]
    if len(names) < 2 or len(set(names)) < len(names):
        return {}
    return {name: [row[number] for row in cells[1:]] for number, name in enumerate(names)}
