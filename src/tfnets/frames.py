"""Tables of users, which any program may have written."""

from pathlib import Path

import pandas as pd


def read(path: Path) -> pd.DataFrame:
    """A ``.parquet`` file, or a text table with commas, semicolons or tabs, with a header.

    A text table's cells stay text: a word may be called 1 or NA, and pandas' own numbers can be
    wrong in the last bit.

    Raises:
        Exception: Of any kind, for what pandas and pyarrow make of a damaged file.
    """
    if path.suffix.lower() == ".parquet":
        return pd.read_parquet(path)
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    return pd.read_csv(
        path,
        sep=max(",;\t", key=header.count),
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        encoding="utf-8-sig",
    )
