"""`make bench`: how long it takes to start a command in a sandbox, ours and others, side by side. Quote the ratios.

Every sandbox is asked for the isolation of `equal.yaml`; what each really gave is read from inside and stands in the table.
Exit status 1 if a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.peers import BIN, EXEC, LOOK, NOTHING, OURS, PEERS, PROFILE, Ground, Peer, find
from benchmarks.timing import Command, Series, start, time_interleaved
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.compile.encode import decode_ops
from sandboxer.controls import seccomp
from sandboxer.model.op import LoadFilter
from sandboxer.run.prepare import resolve_request
from sandboxer.run.request import Request

NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time")
PHASES = ("prepare_us", "setup_us", "command_us", "end_us", "clean_us")


@dataclass(frozen=True, slots=True)
class Budget:
    """One ratio that must hold."""

    name: str
    peer: str
    most: float


BUDGETS = (Budget(OURS, "bwrap", 0.7), Budget(EXEC, "runc run", 0.6), Budget(EXEC, "bwrap", 3.5))


@dataclass(frozen=True, slots=True)
class Isolation:
    """What a process sees of its own walls: new namespaces, capabilities it could ever have, no_new_privs, a filter."""

    namespaces: int
    capabilities: int
    has_no_new_privs: bool
    has_filter: bool

    def show(self) -> str:
        words = [f"{self.namespaces} ns", f"{self.capabilities} caps"]
        words += ["nnp"] * self.has_no_new_privs + ["filter"] * self.has_filter
        return ", ".join(words)


def prepare_ground(scratch: Path) -> Ground:
    """Save a plan for each command, and take our filters out of one of them."""
    ground = Ground(scratch, (), ())
    for argv in (NOTHING, LOOK):
        command = [str(BIN / "sandboxer"), "compile", "--profile", str(PROFILE), "-o", str(ground.plan(argv)), "--", *argv]
        subprocess.run(command, check=True, cwd="/")
    ops = decode_ops(ground.plan(NOTHING).read_bytes())["inside"]
    programs = [op.program for op in ops if isinstance(op, LoadFilter)]
    filters = tuple(scratch / f"filter-{number}.bpf" for number in range(len(programs)))
    for path, program in zip(filters, programs, strict=True):
        path.write_bytes(program)
    return Ground(scratch, filters, allowed_calls())


def allowed_calls() -> tuple[str, ...]:
    """The names of the calls that our filter allows at least in part."""
    policy = resolve_request(Request(profile=str(PROFILE))).policy
    settings = seccomp.settings(policy)
    return tuple(name for name in NUMBERS[os.uname().machine] if settings.passes_some(name))


def look(ground: Ground, peer: Peer) -> Isolation | str:
    """What a peer isolates, as a process inside sees it; or why it does not run here."""
    if peer.program and not os.path.isabs(find(peer.program)):
        return "not installed"
    output = ground.scratch / "look.out"
    try:
        process = start(peer.make(ground, LOOK), output=str(output), errors=f"{output}.errors")
    except OSError as error:
        return str(error.strerror)
    status = os.waitstatus_to_exitcode(os.wait4(process, 0)[1])
    text = output.read_text(errors="replace")
    if status:
        complaint = Path(f"{output}.errors").read_text(errors="replace").strip().splitlines()
        return (complaint or [f"exit status {status}"])[-1][:160]
    return read_isolation(text)


def read_isolation(text: str) -> Isolation:
    """Understand what LOOK printed."""
    seen = {line.split(":[")[0]: line for line in text.splitlines() if ":[" in line}
    new = sum(1 for name in NAMESPACES if seen.get(name, "") != os.readlink(f"/proc/self/ns/{name}"))
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    capabilities = int(status.get("CapBnd", "0"), 16).bit_count()
    return Isolation(new, capabilities, status.get("NoNewPrivs") == "1", status.get("Seccomp") == "2")


def measure_phases(ground: Ground, runs: int) -> dict[str, float]:
    """Milliseconds of each phase of a run, from the launcher's own record: medians."""
    samples: dict[str, list[float]] = {name: [] for name in PHASES}
    report = ground.scratch / "report.json"
    command = [str(BIN / "sandboxer"), "exec", "--profile", str(PROFILE), "--report", str(report), "--", *NOTHING]
    for _ in range(runs):
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)
        timings = json.loads(report.read_text())["timings"]
        for name in PHASES:
            samples[name].append(timings[name] / 1000)
    return {name.removesuffix("_us"): statistics.median(values) for name, values in samples.items()}


