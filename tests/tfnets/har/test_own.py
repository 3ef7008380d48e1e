"""Own recordings in every form: tables, windows with subjects, archives; other cuts and rates."""

import tarfile
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest

from tfnets import har, training
from tfnets.dataset import Varied
from tfnets.errors import InputError
from tfnets.har import augmentation, table, wisdm
from tfnets.har.windows import Cutting

RNG = np.random.default_rng(0)


def recordings(rate=50, seconds=12, unit=1.0):
    """Five people do three things; each starts the clock where the last one ended."""
    frames = []
    for number, who in enumerate("abcde"):
        for kind, activity in enumerate(("run", "sit", "walk")):
            n = rate * seconds
            t = np.arange(n) / rate
            frames.append(
                pd.DataFrame(
                    {
                        "subject": who,
                        "activity": activity,
                        "time": (1000 * number + 100 * kind + t) * unit,
                        "x": np.sin(2 * np.pi * kind * t),
                        "y": 0.1 * RNG.normal(size=n),
                        "z": np.full(n, float(kind)),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("form", ["csv", "semicolons", "parquet", "other names"])
def test_a_table(tmp_path, form):
    own = recordings()
    path = tmp_path / f"own.{'parquet' if form == 'parquet' else 'csv'}"
    if form == "parquet":
        own.to_parquet(path)
    else:
        if form == "other names":
            own = own.rename(
                columns={"subject": "User", "activity": " Label", "time": "timestamp"}
            )
        own.to_csv(path, index=False, sep=";" if form == "semicolons" else ",")
    data = har.load(path)
    assert data.classes == ("run", "sit", "walk")
    assert set(data.test.groups) == {"e"}
    assert data.input_shape == (150, 3)
    # 600 steps are 12 windows; the first begins with the recording.
    assert len(data.test) == 36
    first = own[own.iloc[:, 0] == "e"].iloc[:150][["x", "y", "z"]].to_numpy(np.float32)
    np.testing.assert_array_equal(data.test.x[0], first)
    assert "50 Hz" in data.split_kind


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("rate", [20, 50, 100])
def test_the_rate_is_told_from_the_time_in_any_unit(tmp_path, unit, rate):
    recordings(rate, unit=unit).to_csv(tmp_path / "own.csv", index=False)
    windows = table.read(tmp_path / "own.csv", Cutting(rate=25.0))
    assert f"{rate} Hz, converted to 25 Hz" in windows.remarks
    assert windows.x.shape[1:] == (150, 3)
    running = windows.x[windows.y == 0][0, 20:-20, 0]
    walking = windows.x[windows.y == 2][0, 20:-20, 0]
    np.testing.assert_allclose(running, 0, atol=1e-3)
    expected = np.sin(2 * np.pi * 2 * np.arange(150) / 25)[20:-20]
    np.testing.assert_allclose(walking, expected, atol=0.02)


def test_window_and_stride(tmp_path):
    recordings().to_csv(tmp_path / "own.csv", index=False)
    data = har.load(tmp_path / "own.csv", window=100, stride=100, test_subjects=["a", "b"])
    assert data.input_shape == (100, 3)
    assert len(data.test) == 2 * 3 * 6
    assert "windows of 100 steps, one each 100" in data.split_kind


def test_dead_rows_are_dropped_and_gaps_part_recordings(tmp_path):
    own = recordings()
    own.loc[10:19, ["time", "x", "y", "z"]] = 0
    (tmp_path / "own.csv").write_text(own.to_csv(index=False))
    windows = table.read(tmp_path / "own.csv")
    assert "10 dead rows of 9,000 dropped" in windows.remarks
    # 10 steps and 580 steps, for the clock has jumped.
    assert (windows.subjects == "a").sum() == 11 + 12 + 12
    assert "recordings parted at 1 gap in the time" in windows.remarks


def test_a_slower_recorder_is_no_gap_at_every_step(tmp_path):
    own = recordings()
    slow = own[own.subject == "b"].iloc[::6]
    mixed = pd.concat([own[own.subject != "b"], slow])
    mixed.to_csv(tmp_path / "own.csv", index=False)
    windows = table.read(tmp_path / "own.csv", Cutting(window=50))
    assert (windows.subjects == "b").sum() == 3 * 2  # 100 steps of each
    assert "recordings have rates from 8.33 to 50 Hz" in windows.remarks
    assert not any("gap" in remark for remark in windows.remarks)
    with pytest.raises(InputError, match=r"rates from 8\.33 to 50 Hz; convert them to one before"):
        table.read(tmp_path / "own.csv", Cutting(window=50, rate=25))


def test_subjects_are_needed_or_windows_are_mixed(tmp_path):
    own = recordings().drop(columns=["subject", "time"])
    own.to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(InputError, match="names no subjects; add them, or split=random"):
        har.load(tmp_path / "own.csv")
    data = har.load(tmp_path / "own.csv", split="random")
    assert data.test.groups is None
    with pytest.raises(InputError, match="nothing says what it is now; the data need a time"):
        har.load(tmp_path / "own.csv", split="random", rate=25)


def test_windows_in_an_npz_with_names_and_subjects(tmp_path):
    x = RNG.normal(size=(60, 20, 3))
    names = np.array(["walk", "sit", "run"])[np.arange(60) % 3]
    who = np.arange(60) // 12
    np.savez(tmp_path / "own.npz", x=x, y=names, subjects=who)
    data = har.load(tmp_path / "own.npz", test_subjects=["2"])
    assert data.classes == ("run", "sit", "walk")
    assert set(data.test.groups) == {"2"}
    np.testing.assert_array_equal(data.test.x, x[24:36].astype(np.float32))
    assert [data.classes[n] for n in data.test.y] == names[24:36].tolist()
    with pytest.raises(InputError, match="holds windows already; window does not apply"):
        har.load(tmp_path / "own.npz", window=10)


def test_an_npz_with_a_split_may_have_names_for_labels(tmp_path):
    x, names = RNG.normal(size=(30, 20, 3)), np.array(["b", "a", "c"])[np.arange(30) % 3]
    np.savez(tmp_path / "own.npz", x_train=x, y_train=names, x_test=-x, y_test=names)
    data = har.load(tmp_path / "own.npz")
    assert data.classes == ("a", "b", "c")
    np.testing.assert_array_equal(data.test.y, [1, 0, 2] * 10)


def wisdm_lines(activities, users=5, steps=200):
    clock = 10**9
    for user in range(users):
        for kind, activity in enumerate(activities):
            for _ in range(steps):
                clock += 50_000_000
                yield f"{user},{activity},{clock},{kind}, {RNG.normal():.3f} ,9.8;"


def test_wisdm_2_blanks_and_dead_records(tmp_path):
    lines = list(wisdm_lines(("Walking", "Stairs", "LyingDown")))
    for n in range(0, len(lines), 20):
        user, activity = lines[n].split(",")[:2]
        lines[n] = f"{user},{activity},0,0,0,0.0;"
    lines = [line.replace(",", ", ") if n % 7 == 0 else line for n, line in enumerate(lines)]
    (tmp_path / "WISDM_at_v2.0_raw.txt").write_text("\n".join(lines))
    windows = wisdm.read(tmp_path / "WISDM_at_v2.0_raw.txt")
    assert windows.name == "WISDM v2.0"
    assert windows.classes == ("lying down", "stairs", "walking")
    assert windows.remarks[0] == "150 dead entries of 3,000 (time stamp and values 0) dropped"
    assert not (windows.x == 0).all(-1).any()
    assert len(windows.x) == 5 * 3 * 2  # 190 steps of each


def test_wisdm_windows_do_not_run_over_a_gap(tmp_path):
    lines = list(wisdm_lines(("Walking", "Jogging"), users=2, steps=200))
    file = tmp_path / "WISDM_ar_v1.1_raw.txt"

    def read(shift):
        """With the clock of the second half of the first recording moved."""
        moved = []
        for n, line in enumerate(lines):
            fields = line.split(",")
            if 100 <= n < 200:
                fields[2] = str(int(fields[2]) + shift)
            moved.append(",".join(fields))
        file.write_text("\n".join(moved))
        return wisdm.read(file, Cutting(window=100, stride=50))

    whole = read(0)
    assert len(whole.x) == 4 * 3
    assert not any("gap" in remark for remark in whole.remarks)
    for shift in (-(10**9), 10**9):
        parted = read(shift)
        assert "recordings parted at 1 gap in the time" in parted.remarks
        np.testing.assert_array_equal(parted.x, whole.x[[0, 2, *range(3, 12)]])
    assert len(read(200_000_000).x) == 4 * 3  # four of its steps are missing
    file.write_text("\n".join(lines).replace(",10", ",time"))
    assert len(wisdm.read(file, Cutting(window=100, stride=50)).x) == 4 * 3


def test_the_same_recording_of_two_subjects(tmp_path):
    own = recordings()
    copy = own[own.subject == "a"].assign(subject="f")
    pd.concat([own, copy]).to_csv(tmp_path / "own.csv", index=False)
    clean = har.load(tmp_path / "own.csv", test_subjects=["a"], duplicates="keep")
    data = har.load(tmp_path / "own.csv", test_subjects=["a"])
    assert "f" in clean.train.groups
    assert "f" not in data.train.groups
    assert data.duplicates == clean.duplicates == len(data.test) == len(clean.test)
    assert "train windows that are in the test split, too, dropped" in data.split_kind
    assert "in the test split, too, kept on request" in clean.split_kind
    assert len(clean.train) + len(clean.val) - len(data.train) - len(data.val) == len(data.test)
    for _, fold in har.folds(tmp_path / "own.csv", parts=6):
        of_test = {each.tobytes() for each in fold.test.x}
        assert not of_test & {each.tobytes() for each in [*fold.train.x, *fold.val.x]}
    with pytest.raises(InputError, match="unknown duplicates 'none'; choose from drop, keep"):
        har.load(tmp_path / "own.csv", duplicates="none")


def test_a_sensor_that_was_off_is_no_copy(tmp_path):
    x = RNG.normal(size=(60, 20, 3))
    x[::12] = 9.81
    names = np.array(["walk", "sit", "run"])[np.arange(60) % 3]
    np.savez(tmp_path / "own.npz", x=x, y=names, subjects=np.arange(60) // 12)
    assert har.load(tmp_path / "own.npz").duplicates == 0


@pytest.mark.parametrize("form", ["folder", "nested", "zip", "tar.gz", "zip in a zip"])
def test_wherever_it_was_unpacked(tmp_path, fresh_cache, form):
    text = "\n".join(wisdm_lines(("Walking", "Jogging")))
    place = tmp_path / "data" / ("a/b/WISDM_ar_v1.1" if form == "nested" else "WISDM_ar_v1.1")
    place.mkdir(parents=True)
    file = place / "WISDM_ar_v1.1_raw.txt"
    file.write_text(text)
    given = tmp_path / "data"
    if "zip" in form or "tar" in form:
        given = tmp_path / f"archive.{'tar.gz' if 'tar' in form else 'zip'}"
        if "tar" in form:
            with tarfile.open(given, "w:gz") as archive:
                archive.add(file, f"WISDM_ar_v1.1/{file.name}")
        else:
            with zipfile.ZipFile(given, "w") as archive:
                archive.write(file, f"WISDM_ar_v1.1/{file.name}")
            if "in" in form:
                with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
                    outer.write(given, "inner.zip")
                given = tmp_path / "outer.zip"
    data = har.load(given)
    assert data.name == "WISDM v1.1"
    assert data.classes == ("jogging", "walking")
    assert data.digest == har.load(file).digest


def test_standardised_channels_and_the_model_that_is_exported(tmp_path):
    recordings().to_csv(tmp_path / "own.csv", index=False)
    plain = har.load(tmp_path / "own.csv")
    data = har.load(tmp_path / "own.csv", standardise=True)
    np.testing.assert_allclose(data.train.x.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.x.std((0, 1)), 1, atol=1e-5)
    network = har.build(num_classes=3)
    deployed = har.deployable(network, data.classes, channels=data.channels)
    deployed.save(tmp_path / "m.keras")
    answers = keras.saving.load_model(tmp_path / "m.keras")(plain.test.x[:8])
    expected = network(data.test.x[:8]).numpy()[:, -1]
    np.testing.assert_allclose(
        np.stack([answers[name] for name in data.classes], 1), expected, atol=1e-5
    )


def test_augmented_windows_are_turned_scaled_and_jittered():
    turns = augmentation.rotations(np.random.default_rng(0), 500).astype(float)
    assert np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() < 1e-5
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-5)
    angles = np.degrees(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert np.sqrt(np.mean(angles**2)) == pytest.approx(augmentation.TURN, rel=0.1)
    x = RNG.normal(size=(200, 50, 6)).astype(np.float32)
    changed = augmentation.changed(x, np.random.default_rng(1))
    assert changed.shape == x.shape
    # Lengths of both sensors' vectors change by one factor a window, and jitter.
    ratio = [np.linalg.norm(changed[:, :, s], axis=2) / np.linalg.norm(x[:, :, s], axis=2)
             for s in (slice(0, 3), slice(3, 6))]  # fmt: skip
    factors = [np.median(each, axis=1) for each in ratio]
    assert np.corrcoef(factors)[0, 1] > 0.9
    assert np.std(factors[0]) == pytest.approx(augmentation.SCALE, rel=0.2)


def test_augmented_training_is_reproducible(tmp_path):
    recordings().to_csv(tmp_path / "own.csv", index=False)
    data = har.load(tmp_path / "own.csv", standardise=True, augment=True)
    assert isinstance(data.train, Varied)
    recipe = training.Recipe(epochs=2, batch_size=20, learning_rate=0.003)

    def train():
        return training.train(
            lambda: har.build(num_classes=3, cell="gru", seed=1),
            data,
            recipe,
            progress=False,
            objective=har.objective(num_classes=3),
        ).model.get_weights()

    for one, other in zip(train(), train(), strict=True):
        np.testing.assert_array_equal(one, other)
