"""A root that is made once, for all boxes of a plan: a mount namespace that nobody is in, held by its descriptor.

A box enters it, and takes a namespace of its own from there: the kernel copies what is mounted in the root, and nothing else of
the host. The namespace lives as long as the descriptor, so a SIGKILL of anybody leaves nothing.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from sandboxer.calls.roots.parting import Parts, part
from sandboxer.compile.cache import Entry
from sandboxer.compile.encode import decode_ops, encode_lists
from sandboxer.compile.seal import seal
from sandboxer.compile.words import Teller
from sandboxer.kernel.listener.notices import make_watch, receive_descriptor
from sandboxer.launcher.spawn import spawn
from sandboxer.launcher.unforked import unforked
from sandboxer.model.op import MakeIdmap, Op
from sandboxer.run.about import ToldStep, read_about, write_about

MAKING_SECONDS = 10.0
CONTROL = "filesystem"
FLAGS_AT = 12


@dataclass(slots=True)
class Root:
    """A root, and the plan of the boxes that begin with a copy of it. fd: of the namespace; boxes have it under this number."""

    fd: int
    entry: Entry

    def close(self) -> None:
        """Let go of it. Boxes that have begun go on."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def make_root(entry: Entry) -> Root | None:
    """Make the root of a plan. None: it cannot be made apart from a box, or not here; boxes make it themselves then."""
    lists = decode_ops(entry.plan)
    parts = part(lists["before"], lists["inside"]) if not entry.holes else None
    try:
        fd = _make(parts) if parts else None
    except OSError:
        return None
    return Root(fd, _derive(entry, parts, lists["after"], fd)) if parts and fd is not None else None


def _make(parts: Parts) -> int | None:
    """Run what makes the root, until it hands it over; the namespace in which it stands. Raises: OSError."""
    plan = seal(encode_lists((parts.making_before, parts.making, ()), 0), (b"/",), (b"/",), ())
    with ExitStack() as opened:
        with unforked():
            ours, theirs = map(opened.enter_context, make_watch())
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            opened.callback(os.close, null)
            launch = spawn(plan, stdio=(null, null, null), watch_fd=theirs.fileno())
            opened.callback(launch.wait)
            opened.callback(launch.cancel)
            theirs.close()
        poll = select.poll()
        poll.register(ours, select.POLLIN)
        if not poll.poll(MAKING_SECONDS * 1000):
            return None
        kind, root, pid = receive_descriptor(ours)
        if not kind:
            return None
        os.close(root)
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def _derive(entry: Entry, parts: Parts, after: Sequence[Op], fd: int) -> Entry:
    """The entry of the boxes. Its digest is that of the whole plan, which is what holds them."""
    flags = int.from_bytes(entry.plan[FLAGS_AT : FLAGS_AT + 4], "little")
    about, teller, inside = read_about(entry.about), Teller(), parts.inside(fd)
    told = tuple(
        about.inside[origin.index] if origin.index >= 0 else ToldStep(type(origin.op).__name__, teller.say(origin.op), CONTROL)
        for origin in inside
    )
    before = tuple(step for step in about.before if step.op != MakeIdmap.__name__)
    return Entry(
        encode_lists((parts.before, [origin.op for origin in inside], after), flags),
        passed=entry.passed,
        fixed=entry.fixed,
        kept=entry.kept,
        context=entry.context,
        handed=entry.handed,
        inputs=entry.inputs,
        valid_until=entry.valid_until,
        about=write_about(replace(about, before=before, inside=told)),
    )
