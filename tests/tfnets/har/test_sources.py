"""Each source on small files of its exact format, which the tests write."""

import contextlib
import hashlib
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tfnets.errors import InputError
from tfnets.har import hdf5, motion_sense, uci, unpacked, watch, windows, wisdm


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def spoilt(n):
    """Windows of which the tenth holds NaN."""
    x = noise(n, 150, 3)
    x[9, 100, 1] = np.nan
    return x


# --- windows ---


def test_windows_begin_every_stride_and_are_whole():
    series = np.arange(20).reshape(10, 2)
    cut = windows.cut(series, window=4, stride=3)
    assert cut.dtype == np.float32
    assert cut[:, 0, 0].tolist() == [0, 6, 12]
    assert cut.shape == (3, 4, 2)
    np.testing.assert_array_equal(cut[1], series[3:7])
    assert windows.cut(series, window=11).shape == (0, 11, 2)
    assert len(windows.cut(series, window=10)) == 1


def test_a_step_that_is_no_number_is_named_in_its_recording():
    recordings = [(noise(200, 3), 0, "7"), (np.where(np.eye(300)[:, 290:293], 1e39, 0), 1, "8")]
    with pytest.raises(
        InputError, match=r"raw: recording 2 \(subject 8, run\), step 290 holds 1e"
    ):
        windows.join(recordings, name="x", source="raw", classes=("walk", "run"))


# --- built in ---


def test_the_built_in_recordings():
    read = watch.read()
    assert read.classes == ("ABD", "FEL", "IR", "ER", "TRAP", "ROW")
    assert read.x.shape[1:] == (150, 3)
    assert set(read.subjects) == {str(number) for number in range(1, 11)}
    # Acceleration in g: at rest a watch feels 1.
    assert 0.9 < np.linalg.norm(read.x, axis=-1).mean() < 1.3
    assert read.remarks == ("without the pendulum exercise (PEN; 20 of 140 recordings)",)
    counts = np.bincount(read.y)
    assert len(counts) == 6
    assert counts.min() > 600


def test_another_file_is_not_unpickled(tmp_path, monkeypatch):
    path = tmp_path / "watch_dataset.npy"
    np.save(path, np.array([{"evil": 1}], dtype=object))
    monkeypatch.setattr(watch, "_path", lambda: path)
    with pytest.raises(
        InputError, match=r"has the SHA-256 \w{64}, not eb122f.*, and is not opened"
    ):
        watch.read()


def test_nothing_is_unpickled_in_this_process(fresh_cache):
    unpickled, watched = [], [True]

    def hook(event, args):  # stays for good: Python takes none away
        if watched and event == "pickle.find_class":
            unpickled.append(args)

    sys.addaudithook(hook)
    first, again = watch.read(), watch.read()
    watched.clear()
    assert unpickled == []
    np.testing.assert_array_equal(first.x, again.x)
    # As it was when this process unpickled: the same windows to the bit.
    digest = hashlib.sha256(first.x)
    digest.update(first.y)
    digest.update("|".join(first.subjects).encode())
    assert digest.hexdigest().startswith("fe225c0a1a0556fba932d403")
    (copy,) = fresh_cache.rglob("*.npz")
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    with pytest.raises(
        InputError, match=r"cached recordings in .*/watch-\w+ are damaged \(.*\); del"
    ):
        watch.read()
    copy.unlink()
    with pytest.raises(InputError, match=r"is damaged: .* missing, .*recordings\.npz; delete"):
        watch.read()


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TFNETS_CACHE", str(tmp_path / "file"))
    assert len(watch.read().y) == 5048


