"""What TensorFlow's files of compiled programs do to a process when something is wrong with them.

    python benchmarks/xla_cache.py

A function is compiled by XLA with ``--tf_xla_persistent_cache_directory``, each time in a process
of its own: in an empty folder, with the entry that this left, with the entry cut off, emptied and
changed, in a folder that cannot be written to, and on a full disk (as root, on a file system of
4 kB).
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CODE = """
import time
import tensorflow as tf

@tf.function(jit_compile=True)
def f(a, b):
    for _ in range(3):
        a = tf.tanh(a @ b)
    return tf.reduce_sum(a)

a, b = tf.ones((50, 50)), tf.eye(50) * 0.5
started = time.perf_counter()
try:
    print(f"{float(f(a, b)):.4f}, {time.perf_counter() - started:.2f} s")
except Exception as error:
    print(f"{type(error).__name__}: {str(error).partition(' [Op')[0]}")
"""


def run(folder):
    """What a process says that compiles with a folder."""
    flags = f"--tf_xla_persistent_cache_directory={folder}"
    environment = os.environ | {"TF_XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines else f"ended with {done.returncode}"


def main():
    """Prints a line for each case."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "cache")
        folder.mkdir()
        print("empty folder:", run(folder))
        print("the same again:", run(folder))
        (entry,) = folder.glob("*.pb")
        whole = entry.read_bytes()
        middle = len(whole) // 2
        changed = bytearray(whole)
        changed[middle : middle + 2_000] = bytes(b ^ 255 for b in changed[middle : middle + 2_000])
        for name, content in (
            ("cut off", whole[: len(whole) // 3]),
            ("emptied", b""),
            ("changed", bytes(changed)),
        ):
            entry.write_bytes(content)
            print(f"entry {name}:", run(folder))
        print("not writable:", run("/proc/nothing"))
        if os.geteuid() == 0:
            full = Path(place, "full")
            full.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(full)]
            if subprocess.run(mount, check=False).returncode == 0:
                try:
                    print("full disk:", run(full))
                finally:
                    subprocess.run(["umount", str(full)], check=True)
                    time.sleep(0.1)


if __name__ == "__main__":
    main()
