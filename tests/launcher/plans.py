"""Plans for tests of the launcher: ops to bytes, and a run of the real executable with what it said about it."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandboxer.compile.encode import encode_op
from sandboxer.launcher.record import read_record
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text, TextList, U32List

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = Path(os.environ.get("SANDBOXER_TEST_LAUNCHER", ROOT / "sandboxer/launcher/bin/sandboxer-launch"))

NEWTIME, NEWNS, NEWCGROUP, NEWUTS = 0x80, 0x20000, 0x2000000, 0x4000000
NEWIPC, NEWUSER, NEWPID, NEWNET = 0x8000000, 0x10000000, 0x20000000, 0x40000000
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
NO_SLOT = ops.NO_SLOT
HOST_TREES = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")


def text(value: str | bytes) -> bytes:
    """A text on the wire."""
    data = value if isinstance(value, bytes) else os.fsencode(value)
    return struct.pack("<I", len(data)) + data + b"\0"


def texts(values: Iterable[str]) -> bytes:
    """A list of texts on the wire."""
    items = list(values)
    return struct.pack("<I", len(items)) + b"".join(text(item) for item in items)


def raw_op(tag: int, payload: bytes, *, zero: int = 0, length: int | None = None) -> bytes:
    """An op with any header, also a wrong one."""
    return struct.pack("<HHI", tag, zero, len(payload) if length is None else length) + payload


def command(argv: Sequence[str], *, candidates: Sequence[str] = (), env: Sequence[str] = ("PATH=/usr/bin:/bin",)) -> bytes:
    """The command section."""
    return texts(candidates or argv[:1]) + texts(argv) + texts(env)


@dataclass
class Parts:
    """A plan in pieces, so that a test can break one of them."""

    before: list[bytes]
    inside: list[bytes]
    after: list[bytes]
    command: bytes
    flags: int = 0

    def bytes(self) -> bytes:
        """The whole plan."""
        bodies = [b"".join(self.before), b"".join(self.inside), b"".join(self.after), self.command]
        counts = [len(self.before), len(self.inside), len(self.after), 1 if self.command else 0]
        offset, entries = 80, b""
        for body, count in zip(bodies, counts, strict=True):
            entries += struct.pack("<III", offset, len(body), count)
            offset += len(body)
        head = b"SBXPLAN\x01" + struct.pack("<II", offset, self.flags) + entries
        return head.ljust(80, b"\0") + b"".join(bodies)


def plan(
    before: Sequence[Op],
    inside: Sequence[Op],
    argv: Sequence[str] = ("/bin/true",),
    *,
    after: Sequence[Op] = (),
    candidates: Sequence[str] = (),
    env: Sequence[str] = ("PATH=/usr/bin:/bin",),
) -> Parts:
    """A plan of these ops."""
    lists = [[encode_op(op) for op in part] for part in (before, inside, after)]
    return Parts(lists[0], lists[1], lists[2], command(argv, candidates=candidates, env=env))


@dataclass(frozen=True)
class Ended:
    """What a launcher did: its status, what came out, and its record (empty without one)."""

    status: int
    out: str
    err: str
    record: dict[str, int]


def launch(
    parts: Parts | bytes,
    *,
    stdin: bytes = b"",
    prefix: Sequence[str] = (),
    fds: Sequence[int] = (),
    watch_fd: int = -1,
    with_record: bool = True,
    timeout: float = 30,
) -> Ended:
    """Run a plan to its end. prefix: a command that starts the launcher, such as setpriv."""
    data = parts if isinstance(parts, bytes) else parts.bytes()
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        os.chmod(file.name, 0o644)
        argv = [*prefix, str(LAUNCHER), "--plan", file.name]
        result_read, result_write = os.pipe()
        if with_record:
            argv += ["--result-fd", str(result_write)]
        if watch_fd >= 0:
            argv += ["--watch-fd", str(watch_fd)]
        passed = (result_write, *fds, *([watch_fd] if is_open(watch_fd) else []))
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False, pass_fds=passed)
        finally:
            os.close(result_write)
        with os.fdopen(result_read, "rb") as reader:
            data = reader.read()
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode(), read_record(data) if data else {})


def is_open(descriptor: int) -> bool:
    """Whether this process has such a descriptor."""
    return descriptor > 2 and os.path.exists(f"/proc/self/fd/{descriptor}")


def boxed(*, proc: bool = True) -> tuple[list[Op], list[Op]]:
    """`before` and `inside` of a small box for a privileged caller: own root with the host's runtime, pid 1, no loopback."""
    inside: list[Op] = [
        ops.CloseFds(U32List(())),
        ops.NewSession(),
        ops.SetParentDeathSignal(U32(9)),
        ops.MakePrivate(),
    ]
    trees = [tree for tree in HOST_TREES if os.path.isdir(tree) and not os.path.islink(tree)]
    for slot, tree in enumerate(trees):
        inside.append(ops.OpenTree(U32(slot), Text(tree), U64(ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV), U32(1), NO_SLOT))
    inside += [ops.MakeStage(Text("/tmp")), ops.MakeRoot(U32(0o755), U64(0))]
    for slot, tree in enumerate(trees):
        inside += [ops.MakeDirectory(Text(tree), U32(0o755)), ops.Attach(U32(slot), Text(tree))]
    for tree in HOST_TREES:
        if os.path.islink(tree):
            inside.append(ops.MakeSymlink(Text(tree), Text(os.readlink(tree))))
    if proc:
        inside.append(ops.MakeDirectory(Text("/proc"), U32(0o755)))
        inside.append(ops.MountFilesystem(Text("proc"), Text("/proc"), U64(ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC), TextList(())))
    return [ops.Start(U64(NEWNS | NEWPID | NEWIPC | NEWUTS))], inside


