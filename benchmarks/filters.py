"""`make bench`, second part: what seccomp filters cost, ours and libseccomp's of the same policy, side by side. Quote the ratios.

The policy is `engine.yaml`, of the size that container engines use. For each variant: how long it is, how many instructions a
call runs (the simulator's count, mean over the allowed calls; the kernel skips them all where only the number decides), how long
it takes to load, and what it adds to a call. The variants are a table; a new one is one function and one row.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls import seccomp
from sandboxer.controls.seccomp.libseccomp.backend import alternatives
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.run.prepare import resolve_request
from sandboxer.run.request import Request
from sandboxer.verify.boundaries import boundary_calls
from sandboxer.verify.simulate import Call, run_stack

HERE = Path(__file__).resolve().parent
POLICY = HERE / "engine.yaml"
ARCH = "x86_64"
MIN_ROUNDS = 41
CALLS = 20_000
NO_FILTER = "no filter"
LIBSECCOMP = "libseccomp, as it comes"

_HEADER = struct.Struct("<4Q")
_TIMES = struct.Struct("<4Q")


def none(_: Settings) -> tuple[bytes, ...]:
    """No filter at all."""
    return ()


def ours(settings: Settings) -> tuple[bytes, ...]:
    """What a box loads."""
    return tuple(item.program for item in compile_stack(settings, ARCH))


def ours_by_libseccomp(settings: Settings) -> tuple[bytes, ...]:
    """What a box loads under `backend: libseccomp`."""
    return ours(replace(settings, backend="libseccomp"))


def libseccomp_plain(settings: Settings) -> tuple[bytes, ...]:
    """libseccomp's own order of comparing numbers, by priority."""
    return (_by_libseccomp(settings, optimize=1),)


def libseccomp_optimised(settings: Settings) -> tuple[bytes, ...]:
    """libseccomp's binary tree over the numbers."""
    return (_by_libseccomp(settings, optimize=2),)


def _by_libseccomp(settings: Settings, *, optimize: int) -> bytes:
    """The grants of the first wall in one filter, as a program that uses libseccomp directly would write it."""
    import pyseccomp

    work = pyseccomp.SyscallFilter(pyseccomp.ERRNO(settings.default_errno))
    work.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    work.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, optimize)
    for statement in settings.walls[0].grants or ():
        for tests in alternatives(statement.rule, ARCH):
            arguments = (pyseccomp.Arg(test.index, pyseccomp.MASKED_EQ, test.mask, test.value) for test in tests)
            work.add_rule(pyseccomp.ALLOW, NUMBERS[ARCH][statement.rule.call], *arguments)
    with open(os.memfd_create("filter", os.MFD_CLOEXEC), "rb") as file:
        work.export_bpf(file)
        file.seek(0)
        return file.read()


@dataclass(frozen=True, slots=True)
class Variant:
    """One line of the table."""

    name: str
    compile: Callable[[Settings], tuple[bytes, ...]]


