"""A pretended process that waits for its answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.rules import find_arguments
from sandboxer.learn.look import Look

ARCH = "x86_64"
NUMBER = NUMBERS[ARCH]


@dataclass
class Memory:
    """Bytes at addresses, and descriptors."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    links: dict[int, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> int:
        """Keep some bytes; their address."""
        address = 0x10000 * (1 + len(self.pieces))
        self.pieces[address] = data
        return address

    def read(self, address: int, count: int) -> bytes | None:
        data = self.pieces.get(address)
        return data[:count] if data else None

    def read_text(self, address: int) -> tuple[bytes, bool] | None:
        data = self.pieces.get(address)
        if data is None:
            return None
        text, end, _ = data[:256].partition(b"\0")
        return text, bool(end)

    def find_link(self, descriptor: int) -> bytes | None:
        return self.links.get(descriptor)


def look_at(call: str, *arguments: int, memory: Memory | None = None) -> Look:
    """A call with its arguments, as the witness would see it."""
    padded = (*arguments, *(0,) * 6)
    named = find_arguments(call, ARCH) or ()
    return Look(call, {item.name: padded[item.index] & item.mask for item in named}, memory or Memory())
