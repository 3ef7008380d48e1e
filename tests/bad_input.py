"""Bad input for every command and source: what is given, and what the one line says.

``{place}`` in an option is the folder of :func:`make_files`. Each is ``(command, options, line)``,
the line as a regular expression.
"""

import io
import json
import os
import wave
import zipfile

import h5py
import numpy as np
import soundfile
from safetensors.numpy import save_file

FC = "speech fc"
RNN = "har rnn"
ADD = "addition add"
LARGEST = 2**31 - 1

SPEECH_OPTIONS = [
    ({"clips": 14}, "Invalid value for '--clips': 14 is not in the range 15<=x<=100000"),
    ({"clips": "many"}, "'many' is not a valid integer"),
    ({"clips": 15.5}, "'15.5' is not a valid integer"),
    ({"epochs": 0}, "Invalid value for '--epochs': 0 is not in the range"),
    ({"epochs": -1}, "'--epochs': -1 is not in the range"),
    ({"epochs": 2**31}, "'--epochs': 2147483648 is not in the range"),
    ({"epochs": ""}, "Invalid value for '--epochs': '' is not a valid integer"),
    ({"batch_size": 0}, "'--batch-size': 0 is not in the range"),
    ({"optimizer": "adamw"}, "'adamw' is not one of 'adam', 'sgd'"),
    ({"optimizer": "sgd", "momentum": "nan"}, "nan is not a finite number|in the range"),
    ({"optimizer": "sgd", "momentum": 1}, "1.0 is not in the range 0<=x<1"),
    ({"learning_rate": 0}, "learning.rate"),
    ({"learning_rate": -1}, "learning.rate"),
    ({"learning_rate": "nan"}, "learning.rate"),
    ({"learning_rate": "inf"}, "learning.rate"),
    ({"learning_rate": "fast"}, "learning.rate"),
    ({"weight_decay": -1}, "weight.decay"),
    ({"weight_decay": "nan"}, "weight.decay"),
    ({"weight_decay": "inf"}, "weight.decay"),
    ({"seed": -1}, "'--seed': -1 is not in the range"),
    ({"seed": 2**32}, "'--seed': 4294967296 is not in the range"),
    ({"words": "no"}, "words is 'no': only one class"),
    ({"words": ""}, "words.*empty name"),
    ({"words": "no,no"}, "words names 'no' twice"),
    ({"words": "no,../up"}, "words holds '../up', which cannot be the name"),
    ({"words": "no,.hidden"}, "words holds '.hidden'"),
    ({"words": "no,123"}, "the built-in corpus cannot speak '123'"),
    ({"words": "no,\x00"}, "'.*x00'"),
    ({"words": "no," + "a" * 300}, "a{20}"),
    ({"initializer": "zeros"}, "'zeros' is not one of 'keras', 'torch'"),
    ({"folds": 1}, "folds is 1; expected 2 or more, or 0 for none"),
    ({"folds": -1}, "'--folds': -1 is not in the range"),
    ({"folds": 3, "fold": 4}, "fold is 4; expected 1 to 3"),
    ({"fold": 2}, "fold is 2, but folds is 0"),
    ({"folds": 2, "test_speakers": "x"}, "test_speakers and folds contradict each other"),
    ({"test_speakers": "nobody"}, "test_speakers names 'nobody'; there are the speakers"),
    ({"test_speakers": ""}, "test.speakers.*empty name"),
    ({"split": "day"}, "'day' is not one of 'speaker', 'clip'"),
    ({"pattern": "{word}.wav"}, "pattern is for a folder of recordings; data is 'builtin'"),
    ({"unknown": "rest"}, "the built-in corpus speaks what it is given; name words"),
    ({"unknown": "go", "words": "no,go"}, "'go' is among both words and unknown"),
    ({"unknown": "123"}, "the built-in corpus cannot speak '123'"),
    ({"silence": "maybe"}, "'maybe' is not a valid boolean"),
    ({"level": "loud"}, "'loud' is not one of"),
    ({"augment": "often"}, "'often' is not a valid boolean"),
    ({"keep": "first"}, "'first' is not one of"),
    ({"calibrate": "2"}, "'2' is not a valid boolean"),
    ({"protocol": "mine"}, "'mine' is not one of 'report', 'tfnets'"),
]

