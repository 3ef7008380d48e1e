"""Where the parts of a data set lie: at once, somewhere below, or in an archive."""

import contextlib
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tfnets import cache
from tfnets.errors import InputError, first_line

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")

# A file that each of the data sets has.
_KNOWN = re.compile(r"Inertial Signals/|_\d+/sub_\d+\.csv$|WISDM_a[rt]_v.*_raw\.txt$")

_DEEPEST, _MOST_FOLDERS = 5, 5_000
_LARGEST = 8 * 2**30  # bytes, unpacked
_NESTED = 2  # archives in archives


def folders(path: Path, depth: int = _NESTED) -> Iterator[Path]:
    """Folders in which the data may lie, the nearest first; archives are unpacked into the cache.

    Args:
        path: A folder, or an archive.
        depth: How many archives deep to look.

    Raises:
        InputError: For an archive that cannot be unpacked or is far too large.
    """
    if path.is_file():
        if not is_archive(path) or depth < 0:
            return
        if _is_promising(path):
            yield from folders(_unpacked(path), depth - 1)
        return
    archives = []
    top = len(path.parts)
    for count, (base, below, names) in enumerate(os.walk(path)):
        below[:] = sorted(n for n in below if not n.startswith(".") and n != "__MACOSX")
        if len(Path(base).parts) - top >= _DEEPEST or count > _MOST_FOLDERS:
            below.clear()
        yield Path(base)
        archives += [Path(base) / n for n in sorted(names) if is_archive(Path(n))]
    for archive in archives if depth > 0 else ():
        yield from folders(archive, depth)


def is_archive(path: Path) -> bool:
    """Whether a file is an archive, by its name."""
    return path.name.lower().endswith(ARCHIVES) and not path.name.startswith(".")


def _is_promising(path: Path) -> bool:
    """Whether an archive holds files of a known data set, or archives: else it stays packed."""
    with _readable(path):
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        else:
            with tarfile.open(path) as tar:
                names = tar.getnames()
    return any(_KNOWN.search(name) or is_archive(Path(name)) for name in names)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # what zlib, zipfile and tarfile make of a damaged one
        if isinstance(error, OSError) and error.errno is not None:  # the disk's
            raise
        raise InputError(f"{path} is not a readable archive: {first_line(error)}.") from None


def _unpacked(path: Path) -> Path:
    about = path.stat()
    key = cache.key(path=str(path.resolve()), size=about.st_size, time=about.st_mtime_ns)
    return cache.folder(
        f"har/{path.name.partition('.')[0][:40]}-{key}", lambda to: _fill(to, path)
    )


def _fill(target: Path, path: Path) -> None:
    with _readable(path):
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                _refuse_large(path, sum(each.file_size for each in archive.infolist()))
                archive.extractall(target)  # keeps within the folder whatever names say
        else:
            with tarfile.open(path) as tar:
                _refuse_large(path, sum(each.size for each in tar))
                tar.extractall(target, filter="data")


def _refuse_large(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if size > min(_LARGEST, free):
        raise InputError(
            f"{path} declares {size / 1e9:,.1f} GB unpacked, more than {_LARGEST / 1e9:.0f} GB or "
            "than the disk has; unpack what is needed by hand."
        )
