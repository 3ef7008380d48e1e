"""Nobody but the sweep itself gets into its cluster."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.race]

# Tries as a user of its own, who can see the ports, to have code run by the cluster.
INTRUDER = """
import os, sys
import distributed
user, address, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
# All code is loaded by somebody who may read it, or it would fail for that.
own = distributed.Security.temporary()
quiet = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
with distributed.LocalCluster(protocol="tls", security=own, host="127.0.0.1", **quiet) as cluster:
    with distributed.Client(cluster) as client:
        assert client.submit(lambda: 1).result() == 1
os.setgroups([])
os.setgid(user)
os.setuid(user)
host = address.partition("://")[2]
for target, security in (
    (f"tcp://{host}", None),
    (f"tls://{host}", own),
    (f"tls://{host}", distributed.Security(require_encryption=True, tls_ca_file=None)),
):
    try:
        with distributed.Client(target, security=security, timeout=3) as client:
            client.submit(lambda: open(file, "w").close()).result(timeout=3)
    except Exception as error:
        print(type(error).__name__)
    else:
        print("in")
"""


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user"
)
def test_another_user_of_the_machine_cannot_get_in(dask_client, tmp_path):
    address = dask_client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    tmp_path.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", INTRUDER, "65534", address, str(tmp_path / "was here")],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
    )
    found = done.stdout.split()
    assert len(found) == 3, done.stderr
    assert "in" not in found
    assert not {"ImportError", "ModuleNotFoundError", "PermissionError"} & set(found)
    assert not (tmp_path / "was here").exists()
    assert dask_client.submit(lambda: 1).result() == 1  # its owner still is


def test_workers_are_reached_by_the_same_certificate_only(dask_client):
    # Asked of the workers: what the client knows of them is overwritten every two seconds.
    addresses = list(dask_client.run(int))
    assert addresses
    assert all(address.startswith("tls://127.0.0.1:") for address in addresses)