SPEECH_DATA = [
    ("nowhere", "data folder '.*nowhere' does not exist"),
    ("~nobody/x", "data folder '.*/x' does not exist"),
    ("", "data is empty; expected 'builtin'"),
    ("empty", r"has no recordings word/\*\.wav"),
    ("file.txt", "data folder '.*file.txt' is a file"),
    ("x" * 5000, "File name too long|does not exist"),
    ("wav_broken", r"no/b_nohash_0.wav: not readable as audio"),
    ("wav_empty", r"no/b_nohash_0.wav"),
    ("wav_rate", r"no/b_nohash_0.wav: sample rate is 1000 Hz"),
    ("wav_no_samples", r"no/b_nohash_0.wav"),
    ("wav_nan", r"no/b_nohash_0.wav: holds NaN"),
    ("wav_dangling", r"no/b_nohash_0.wav"),
    ("wav_names", r"does not say who speaks"),
    ("one_speaker", r"has one speaker, a: there is nobody else to test on; split=clip"),
    ("two_speakers", r"has 2 speakers, a, b: too few .*; give test_speakers=b, or folds=2"),
    ("m_no_word.csv", "has no column 'word'"),
    ("m_ghosts.csv", "none of its 2 recordings is there"),
    ("m_split.csv", "'later' is no split"),
    ("m_times.csv", "end 1 is not after start 2"),
    ("m_text.parquet", "is not a readable table"),
    ("m_empty.csv", "is not a readable table"),
    ("nowhere.csv", "manifest '.*nowhere.csv' does not exist"),
    ("npz_text.npz", "is not a readable .npz file"),
    ("npz_empty.npz", "is not a readable .npz file"),
    ("npz_cut.npz", "is not a readable .npz file"),
    ("npz_objects.npz", "holds Python objects"),
    ("npz_lies.npz", "x_train declares shape"),
    ("npz_bomb.npz", "x_train declares 604 MB"),
    ("npz_nothing.npz", "has no array 'x_train'"),
    ("npz_no_test.npz", "has no array 'x_test'"),
    ("npz_folder.npz", "is a folder; expected an .npz file"),
    ("npz_nan.npz", r"x_train\[5\] holds nan at \[2, 1\]"),
    ("npz_inf.npz", r"x_test\[0\] holds inf"),
    ("npz_huge.npz", r"x_train\[0\] holds 1e\+200"),
    ("npz_text_x.npz", "x_train has dtype <U1; expected real numbers"),
    ("npz_complex.npz", "x_train has dtype complex128"),
    ("npz_flat.npz", r"x_train has shape \(60, 4\)"),
    ("npz_no_steps.npz", r"x_train has shape \(60, 0, 4\)"),
    ("npz_labels.npz", "60 train samples but 59 train labels"),
    ("npz_nan_labels.npz", r"y_train\[0\] is nan"),
    ("npz_cast_labels.npz", r"y_train\[0\] is -9223372036854775808, what NaN becomes"),
    ("npz_half_labels.npz", r"y_train\[0\] is 0.5"),
    ("npz_negative.npz", r"y_train\[0\] is -1"),
    ("npz_many.npz", r"y_train\[0\] is 1000000"),
    ("npz_one_hot.npz", r"y_train\[0\] is not a one-hot row: its sum is 2"),
    ("npz_one_class.npz", "class"),
    ("npz_lonely.npz", "no 10 % of the training data can be held out"),
    ("npz_few_names.npz", r"y_train\[2\] is 2; expected a class number from 0 to 1"),
    ("npz_bad_names.npz", r"classes has shape \(\)"),
    ("npz_twice.npz", "twice"),
    ("npz_other_shape.npz", "shape"),
    ("npz_half_val.npz", "has only one of x_val and y_val"),
    ("npz_empty_test.npz", "the test split is empty"),
]

