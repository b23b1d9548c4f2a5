"""The data of a pbxd that has been started once: tables, keys, certificates, the first user.

To make them costs a second of CPU under sanitizers, four times what all else of a start does. Whoever does not test a first start begins with a
copy: it is made once for a build, by the first that asks, while the others wait.
"""
import fcntl
import shutil
from contextlib import contextmanager


@contextmanager
def _alone(path):
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _age(build):
    return max(path.stat().st_mtime_ns for path in [build / "pbxd", *build.glob("plugins/*/*.so")])


def give(build, to, make):
    """Copies the data of a first start to the folder `to`. make(folder) starts a PBX there and stops it; its data are then in folder/data."""
    root = build / "begun"
    root.mkdir(exist_ok=True)
    folder = root / str(_age(build))
    with _alone(root / "lock"):
        if not (folder / "whole").exists():
            for old in root.glob("[0-9]*"):
                shutil.rmtree(old)
            make(folder)
            (folder / "whole").touch()
    shutil.copytree(folder / "data", to, dirs_exist_ok=True)
