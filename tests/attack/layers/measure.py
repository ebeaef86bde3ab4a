"""Every attempt in boxes of a profile that lack layers. `python -m tests.attack.layers.measure PROFILE PROBE` prints JSON.

It runs as a program of its own, because it gives up the host's privilege for good, and must have one thread.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandboxer.compile.cache import Entry
from sandboxer.compile.resolve import resolve
from sandboxer.compile.seal import seal
from sandboxer.compile.search import Caller
from sandboxer.kernel.buffers.sealed import seal_memfd
from sandboxer.kernel.probe import probe
from sandboxer.launcher.probe import INSIDE, MFD_EXEC
from sandboxer.launcher.record import read_record
from sandboxer.launcher.spawn import launcher_path, make_sealed, spawn
from sandboxer.model.plan import Plan
from sandboxer.model.result import Reason
from sandboxer.run.about import read_about
from sandboxer.run.prepare import compile_request, host_for, make_entry, make_plan
from sandboxer.run.request import Request, make_command
from sandboxer.run.result import build_result
from tests.attack.attempts import ATTEMPTS, Attempt
from tests.attack.layers.container import PROJECT, Planted, run_in_container
from tests.attack.layers.walls import ALL, Layer, Layers, marked, only, split

Outcomes = dict[str, dict[str, str]]
"""What each attempt said, by the name of the run and that of the attempt."""

ROOT = Path(__file__).resolve().parents[3]
PROFILES = ("strict", "python")
DISTURBING = frozenset({
    "remount-writable", "remount-root", "mount-tmpfs", "bind-root", "unmount-proc", "unmount-mask", "mount-proc",
    "api-mount-setattr", "pivot", "kill-init", "trace-init",
})  # fmt: skip
"""What changes what the others find, where nothing stops it: each has a box of its own."""
SHARED = ("/tmp", "/var/tmp")
"""What boxes without a view share."""
STRAY_FD = 40
BOX_S, PROFILE_S = 30, 240
MAX_OUTPUT_BYTES = 1 << 20


def runs() -> Iterator[Layers]:
    """All layers, all but each, each alone, none."""
    yield ALL
    yield from (ALL - {layer} for layer in Layer)
    yield from (frozenset({layer}) for layer in Layer)
    yield frozenset()


def name_run(layers: Layers) -> str:
    """Its layers by name; empty where there is none."""
    return " ".join(layer.value for layer in Layer if layer in layers)


def measure_all(program: Path) -> dict[str, Outcomes]:
    """The outcomes of each profile, measured side by side. program: the probe. Raises: RuntimeError."""
    running = {name: _start(name, program) for name in PROFILES}
    found = {}
    try:
        for name, process in running.items():
            out, err = process.communicate(timeout=PROFILE_S)
            if process.returncode:
                raise RuntimeError(f"{name} was not measured: status {process.returncode}\n{err}")
            found[name] = json.loads(out)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return found


def _start(profile: str, program: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.attack.layers.measure", profile, program],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _in_memory(path: Path) -> int:
    """A program as a descriptor that can be executed where its path cannot be reached."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        descriptor = os.memfd_create(path.name, flags | MFD_EXEC)
    except OSError:
        descriptor = os.memfd_create(path.name, flags)  # a kernel that does not know the flag
    return seal_memfd(descriptor, path.read_bytes())