def test_the_process_that_unpickles_looks_at_the_checksum_itself(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"evil": 1}], dtype=object))
    with pytest.raises(
        InputError, match=r"cannot be converted .* code 1: .*SHA-256 \w{64}, not eb"
    ):
        watch._run(tmp_path / "evil.npy", tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_without_the_wheel(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r'needs the wheel seglearn: pip install "tfnets\[builtin'
    ):
        watch.read()


# --- the course's file ---


@pytest.fixture
def course(tmp_path):
    def write(**changes):
        labels = np.eye(6)[np.arange(12) % 6]
        arrays = {
            "trX": noise(12, 150, 3),
            "trY": labels,
            "tstX": noise(6, 150, 3, seed=1),
            "tstY": labels[:6],
        } | changes
        path = tmp_path / "course.h5"
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                if array is not None:
                    file[name] = array
        return path, arrays

    return write


def test_the_courses_file(course):
    path, arrays = course()
    read = hdf5.read(path)
    assert read.classes[0] == "downstairs"
    assert read.test.tolist() == [False] * 12 + [True] * 6
    assert read.subjects is None
    np.testing.assert_allclose(read.x[12:], arrays["tstX"], rtol=1e-6)
    assert read.y[:7].tolist() == [0, 1, 2, 3, 4, 5, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tstY": None}, "has no array 'tstY'; it needs trX, trY, tstX, tstY"),
        ({"trX": noise(12, 150)}, r"trX has shape \(12, 150\)"),
        (
            {"trY": noise(12, 5)},
            r"trY has shape \(12, 5\) and dtype float64; expected one-hot rows \(n, 6",
        ),
        ({"trY": noise(12, 6)}, r"trY\[0\] is not a one-hot row: it holds 0.1257"),
        (
            {"tstY": np.where(np.eye(6), np.nan, 0)},
            r"tstY\[0\] is not a one-hot row: it holds nan",
        ),
        ({"trX": spoilt(12)}, r"trX\[9\] holds nan at \[100, 1\]; all values must be finite"),
        ({"tstX": spoilt(12)[6:]}, r"tstX\[3\] holds nan at \[100, 1\]"),
        ({"tstX": noise(6, 99, 3)}, r"trX has sequences of \(150, 3\), tstX of \(99, 3\)"),
        ({"tstX": noise(5, 150, 3)}, "5 sequences in tstX but 6 labels in tstY"),
    ],
)
def test_a_bad_file_of_the_course(course, changes, message):
    with pytest.raises(InputError, match=message):
        hdf5.read(course(**changes)[0])


COMPOUND = np.zeros(12, [("x", "f4"), ("y", "i4")])


def declares(file, name, **how):
    file.create_dataset(name, shape=(2_400_000, 150, 3), dtype="f4", **how)


def other_file(file, name):
    raw = Path(file.filename).with_name("raw")
    raw.write_bytes(bytes(12 * 150 * 3 * 4))
    how = {"external": [(str(raw), 0, h5py.h5f.UNLIMITED)]}
    file.create_dataset(name, shape=(12, 150, 3), dtype="f4", **how)


def virtual(file, name):
    layout = h5py.VirtualLayout(shape=(12, 150, 3), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(12, 150, 3))
    file.create_virtual_dataset(name, layout)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("trX", h5py.SoftLink("/nowhere"), r"trX is a link to '/nowhere', where nothing is"),
        ("trX", h5py.ExternalLink("/etc/passwd", "/x"), r"link to /x in /etc/passwd; other files"),
        ("trX", other_file, r"the values of trX are in other files, which are not opened"),
        ("tstX", virtual, r"the values of tstX are in other files, which are not opened"),
        ("trY", h5py.Empty("f4"), r"trY is empty, without a shape"),
        (
            "tstX",
            lambda file, name: file.create_group(name),
            r"tstX is a group; expected an array",
        ),
        ("tstY", np.dtype("f4"), r"tstY is a datatype; expected an array"),
        ("trX", declares, r"trX declares 4.32 GB, shape .*, of which the file holds 0 bytes"),
        ("trX", noise(12, 150, 0), r"trX has shape \(12, 150, 0\) .*; expected .* none of them 0"),
        ("trX", noise(12, 0, 3), r"trX has shape \(12, 0, 3\)"),
        ("tstX", noise(0, 150, 3), r"tstX has shape \(0, 150, 3\)"),
        ("trX", np.float32(1), r"trX has shape \(\) and dtype float32"),
        ("trX", COMPOUND, r"trX has shape \(12,\) and dtype \[\('x', '<f4'\)"),
        ("trX", np.full((12, 150, 3), b"abc"), r"trX has shape \(12, 150, 3\) and dtype \|S3"),
        ("trX", noise(12, 150, 3) * 1j, r"and dtype complex128; expected numbers"),
        ("trY", "words", r"trY has shape \(\) and dtype object"),
        ("trY", np.eye(6)[[0] * 12] == 1, None),
    ],
)
def test_what_a_hdf5_file_can_hold_instead(course, name, make, message):
    path, _ = course(**{name: None})
    with h5py.File(path, "a") as file:
        if callable(make) and not isinstance(make, np.dtype | np.generic):
            make(file, name)
        else:
            file[name] = make
    if message is None:
        assert hdf5.read(path).y[:12].tolist() == [0] * 12
        return
    with pytest.raises(InputError, match=message):
        hdf5.read(path)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_hdf5_file_is_read_or_refused(course, seed):
    path, _ = course()
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for place in rng.integers(2048, size=1 + seed % 8):  # where HDF5 keeps what is where
        content[place] = rng.integers(256)
    path.write_bytes(content if seed % 4 else content[: rng.integers(len(content))])
    with contextlib.suppress(InputError):
        assert len(hdf5.read(path).x) == 18


