"""What the VM is made from, made once: each thing below `build/vm`, under a digest of all that goes into it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build/vm"


def say(text: str) -> None:
    """Tell a person what takes time."""
    print(f"vm: {text}", file=sys.stderr, flush=True)


def cached(name: str, inputs: Iterable[str | Path], make: Callable[[Path], None], what: str) -> Path:
    """The directory of a thing, made if it is not there.

    inputs: words, and files that count with their content. make: is given an empty directory. what: said while it is made.
    A thing appears whole or not at all, and what it was under other digests is removed: programs that use it keep it open.
    """
    path = BUILD / f"{name}-{digest(inputs)}"
    if path.exists():
        return path
    with locked(name):
        if path.exists():  # somebody else has made it while we waited
            return path
        say(what)
        new = BUILD / f"{name}.new"
        _remove(new)
        new.mkdir()
        try:
            make(new)
            for old in BUILD.glob(f"{name}-" + "?" * 16):
                _remove(old)
            new.rename(path)
        finally:
            _remove(new)
    return path


def digest(inputs: Iterable[str | Path]) -> str:
    """Sixteen hexadecimal digits."""
    total = hashlib.sha256()
    for item in inputs:
        data = item.read_bytes() if isinstance(item, Path) else item.encode()
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:16]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One maker of each thing at a time: machines that start together make different things meanwhile."""
    BUILD.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(BUILD / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
