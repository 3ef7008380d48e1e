import wave

import numpy as np
import pytest

from tfnets.errors import InputError
from tfnets.speech import wav


def write(path, rate=16_000, channels=1, width=2, frames=800):
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(bytes(frames * channels * width))
    return path


def test_round_trip(tmp_path):
    samples = np.array([0, 1, -1, 32767, -32768], np.int16)
    wav.write(tmp_path / "a.wav", samples)
    np.testing.assert_array_equal(wav.read(tmp_path / "a.wav"), samples)


def test_one_second_pads_and_cuts():
    assert wav.one_second(np.ones(3, np.int16)).tolist() == [1, 1, 1] + [0] * 15_997
    assert len(wav.one_second(np.ones(20_000, np.int16))) == 16_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 44_100}, r"sample rate is 44100 Hz; expected 16 kHz mono 16-bit PCM"),
        ({"channels": 2}, r"2 channels"),
        ({"width": 1}, r"8 bits a sample"),
        ({"frames": 0}, r"the clip is empty"),
    ],
)
def test_other_formats_are_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        wav.read(write(tmp_path / "a.wav", **options))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"this is no sound at all" * 10])
def test_corrupt_files_are_refused(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.wav: not a readable WAV file"):
        wav.read(path)


def test_a_file_cut_off_is_refused(tmp_path):
    path = write(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(InputError, match="cut off, 500 of 800 samples are there"):
        wav.read(path)


def test_a_file_written_to_a_pipe_ends_where_it_ends(tmp_path):
    path = write(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert len(wav.read(path)) == 800


def test_a_missing_file_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}/nothing.wav: no such file"):
        wav.read("nothing.wav")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        wav.read(tmp_path)
