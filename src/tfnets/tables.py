"""Small tables as aligned text and as Markdown."""

from collections.abc import Sequence


def text(columns: dict[str, Sequence[str]]) -> str:
    """Columns side by side under their names, aligned on the left."""
    widths = {name: max(map(len, [name, *column])) for name, column in columns.items()}
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths.values(), strict=True)
        ).rstrip()
        for row in rows
    )


def markdown(columns: dict[str, Sequence[str]]) -> str:
    """The same as a Markdown table."""
    rows = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
