"""Puts a caller's files into a run's own directory, ahead of the start of the command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sandboxer.kernel.files.beneath import check_file, give, open_beneath, open_parent
from sandboxer.run.scratch.names import parse_name

Source = bytes | str | os.PathLike[str]
"""What is in a file: bytes, a text, or a file of the caller's that is copied."""
FILE_MODE = 0o644
COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Filling:
    """Files by the parts of their names. size_bytes: what they need in all, as far as it is known ahead."""

    files: tuple[tuple[tuple[bytes, ...], Source], ...]
    size_bytes: int


def parse_files(files: Mapping[str, Source]) -> Filling:
    """What is to go in. Raises: ValueError for names; OSError for a file of the caller's that is not there."""
    parsed = [(parse_name(name), source) for name, source in files.items()]
    names = {parts for parts, _ in parsed}
    for parts in names:
        if any(parts[:depth] in names for depth in range(1, len(parts))):
            raise ValueError(f"{b'/'.join(parts).decode(errors='backslashreplace')!r} lies below another file")
    return Filling(tuple(parsed), sum(_size(source) for _, source in parsed))


def _size(source: Source) -> int:
    match source:
        case bytes():
            return len(source)
        case str():
            return len(source.encode())
        case _:
            return os.stat(source).st_size


def fill(directory: int, filling: Filling) -> None:
    """Write the files, for the owner of the directory. Raises: OSError with the name; ValueError for what is no file."""
    found = os.fstat(directory)
    owner = (found.st_uid, found.st_gid)
    for parts, source in filling.files:
        try:
            write_file(directory, parts, source, owner)
        except OSError as error:
            name = b"/".join(parts).decode(errors="backslashreplace")
            raise OSError(error.errno, os.strerror(error.errno or 0), name) from error


def write_file(directory: int, parts: tuple[bytes, ...], source: Source, owner: tuple[int, int]) -> None:
    """One new file below a directory, with what is missing above it. Raises: OSError; EEXIST where there is one."""
    above = open_parent(directory, parts[:-1], owner)
    try:
        made = open_beneath(above, parts[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    finally:
        os.close(above)
    try:
        _write(made, source)
        give(made, owner, FILE_MODE)
    finally:
        os.close(made)


def _write(descriptor: int, source: Source) -> None:
    if isinstance(source, bytes | str):
        _write_all(descriptor, source if isinstance(source, bytes) else source.encode())
        return
    # O_NONBLOCK: a FIFO in its place would keep us, and the box, waiting.
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        check_file(os.fstat(reader))
        while piece := os.read(reader, COPY_BYTES):
            _write_all(descriptor, piece)
    finally:
        os.close(reader)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
