"""Folders in the user's cache that are either complete or not there."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs

from tfnets.errors import InputError

_PARTIAL = ".partial-"
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


class UnwritableError(InputError):
    """The cache folder cannot be written."""


def directory() -> Path:
    """The cache folder: ``TFNETS_CACHE`` if set, else the platform's place for caches."""
    return Path(os.environ.get("TFNETS_CACHE") or platformdirs.user_cache_path("tfnets"))


def key(**settings) -> str:
    """A short name for a set of JSON-able settings, the same for equal settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def folder(name: str, fill: Callable[[Path], None]) -> Path:
    """The cached folder ``name``, filled first if it is not there.

    ``fill`` writes into a temporary folder that is renamed when it is complete, so an
    interrupted or failed ``fill`` leaves nothing that could be taken for data. Of two
    processes that fill the same folder at once, both work and one's result is kept.

    Args:
        name: Path below the cache folder, with forward slashes.
        fill: Called with an empty folder to write into.

    Raises:
        UnwritableError: If the cache folder cannot be written.
    """
    target = directory() / name
    try:
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    except OSError as error:
        raise _unwritable(error) from None
    try:
        fill(partial)
        partial.chmod(target.parent.stat().st_mode)  # mkdtemp's folders are their maker's only
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        if error.errno in _UNWRITABLE:
            raise _unwritable(error) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _sweep(parent: Path) -> None:
    """Deletes what processes that were killed hard, a day ago or more, left half-written."""
    for partial in parent.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(FileNotFoundError):  # its process has just finished it
            if partial.stat().st_mtime < time.time() - 24 * 3600:
                shutil.rmtree(partial, ignore_errors=True)


def _unwritable(error: OSError) -> UnwritableError:
    return UnwritableError(
        f"cannot write to the cache folder {directory()}: {error.strerror or error}; "
        "set TFNETS_CACHE to a folder that can be written and has room."
    )
