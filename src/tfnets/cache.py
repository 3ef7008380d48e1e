"""Folders in the user's cache that are either complete or not there."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs

from tfnets.errors import InputError

_PARTIAL = ".partial-"
_MANIFEST = "manifest.json"
_FEW = 64  # files that are waited for one by one
_NUMPYS = re.compile(r"requested and \d+ written")  # what it says of a full disk
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


class UnwritableError(InputError):
    """The cache folder cannot be written."""


class DamagedError(InputError):
    """A cached folder is not as it was made."""


def directory() -> Path:
    """The cache folder: ``TFNETS_CACHE`` if set, else the platform's place for caches."""
    return Path(os.environ.get("TFNETS_CACHE") or platformdirs.user_cache_path("tfnets"))


def key(**settings) -> str:
    """A short name for a set of JSON-able settings, the same for equal settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def folder(name: str, fill: Callable[[Path], None], *, of_users: bool = False) -> Path:
    """The cached folder ``name``, filled first if it is not there.

    ``fill`` writes into a temporary folder that is renamed when it is complete and on the disk, so
    an interrupted or failed ``fill``, or a power cut, leaves nothing that could be taken for data.
    Of two processes that fill the same folder at once, both work and one's result is kept.

    A manifest in the folder says which files there are, their sizes and their digests. Names and
    sizes are compared on every use, contents by :func:`verify`.

    Args:
        name: Path below the cache folder, with forward slashes.
        fill: Called with an empty folder to write into.
        of_users: Whether users may put something there themselves: then there is no manifest.

    Raises:
        UnwritableError: If the cache folder cannot be written.
        DamagedError: If files are missing or have another size.
    """
    target = directory() / name
    try:
        if target.is_dir():
            if of_users:
                return target
            if (target / _MANIFEST).is_file():
                return _complete(target)
            try:
                _discard(target)  # made by an earlier version
            except OSError:  # it is read-only, for everybody who could damage it
                return target
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    except OSError as error:
        raise _unwritable(error) from None
    try:
        fill(partial)
        if not of_users:
            _write_manifest(partial)
        _reach_disk(partial)
        partial.chmod(target.parent.stat().st_mode)  # mkdtemp's folders are their maker's only
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        if error.errno in _UNWRITABLE or _NUMPYS.search(str(error)):
            raise _unwritable(error) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def verify(target: Path) -> None:
    """Compares the contents of a cached folder with its manifest; of other folders, nothing.

    Raises:
        DamagedError: If a file is missing or has other contents.
    """
    if not (target / _MANIFEST).is_file():
        return
    wrong = [
        name
        for name, (_, digest) in _manifest(target).items()
        if not (target / name).is_file() or _digest(target / name) != digest
    ]
    if wrong:
        raise _damaged(target, f"{len(wrong)} of its files have other contents, {wrong[0]}")


def _complete(target: Path) -> Path:
    listed = {name: size for name, (size, _) in _manifest(target).items()}
    found = _sizes(target)
    if found != listed:
        names = sorted({name for name, _ in listed.items() ^ found.items()})
        what = f"{len(names)} of {len(listed)} files are missing, added or of another size"
        raise _damaged(target, f"{what}, {names[0]}")
    return target


def _manifest(target: Path) -> dict[str, tuple[int, str]]:
    try:
        listed = json.loads((target / _MANIFEST).read_text(encoding="utf-8"))
        return {str(name): (int(size), str(digest)) for name, (size, digest) in listed.items()}
    except (ValueError, AttributeError, TypeError):
        raise _damaged(target, f"its {_MANIFEST} is not what was written") from None


def _write_manifest(folder: Path) -> None:
    about = {name: (size, _digest(folder / name)) for name, size in sorted(_sizes(folder).items())}
    (folder / _MANIFEST).write_text(json.dumps(about), encoding="utf-8")


def _sizes(folder: Path) -> dict[str, int]:
    """The files below a folder and their sizes, but for the manifest and hidden ones."""
    found = {}
    for base, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        within = os.path.relpath(base, folder).replace(os.sep, "/") + "/"
        for name in names:
            if not name.startswith(".") and name != _MANIFEST:
                found[(within + name).removeprefix("./")] = os.stat(f"{base}/{name}").st_size
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reach_disk(folder: Path) -> None:
    """Returns when what was written would survive a power cut."""
    paths = list(folder.rglob("*"))
    if len(paths) > _FEW and hasattr(os, "sync"):
        os.sync()  # thousands of single ones take minutes
        return
    for path in paths:
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def _discard(target: Path) -> None:
    """Removes a folder, at once for everybody else."""
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=target.parent) as away:
        target.rename(Path(away) / "old")


def _sweep(parent: Path) -> None:
    """Deletes what processes that were killed hard, a day ago or more, left half-written."""
    for partial in parent.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(FileNotFoundError):  # its process has just finished it
            if partial.stat().st_mtime < time.time() - 24 * 3600:
                shutil.rmtree(partial, ignore_errors=True)


def _unwritable(error: OSError) -> UnwritableError:
    what = error.strerror or os.strerror(errno.ENOSPC)  # NumPy names no reason
    where = directory()
    disk = next((each for each in (where, *where.parents) if each.exists()), Path("/"))
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(disk).free
        while not os.path.ismount(disk):
            disk = disk.parent
        what += f" (the disk at {disk} has {free / 1e6:,.0f} MB free)"
    return UnwritableError(
        f"cannot write to the cache folder {where}: {what}; delete what is not needed there, or "
        "set TFNETS_CACHE to a folder that can be written and has room."
    )


def _damaged(target: Path, what: str) -> DamagedError:
    return DamagedError(
        f"the cached folder {target} is damaged: {what}; delete the folder, and it is made anew."
    )
