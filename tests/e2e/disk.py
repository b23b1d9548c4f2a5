"""A file system of four megabytes, and how to fill it."""
import os


def fill(folder):
    """Writes until not a byte more goes in."""
    descriptor = os.open(folder / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for size in (65536, 4096, 1):
        try:
            while True:
                os.write(descriptor, b"x" * size)
        except OSError:
            pass
    os.close(descriptor)


def relieve(folder):
    (folder / "ballast").unlink()
