"""Reads recordings of any form as 16 kHz mono; writes 16-bit PCM.

Formats are libsndfile's (soundfile): WAV of every kind, FLAC, OGG, Opus, MP3, AIFF and more; what
phones record, .m4a and .amr, is PyAV's, an extra. Rates are soxr's.
"""

import io
import os
import re
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

from tfnets.errors import InputError
from tfnets.speech.features import SAMPLE_RATE, SAMPLES

# What is listed in a folder; a file that is named is tried whatever it is called.
SUFFIXES = {
    *(".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
    *(".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".m4a", ".mp4", ".aac", ".amr", ".3gp", ".wma", ".webm", ".mka"),
}
STDIN = "-"

_LEAST_RATE, _MOST_RATE = 4_000, 768_000
_MOST_PIPED = 2**28  # bytes
_MARGIN = 0.1  # seconds beyond what is needed, so that resampling sees what follows
_BLOCK = 1024


@dataclass(frozen=True)
class Sound:
    """A recording, or its first part.

    Attributes:
        samples: ``(samples,)`` float32 at 16 kHz, the mean of all channels; full scale is 1.
        rate: The recording's own sample rate, Hz.
        seconds: Length of the whole recording (of the excerpt, if one was asked for).
        repaired: What is wrong with the file, so that not all may be there; empty if nothing is.
    """

    samples: np.ndarray
    rate: int
    seconds: float
    repaired: str = ""


def is_audio(path: Path) -> bool:
    """Whether a file of a folder is taken for a recording: by its suffix, if it is not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read(
    path: str | Path, most: int = SAMPLES, start: float = 0.0, end: float | None = None
) -> Sound:
    """The first part of a recording, or of an excerpt, in bounded memory.

    16 kHz mono 16-bit PCM becomes its numbers / 32768 exactly. Other rates are converted with soxr
    (its quality HQ), of several channels the mean is taken. A file whose header declares more than
    there is (cut off, or from a pipe, which never told its length) is read as far as it goes.

    Args:
        path: A file, a pipe, or ``"-"`` for standard input.
        most: At most so many samples at 16 kHz.
        start: Where the excerpt begins, seconds.
        end: Where it ends, seconds; None for the recording's end.

    Raises:
        InputError: If the file is missing, not readable as audio, or has no samples there.
    """
    name = "standard input" if str(path) == STDIN else ""
    path = path if name else Path(os.path.expanduser(path)).absolute()
    name = name or str(path)
    try:
        source = _source(path)
        sound, there = _open(source, name)
        with sound:
            return _read(sound, there, name, most, start, end)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; expected a recording.") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}.") from None


def one_second(samples: np.ndarray) -> np.ndarray:
    """A clip of exactly one second: padded with silence at the end, or cut."""
    return np.pad(samples[:SAMPLES], (0, max(0, SAMPLES - len(samples))))


def write(path: str | Path, samples: np.ndarray) -> None:
    """Writes int16 ``samples`` as 16 kHz mono PCM."""
    soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16", format="WAV")


def _source(path: str | Path) -> Path | BinaryIO:
    """A file, or what a pipe gives, which cannot be searched in."""
    if str(path) == STDIN:
        return _drained(sys.stdin.buffer, "standard input")
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: is a folder; expected a recording.")
    if not stat.S_ISREG(mode):
        with open(path, "rb") as pipe:
            return _drained(pipe, str(path))
    with open(path, "rb"):  # soundfile's own error does not say why
        return Path(path)


def _drained(pipe: BinaryIO, name: str) -> BinaryIO:
    data = pipe.read(_MOST_PIPED + 1)
    if len(data) > _MOST_PIPED:
        raise InputError(f"{name}: more than {_MOST_PIPED >> 20} MB; give a file instead.")
    return io.BytesIO(data)


def _open(source: Path | BinaryIO, name: str) -> tuple[Any, str]:
    """The opened recording, and what is wrong with its length, if anything is."""
    repaired = ""
    with source.open("rb") if isinstance(source, Path) else _again(source) as file:
        data = _data_chunk(file)
        if data is not None:
            place, declared, there = data
            if declared == 0 and there:
                repaired = "its length was never written"
                source = _patched(file, place, there)
            elif declared > there:
                piped = declared >= 0x7FFFF000
                repaired = "its length was never written" if piped else "it is cut off"
    try:
        # As bytes: a name of any bytes is a name.
        opened = os.fsencode(source) if isinstance(source, Path) else source
        return soundfile.SoundFile(opened), repaired
    except soundfile.LibsndfileError as error:
        why = re.sub(r"^Error opening .*: ", "", str(error)).strip().rstrip(".")
    return _by_pyav(source, name, why), repaired


def _again(source: BinaryIO) -> "_Kept":
    """A stream in memory from its beginning, which stays open."""
    source.seek(0)
    return _Kept(source)


class _Kept:
    """Keeps what is used in a ``with`` open, at its beginning."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def __enter__(self) -> BinaryIO:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.seek(0)


def _data_chunk(file: BinaryIO) -> tuple[int, int, int] | None:
    """Where a WAV file's samples begin, how many bytes it declares, and how many there are."""
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    size = file.seek(0, os.SEEK_END)
    place = 12
    while place + 8 <= size:
        file.seek(place)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            return place + 8, length, size - place - 8
        place += 8 + length + length % 2
    return None


def _patched(file: BinaryIO, place: int, there: int) -> BinaryIO:
    """A WAV file whose data chunk says how long it is, in memory; its first part if it is long."""
    there = min(there, _MOST_PIPED)
    file.seek(0)
    data = bytearray(file.read(place + there))
    data[4:8] = struct.pack("<I", len(data) - 8)
    data[place - 4 : place] = struct.pack("<I", there)
    return io.BytesIO(bytes(data))


def _read(
    sound: Any, repaired: str, name: str, most: int, start: float, end: float | None
) -> Sound:
    rate, frames = int(sound.samplerate), int(sound.frames)
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        raise InputError(
            f"{name}: sample rate is {rate} Hz; expected {_LEAST_RATE} to {_MOST_RATE}."
        )
    first = round(start * rate)
    last = frames if end is None else min(frames, round(end * rate))
    if frames and first >= last:
        raise InputError(
            f"{name}: no samples from {start:g} s to "
            f"{'the end' if end is None else f'{end:g} s'}; it has {frames / rate:.3f} s."
        )
    # No header may decide how much memory is taken; a shorter excerpt ends where it is asked to.
    wanted = min(last - first, -(-most * rate // SAMPLE_RATE) + round(_MARGIN * rate))
    try:
        if first:
            sound.seek(first)
        try:
            data = sound.read(wanted, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            data = _as_far_as_it_goes(sound, first, wanted)
            repaired = "it is cut off"
            if not len(data):
                raise error from None
    except soundfile.LibsndfileError as error:
        why = str(error).removeprefix("Error : ").rstrip(".")
        raise InputError(f"{name}: not readable as audio ({why}).") from None
    if not len(data):
        raise InputError(f"{name}: the clip is empty; it needs at least one sample.")
    if len(data) < wanted:
        repaired = repaired or "it is cut off"
        last = first + len(data)
    samples = data[:, 0] if data.shape[1] == 1 else data.mean(axis=1)
    if not np.isfinite(samples).all():
        raise InputError(f"{name}: holds NaN or infinity; expected numbers.")
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
    return Sound(np.ascontiguousarray(samples[:most]), rate, (last - first) / rate, repaired)


def _as_far_as_it_goes(sound: Any, first: int, wanted: int) -> np.ndarray:
    parts = []
    try:
        sound.seek(first)
        while wanted > 0 and len(part := sound.read(_BLOCK, dtype="float32", always_2d=True)):
            parts.append(part[:wanted])
            wanted -= len(part)
    except soundfile.LibsndfileError:
        pass
    return np.concatenate(parts) if parts else np.empty((0, 1), np.float32)


def _by_pyav(source: Path | BinaryIO, name: str, why: str) -> Any:
    """What libsndfile does not read, decoded by FFmpeg's libraries, if PyAV is installed."""
    if _length(source) == 0:
        raise InputError(f"{name}: the file is empty; expected a recording.")
    try:
        import av
    except ImportError:
        raise InputError(
            f"{name}: not readable as audio ({why}); for phones' .m4a and .amr pip install "
            f"'tfnets[media]', or convert it: ffmpeg -i {Path(name).name} "
            f"{Path(name).stem}.wav"
        ) from None
    try:
        with av.open(str(source) if isinstance(source, Path) else source) as container:
            if not container.streams.audio:
                raise InputError(f"{name}: holds no sound.")
            if container.streams.audio[0].codec_context is None:
                raise InputError(f"{name}: not readable as audio ({why}; FFmpeg: no decoder).")
            rate = container.streams.audio[0].rate
            form = av.AudioResampler(format="flt", layout="mono", rate=rate)
            parts, count = [], 0
            for frame in container.decode(audio=0):  # type: ignore[union-attr]
                for each in form.resample(frame):
                    parts.append(each.to_ndarray().reshape(-1))
                    count += len(parts[-1])
                if count > _MOST_PIPED // 4:
                    break
    except (av.FFmpegError, ValueError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name}: not readable as audio ({why}; FFmpeg: {said}).") from None
    if not parts:
        raise InputError(f"{name}: the clip is empty; it needs at least one sample.")
    decoded = io.BytesIO()
    soundfile.write(decoded, np.concatenate(parts), rate, subtype="FLOAT", format="WAV")
    decoded.seek(0)
    return soundfile.SoundFile(decoded)


def _length(source: Path | BinaryIO) -> int:
    if isinstance(source, Path):
        return source.stat().st_size
    length = source.seek(0, os.SEEK_END)
    source.seek(0)
    return length
