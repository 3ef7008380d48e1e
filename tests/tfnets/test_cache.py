import contextlib
import errno
import os
import subprocess
import time

import numpy as np
import pytest

from tfnets import cache
from tfnets.errors import InputError


def test_folder_is_filled_once(fresh_cache):
    calls = []

    def fill(folder):
        calls.append(folder)
        (folder / "a").write_text("1")

    first = cache.folder("x/data", fill)
    assert cache.folder("x/data", fill) == first
    assert len(calls) == 1
    assert (first / "a").read_text() == "1"
    assert [path.name for path in first.parent.iterdir()] == ["data"]
    assert sorted(path.name for path in first.iterdir()) == ["a", "manifest.json"]


def test_a_failed_fill_leaves_nothing(fresh_cache):
    def fail(folder):
        (folder / "half").write_text("1")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        cache.folder("data", fail)
    assert not list(fresh_cache.iterdir())


def test_of_two_that_fill_at_once_one_is_kept(fresh_cache):
    def fill_inner(folder):
        (folder / "who").write_text("inner")

    def fill_outer(folder):
        cache.folder("data", fill_inner)
        (folder / "who").write_text("outer")

    assert (cache.folder("data", fill_outer) / "who").read_text() == "inner"
    assert [path.name for path in fresh_cache.iterdir()] == ["data"]


def test_keys_follow_the_settings():
    assert cache.key(a=1, b=[2]) == cache.key(b=[2], a=1)
    assert cache.key(a=1) != cache.key(a=2)


def test_default_place_is_the_users_cache(monkeypatch):
    monkeypatch.delenv("TFNETS_CACHE")
    assert cache.directory().name == "tfnets"


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError("727200 requested and 0 written")],
)
def test_a_full_disk_is_one_line(fresh_cache, error):
    def fill(folder):
        raise error

    message = (
        r"cannot write to .*: No space left on device \(the disk at /.* has .* MB free\); del"
    )
    with pytest.raises(InputError, match=message):
        cache.folder("data", fill)
    assert not list(fresh_cache.iterdir())


@contextlib.contextmanager
def small_disk(place):
    """A disk of 2 MB; skips the test where none may be mounted."""
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("by", ["numpy", "python"])
def test_a_disk_that_is_really_full(tmp_path, monkeypatch, by):
    def fill(folder):
        if by == "numpy":
            np.save(folder / "x.npy", np.ones(2**20))
        else:
            (folder / "x").write_bytes(bytes(2**22))

    with small_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("TFNETS_CACHE", str(disk / "cache"))
        with pytest.raises(InputError, match=rf"disk at {disk} has \d MB free\); delete what is"):
            cache.folder("data", fill)
        assert list((disk / "cache").iterdir()) == []


def test_a_cache_of_an_earlier_version_that_is_read_only_is_used(fresh_cache, monkeypatch):
    (fresh_cache / "data").mkdir(parents=True)

    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.rename", refused)
    assert cache.folder("data", lambda folder: None) == fresh_cache / "data"


def test_an_error_that_is_not_about_writing_stays_what_it_is(fresh_cache):
    def fill(folder):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with pytest.raises(OSError, match="Cannot allocate memory"):
        cache.folder("data", fill)
    assert not list(fresh_cache.iterdir())


def test_a_cached_folder_can_be_read_by_those_who_read_the_cache(fresh_cache):
    fresh_cache.mkdir(mode=0o755)
    folder = cache.folder("data", lambda folder: None)
    assert folder.stat().st_mode == fresh_cache.stat().st_mode


def test_what_a_killed_process_left_is_swept_after_a_day(fresh_cache):
    old, young = fresh_cache / ".partial-old", fresh_cache / ".partial-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "half").write_text("1")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    cache.folder("data", lambda folder: None)
    assert {path.name for path in fresh_cache.iterdir()} == {".partial-young", "data"}