HAR_OPTIONS = [
    ({"units": 0}, "'--units': 0 is not in the range"),
    ({"units": LARGEST}, f"units={LARGEST} makes 461168601843[0-9,]* parameters|units={LARGEST}"),
    ({"batch_size": -5}, "'--batch-size': -5 is not in the range"),
    ({"validation_fraction": 1}, "validation.fraction"),
    ({"validation_fraction": "nan"}, "validation.fraction"),
    ({"validation_fraction": -0.1}, "validation.fraction"),
    ({"split": "people"}, "'people' is not one of 'subject', 'random'"),
    ({"test_subjects": "nobody"}, "test_subjects"),
    ({"loss": "raw", "activation": "softmax"}, "loss|activation"),
    ({"loss": "softmax", "activation": "sigmoid"}, "loss|activation"),
    ({"loss": "hinge"}, "'hinge' is not one of"),
    ({"momentum": -1}, "-1.0 is not in the range"),
    ({"clipnorm": -1}, "clipnorm"),
    ({"clipnorm": "nan"}, "clipnorm"),
    ({"learning_rate": "1e400"}, "learning.rate"),
    ({"keep": "first"}, "'first' is not one of"),
    ({"schedule": "step"}, "'step' is not one of"),
    ({"keep": "best", "validation_fraction": 0}, "keep|valid"),
    ({"window": 0}, "'--window'.*0 is not in the range"),
    ({"stride": "half"}, "'half' is not a valid integer"),
    ({"rate": 0}, "'0' is neither a number from 1 to below 10000 nor 'auto'"),
    ({"window": 100_000}, "no recording has 100000 steps"),
    ({"standardise": "both"}, "'both' is not a valid boolean"),
]

HAR_DATA = [
    ("nowhere", "data '.*nowhere' does not exist"),
    ("~nobody/x.h5", "~nobody/x.h5.* (cannot be read|does not exist|No such file)|not a readable"),
    ("", "data is empty"),
    ("empty", "data '.*empty' is not one of these"),
    ("file.txt", "file.txt"),
    ("h5_text.h5", "is not a readable HDF5 file"),
    ("h5_empty.h5", "is not a readable HDF5 file"),
    ("h5_cut.h5", "is not a readable HDF5 file"),
    ("h5_nothing.h5", "has no array 'trX'"),
    ("h5_group.h5", "trX is a group"),
    ("h5_soft.h5", "trX is a link to '/nowhere'"),
    ("h5_external.h5", "other files are not opened"),
    ("h5_compound.h5", "trX has shape"),
    ("h5_declared.h5", "trX declares 4.32 GB"),
    ("h5_no_channels.h5", "none of them 0"),
    ("h5_nan.h5", r"trX\[3\] holds nan"),
    ("h5_labels.h5", "11 labels in trY"),
    ("h5_two_hot.h5", r"trY\[0\] is not a one-hot row"),
    ("h5_lonely.h5", "class|held out"),
    ("wisdm_empty.txt", "wisdm_empty.txt"),
    ("wisdm_words.txt", "wisdm_words.txt"),
    ("wisdm_binary.txt", "wisdm_binary.txt"),
    ("uci_empty", "uci_empty"),
    ("uci_words", "uci_words"),
    ("motion_empty", "motion_empty"),
    ("npz_flat.npz", r"x_train has shape \(60, 4\)"),
    ("npz_nan.npz", r"x_train\[5\] holds nan"),
    ("npz_bomb.npz", "x_train declares 604 MB"),
    ("npz_subjects.npz", "the arrays do not fit together"),
    ("npz_nobody.npz", "names no subjects; add them, or split=random"),
    ("t_no_activity.csv", "has no column 'activity'"),
    ("t_no_numbers.csv", "row 3: y is 'high'; expected a number"),
    ("t_nan.csv", "row 2: x is nan; expected a finite number"),
    ("t_short.csv", "no recording has 150 steps, which a window needs; the longest has 2"),
    ("t_nobody.csv", "names no subjects|no recording"),
    ("t_backwards.csv", "the time must increase"),
    ("t_text.parquet", "is not a table"),
    ("broken.zip", "broken.zip is not a readable archive"),
    ("nothing.zip", "nothing.zip.* is not one of these"),
]

