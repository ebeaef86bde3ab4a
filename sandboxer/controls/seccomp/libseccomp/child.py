"""A child process in which libseccomp works: with a limit of CPU time, because some rules keep it busy without end.

The order goes in and the filter comes out as bytes; nothing else of the parent is there. Run as a module, this is the child.
"""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.controls.seccomp.libseccomp.blocks import Comparison
from sandboxer.errors import HostError, Problem
from sandboxer.kernel.child import run_child

if TYPE_CHECKING:
    import pyseccomp

MODULE = "sandboxer.controls.seccomp.libseccomp.child"
CPU_SECONDS = 5
_BINARY_TREE = 2  # CTL_OPTIMIZE: seccomp_attr_set(3)
_UNAVAILABLE = 3  # our exit status where the library is missing


@dataclass(frozen=True, slots=True)
class Order:
    """A filter that answers `matched` where a row matches, else `default`. A row: a number, and comparisons that all hold."""

    matched: int
    default: int
    rows: tuple[tuple[int, tuple[Comparison, ...]], ...]

    def write(self) -> bytes:
        """The order as lines of numbers."""
        lines = [f"{self.matched} {self.default}"]
        for number, row in self.rows:
            lines.append(" ".join(map(str, (number, *(part for test in row for part in (test.index, test.mask, test.value))))))
        return "\n".join(lines).encode()


def read_order(data: bytes) -> Order:
    """The order that somebody wrote."""
    (matched, default), *rows = ([int(word) for word in line.split()] for line in data.decode().splitlines())
    return Order(
        matched,
        default,
        tuple((row[0], tuple(Comparison(*row[at : at + 3]) for at in range(1, len(row), 3))) for row in rows),
    )


def compile_in_child(order: Order) -> bytes:
    """The filter as an array of struct sock_filter. Raises: HostError if there is no libseccomp, or it does not end."""
    status, written, said = run_child([sys.executable, "-I", "-m", MODULE], order.write())
    if status == 0:
        return written
    why = said.decode(errors="replace").strip().rpartition("\n")[2]
    if status == _UNAVAILABLE:
        attempt = "apt install libseccomp2, or the package of that name here; or backend: own"
        raise HostError(Problem("libseccomp cannot be loaded", why=why, attempt=attempt))
    if status < 0:
        why = f"signal {-status} ended it; it may use {CPU_SECONDS} s of CPU time"
    raise HostError(Problem("libseccomp did not write the filter", why=why, attempt="backend: own"))


def compile_here(order: Order, library: pyseccomp) -> bytes:
    """The filter, by libseccomp in this process."""
    work = library.SyscallFilter(order.default)
    work.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
    work.set_attr(library.Attr.CTL_OPTIMIZE, _BINARY_TREE)
    for number, row in order.rows:
        work.add_rule(order.matched, number, *(library.Arg(test.index, library.MASKED_EQ, test.mask, test.value) for test in row))
    with open(os.memfd_create("filter", os.MFD_CLOEXEC), "rb") as file:
        work.export_bpf(file)
        file.seek(0)
        return file.read()


def main() -> int:
    """The child."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    try:
        import pyseccomp as library
    except (ImportError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return _UNAVAILABLE
    sys.stdout.buffer.write(compile_here(read_order(sys.stdin.buffer.read()), library))
    return 0


if __name__ == "__main__":
    sys.exit(main())