def judge(series: dict[str, Series]) -> list[tuple[Budget, float | None]]:
    """Each budget with the ratio that was measured; None where one of the two did not run."""
    ratio = [
        series[budget.name].median / series[budget.peer].median if budget.name in series and budget.peer in series else None
        for budget in BUDGETS
    ]
    return list(zip(BUDGETS, ratio, strict=True))


def show_table(series: dict[str, Series], isolation: dict[str, Isolation | str]) -> None:
    """One line for each peer; ratios to plain exec and to bwrap."""
    plain = series["plain exec"].median
    bwrap = series["bwrap"].median if "bwrap" in series else None
    print(f"{'':<26}{'ms':>8}{'p10':>8}{'p90':>8}{'x plain':>9}{'x bwrap':>9}  isolation, seen from inside")
    for name, found in isolation.items():
        if isinstance(found, str):
            print(f"{name:<26}{'-':>8}{'':>34}  {found}")
            continue
        times = series[name]
        against = f"{times.median / bwrap:.2f}" if bwrap else "-"
        row = f"{name:<26}{times.median:>8.2f}{times.percentile(10):>8.2f}{times.percentile(90):>8.2f}"
        seen = "" if name.startswith(("plain", " ")) else found.show()
        failed = f"  ({times.failures} failed)" if times.failures else ""
        print(f"{row}{times.median / plain:>9.1f}{against:>9}  {seen}{failed}")


def note_noise(plain: Series) -> None:
    """Say it where the numbers are worth little: what waits for other processors makes all sandboxes equally slow."""
    if plain.percentile(90) > 2 * plain.median:
        print("\nThis machine was busy: plain exec varied more than twofold. Run again when it is quiet.")


def show_rest(phases: dict[str, float], verdicts: Sequence[tuple[Budget, float | None]]) -> None:
    """The phases of a run of ours, and the budgets."""
    print("\nms of each phase of `sandboxer exec`: " + ", ".join(f"{name} {value:.2f}" for name, value in phases.items()))
    for budget, ratio in verdicts:
        measured = "not measured" if ratio is None else f"{ratio:.2f}"
        state = "ok" if ratio is not None and ratio <= budget.most else "MISSED" if ratio is not None else "-"
        print(f"budget: {budget.name} / {budget.peer}: {measured}, at most {budget.most}  {state}")


def tell_round(number: int, rounds: int) -> None:
    """Keep a person at a terminal informed."""
    if sys.stderr.isatty():
        print(f"\rround {number} of {rounds}" if number < rounds else "\r\033[K", end="", file=sys.stderr, flush=True)


def run(rounds: int, is_json: bool) -> int:
    """Measure everything; 0 if ours ran without a failure and no budget is missed."""
    with tempfile.TemporaryDirectory(prefix="sandboxer-bench-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        ground = prepare_ground(scratch)
        isolation = {peer.name: look(ground, peer) for peer in PEERS}
        chosen = [peer for peer in PEERS if not isinstance(isolation[peer.name], str)]
        commands: list[Command] = [peer.make(ground, NOTHING) for peer in chosen]
        times = time_interleaved(commands, rounds, tell=tell_round)
        series = {peer.name: measured for peer, measured in zip(chosen, times, strict=True)}
        phases = measure_phases(ground, min(rounds, 30))
    verdicts = judge(series)
    if is_json:
        print(json.dumps(as_json(series, isolation, phases, verdicts), indent=2))
    else:
        show_table(series, isolation)
        show_rest(phases, verdicts)
        note_noise(series["plain exec"])
    is_whole = all(name in series and not series[name].failures for name in (OURS, EXEC))
    is_within = all(ratio is None or ratio <= budget.most for budget, ratio in verdicts)
    return 0 if is_whole and is_within else 1


def as_json(
    series: dict[str, Series],
    isolation: dict[str, Isolation | str],
    phases: dict[str, float],
    verdicts: Sequence[tuple[Budget, float | None]],
) -> dict[str, object]:
    """Everything that the table says, for programs."""
    plain = series["plain exec"].median
    peers: dict[str, object] = {}
    for name, found in isolation.items():
        if isinstance(found, str):
            peers[name.strip()] = {"missing": found}
            continue
        times = series[name]
        peers[name.strip()] = {
            "median_ms": times.median,
            "p10_ms": times.percentile(10),
            "p90_ms": times.percentile(90),
            "x_plain": times.median / plain,
            "failures": times.failures,
            "isolation": asdict(found),
        }
    budgets = [{**asdict(budget), "ratio": ratio} for budget, ratio in verdicts]
    return {"peers": peers, "phases_ms": phases, "budgets": budgets}


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the start of a sandbox with others, interleaved.")
    parser.add_argument("--rounds", type=int, default=100, help="how often each is started (default 100)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    return run(arguments.rounds, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