CONFIGURATIONS = [
    ({"configurations": "20x5"}, "configurations"),
    ({"configurations": "20x5x0.1x7"}, "configurations"),
    ({"configurations": "0x5x0.1"}, "configurations"),
    ({"configurations": "20x5xnan"}, "configurations"),
    ({"configurations": "20x5x0.1,20x5x0.1"}, "twice|configurations"),
    ({"configurations": "20x5x0.1,20x05x0.10"}, "names 20x05x0.10 twice"),
    ({"configurations": ""}, "configurations"),
    ({"seeds": ""}, "seeds"),
    ({"seeds": "1,1"}, "seeds"),
    ({"seeds": "-1"}, "seeds"),
    ({"seeds": "one"}, "seeds"),
    ({"resume": "nothing"}, "resume|no run 'nothing'"),
    ({"scheduler": "nonsense"}, "scheduler|Dask"),
    ({"register_as": "a/b"}, "register.as|a/b"),
    ({"register_as": ""}, "register.as|name"),
]

ADDITION_OPTIONS = [
    ({"base": 1}, "1 is not in the range 2<=x<=36"),
    ({"base": 37}, "37 is not in the range 2<=x<=36"),
    ({"seq_len": 1}, "1 is not in the range"),
    ({"seq_len": LARGEST}, "is not in the range"),
    ({"hidden_size": 0}, "0 is not in the range"),
    ({"hidden_size": LARGEST}, f"hidden_size={LARGEST}, num_layers=2 makes"),
    ({"embedding_dim": LARGEST}, f"embedding_dim={LARGEST}, .* makes"),
    ({"num_layers": LARGEST}, "num.layers"),
    ({"num_layers": 0}, "0 is not in the range"),
    ({"batch_size": LARGEST}, "Unable to allocate .* GiB"),
    ({"cell": "transformer"}, "'transformer' is not one of"),
    ({"lengths": "5,5"}, "lengths"),
    ({"lengths": "1"}, "lengths"),
    ({"lengths": "x"}, "lengths"),
    ({"learning_rate": 0}, "learning.rate"),
    ({"optimizer": "sgd", "nesterov": "true", "momentum": 0}, "with nesterov=True it must be"),
    ({"nesterov": "maybe"}, "'maybe' is not a valid boolean"),
    ({"register_as": "a:b/c"}, "register.as|a:b/c"),
]

STUDIES = [
    ({"study": "depth"}, "'depth' is not one of"),
    ({"study": "hidden_size", "values": "0"}, "values|hidden_size"),
    ({"study": "hidden_size", "values": "8,8"}, "values|twice"),
    ({"study": "hidden_size", "values": "8,08"}, "08.*twice|twice"),
    ({"study": "learning_rate", "values": "0.1,1e-1"}, "1e-1.*twice|twice"),
    ({"study": "hidden_size", "values": "wide"}, "values|wide"),
    ({"study": "cell", "values": "cnn"}, "values|cnn"),
    ({"study": "all", "values": "8"}, "values"),
    ({"seeds": "0,0"}, "seeds"),
    ({"resume": "f" * 32}, "no run|resume"),
]