def test_a_file_that_is_no_hdf5(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"bad\.h5 is not a readable HDF5 file"):
        hdf5.read(tmp_path / "bad.h5")


# --- UCI HAR ---


@pytest.fixture
def uci_folder(tmp_path):
    root = tmp_path / "archive" / "UCI HAR Dataset"
    for split, rows in (("train", 12), ("test", 6)):
        folder = root / split / "Inertial Signals"
        folder.mkdir(parents=True)
        for number, name in enumerate(uci.SIGNALS):
            np.savetxt(folder / f"{name}_{split}.txt", noise(rows, 128, seed=number), "%16.7e")
        labels = np.arange(rows) % 6 + 1
        np.savetxt(root / split / f"y_{split}.txt", labels, "%d")
        who = np.where(np.arange(rows) < rows / 2, 1, 3) + (split == "test")
        np.savetxt(root / split / f"subject_{split}.txt", who, "%d")
    return root


def test_uci_har(uci_folder):
    (root,) = filter(None, map(uci.find, unpacked.folders(uci_folder.parent)))
    assert root == uci_folder == uci.find(uci_folder)
    read = uci.read(root)
    assert read.x.shape == (18, 128, 9)
    assert read.y[:7].tolist() == [0, 1, 2, 3, 4, 5, 0]
    assert set(read.subjects[read.test]) == {"2", "4"}
    assert set(read.subjects[~read.test]) == {"1", "3"}
    np.testing.assert_allclose(read.x[:12, :, 2], noise(12, 128, seed=2), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train/y_train.txt",
            "7\n" * 12,
            "y_train.txt, line 1 is 7.0; expected a class number from 1 to 6",
        ),
        # Empty lines and remarks are no rows, but they are lines.
        (
            "train/y_train.txt",
            "1\n\n# x\n" + "1\nnan\n" * 5 + "2\n",
            "y_train.txt, line 5 is nan; ",
        ),
        (
            "test/subject_test.txt",
            "1\n" * 5 + "nan\n",
            "subject_test.txt, line 6 is nan; expected a subject",
        ),
        ("test/subject_test.txt", "1.5\n" * 6, "subject_test.txt, line 1 is 1.5; expected a subj"),
        (
            "test/Inertial Signals/body_acc_y_test.txt",
            (" 1" * 128 + "\n") * 3
            + " 1" * 9
            + " 1e99"
            + " 1" * 118
            + "\n"
            + (" 1" * 128 + "\n") * 2,
            r"body_acc_y_test.txt, line 4 holds 1e\+99 at \[9\]; all values must be finite",
        ),
        ("train/y_train.txt", "1\n" * 11, "has 12 rows of 128; expected 11 rows of 128"),
        ("test/subject_test.txt", "one\n" * 6, "holds something other than rows of numbers"),
        ("test/subject_test.txt", None, "cannot be read: No such file"),
    ],
)
def test_bad_files_of_uci_har(uci_folder, name, content, message):
    path = uci_folder / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        uci.read(uci_folder)


