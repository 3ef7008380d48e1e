"""Reading and writing 16 kHz mono 16-bit PCM, and nothing else."""

import os
import wave
from pathlib import Path

import numpy as np

from tfnets.errors import InputError
from tfnets.speech.features import SAMPLE_RATE, SAMPLES

# What programs that write to a pipe put for the number of 16-bit samples: it has no end yet.
_UNKNOWN = 0xFFFFFFFF // 2


def read(path: str | Path) -> np.ndarray:
    """The samples of a clip, ``(samples,)`` int16, as long as the file.

    Raises:
        InputError: If the file is missing, no WAV file, cut off, empty, or not
            16 kHz mono 16-bit PCM.
    """
    wanted = "expected 16 kHz mono 16-bit PCM"
    path = Path(os.path.expanduser(path)).absolute()
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            declared = file.getnframes()
            data = file.readframes(declared)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {wanted}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    except (wave.Error, EOFError) as error:
        why = str(error) or "the file ends early"
        raise InputError(f"{path}: not a readable WAV file ({why}); {wanted}.") from None
    if rate != SAMPLE_RATE:
        raise InputError(f"{path}: sample rate is {rate} Hz; {wanted}.")
    if channels != 1:
        raise InputError(f"{path}: {channels} channels; {wanted}.")
    if width != 2:
        raise InputError(f"{path}: {8 * width} bits a sample; {wanted}.")
    if not data:
        raise InputError(f"{path}: the clip is empty; it needs at least one sample.")
    streamed = declared == _UNKNOWN
    if len(data) != 2 * declared and not streamed:
        raise InputError(
            f"{path}: the file is cut off, {len(data) // 2} of {declared} samples are there."
        )
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2")


def one_second(samples: np.ndarray) -> np.ndarray:
    """A clip of exactly one second: padded with silence at the end, or cut."""
    return np.pad(samples[:SAMPLES], (0, max(0, SAMPLES - len(samples))))


def write(path: str | Path, samples: np.ndarray) -> None:
    """Writes int16 ``samples`` as 16 kHz mono PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