CHECKPOINTS = [
    ("nowhere.safetensors", "does not exist"),
    ("file.txt", "is no .safetensors or .npz file by its name"),
    ("model.pt", "can hold code and is not opened|does not exist"),
    ("st_text.safetensors", "is not a readable .safetensors file"),
    ("st_cut.safetensors", "is not a readable .safetensors file"),
    ("st_strangers.safetensors", "."),
    ("st_empty.safetensors", "."),
    ("npz_text.npz", "is not a readable .npz file"),
    ("npz_objects.npz", "holds Python objects"),
    ("npz_bomb.npz", "declares 604 MB"),
    ("empty", "is a folder"),
    ("~nobody/x.npz", "does not exist"),
    ("", "."),
]

CLASSIFY = [
    ("nowhere.wav", "nowhere.wav"),
    ("empty", "empty"),
    ("file.txt", "file.txt"),
    ("wav_empty/no/b_nohash_0.wav", "b_nohash_0.wav"),
    ("wav_broken/no/b_nohash_0.wav", "not readable as audio"),
    ("wav_rate/no/b_nohash_0.wav", "1000 Hz"),
    ("wav_nan/no/b_nohash_0.wav", "holds NaN or infinity"),
    ("", "."),
]

JUDGING = [
    ({"model": "models:/none@champion"}, "models:/none@champion"),
    ({"model": "nonsense"}, "nonsense"),
    ({"part": "train"}, "'train' is not one of 'test', 'val', 'all'"),
    ({"folds": "two"}, "'two' is not a valid integer"),
]

NUMBERS = [
    ({"a": "x", "b": "1"}, "a is 'x'; expected digits"),
    ({"a": "", "b": "1"}, "a is empty"),
    ({"a": "1", "b": "-1"}, "negative numbers cannot be added"),
    ({"a": "1.5", "b": "1"}, "not '.'"),
    ({"a": "1", "b": "²"}, "b is '²'; expected digits"),
    ({"a": "1"}, "b"),
    ({"model": "models:/none@champion", "a": "1", "b": "2"}, "models:/none@champion"),
    ({"model": "runs:/zzz/model", "a": "1", "b": "2"}, "runs:/zzz/model"),
    ({"model": "nonsense", "a": "1", "b": "2"}, "nonsense"),
    ({"model": "", "a": "1", "b": "2"}, "."),
]

COMPARISONS = [
    ({"models": "fc+rmsprop"}, "models|rmsprop"),
    ({"models": "rnn+sgd"}, "models|rnn"),
    ({"models": "fc+sgd,fc+sgd"}, "twice"),
    ({"models": ""}, "models"),
    ({"seeds": "0,00"}, "'0,00' names 00 twice"),
    ({"seeds": "0.5"}, "'0.5' is not a valid integer"),
    ({"resume": "0" * 32}, "no run '0+' at sqlite"),
]

WHOLE = [
    ({"data": "nowhere"}, "data '.*nowhere' does not exist"),
    ({"max_epochs": 0}, "'--max-epochs': 0 is not in the range"),
    ({"patience": "long"}, "'long' is not a valid integer"),
    ({"configurations": "20x5x0.1,20x5x1e-1"}, "names 20x5x1e-1 twice"),
]

STOPPING = [
    ({"model": "models:/none@best"}, "models:/none@best"),
    ({"model": "nonsense"}, "nonsense"),
    ({"patience": 0}, "0 is not in the range"),
    ({"min_delta": 1}, "1.0 is not in the range"),
    ({"min_delta": "nan"}, "nan is not a finite number"),
    ({"validation_fraction": 0}, "not in the range|validation.fraction"),
    ({"configuration": "20x5"}, "configuration"),
]