VARIANTS = (
    Variant(NO_FILTER, none),
    Variant("ours", ours),
    Variant("ours, libseccomp backend", ours_by_libseccomp),
    Variant(LIBSECCOMP, libseccomp_plain),
    Variant("libseccomp, binary tree", libseccomp_optimised),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What was found of a variant. Times are medians: loading in microseconds, a call in nanoseconds.

    plain: getppid, allowed whatever its arguments. tested: personality(0xffffffff), allowed by its argument. refused: a call that
    no rule allows. executed: instructions that an allowed call runs, mean.
    """

    filters: int
    instructions: int
    executed: float
    load_us: float
    plain_ns: float
    tested_ns: float
    refused_ns: float


def read_settings() -> Settings:
    """The policy of the benchmark."""
    return seccomp.settings(resolve_request(Request(profile=str(POLICY))).policy).at(Situation(ARCH))


def allowed_calls(settings: Settings, stack: Sequence[bytes]) -> tuple[Call, ...]:
    """One allowed use of each call that the policy allows at least in part, found at the boundaries of a stack."""
    found = []
    for name, number in NUMBERS[ARCH].items():
        if settings.passes_some(name):
            uses = [Call(number), *boundary_calls(stack, number, limit=1000)]
            found.append(next(use for use in uses if run_stack(stack, use).is_allowed))
    return tuple(found)


def build(directory: Path) -> Path:
    """The program that takes the times."""
    program = directory / "filters"
    flags = ("-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", *flags, "-o", program, HERE / "filters.c"], check=True)
    return program


def measure(stacks: Sequence[Sequence[bytes]], rounds: int, calls: int = CALLS) -> list[list[tuple[int, ...]]]:
    """For each stack, for each round: nanoseconds of loading it, and of `calls` plain, tested and refused calls."""
    body = b""
    for stack in stacks:
        body += struct.pack("<Q", len(stack))
        body += b"".join(struct.pack("<Q", len(item) // bpf.INSTRUCTION_BYTES) + item for item in stack)
    times_at = _HEADER.size + len(body)
    size = times_at + _TIMES.size * rounds * len(stacks)
    fd = os.memfd_create("filters", os.MFD_CLOEXEC)
    try:
        os.truncate(fd, size)
        with mmap.mmap(fd, size) as memory, tempfile.TemporaryDirectory() as scratch:
            memory[:times_at] = _HEADER.pack(len(stacks), rounds, calls, times_at) + body
            subprocess.run([build(Path(scratch)), str(fd)], check=True, pass_fds=(fd,))
            taken = [_TIMES.unpack_from(memory, at) for at in range(times_at, size, _TIMES.size)]
    finally:
        os.close(fd)
    return [taken[number :: len(stacks)] for number in range(len(stacks))]


def find_costs(variants: Sequence[Variant], rounds: int, calls: int = CALLS) -> dict[str, Cost]:
    """Compile the policy in every way, and measure."""
    settings = read_settings()
    stacks = [variant.compile(settings) for variant in variants]
    uses = allowed_calls(settings, ours(settings))
    costs = {}
    for variant, stack, taken in zip(variants, stacks, measure(stacks, rounds, calls), strict=True):
        load, *called = (statistics.median(column) for column in zip(*taken, strict=True))
        costs[variant.name] = Cost(
            len(stack),
            sum(len(item) // bpf.INSTRUCTION_BYTES for item in stack),
            statistics.mean(run_stack(stack, use).executed for use in uses),
            load / 1000,
            *(nanos / calls for nanos in called),
        )
    return costs


def show_table(costs: dict[str, Cost], rounds: int) -> None:
    """One line for each variant; loading against libseccomp as it comes, calls against no filter."""
    bare, reference = costs[NO_FILTER], costs[LIBSECCOMP]
    print(f"{'':<26}{'filters':>8}{'instr.':>8}{'run':>7}{'load us':>9}{'x':>6}", end="")
    print("".join(f"{name:>12}{'x':>6}" for name in ("plain ns", "tested ns", "refused ns")))
    for name, cost in costs.items():
        row = f"{name:<26}{cost.filters:>8}{cost.instructions:>8}{cost.executed:>7.1f}{cost.load_us:>9.1f}"
        row += f"{cost.load_us / reference.load_us:>6.2f}"
        for mine, its in ((cost.plain_ns, bare.plain_ns), (cost.tested_ns, bare.tested_ns), (cost.refused_ns, bare.refused_ns)):
            row += f"{mine:>12.1f}{mine / its:>6.2f}"
        print(row)
    print(f"filters: medians of {rounds} processes each, in turns; load x {LIBSECCOMP}, calls x {NO_FILTER}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare seccomp filters of one policy, interleaved.")
    parser.add_argument("--rounds", type=int, default=2 * MIN_ROUNDS, help=f"processes for each variant (at least {MIN_ROUNDS})")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    rounds = max(arguments.rounds, MIN_ROUNDS)
    costs = find_costs(VARIANTS, rounds)
    if arguments.json:
        print(json.dumps({name: asdict(cost) for name, cost in costs.items()}, indent=2))
    else:
        show_table(costs, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
