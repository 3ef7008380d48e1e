"""Speech Commands from a server of our own, with a small archive of the exact layout."""

import functools
import gzip
import hashlib
import http.server
import io
import shutil
import socket
import tarfile
import threading

import pytest

from tfnets import cache, speech
from tfnets.errors import InputError
from tfnets.speech import download

NAME = "speech_commands_v0.02.tar.gz"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; of a file ``*.cut`` it promises all and sends half."""

    requests = 0

    def log_message(self, *args):
        pass

    def do_GET(self):
        type(self).requests += 1
        super().do_GET()

    def copyfile(self, source, outputfile):
        if self.path.endswith(".cut"):
            data = source.read()
            outputfile.write(data[: len(data) // 2])
        else:
            super().copyfile(source, outputfile)


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Handler", (Quiet,), {"requests": 0})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=folder)
    ) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.folder, running.handler = folder, handler
        yield running
        running.shutdown()


@pytest.fixture
def publish(server, monkeypatch, fresh_cache):
    """Makes an archive the published one: on the server, with its checksum."""

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def publish(path, name=NAME, sha256=None):
        shutil.copy(path, server.folder / name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(download, "URL", f"http://127.0.0.1:{server.server_port}/{name}")
        monkeypatch.setattr(download, "SHA256", sha256 or digest)

    return publish


@pytest.fixture
def good(tmp_path, speech_folder):
    """As Google's archive: no folder around it, names that begin with ``./``."""
    for name in ("LICENSE", "README.md"):
        (speech_folder / name).write_text(name)
    noise = speech_folder / "_background_noise_"
    noise.mkdir()
    shutil.copy(next((speech_folder / "no").iterdir()), noise / "white_noise.wav")
    with tarfile.open(tmp_path / "good.tar.gz", "w:gz") as tar:
        tar.add(speech_folder, arcname=".")
    return tmp_path / "good.tar.gz"


def left_in(folder):
    """The files that are left, and what a half-done download or archive would leave."""
    return [path for path in folder.rglob("*") if path.is_file() or "partial" in path.name]


def test_it_is_downloaded_unpacked_and_loaded_once(publish, good, server, speech_folder, capsys):
    publish(good)
    data = speech.load("speech_commands")
    assert data.name == "Speech Commands v0.02"
    assert data.split_kind == "by speaker, from lists"
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 24,
        "val": 6,
        "test": 6,
    }
    assert data.digest == speech.load(speech_folder, progress=False).digest
    assert data.seconds["download"] > 0
    said = capsys.readouterr().err
    assert "downloading Speech Commands 100 % (" in said
    assert "unpacking 100 % (" in said
    assert "MB)" in said
    again = speech.load("speech_commands")
    assert again.digest == data.digest
    assert server.handler.requests == 1
    assert "downloading" not in capsys.readouterr().err


def test_a_copy_that_was_put_there_is_used(publish, good, server):
    publish(good)
    download.archive().parent.mkdir(parents=True)
    shutil.copy(good, download.archive())
    assert (download.speech_commands() / "go").is_dir()
    assert server.handler.requests == 0


def test_a_wrong_copy_is_refused_and_kept(publish, good, server):
    publish(good)
    download.archive().parent.mkdir(parents=True)
    download.archive().write_bytes(b"something else")
    with pytest.raises(InputError, match=r"has the SHA-256 \w{64}, not the published \w{64}; del"):
        download.speech_commands()
    assert left_in(cache.directory()) == [download.archive()]
    download.archive().unlink()  # as the line says; then it is downloaded
    assert (download.speech_commands() / "go").is_dir()


def test_a_copy_under_another_name(publish, good):
    publish(good)
    download.archive().parent.mkdir(parents=True)
    shutil.copy(good, download.archive().with_name("renamed.tar.gz"))
    with pytest.raises(
        InputError, match=r"tar\.gz is missing among other files; put a copy there"
    ):
        download.speech_commands()


def test_a_checksum_that_does_not_match(publish, good):
    publish(good, sha256="0" * 64)
    with pytest.raises(
        InputError, match=r"has not the published SHA-256 0{64}; try again, or put"
    ):
        speech.load("speech_commands")
    assert not left_in(cache.directory())


def test_a_download_that_breaks_off(publish, good):
    publish(good, name="half.tar.gz.cut")
    with pytest.raises(InputError, match=r"cannot download http://.*: it broke off \(.*more exp"):
        speech.load("speech_commands")
    assert not left_in(cache.directory())


def test_a_server_that_does_not_have_it(publish, good, server):
    publish(good)
    (server.folder / NAME).unlink()
    with pytest.raises(InputError, match=r"the server answers 404 File not found; put a copy at "):
        speech.load("speech_commands")
    assert not left_in(cache.directory())


def test_no_network(publish, good, monkeypatch):
    publish(good)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(download, "URL", f"http://127.0.0.1:{port}/{NAME}")
    with pytest.raises(InputError) as refused:
        speech.load("speech_commands")
    message = str(refused.value)
    assert "no connection (Connection refused)" in message
    assert f"put a copy at {download.archive()}, or give an unpacked one with data=" in message
    assert "\n" not in message
    monkeypatch.setattr(download, "URL", f"http://nowhere.invalid/{NAME}")
    with pytest.raises(
        InputError, match=r"cannot download http://nowhere.invalid/.*no connection"
    ):
        speech.load("speech_commands")
    assert not left_in(cache.directory())


def link(name, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside.wav"),
        tarfile.TarInfo("no/../../outside.wav"),
        link("no/link.wav", "/etc/passwd"),
        link("no/link.wav", "../../outside.wav"),
    ],
)
def test_an_archive_that_reaches_outside(publish, good, tmp_path, member):
    bad = tmp_path / "bad.tar.gz"
    with tarfile.open(good) as source, tarfile.open(bad, "w:gz") as tar:
        for each in source:
            tar.addfile(each, source.extractfile(each))
        tar.addfile(member, io.BytesIO())
    publish(bad)
    with pytest.raises(InputError, match="does not belong into a folder of its own; delete it"):
        speech.load("speech_commands")
    assert left_in(cache.directory()) == [download.archive()]
    assert not list(tmp_path.rglob("outside.wav"))


@pytest.mark.parametrize("kind", ["cut", "not a tar", "not gzip"])
def test_an_archive_that_cannot_be_unpacked(publish, good, tmp_path, kind):
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(
        {
            "cut": good.read_bytes()[: good.stat().st_size // 2],
            "not a tar": gzip.compress(b"nothing " * 1000),
            "not gzip": b"nothing " * 1000,
        }[kind]
    )
    publish(bad)
    with pytest.raises(InputError, match=r"cannot be unpacked: .*; delete it, or put a good copy"):
        speech.load("speech_commands")
    assert left_in(cache.directory()) == [download.archive()]


def test_an_interruption_leaves_nothing(publish, good, monkeypatch):
    class Interrupted(BaseException):
        pass

    def interrupted(*args):
        raise Interrupted

    publish(good)
    monkeypatch.setattr(download._Meter, "update", interrupted)
    with pytest.raises(Interrupted):
        speech.load("speech_commands")
    assert not left_in(cache.directory())


def test_a_word_that_it_does_not_have_is_noticed_before_the_download(publish, good, server):
    publish(good)
    with pytest.raises(InputError, match=r"has no word 'nope'; it has: backward, bed, .*, zero\."):
        speech.load("speech_commands", ["no", "nope"])
    assert server.handler.requests == 0
