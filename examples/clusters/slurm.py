"""Runs a command of tfnets on workers that SLURM starts, by dask-jobqueue.

    pip install dask-jobqueue
    python examples/clusters/slurm.py har sweep

Not run by us on a SLURM cluster. ``--show`` prints the job that it would submit. Certificate and
MLFLOW_TRACKING_URI are set as docs/running.md, "Clusters", says, with files that all machines see.
"""

import os
import shlex
import subprocess
import sys

from dask_jobqueue import SLURMCluster
from distributed import Security

JOBS = 8  # each is one worker: a process with one core
PASSED_ON = [name for name in os.environ if name.startswith(("DASK_", "MLFLOW_", "TFNETS_"))]


def cluster() -> SLURMCluster:
    """A cluster without workers; its scheduler runs here."""
    activate = f"source {sys.prefix}/bin/activate"
    exports = [f"export {name}={shlex.quote(os.environ[name])}" for name in sorted(PASSED_ON)]
    return SLURMCluster(
        cores=1,
        processes=1,
        memory="4GB",
        walltime="08:00:00",
        python=sys.executable,
        job_script_prologue=[activate, *exports],
        worker_extra_args=["--no-dashboard"],
        protocol="tls",
        security=Security(),  # the files that DASK_DISTRIBUTED__COMM__TLS__... name
    )


def main() -> int:
    """Starts the workers, then the command, then stops the workers."""
    with cluster() as workers:
        if sys.argv[1:] == ["--show"]:
            print(workers.job_script())
            return 0
        workers.scale(jobs=JOBS)
        environment = os.environ | {"DASK_SCHEDULER_ADDRESS": workers.scheduler_address}
        return subprocess.run(["tfnets", *sys.argv[1:]], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
