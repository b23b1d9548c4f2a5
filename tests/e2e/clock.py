"""A daemon's clock in the hands of a test: libfaketime stands between it and the kernel and reads a file before each answer."""
import os
from pathlib import Path

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Clock:
    """`environment` is for the daemon. wall_alone: the monotonic clock goes on as it did, as when somebody sets the time of day. speed: both run so much
    faster, and waits with a limit are as much shorter."""

    def __init__(self, folder, wall_alone=False, speed=1):
        self._path, self._ahead_s, self._speed = Path(folder) / "clock", 0, speed
        self.move(0)
        self.environment = {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(self._path), "FAKETIME_NO_CACHE": "1",
                            "FAKETIME_DONT_FAKE_MONOTONIC": str(int(wall_alone)),
                            "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:verify_asan_link_order=0"}

    def move(self, seconds):
        """So much later at once; less than nothing: back."""
        self._ahead_s += seconds
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{self._ahead_s:+} x{self._speed}\n")
        os.replace(fresh, self._path)  # nobody reads half of it