class Ground:
    """What boxes of a profile are made from, loaded ahead of the container: in there is nothing to load it from."""

    def __init__(self, profile: str, program: Path) -> None:
        self.request = Request(profile)
        self.resolved = resolve(profile, caller=Caller(PROJECT, "/root", "root", 0, 0))
        self.launcher, self.program = _in_memory(Path(launcher_path())), _in_memory(program)
        self.outcomes: Outcomes = {}
        compile_request(self.request)  # here, so that what is loaded late is loaded

    def measure(self, planted: Planted) -> None:
        """Do all runs, in the container."""
        os.dup2(os.open(planted["file"], os.O_RDONLY | os.O_CLOEXEC), STRAY_FD)
        policy = self.resolved.policy
        whole = make_plan(self.request, policy, host_for(policy, probe()))
        for layers in runs():
            plan = only(whole, layers)
            if layers == {Layer.SECCOMP}:
                plan = marked(plan)
            plans = (plan,) if Layer.VIEW in layers else split(plan)
            self.outcomes[name_run(layers)] = Boxes(self, plans, planted, Layer.START in layers).attempt_all()
        json.dump(self.outcomes, sys.stdout)


@dataclass(frozen=True, slots=True)
class Boxes:
    """The boxes of one run: one for all attempts that leave each other alone, and one for each of the others.

    plans: the box's, and that of its command in place, if it has one. has_start: the environment is the profile's; else that of
    the caller, with a secret in it.
    """

    ground: Ground
    plans: Sequence[Plan]
    planted: Planted
    has_start: bool

    def attempt_all(self) -> dict[str, str]:
        """What came of each attempt. Raises: RuntimeError."""
        entries = [make_entry(self.ground.request, plan, self.ground.resolved) for plan in self.plans]
        found = self._attempt(entries, [row for row in ATTEMPTS if row.name not in DISTURBING])
        for row in ATTEMPTS:
            if row.name in DISTURBING:
                found |= self._attempt(entries, [row])
        if missing := {row.name for row in ATTEMPTS} - set(found):
            raise RuntimeError(f"nothing came of {sorted(missing)}")
        return found

    def _attempt(self, entries: Sequence[Entry], rows: Sequence[Attempt]) -> dict[str, str]:
        for place in SHARED:
            empty(place)
        words = [word for row in rows for word in (row.name, self.planted.get(row.given, ""))]
        text = self._run(entries, [INSIDE, "each", *words])
        return dict(line.split(" ", 1) for line in text.splitlines())

    def _run(self, entries: Sequence[Entry], argv: Sequence[str]) -> str:
        """Run a command in a box; what it wrote."""
        environment = {b"SECRET": self.planted["secret"].encode()}
        command = make_command(argv, entries[-1], environment, {})
        given = command.environment if self.has_start else [b"=".join(pair) for pair in environment.items()]
        sealed = seal(entries[-1].plan, command.candidates, map(os.fsencode, command.argv), given)
        kept, launcher = [STRAY_FD], f"/proc/self/fd/{self.ground.launcher}"
        if len(entries) == 2:
            plan = make_sealed(sealed)
            kept += [plan, self.ground.launcher]
            sealed = seal(entries[0].plan, [launcher.encode()], [launcher.encode(), b"--plan-fd", str(plan).encode()], [])
        outputs = [os.memfd_create("output", os.MFD_CLOEXEC) for _ in range(2)]
        try:
            launch = spawn(sealed, stdio=(self.ground.program, outputs[0], outputs[1]), kept=kept, launcher=launcher)
            if not select.select([launch.result_fd], [], [], BOX_S)[0]:
                launch.cancel()
            record, _ = launch.wait()
            out, err = (os.pread(output, MAX_OUTPUT_BYTES, 0).decode() for output in outputs)
        finally:
            for descriptor in (*outputs, *kept[1:2]):
                os.close(descriptor)
        about = read_about(entries[0].about)
        result, _ = build_result(read_record(record), about, argv=argv, candidates=[launcher])
        if result.reason is not Reason.EXITED or result.exit_code or err:
            raise RuntimeError(f"a box ended as {result.reason.value} {result.exit_code}: {result.detail}\n{err}\n{out[-500:]}")
        return out


def empty(directory: str) -> None:
    """Remove all that is in it."""
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


if __name__ == "__main__":
    sys.exit(run_in_container(Ground(sys.argv[1], Path(sys.argv[2])).measure))
