"""The store that runs are logged to: made once, and never half."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import mlflow
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tfnets.errors import InputError, first_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Bars of each file that comes from a store are noise between our own lines.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

_PASSWORD = re.compile(r"(://[^/@:]*:)[^/@]*@")


def check() -> None:
    """Raises InputError if the store is a sqlite file that is not there: reading makes none."""
    uri = settle()
    path = sqlite_file(uri)
    if path is not None and not path.exists():
        raise InputError(
            f"there is no store at {shown(uri)}; train something first, such as tfnets har rnn, "
            "or name the store in MLFLOW_TRACKING_URI."
        )


def prepare() -> None:
    """Makes the tables of a sqlite store that is not there yet, or is an empty file.

    MLflow makes them when the first client comes, in the file itself: two that come at once break
    it for good, and so does one that is killed. So they are made in another file of the folder,
    which then takes the store's name; other commands wait that long.

    Raises:
        InputError: If the store's folder is not there or nothing can be written to it.
    """
    uri = mlflow.get_tracking_uri()
    path = sqlite_file(uri)
    if path is None:
        return
    if path.is_dir():  # MLflow would try for a minute and a half
        raise InputError(
            f"cannot start a run at {shown(uri)}: {path} is a folder; expected a file."
        )
    if _has_content(path):
        return
    try:
        with _locked(path.parent):
            if _has_content(path):  # somebody else has made it meanwhile
                return
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
                new = Path(folder) / "new.db"
                with without_strays(_uri_of(new)):
                    client = mlflow.MlflowClient(tracking_uri=_uri_of(new))
                    client.search_experiments(max_results=1)
                _name(new, path)
    except Exception as error:  # SQLAlchemy, sqlite and the file system have their own
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(
            f"cannot start a run at {shown(uri)}: the store cannot be made: {reason}."
        ) from error


def is_local() -> bool:
    """Whether the store is a sqlite file, which only processes with the same disk can use."""
    return sqlite_file(mlflow.get_tracking_uri()) is not None


def shown(uri: str | None = None) -> str:
    """A store's URI as a message may show it: without a password. The current one by default."""
    return _PASSWORD.sub(r"\1***@", uri or mlflow.get_tracking_uri())


def refuse_missing(uri: str) -> None:
    """Raises InputError for a sqlite store that is not there, which MLflow would make anew."""
    path = sqlite_file(uri)
    if path is not None and not path.is_file():
        raise InputError(f"there is no store at {shown(uri)}; {path} is not a file.")


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _name(new: Path, path: Path) -> None:
    """Gives a file its name, but never in place of what another program has made meanwhile."""
    if path.exists() and not _has_content(path):
        new.replace(path)
        return
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            new.rename(path)


def sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite store; None for any other store, and for one in memory.

    A URI is no path: SQLAlchemy, which MLflow opens it with, decodes its percent signs, and the
    options behind the question mark are not part of it.

    Raises:
        InputError: If it is a path of Windows, which would become a strange name here, or a path
            whose percent signs are not encoded.
    """
    url = _parsed(uri)
    if url is None or not url.database:
        return None
    path = url.database
    if _is_uri(url):
        path = unquote(re.sub(r"^file:(//[^/]*(?=/))?", "", path))
    if path == ":memory:" or url.query.get("mode") == "memory":
        return None
    if os.name == "posix" and re.match(r"[A-Za-z]:[\\/]", path):
        raise InputError(
            f"the store is {shown(uri)}, a path of Windows; expected one of this machine, such as "
            "sqlite:////home/me/mlflow.db."
        )
    if "\ufffd" in path and "\ufffd" not in uri:
        raise InputError(
            f"the store is {shown(uri)}, whose percent signs are no code of a character; in an "
            "address % is written %25."
        )
    return Path(path)


def absolute(uri: str) -> str:
    """A store's URI that means the same in any folder; one for each store.

    It encodes as little as it can: MLflow takes it for a path where it makes folders.
    """
    path, url = sqlite_file(uri), _parsed(uri)
    if path is None or url is None:
        return uri
    whole, options = str(Path.cwd() / path), uri.partition("?")[2]
    if _is_uri(url):
        if set(url.query) == {"uri"}:
            options = ""
        else:
            whole = f"file:{quote(whole)}"
    return f"{url.drivername}:///{_encoded(whole)}" + (f"?{options}" if options else "")


def settle() -> str:
    """Has MLflow use the current store's :func:`absolute` URI from now on, and returns it."""
    uri = mlflow.get_tracking_uri()
    settled = absolute(uri)
    if settled != uri:
        mlflow.set_tracking_uri(settled)
    return settled


@contextlib.contextmanager
def without_strays(uri: str) -> Iterator[None]:
    """Removes the empty folders that MLflow makes where it takes an encoded URI for a path."""
    literal = uri.removeprefix("sqlite:///").partition("?")[0]
    strays = []
    if "%" in literal:
        strays = [folder for folder in Path(literal).parents if not folder.exists()]
    try:
        yield
    finally:
        for folder in strays:  # the innermost first
            with contextlib.suppress(OSError):  # not there, or somebody else's by now
                folder.rmdir()


def _parsed(uri: str) -> URL | None:
    """The parts of a sqlite URI; None for any other."""
    if not uri.startswith("sqlite"):
        return None
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):  # MLflow will say what is wrong with it
        return None
    return url if url.get_backend_name() == "sqlite" and not url.host else None


def _is_uri(url: URL) -> bool:
    """Whether what stands for the path is sqlite's own URI, encoded once more."""
    wanted = str(url.query.get("uri", "")).lower() in ("true", "1", "yes", "on")
    return wanted and (url.database or "").startswith("file:")


def _uri_of(path: Path) -> str:
    return f"sqlite:///{_encoded(str(path))}"


def _encoded(path: str) -> str:
    """A path as part of a URI: what would be read in another way, and nothing else."""
    return path.replace("%", "%25").replace("?", "%3F")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out; the folder itself is locked, so that no file stays behind."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
