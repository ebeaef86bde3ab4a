"""`make bench`, third part: what `exec --explain` costs, beside the same box without it and under strace. Quote the ratios.

Three things are timed in each way: a call that is allowed and one that is refused, by a small program inside the box
(`explain.c`), and a whole run of a real program that is refused a few calls. strace runs around the same box, as a person would
start it. A watched run compiles its profile anew, so `exec --no-cache` stands beside it.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.peers import BIN, HERE, find
from benchmarks.start import tell_round
from benchmarks.timing import Command, start, time_once

PROFILE = HERE / "explain.yaml"
MIN_ROUNDS = 11
DEFAULT_ROUNDS = 21
CALLS = 2000
PLAIN = "exec"
EXPLAINED = "exec --explain"
REAL = """
import os, subprocess
for _ in range(3):
    try:
        os.chroot("/nonexistent")
    except OSError:
        pass
subprocess.run(["/usr/bin/true"], check=True)
"""
"""A program with a child and three refused calls. Without a box they fail too, and change nothing."""


@dataclass(frozen=True, slots=True)
class Way:
    """One line of the table. `ahead` are words before `sandboxer exec`, `options` words behind it; is_boxed: there is a box."""

    name: str
    ahead: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    is_boxed: bool = True

    def make(self, program: Path, argv: Sequence[str]) -> Command:
        """The command line for a command."""
        if not self.is_boxed:
            return Command(tuple(argv))
        box = (str(BIN / "sandboxer"), "exec", *self.options, "--profile", str(PROFILE), "--set", f"program={program}", "--")
        ahead = (find(self.ahead[0]), *self.ahead[1:]) if self.ahead else ()
        return Command((*ahead, *box, *argv))

    @property
    def is_installed(self) -> bool:
        """Whether its tracer is there."""
        return not self.ahead or os.path.isabs(find(self.ahead[0]))


WAYS = (
    Way("no box", is_boxed=False),
    Way(PLAIN),
    Way(EXPLAINED, options=("--explain", "--quiet")),
    Way("exec --no-cache", options=("--no-cache",)),
    Way("strace -f", ahead=("strace", "-f", "-o", "/dev/null")),
    Way("strace -f, those calls", ahead=("strace", "-f", "-e", "trace=lookup_dcookie,chroot", "-o", "/dev/null")),
)
"""`strace --seccomp-bpf` is none of them: a filter that refuses a call outranks the one by which strace would be told of it."""


@dataclass(slots=True)
class Times:
    """Of each round: nanoseconds of an allowed and of a refused call, milliseconds of the whole run of a real program."""

    allowed_ns: list[float] = field(default_factory=list)
    refused_ns: list[float] = field(default_factory=list)
    run_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians of them."""

    allowed_ns: float
    refused_ns: float
    run_ms: float


class WrongAnswer(Exception):
    """What was timed is not what it should have been."""


def build(directory: Path) -> Path:
    """The program that takes the times inside."""
    program = directory / "explain"
    flags = ("-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-static")
    subprocess.run(["gcc", *flags, "-o", program, HERE / "explain.c"], check=True)
    return program


def time_calls(way: Way, program: Path, calls: int) -> tuple[float, float]:
    """Nanoseconds of an allowed and of a refused call in this way. Raises: WrongAnswer."""
    output = program.parent / "times"
    process = start(way.make(program, (str(program), str(calls))), output=str(output), errors=f"{output}.errors")
    status = os.waitstatus_to_exitcode(os.wait4(process, 0)[1])
    words = output.read_text().split()
    meant = errno.EPERM if way.is_boxed else errno.ENOSYS
    if status or len(words) != 3 or int(words[2]) != meant:
        told = Path(f"{output}.errors").read_text(errors="replace").strip()
        raise WrongAnswer(f"{way.name}: status {status}, {' '.join(words) or 'no times'}; {told}")
    return float(words[0]), float(words[1])


def find_costs(ways: Sequence[Way], rounds: int, calls: int = CALLS) -> dict[str, Cost]:
    """Time every way once, then all of them again, `rounds` times; the first round only warms caches. Raises: WrongAnswer."""
    times = {way.name: Times() for way in ways}
    real = ("/usr/bin/python3", "-I", "-S", "-c", REAL)
    with tempfile.TemporaryDirectory(prefix="sandboxer-bench-") as scratch:
        Path(scratch).chmod(0o755)
        program = build(Path(scratch))
        for number in range(rounds + 1):
            tell_round(number, rounds)
            for way in ways:
                allowed, refused = time_calls(way, program, calls)
                millis, status = time_once(way.make(program, real))
                if status:
                    raise WrongAnswer(f"{way.name}: the real program ended with {status}")
                if number:
                    times[way.name].allowed_ns.append(allowed)
                    times[way.name].refused_ns.append(refused)
                    times[way.name].run_ms.append(millis)
    return {
        name: Cost(*map(statistics.median, (found.allowed_ns, found.refused_ns, found.run_ms))) for name, found in times.items()
    }


def show_table(costs: dict[str, Cost], missing: Sequence[Way], rounds: int) -> None:
    """One line for each way; everything against the same box without --explain."""
    plain = costs[PLAIN]
    print(f"{'':<26}" + "".join(f"{name:>12}{'x':>8}" for name in ("allowed ns", "refused ns", "run ms")))
    for name, cost in costs.items():
        pairs = zip(asdict(cost).values(), asdict(plain).values(), strict=True)
        print(f"{name:<26}" + "".join(f"{mine:>12.1f}{mine / its:>8.2f}" for mine, its in pairs))
    for way in missing:
        print(f"{way.name:<26}{'-':>12}  {way.ahead[0]} is not installed")
    print(f"explain: medians of {rounds} runs each, in turns; x {PLAIN}; a run is a python3 with a child and three refused calls")


def as_json(costs: dict[str, Cost], missing: Sequence[Way]) -> dict[str, object]:
    """Everything that the table says, for programs."""
    plain = asdict(costs[PLAIN])
    found: dict[str, object] = {
        name: {**asdict(cost), "x_exec": {key: value / plain[key] for key, value in asdict(cost).items()}}
        for name, cost in costs.items()
    }
    return found | {way.name: {"missing": f"{way.ahead[0]} is not installed"} for way in missing}


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare exec --explain with plain exec and with strace, interleaved.")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help=f"runs of each way (at least {MIN_ROUNDS})")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    rounds = max(arguments.rounds, MIN_ROUNDS)
    chosen = [way for way in WAYS if way.is_installed]
    missing = [way for way in WAYS if not way.is_installed]
    costs = find_costs(chosen, rounds)
    if arguments.json:
        print(json.dumps(as_json(costs, missing), indent=2))
    else:
        show_table(costs, missing, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