# --- MotionSense ---


def write_motion_sense(folder, subjects=(1, 2), steps=190):
    header = [
        "", "attitude.roll", "attitude.pitch", "attitude.yaw", "gravity.x", "gravity.y",
        "gravity.z", "rotationRate.x", "rotationRate.y", "rotationRate.z",
        "userAcceleration.x", "userAcceleration.y", "userAcceleration.z",
    ]  # fmt: skip
    for code in ("dws_1", "jog_9", "sit_5", "std_6", "ups_3", "wlk_7"):
        for subject in subjects:
            path = folder / code / f"sub_{subject}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            values = np.column_stack([np.arange(steps), noise(steps, 12, seed=subject)])
            rows = [",".join(map(repr, map(float, row))) for row in values]
            path.write_text("\n".join([",".join(header), *rows]) + "\n")
    return folder


def test_motion_sense(tmp_path):
    folder = write_motion_sense(tmp_path / "A_DeviceMotion_data" / "A_DeviceMotion_data")
    for root in (tmp_path, tmp_path / "A_DeviceMotion_data", folder):
        assert next(filter(None, map(motion_sense.find, unpacked.folders(root)))) == folder
    read = motion_sense.read(folder)
    assert read.x.shape == (6 * 2 * 2, 150, 3)
    assert read.y.tolist() == sorted(read.y.tolist())
    assert set(read.subjects) == {"1", "2"}
    values = noise(190, 12, seed=1)
    np.testing.assert_allclose(read.x[0], values[:150, 3:6] + values[:150, 9:12], rtol=1e-5)


def test_bad_files_of_motion_sense(tmp_path):
    folder = write_motion_sense(tmp_path, subjects=(1,))
    path = folder / "dws_1" / "sub_1.csv"
    good = path.read_text()
    path.write_text(good.replace("gravity.y", "gravity"))
    with pytest.raises(InputError, match=r"sub_1\.csv has no column 'gravity\.y'"):
        motion_sense.read(folder)
    path.write_text(good.rstrip("\n") + "x\n")
    with pytest.raises(InputError, match="holds something other than numbers"):
        motion_sense.read(folder)
    path.write_text("\n".join([*good.splitlines()[:7], "nan," * 13]).rstrip(",") + "\n")
    with pytest.raises(InputError, match=r"sub_1\.csv, line 8 holds nan"):
        motion_sense.read(folder)
    for each in folder.glob("*/*.csv"):
        each.write_text("".join(good.splitlines(keepends=True)[:100]))
    with pytest.raises(InputError, match="no recording has 150 steps"):
        motion_sense.read(folder)


# --- WISDM ---


def test_wisdm(tmp_path):
    path = tmp_path / "WISDM_ar_v1.1_raw.txt"
    lines = []
    for user, activity, steps in (
        (33, "Jogging", 190),
        (33, "Walking", 150),
        (17, "Sitting", 149),
    ):
        for step in range(steps):
            lines.append(f"{user},{activity},{49105962326000 + step},-0.5,{step},0.25;")
    lines[3] += lines.pop(4)  # two entries on a line, as the file has them
    lines[0] = lines[0].replace(";", ",;")
    lines += [
        "11,Walking,1867172313000,4.4,4.4,;",
        "11,Flying,1,1,2,3;",
        "11,Walking,1,1,2,x;",
        "",
    ]
    path.write_text("\n".join(lines))
    read = wisdm.read(path)
    assert read.x.shape == (3, 150, 3)
    assert [read.classes[label] for label in read.y] == ["jogging", "jogging", "walking"]
    assert set(read.subjects) == {"33"}
    np.testing.assert_array_equal(read.x[1, :, 1], np.arange(40, 190))
    assert read.remarks == (
        "3 malformed entries of 492 skipped",
        "no recording of sitting is as long as a window",
    )


def test_a_text_that_is_no_wisdm(tmp_path):
    (tmp_path / "bad.txt").write_text("nothing\n")
    with pytest.raises(InputError, match="has no entries user,activity,timestamp,x,y,z"):
        wisdm.read(tmp_path / "bad.txt")
