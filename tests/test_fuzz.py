"""Files that are good but for a few bytes: each loader gives a data set or InputError."""

import contextlib
import os
import shutil
import wave

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tfnets import har, speech, torch_weights
from tfnets.dataset import Dataset
from tfnets.errors import InputError
from tfnets.har import uci
from tfnets.speech import audio

pytestmark = pytest.mark.slow

# Times as many examples as CI tries; TFNETS_EXAMPLES=20 takes a quarter of an hour.
TIMES = int(os.environ.get("TFNETS_EXAMPLES", "1"))

WORDS = [
    *(b"nan", b"inf", b"1e999", b"-1", b"0", b"", b"99999999999999999999", b"\x00", b"\xff"),
    *(b"\n", b",", b";", b" ", b"\xef\xbb\xbf", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"abc"),
]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["overwrite", "insert", "cut", "end", "repeat"]),
        st.floats(0, 1),
        st.one_of(st.sampled_from(WORDS), st.binary(min_size=1, max_size=6)),
    ),
    min_size=1,
    max_size=4,
)


def changed(content, changes):
    for kind, share, word in changes:
        at = int(share * len(content))
        before, after = content[:at], content[at:]
        content = {
            "overwrite": before + word + after[len(word) :],
            "insert": before + word + after,
            "cut": before + after[max(1, len(word)) :],
            "end": before,
            "repeat": before + 3 * after[:64] + after,
        }[kind]
    return content


def rng():
    return np.random.default_rng(0)


def npz(folder):
    x, y = rng().normal(size=(60, 5, 4)), np.arange(60) % 3
    path = folder / "good.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:12] + 0.01, y_test=y[:12], classes=list("abc"))
    return path, path


def packed(folder):
    path, _ = npz(folder)
    with np.load(path) as arrays:
        np.savez_compressed(path, **arrays)
    return path, path


def hdf5(folder):
    path, labels = folder / "good.h5", np.eye(6)[np.arange(60) % 6]
    with h5py.File(path, "w") as file:
        for part, n in (("tr", 60), ("tst", 12)):
            file[f"{part}X"] = rng().normal(size=(n, 5, 3))
            file.create_dataset(f"{part}Y", data=labels[:n], compression="gzip")
    return path, path


def wisdm(folder):
    path = folder / "good.txt"
    names = ("Walking", "Jogging", "Sitting", "Standing", "Upstairs", "Downstairs")
    path.write_text(
        "".join(
            f"{who},{name},{step * 50_000_000 + 1},{step % 7}.5,-1.25,{who}.75;\n"
            for who in range(1, 7)
            for name in names
            for step in range(320)
        )
    )
    return path, path


def uci_har(part):
    def make(folder):
        root = folder / "UCI HAR Dataset"
        for split, rows in (("train", 72), ("test", 12)):
            signals = root / split / "Inertial Signals"
            signals.mkdir(parents=True)
            for name in uci.SIGNALS:
                values = rng().normal(size=(rows, 128))
                np.savetxt(signals / f"{name}_{split}.txt", values, "%9.2e")
            for name, column in (("y", np.arange(rows) % 6 + 1), ("subject", [rows] * rows)):
                np.savetxt(root / split / f"{name}_{split}.txt", column, "%d")
        return root, root / part

    return make


def motion_sense(folder):
    columns = [f"{kind}.{axis}" for kind in ("gravity", "userAcceleration") for axis in "xyz"]
    root = folder / "A_DeviceMotion_data"
    for name in ("dws_1", "ups_3", "wlk_7", "jog_9", "sit_5", "std_6"):
        (root / name).mkdir(parents=True)
        for who in range(1, 7):
            rows = [",".join(["", *columns])]
            rows += [f"{n}," + ",".join(["0.5"] * 6) for n in range(320)]
            (root / name / f"sub_{who}.csv").write_text("\n".join(rows) + "\n")
    return root, root / "wlk_7" / "sub_2.csv"


def clip(folder):
    for step, word in enumerate(("no", "go"), 1):
        for start, speaker in enumerate("abcdefgh"):
            path = folder / "words" / word / f"{speaker}_nohash_0.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 16_000, 0, "NONE", ""))
                file.writeframes(np.arange(start, 400 * step, step, dtype="<i2").tobytes())
    return folder / "words" / "no" / "a_nohash_0.wav", folder / "words" / "no" / "a_nohash_0.wav"


def lists(folder):
    clip(folder)
    for name, speaker in (("validation_list.txt", "b"), ("testing_list.txt", "c")):
        clips = [f"{word}/{speaker}_nohash_0.wav" for word in ("no", "go")]
        (folder / "words" / name).write_text("\n".join(clips) + "\n")
    return folder / "words", folder / "words" / "testing_list.txt"


def weights(kind):
    def make(folder):
        arrays = {
            name: rng().normal(size=(3, 4)).astype("f4") for name in ("a.weight", "b.weight")
        }
        path = folder / f"good{kind}"
        save_file(arrays, path) if kind == ".safetensors" else np.savez(path, **arrays)
        return path, path

    return make


def read_speech(path):
    return speech.load(path, ("no", "go"), progress=False)


LOADERS = {
    "npz": (npz, har.load, Dataset),
    "compressed npz": (packed, read_speech, Dataset),
    "hdf5": (hdf5, har.load, Dataset),
    "wisdm": (wisdm, har.load, Dataset),
    "uci signals": (
        uci_har("train/Inertial Signals/body_acc_x_train.txt"),
        har.load,
        Dataset,
    ),
    "uci labels": (uci_har("test/y_test.txt"), har.load, Dataset),
    "uci subjects": (uci_har("train/subject_train.txt"), har.load, Dataset),
    "motion sense": (motion_sense, har.load, Dataset),
    "clip": (clip, audio.read, audio.Sound),
    "lists": (lists, read_speech, Dataset),
    "safetensors": (weights(".safetensors"), torch_weights.read_file, object),
    "npz of weights": (weights(".npz"), torch_weights.read_file, object),
}

# Those that read many files at each.
EXAMPLES = dict.fromkeys(["motion sense", "uci signals", "uci labels", "uci subjects"], 25)
EXAMPLES["wisdm"] = 50


@pytest.mark.filterwarnings("default")  # what NumPy warns of, it does not raise for a user
@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_gives_a_data_set_or_one_line(name, tmp_path):
    make, load, kind = LOADERS[name]
    source, file = make(tmp_path)
    assert isinstance(load(source), kind)  # it is good as it is
    content, tried = file.read_bytes(), []

    @settings(
        max_examples=TIMES * EXAMPLES.get(name, 250),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CHANGES)
    def check(changes):
        tried.append(changes)
        file.write_bytes(changed(content, changes))
        with contextlib.suppress(InputError):
            assert isinstance(load(source), kind)
        for cached in (tmp_path / "cache").glob("speech/features-*"):
            shutil.rmtree(cached)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFNETS_CACHE", str(tmp_path / "cache"))
        check()
    assert len(tried) >= 20
