"""Functions that look at the box they are in."""

import os


def look_around() -> tuple[list[str], list[str]]:
    """The mounts without the kernel's numbers, and what is in the root, from inside."""
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split() for line in file]
    found = []
    for top in ("/", "/etc", "/dev", "/tmp", "/home", "/proc/sys", "/var"):
        for name in [".", *sorted(os.listdir(top))]:
            status = os.lstat(f"{top}/{name}")
            found.append(f"{top}/{name} {status.st_mode:o} {status.st_uid}")
    return [" ".join(fields[3:]) for fields in mounts], found


def write_to(path: str) -> str:
    """Whether a file there can be written."""
    try:
        with open(path, "w") as file:
            file.write("from the box")
    except OSError as error:
        return str(error.strerror)
    return "wrote"


def read_from(path: str) -> str:
    with open(path) as file:
        return file.read()
