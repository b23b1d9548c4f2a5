"""A PostgreSQL server of the test's own, on a Unix socket; stopped and started as a test wants."""
import glob
import os
import shutil
import subprocess
import tempfile
import time

from machine import PATIENCE_S

BIN = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), None)


def as_postgres(*words, **more):
    """The server refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    return prefix + list(words)


class Postgres:
    def __init__(self):
        assert BIN, "there is no PostgreSQL server on this machine: install the packages of packaging/packages.txt"
        self.directory = tempfile.mkdtemp(prefix="pbx-postgres-")
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres")
        self.process = None
        subprocess.run(as_postgres(f"{BIN}/initdb", "-D", f"{self.directory}/data", "-U", "pbx", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"),
                       check=True, stdout=subprocess.DEVNULL, cwd="/")

    @property
    def url(self):
        return f"postgresql://pbx@/postgres?host={self.directory}"

    def start(self):
        log = open(f"{self.directory}/server.log", "ab")
        self.process = subprocess.Popen(as_postgres(f"{BIN}/postgres", "-D", f"{self.directory}/data", "-k", self.directory, "-h", "", "-F",
                                                    "-c", "shared_buffers=16MB", "-c", "max_connections=30"), stdout=log, stderr=log, cwd="/")
        log.close()
        deadline = time.monotonic() + PATIENCE_S
        while subprocess.run([f"{BIN}/pg_isready", "-q", "-h", self.directory]).returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, open(f"{self.directory}/server.log").read()[-2000:]
            time.sleep(0.05)
        return self

    def stop(self):
        """At once, with open connections, as a crash would."""
        if self.process:
            subprocess.run(as_postgres(f"{BIN}/pg_ctl", "stop", "-s", "-D", f"{self.directory}/data", "-m", "immediate"), cwd="/")
            self.process.wait(PATIENCE_S)
            self.process = None

    def query(self, sql):
        done = subprocess.run([f"{BIN}/psql", "-h", self.directory, "-U", "pbx", "-d", "postgres", "-AtX", "-F", "|", "-c", sql], check=True,
                              stdout=subprocess.PIPE, text=True)
        return [line.split("|") for line in done.stdout.splitlines()]

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