def cases(place):
    """Every case, with the files in a folder."""

    def at(name):
        return name if name.startswith("~") or not name else f"{place}/{name}"

    for options, line in SPEECH_OPTIONS:
        yield FC, {"clips": 15, "epochs": 1} | options, line
    for name, line in SPEECH_DATA:
        yield FC, {"epochs": 1, "words": "no,go", "data": at(name)}, line
    for options, line in HAR_OPTIONS:
        yield RNN, {"epochs": 1, "units": 4} | options, line
    for name, line in HAR_DATA:
        yield RNN, {"epochs": 1, "units": 4, "data": at(name)}, line
    for options, line in CONFIGURATIONS:
        small = {"configurations": "20x5x0.1", "seeds": "1", "epochs": 1}
        yield "har sweep", small | options, line
    for options, line in ADDITION_OPTIONS:
        yield "addition rnn", {"steps": 2, "hidden_size": 8} | options, line
    for options, line in STUDIES:
        yield "addition study", {"steps": 2, "seeds": "0"} | options, line
    for name, line in CHECKPOINTS:
        yield "speech from-torch", {"checkpoint": at(name), "clips": 15}, line
        yield "addition from-torch", {"checkpoint": at(name)}, line
    for name, line in CLASSIFY:
        yield "speech classify", {"wav": at(name)}, line
    for command in ("speech evaluate", "speech robustness"):
        for options, line in JUDGING:
            yield command, options, line
    for options, line in NUMBERS:
        yield ADD, options, line
    for options, line in STOPPING:
        yield "har early-stopping", options, line
    for options, line in COMPARISONS:
        small = {"clips": 15, "epochs": 1, "models": "fc+sgd", "seeds": "0"}
        yield "speech compare", small | options, line
    for options, line in WHOLE:
        small = {"epochs": 1, "max_epochs": 1, "configurations": "20x5x0.1", "seeds": "1"}
        yield "har all", small | options, line


def make_files(place):
    """What the cases read: small files of every kind that are wrong in one way each."""
    for name in ("empty", "npz_folder.npz"):
        (place / name).mkdir(parents=True)
    (place / "file.txt").write_text("dear diary\n")
    (place / "model.pt").write_bytes(b"\x80\x02.")
    _speech(place)
    _npz(place)
    _hdf5(place)
    _text(place)
    _checkpoints(place)
    closed = place / "closed"
    closed.mkdir()
    (closed / "inside").mkdir()
    (place / "npz_closed.npz").write_bytes((place / "npz_nan.npz").read_bytes())
    (place / "h5_closed.h5").write_bytes((place / "h5_nan.h5").read_bytes())
    for path in (closed, place / "npz_closed.npz", place / "h5_closed.h5"):
        path.chmod(0)


