"""eSpeak NG, spoken to in a process of its own, which this file is when it is run.

The library's output depends on everything that it spoke before and it is not
thread-safe, so the whole corpus is spoken in one fresh process in a fixed order: then
it is the same to the bit every time. The process reads one JSON object a line,
``{"text", "voice", "rate", "pitch"}``, from standard input and answers each with a
little-endian uint32 number of samples and the samples, int16 at :data:`SAMPLE_RATE`.

The library is licensed GPL-3.0-or-later. It is found in the wheel ``espeakng-loader``
(extra ``builtin``), which is not imported.
"""

import ctypes
import importlib.util
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np

from tfnets.errors import InputError

SAMPLE_RATE = 22_050

_SYNCHRONOUS, _UTF8 = 2, 1
_RATE, _PITCH = 1, 3
_VARIANTS = "espeak-ng-data/voices/!v"
_LIBRARIES = ("libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll")


def home() -> Path:
    """The folder that holds the library and its voices.

    Raises:
        InputError: If the extra ``builtin`` is not installed.
    """
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "the built-in corpus is spoken by eSpeak NG, which is not installed: "
            "pip install 'tfnets[builtin]' (from a checkout: pip install -e '.[builtin]'), "
            "or give a folder or an .npz file as data."
        )
    return Path(spec.submodule_search_locations[0])


def variants() -> list[str]:
    """Names of all voice variants, sorted."""
    return sorted(path.name for path in (home() / _VARIANTS).iterdir())


def formants() -> dict[str, tuple[float, ...]]:
    """Formant frequencies of every voice variant by its name, in % of the usual ones.

    Nine a variant, formants 0 to 8, from the lines ``formant NUMBER FREQUENCY ...`` of
    its file; 100 where there is none.
    """
    result = {}
    for name in variants():
        frequencies = [100.0] * 9
        text = (home() / _VARIANTS / name).read_text(encoding="utf-8", errors="replace")
        for number, frequency in re.findall(r"^\s*formant\s+([0-8])\s+(\d+)", text, re.MULTILINE):
            frequencies[int(number)] = float(frequency)
        result[name] = tuple(frequencies)
    return result


def version() -> str:
    """Version of the wheel that eSpeak NG comes in."""
    return metadata.version("espeakng-loader")


def speak(jobs: Iterable[dict]) -> Iterator[np.ndarray]:
    """Speaks each job, in order, and yields its samples.

    Args:
        jobs: Dictionaries with ``text``, ``voice`` (``"en-us+steph2"``), ``rate``
            (words a minute) and ``pitch`` (0 to 100).

    Yields:
        ``(samples,)`` int16 at 22,050 Hz for each job.

    Raises:
        InputError: If eSpeak NG is not installed or its process ends early.
    """
    home()
    with (
        tempfile.TemporaryFile("w+b") as requests,
        tempfile.TemporaryFile("w+b") as complaints,
    ):
        for job in jobs:
            requests.write(json.dumps(job).encode() + b"\n")
        count = requests.seek(0) or sum(1 for _ in requests)
        requests.seek(0)
        process = subprocess.Popen(
            # By path, for "-m" would import the package around it, and TensorFlow with it.
            [sys.executable, "-P", __file__],
            stdin=requests,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        output = process.stdout
        assert output is not None  # it is a pipe
        try:
            for number in range(count):
                head = output.read(4)
                size = 2 * struct.unpack("<I", head)[0] if len(head) == 4 else -1
                data = output.read(size) if size >= 0 else b""
                if size < 0 or len(data) < size:
                    process.wait()
                    complaints.seek(0)
                    said = complaints.read().decode(errors="replace").strip().splitlines()
                    raise InputError(
                        f"eSpeak NG ended with code {process.returncode} after {number} of "
                        f"{count} clips: {said[-1] if said else 'it said nothing'}."
                    )
                yield np.frombuffer(data, "<i2")
        finally:
            process.kill()
            process.wait()
            output.close()


def main() -> None:
    """Answers the jobs on standard input; see the module's docstring."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the library prints must not get between the samples
    root = home()
    library = ctypes.CDLL(str(next(root / n for n in _LIBRARIES if (root / n).exists())))
    pieces: list[bytes] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples, count, events):
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(root).encode(), 0)
    if rate != SAMPLE_RATE:
        sys.exit(f"eSpeak NG speaks at {rate} Hz; expected {SAMPLE_RATE} Hz")
    library.espeak_SetSynthCallback(collect)
    # Breathy voices are made with noise that is otherwise seeded with the time of day.
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    voices = set(variants())
    for line in sys.stdin:
        job = json.loads(line)
        text, voice = job["text"].encode(), job["voice"]
        # An unknown variant is ignored without a word: the voice would be another one.
        if voice.partition("+")[2] not in voices or library.espeak_SetVoiceByName(voice.encode()):
            sys.exit(f"eSpeak NG has no voice {voice!r}")
        library.espeak_SetParameter(_RATE, job["rate"], 0)
        library.espeak_SetParameter(_PITCH, job["pitch"], 0)
        pieces.clear()
        library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        data = b"".join(pieces)
        answers.write(struct.pack("<I", len(data) // 2) + data)
        answers.flush()


if __name__ == "__main__":
    main()
