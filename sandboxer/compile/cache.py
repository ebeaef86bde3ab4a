"""Compiled plans on disk, so that a warm `sandboxer exec` reads one small file and starts.

An entry is found under a digest of everything that is cheap to know (the key), and holds only while every path that the
compilation looked at still has its stamp, those that were missing included. The directory must be the caller's alone, or there
is no cache. A broken entry is no entry. The warm path passes here, so nothing heavy may be imported.
"""

from __future__ import annotations

import os
from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from hashlib import blake2b

    Stamp = Callable[[str], str]
else:
    from _blake2 import blake2b  # `hashlib` loads OpenSSL

MAGIC = b"SBXPLN\x01\n"
DIGEST_BYTES = 32
PARTS = 10
MAX_ENTRY_BYTES = 16 << 20
MAX_ENTRIES = 256
ENTRIES_KEPT = 192
RECENT_NS = 1_000_000_000
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KIND_MASK = 0o170000
_DIRECTORY_KIND = 0o040000
_FILE_KIND = 0o100000


class Entry:
    """A compiled plan and what a run needs to know besides: the recipe, descriptors to keep, and `about` (JSON text for people).

    inputs: paths and their stamps. valid_until: seconds since the epoch after which an override has expired; 0: never.
    holes: where each run puts two categories of its own into the plan (`seal.fill_holes`). context: that of the command under
    SELinux, with such a hole; handed: those of its standard streams that are the caller's own (`kernel.lsm.handed`).
    """

    __slots__ = ("about", "context", "fixed", "handed", "holes", "inputs", "kept", "passed", "plan", "valid_until")

    def __init__(
        self,
        plan: bytes,
        *,
        passed: Iterable[bytes] = (),
        fixed: Iterable[bytes] = (),
        kept: Iterable[int] = (),
        holes: Iterable[int] = (),
        context: bytes = b"",
        handed: Iterable[int] = (),
        inputs: Iterable[tuple[str, str]] = (),
        valid_until: int = 0,
        about: bytes = b"{}",
    ) -> None:
        self.plan = plan
        self.passed = tuple(passed)
        self.fixed = tuple(fixed)
        self.kept = tuple(kept)
        self.holes = tuple(holes)
        self.context = context
        self.handed = tuple(handed)
        self.inputs = tuple(inputs)
        self.valid_until = valid_until
        self.about = about

    @property
    def is_terminal(self) -> bool:
        """The plan's flag: the command gets a pseudo-terminal."""
        return bool(self.plan[12] & 1)

    def is_current(self, stamp: Stamp) -> bool:
        """Every path that the compilation looked at is as it was, and no override has expired since."""
        if self.valid_until and time() >= self.valid_until:
            return False
        return all(stamp(path) == seen for path, seen in self.inputs)


def entry_key(parts: Iterable[str]) -> str:
    """A name for everything that is in `parts`, in this order; no two lists of parts share one."""
    digest = blake2b(digest_size=20)
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def plan_digest(plan: bytes) -> str:
    """The name of a plan without its command, for reports."""
    return "blake2b:" + blake2b(plan, digest_size=DIGEST_BYTES).hexdigest()


# ── one entry as bytes ────────────────────────────────────────────────────────────────────────────────────────────────


def write_entry(entry: Entry) -> bytes:
    """Magic, digest of the rest, ten lengths, ten parts."""
    inputs = [text for pair in entry.inputs for text in pair]
    parts = (
        entry.plan,
        b"\0".join(entry.passed),
        b"\0".join(entry.fixed),
        b" ".join(str(number).encode() for number in entry.kept),
        "\0".join(inputs).encode("utf-8", "surrogateescape"),
        str(entry.valid_until).encode(),
        b" ".join(str(number).encode() for number in entry.holes),
        entry.context,
        b" ".join(str(number).encode() for number in entry.handed),
        entry.about,
    )
    body = b"".join(len(part).to_bytes(4, "little") for part in parts) + b"".join(parts)
    return MAGIC + blake2b(body, digest_size=DIGEST_BYTES).digest() + body


def read_entry(data: bytes) -> Entry | None:
    """The entry, or None for anything that `write_entry` did not write."""
    start = len(MAGIC) + DIGEST_BYTES
    body = memoryview(data)[start:]
    if data[: len(MAGIC)] != MAGIC or blake2b(body, digest_size=DIGEST_BYTES).digest() != data[len(MAGIC) : start]:
        return None
    at, parts = 4 * PARTS, []
    for number in range(PARTS):
        length = int.from_bytes(body[4 * number : 4 * number + 4], "little")
        parts.append(bytes(body[at : at + length]))
        at += length
    plan, passed, fixed, kept, inputs, valid_until, holes, context, handed, about = parts
    texts = inputs.decode("utf-8", "surrogateescape").split("\0") if inputs else []
    return Entry(
        plan,
        passed=passed.split(b"\0") if passed else (),
        fixed=fixed.split(b"\0") if fixed else (),
        kept=map(int, kept.split()),
        inputs=zip(texts[::2], texts[1::2], strict=True),
        valid_until=int(valid_until),
        holes=map(int, holes.split()),
        context=context,
        handed=map(int, handed.split()),
        about=about,
    )


