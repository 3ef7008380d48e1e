"""Real servers for tests: PostgreSQL, MLflow on it, and Dask with TLS."""

import contextlib
import datetime
import ipaddress
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from processes import free_port, is_up, wait_for


def missing(what, reason):
    """Skips the test, or fails it where TFNETS_REQUIRE says that ``what`` must be there."""
    if what in os.environ.get("TFNETS_REQUIRE", "").split(","):
        pytest.fail(f"TFNETS_REQUIRE has {what}, but {reason}")
    pytest.skip(reason)


@contextlib.contextmanager
def postgresql():
    """A new PostgreSQL server on loopback, as user postgres where we are root; its URI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found or not (found[-1] / "initdb").exists():
        missing("postgres", "there is no PostgreSQL server (apt-get install postgresql)")
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    user = []
    if os.getuid() == 0:
        if not shutil.which("setpriv"):
            missing("postgres", "there is no setpriv to become user postgres")
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres", "postgres")
    port, data = free_port(), folder / "data"

    def command(name, *words):
        whole = [*user, str(found[-1] / name), *map(str, words)]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=120, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    command("initdb", "-D", data, "-A", "trust", "-U", "mlflow", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    command("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        yield f"postgresql://mlflow@127.0.0.1:{port}/postgres"
    finally:
        command("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def mlflow_server(start, store, folder, port=None):
    """Starts an MLflow server, through which artifacts go, too; its address and process."""
    port = port or free_port()
    uri = f"http://127.0.0.1:{port}"
    words = ["--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--backend-store-uri", store, "--artifacts-destination", str(folder)]
    # Of the processes that it starts for jobs of its own nothing is asked here.
    server = start("mlflow", "server", *words, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    wait_for(lambda: is_up(f"{uri}/health"), "the server's start", server)
    return uri, server


def certificates(folder):
    """A certificate authority, and a certificate of 127.0.0.1 with its key, as files.

    ``ca.pem``, ``cert.pem``, ``key.pem``.
    """
    now = datetime.datetime.now(datetime.UTC)

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def sign(subject, key, by, more):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("tests"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for each, critical in more:
            builder = builder.add_extension(each, critical)
        return builder.sign(by, hashes.SHA256())

    own, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = sign("tests", own, own, [(x509.BasicConstraints(ca=True, path_length=0), True)])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = sign("dask", theirs, own, [(address, False)])
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        theirs.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
