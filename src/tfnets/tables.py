"""Small tables as aligned text."""

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