# ── the directory ─────────────────────────────────────────────────────────────────────────────────────────────────────


class PlanCache:
    """The caller's own directory of entries. Every door fails quietly: without a cache, everything works and takes longer."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def find(self, key: str, stamp: Stamp) -> Entry | None:
        """The current entry of this key, or None."""
        directory = self._open()
        if directory < 0:
            return None
        try:
            data = _read_own(key, directory)
        finally:
            os.close(directory)
        entry = read_entry(data) if data else None
        return entry if entry is not None and entry.is_current(stamp) else None

    def make(self) -> None:
        """Make the directory, if there is to be one."""
        directory = self._open(makes=True)
        if directory >= 0:
            os.close(directory)

    def save(self, key: str, entry: Entry) -> bool:
        """Keep an entry; whether that worked. The oldest ones make room."""
        directory = self._open(makes=True)
        if directory < 0:
            return False
        temporary = f".{key}.{os.getpid()}"
        data = write_entry(entry)
        try:
            if not _write_unnamed(key, data, directory):
                _write_own(temporary, data, directory)
                os.rename(temporary, key, src_dir_fd=directory, dst_dir_fd=directory)
            self._make_room(directory)
        except OSError:
            _remove(temporary, directory)
            return False
        finally:
            os.close(directory)
        return True

    def _open(self, *, makes: bool = False) -> int:
        """A descriptor of the directory, or -1 where there is none that can be trusted."""
        if not self.path:
            return -1
        if makes and not _make_directories(self.path):
            return -1
        try:
            descriptor = os.open(self.path, _DIRECTORY_FLAGS)
        except OSError:
            return -1
        if _is_own_directory(os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
        return -1

    def _make_room(self, directory: int) -> None:
        names = os.listdir(directory)
        if len(names) <= MAX_ENTRIES:
            return
        by_age = sorted(names, key=lambda name: _modified_ns(name, directory))
        for name in by_age[: len(names) - ENTRIES_KEPT]:
            _remove(name, directory)


def cache_path(environment: dict[bytes, bytes]) -> str:
    """Where the caller's plans are kept; empty where the environment names no absolute directory."""
    caches, home = environment.get(b"XDG_CACHE_HOME", b""), environment.get(b"HOME", b"")
    if not caches.startswith(b"/"):
        if not home.startswith(b"/"):
            return ""
        caches = home.rstrip(b"/") + b"/.cache"
    return os.fsdecode(caches.rstrip(b"/") + b"/sandboxer/plans")


def is_settled(paths: Iterable[str], begun_ns: int) -> bool:
    """No file changed so lately that a second change within the clock's tick could go unseen."""
    for path in paths:
        try:
            seen = os.stat(path)
        except OSError:
            continue
        if seen.st_mode & _KIND_MASK == _FILE_KIND and max(seen.st_mtime_ns, seen.st_ctime_ns) > begun_ns - RECENT_NS:
            return False
    return True


def _is_own_directory(seen: os.stat_result) -> bool:
    return seen.st_mode & _KIND_MASK == _DIRECTORY_KIND and seen.st_uid == os.geteuid() and not seen.st_mode & 0o077


def _make_directories(path: str) -> bool:
    """Make the directory and its missing parents, if the nearest parent that exists is the caller's alone to change."""
    missing = []
    while path and not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    if not missing:
        return True
    seen = os.stat(path)
    if seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
        return False
    try:
        for name in reversed(missing):
            os.mkdir(name, 0o700)
    except FileExistsError:
        return True  # another run was first; the directory is checked when it is opened
    except OSError:
        return False
    return True


def _read_own(name: str, directory: int) -> bytes:
    """The content of a regular file of the caller's own that nobody else may write; empty for any other."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return b""
    try:
        seen = os.fstat(descriptor)
        is_own = seen.st_mode & _KIND_MASK == _FILE_KIND and seen.st_uid == os.geteuid() and not seen.st_mode & 0o022
        if not is_own or seen.st_size > MAX_ENTRY_BYTES:
            return b""
        return os.read(descriptor, seen.st_size)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _write_unnamed(name: str, data: bytes, directory: int) -> bool:
    """Write a file that has no name until it is whole: whoever is killed here leaves nothing. Whether that is possible here.

    Source: open(2), O_TMPFILE; not every filesystem has it, and the link needs /proc.
    """
    try:
        descriptor = os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError:
        return False
    try:
        _write_all(descriptor, data)
        _remove(name, directory)
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=directory)
    except FileExistsError:
        pass  # another run kept the same plan a moment ago
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _write_own(name: str, data: bytes, directory: int) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _modified_ns(name: str, directory: int) -> int:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0


def _remove(name: str, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        pass  # somebody else made room first
