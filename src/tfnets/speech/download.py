"""Google's Speech Commands v0.02, downloaded, checked and unpacked on first use."""

import contextlib
import gzip
import os
import tarfile
import zlib
from pathlib import Path

import pooch
import requests

from tfnets import cache
from tfnets.errors import InputError, first_line
from tfnets.progress import Progress

URL = "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
# As TensorFlow Datasets and torchaudio publish it; 2,428,923,189 bytes.
SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"

# What it has folders for (Warden 2018, table 1).
WORDS = (
    "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward",
    "four", "go", "happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one",
    "right", "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "visual", "wow",
    "yes", "zero",
)  # fmt: skip

_ARCHIVE = "speech_commands_v0.02.tar.gz"
_CHUNK = 2**18


def speech_commands(progress: bool = True) -> Path:
    """The unpacked data set (Warden 2018, arXiv:1804.03209), from the cache or the network.

    The archive stays in the cache, at :func:`archive`; a copy that was put there is used.
    What fails or is interrupted leaves nothing half-written.

    Args:
        progress: Whether to say how far downloading and unpacking have come.

    Returns:
        A folder in the layout that :func:`tfnets.speech.load` takes.

    Raises:
        InputError: If the archive cannot be downloaded, is not the published one, or
            cannot be unpacked.
    """
    return cache.folder(
        f"speech/speech_commands-{SHA256[:16]}", lambda target: _unpack(target, progress)
    )


def archive() -> Path:
    """Where the archive is kept, and where to put a copy on a machine without network."""
    return cache.directory() / "downloads" / "speech_commands_v0.02" / _ARCHIVE


def _unpack(target: Path, progress: bool) -> None:
    path = archive()
    if not path.exists():
        with contextlib.suppress(OSError):  # an empty folder that somebody made for a copy
            path.parent.rmdir()
    cache.folder(
        str(path.parent.relative_to(cache.directory())),
        lambda folder: _fetch(folder / _ARCHIVE, progress),
        of_users=True,
    )
    again = "delete it, or put a good copy in its place"
    if not path.is_file():
        raise InputError(f"{path} is missing among other files; put a copy there.")
    found = pooch.file_hash(str(path))
    if found != SHA256:
        raise InputError(f"{path} has the SHA-256 {found}, not the published {SHA256}; {again}.")
    try:
        with (
            path.open("rb") as file,
            tarfile.open(fileobj=file) as tar,
            Progress("unpacking", os.path.getsize(path), unit="MB", shown=progress) as meter,
        ):
            for member in tar:
                tar.extract(member, target, filter="data")  # nothing leaves the folder
                meter.step(file.tell() - meter.done)
    except tarfile.FilterError as error:
        what = f"holds {error.tarinfo.name!r}, which does not belong into a folder of its own"
        raise InputError(f"{path} {what}; {again}.") from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} cannot be unpacked: {first_line(error)}; {again}.") from None


def _fetch(path: Path, progress: bool) -> None:
    pooch.get_logger().setLevel("WARNING")  # what it does, the meter says
    instead = f"put a copy at {archive()}, or give an unpacked one with data=FOLDER"
    try:
        with _Meter("downloading Speech Commands", 0, unit="MB", shown=progress) as meter:
            fetcher = pooch.HTTPDownloader(progressbar=meter, chunk_size=_CHUNK)
            pooch.retrieve(URL, SHA256, path.name, path.parent, downloader=fetcher)
    except requests.RequestException as error:
        what = _reason(error, begun=meter.total > 0)
        raise InputError(f"cannot download {URL}: {what}; {instead}.") from None
    except ValueError as error:
        if "hash" not in str(error):
            raise
        what = f"what was downloaded from {URL} has not the published SHA-256 {SHA256}"
        raise InputError(f"{what}; try again, or {instead}.") from None


def _reason(error: requests.RequestException, begun: bool) -> str:
    """What went wrong, without the layers of libraries around it."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    cause: BaseException = error
    while deeper := cause.__cause__ or cause.__context__:
        cause = deeper
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else first_line(cause)
    return f"{'it broke off' if begun else 'no connection'} ({said})"


class _Meter(Progress):
    """Progress as pooch reports it: the total when it is known, then whole chunks."""

    def update(self, size: int) -> None:
        """Notes that so many bytes, or fewer if it was the last, have come."""
        if self.total:  # 0 where the server does not say
            self.step(min(size, self.total - self.done))

    def reset(self) -> None:
        """Nothing; pooch goes on to report the total."""

    def close(self) -> None:
        """Nothing; the ``with`` block ends the line."""