def _clip(path, rate=16_000, samples=800):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(os.fspath(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.arange(samples, dtype="<i2").tobytes())


def _speech(place):
    def folder(name):
        for word in ("no", "go"):
            for speaker in "abcdefghijklmnopqrstuvwxyz":
                _clip(place / name / word / f"{speaker}_nohash_0.wav")
        return place / name / "no" / "b_nohash_0.wav"

    folder("wav_broken").write_bytes(b"RIFF")
    folder("wav_empty").write_bytes(b"")
    _clip(folder("wav_rate"), rate=1000)
    _clip(folder("wav_no_samples"), samples=0)
    soundfile.write(folder("wav_nan"), np.full(800, np.nan), 16_000, subtype="FLOAT")
    clip = folder("wav_dangling")
    clip.unlink()
    clip.symlink_to("nowhere.wav")
    folder("wav_closed").chmod(0)
    clip = folder("wav_names")
    clip.rename(clip.with_name("b.wav"))
    for word in ("no", "go"):
        _clip(place / "one_speaker" / word / "a_nohash_0.wav")
        for speaker in "ab":
            _clip(place / "two_speakers" / word / f"{speaker}_nohash_0.wav")
    for name, text in {
        "m_no_word.csv": "path,wort\na.wav,no\n",
        "m_ghosts.csv": "path,word\nghost.wav,no\nother.wav,go\n",
        "m_split.csv": "path,word,split\none_speaker/no/a_nohash_0.wav,no,later\n",
        "m_times.csv": "path,word,start,end\none_speaker/no/a_nohash_0.wav,no,2,1\n",
        "m_text.parquet": "dear diary\n",
        "m_empty.csv": "",
    }.items():
        (place / name).write_text(text)


def matrices(**changes):
    """Arrays of an .npz file that could be trained on, but for the changes."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.normal(size=(60, 9, 4)),
        "y_train": np.arange(60) % 3,
        "x_test": rng.normal(size=(12, 9, 4)),
        "y_test": np.arange(12) % 3,
    } | changes
    return {name: array for name, array in arrays.items() if array is not None}


def _with(array, place, value):
    changed = array.copy()
    changed[place] = value
    return changed


def _npz(place):
    good = matrices()
    x, y = good["x_train"], good["y_train"]

    def write(name, **changes):
        np.savez(place / f"npz_{name}.npz", **matrices(**changes))

    write("nan", x_train=_with(x, (5, 2, 1), np.nan))
    write("inf", x_test=_with(good["x_test"], (0, 0, 0), np.inf))
    write("huge", x_train=_with(x, (0, 0, 0), 1e200))
    write("text_x", x_train=np.full(x.shape, "a"))
    write("complex", x_train=x * 1j)
    write("flat", x_train=x[:, 0])
    write("no_steps", x_train=x[:, :0], x_test=good["x_test"][:, :0])
    write("no_test", x_test=None)
    write("labels", y_train=y[1:])
    write("nan_labels", y_train=np.where(y == 0, np.nan, y))
    write("cast_labels", y_train=_with(y, 0, np.iinfo(np.int64).min))
    write("half_labels", y_train=_with(y.astype(float), 0, 0.5))
    write("negative", y_train=_with(y, 0, -1))
    write("many", y_train=_with(y, 0, 1_000_000))
    write("one_hot", y_train=_with(np.eye(3)[y], (0, 1), 1))
    write("word_labels", y_train=np.array(list("abc"))[y])
    write("one_class", y_train=0 * y, y_test=0 * good["y_test"])
    write("lonely", y_train=np.where(np.arange(60) == 7, 2, y % 2))
    write("few_names", classes=np.array(["a", "b"]))
    write("bad_names", classes=np.array("a"))
    write("twice", classes=np.array(["a", "a", "b"]))
    write("other_shape", x_test=good["x_test"][:, :, :3])
    write("half_val", x_val=x)
    write("empty_test", x_test=good["x_test"][:0], y_test=good["y_test"][:0])
    write("objects", x_train=np.array([{}] * 60, dtype=object))
    np.savez(place / "npz_nothing.npz")
    (place / "npz_text.npz").write_text("dear diary")
    (place / "npz_empty.npz").write_bytes(b"")
    content = (place / "npz_nan.npz").read_bytes()
    (place / "npz_cut.npz").write_bytes(content[: len(content) // 2])
    for name, shape, parts in (
        ("lies", (10**12, 9, 4), [b"1234"]),
        ("bomb", (4_194_304, 9, 4), [bytes(2**20)] * 576),
    ):
        write(name, x_train=None)
        about = {"descr": "<f4", "fortran_order": False, "shape": shape}
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, about)
        with (
            zipfile.ZipFile(place / f"npz_{name}.npz", "a", zipfile.ZIP_DEFLATED, True, 1) as file,
            file.open("x_train.npy", "w", force_zip64=True) as member,
        ):
            for part in [header.getvalue(), *parts]:
                member.write(part)


def _hdf5(place):
    rng, labels = np.random.default_rng(0), np.eye(6)[np.arange(12) % 6]
    good = {"trX": rng.normal(size=(12, 9, 3)), "trY": labels}
    good |= {"tstX": rng.normal(size=(6, 9, 3)), "tstY": labels[:6]}

    def write(name, **changes):
        with h5py.File(place / f"h5_{name}.h5", "w") as file:
            for key, value in (good | changes).items():
                if value is not None:
                    file[key] = value
        return place / f"h5_{name}.h5"

    write("nan", trX=_with(good["trX"], (3, 1, 1), np.nan))
    write("labels", trY=labels[:11])
    write("two_hot", trY=_with(labels, (0, 5), 1))
    write("lonely", trY=np.eye(6)[[0] * 12])
    write("compound", trX=np.zeros(12, [("x", "f4"), ("y", "i4")]))
    write("no_channels", trX=good["trX"][:, :, :0], tstX=good["tstX"][:, :, :0])
    write("soft", trX=h5py.SoftLink("/nowhere"))
    write("external", trX=h5py.ExternalLink("/etc/passwd", "/x"))
    with h5py.File(write("group", trX=None), "a") as file:
        file.create_group("trX")
    with h5py.File(write("declared", trX=None), "a") as file:
        file.create_dataset("trX", shape=(2_400_000, 150, 3), dtype="f4")
    write("nothing", **dict.fromkeys(good))
    (place / "h5_text.h5").write_text("dear diary")
    (place / "h5_empty.h5").write_bytes(b"")
    content = (place / "h5_nan.h5").read_bytes()
    (place / "h5_cut.h5").write_bytes(content[: len(content) // 2])


def _text(place):
    (place / "wisdm_empty.txt").write_text("")
    (place / "wisdm_words.txt").write_text("one,Walking,two,a,b,c;\n" * 30)
    (place / "wisdm_binary.txt").write_bytes(bytes(range(256)) * 30)
    (place / "uci_empty" / "train" / "Inertial Signals").mkdir(parents=True)
    for split in ("train", "test"):
        signals = place / "uci_words" / split / "Inertial Signals"
        signals.mkdir(parents=True)
        for axis in "xyz":
            (signals / f"total_acc_{axis}_{split}.txt").write_text("a b c\n")
        for name in ("y", "subject"):
            (place / "uci_words" / split / f"{name}_{split}.txt").write_text("x\n")
    (place / "motion_empty" / "A_DeviceMotion_data").mkdir(parents=True)
    columns = "subject,activity,time,x,y,z\n"
    for name, text in {
        "t_no_activity.csv": "subject,x,y,z\n1,0,0,1\n",
        "t_no_numbers.csv": columns + "1,walk,0,1,2,3\n1,walk,1,1,high,3\n",
        "t_nan.csv": columns + "1,walk,0,nan,2,3\n",
        "t_short.csv": columns + "1,walk,0.00,1,2,3\n1,walk,0.02,1,2,3\n",
        "t_nobody.csv": "activity,x,y,z\n" + "walk,1,2,3\n" * 400 + "sit,1,0,0\n" * 400,
        "t_backwards.csv": columns + "".join(f"1,walk,{9 - n},1,2,3\n" for n in range(9)),
        "t_text.parquet": "dear diary\n",
        "broken.zip": "PK and no more",
    }.items():
        (place / name).write_text(text)
    with zipfile.ZipFile(place / "nothing.zip", "w") as archive:
        archive.writestr("letter.txt", "dear diary\n")
    x, y = np.ones((6, 9, 3), np.float32), np.arange(6) % 2
    np.savez(place / "npz_subjects.npz", x=x, y=y, subjects=np.arange(5))
    np.savez(place / "npz_nobody.npz", x=x, y=y)


def _checkpoints(place):
    save_file({"stranger": np.ones((2, 2), np.float32)}, place / "st_strangers.safetensors")
    save_file({}, place / "st_empty.safetensors")
    content = (place / "st_strangers.safetensors").read_bytes()
    (place / "st_cut.safetensors").write_bytes(content[:-4])
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    text = len(header).to_bytes(8, "little") + header.encode()
    (place / "st_text.safetensors").write_bytes(text)