def boxed_end() -> list[Op]:
    """The rest of the `inside` list of `boxed`: pivot, working directory, pid 1."""
    return [ops.PivotRoot(), ops.SetWorkingDirectory(Text("/")), ops.SetNoNewPrivs(), ops.BecomeInit()]


def run_boxed(extra: Sequence[Op], argv: Sequence[str], **options: object) -> Ended:
    """Run a command in the small box with these ops ahead of its pivot."""
    before, inside = boxed()
    return launch(plan(before, [*inside, *extra, *boxed_end()], argv), **options)  # type: ignore[arg-type]


def shell(script: str) -> tuple[str, str, str]:
    """The argv of a shell that runs this."""
    return ("/bin/sh", "-c", script)


ORDINARY = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=-all", "--")
EVERYTHING_NEW = NEWUSER | NEWNS | NEWPID | NEWIPC | NEWUTS | NEWNET | NEWCGROUP


def run_ordinary(extra: Sequence[Op], argv: Sequence[str], *, inside_id: int = 1000, **options: object) -> Ended:
    """The small box as an ordinary user: the same ops, in a user namespace from the start."""
    _, inside = boxed()
    maps = ops.WriteOwnMaps(Text(f"{inside_id} 54321 1"), Text(f"{inside_id} 54321 1"), Text("deny"))
    parts = plan([ops.Start(U64(EVERYTHING_NEW))], [maps, *inside, *extra, *boxed_end()], argv)
    return launch(parts, prefix=ORDINARY, **options)  # type: ignore[arg-type]


def opened(path: Path | str, slot: int = 50, *, attributes: int = 0, recursive: int = 0, idmap: int = NO_SLOT) -> Op:
    """Take a host tree."""
    return ops.OpenTree(U32(slot), Text(str(path)), U64(attributes), U32(recursive), U32(idmap))


def overlay(slot: int = NO_SLOT, *, size: int = 0, options: tuple[str, ...] = ()) -> list[Op]:
    """An overlay at /data over the tree in slot 50."""
    layers = ops.MountOverlay(
        Text("/data"), U64(ATTR_NODEV), U32(50), U32(slot), U64(size), U32(7000), U32(8000), U32(0o755), TextList(options)
    )
    return [ops.MakeDirectory(Text("/data"), U32(0o755)), layers]
