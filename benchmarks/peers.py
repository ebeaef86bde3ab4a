"""The sandboxes that are compared, each asked for the same: the isolation of `equal.yaml`, as far as it can give it.

What it could not give shows in the benchmark's own table, because every peer is asked to run `LOOK` first, which tells from
inside how many namespaces are new, which capabilities are left, and whether a filter is loaded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.oci import write_bundle, write_root
from benchmarks.timing import Command

HERE = Path(__file__).resolve().parent
TREE = HERE.parent
BIN = TREE / ".venv" / "bin"
LAUNCHER = TREE / "sandboxer" / "launcher" / "bin" / "sandboxer-launch"
PROFILE = HERE / "equal.yaml"
NOTHING = ("/usr/bin/true",)
LOOK = ("/usr/bin/sh", "-c", "/usr/bin/readlink /proc/self/ns/*; /usr/bin/cat /proc/self/status")
FILTER_FD = 10


@dataclass(frozen=True, slots=True)
class Ground:
    """What the commands are made from: a scratch directory, our filters in files, and the names that they allow."""

    scratch: Path
    filters: tuple[Path, ...]
    allowed: tuple[str, ...]

    def plan(self, argv: Sequence[str]) -> Path:
        """Where the saved plan for this command lies."""
        return self.scratch / f"{'look' if tuple(argv) == LOOK else 'nothing'}.plan"


Make = Callable[[Ground, tuple[str, ...]], Command]


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of the table. `program` is what must be installed; `make` gives the command line for a command."""

    name: str
    program: str
    make: Make


def plain(ground: Ground, argv: tuple[str, ...]) -> Command:
    """No sandbox at all."""
    return Command(argv)


def launcher(ground: Ground, argv: tuple[str, ...]) -> Command:
    """Our launcher on a saved plan: no Python."""
    return Command((str(LAUNCHER), "--plan", str(ground.plan(argv))))


def exec_warm(ground: Ground, argv: tuple[str, ...]) -> Command:
    """`sandboxer exec` with a plan in its cache."""
    return Command((str(BIN / "sandboxer"), "exec", "--profile", str(PROFILE), "--", *argv))


def interpreter(ground: Ground, argv: tuple[str, ...]) -> Command:
    """Only the start and the end of the interpreter that `sandboxer exec` runs in."""
    return Command((str(BIN / "python"), "-c", "pass"))


def bwrap(ground: Ground, argv: tuple[str, ...]) -> Command:
    """bubblewrap with our filters."""
    options = """
        --unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup --new-session --die-with-parent
        --uid 1000 --gid 1000 --hostname sandbox --cap-drop ALL --clearenv --setenv PATH /usr/bin:/bin
        --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64
        --proc /proc --dev /dev --tmpfs /tmp --remount-ro / --chdir /"""
    opened = tuple((FILTER_FD + number, str(path)) for number, path in enumerate(ground.filters))
    filters = [word for number, _ in opened for word in ("--add-seccomp-fd", str(number))]
    return Command((find("bwrap"), *options.split(), *filters, "--", *argv), opened)


def unshare(ground: Ground, argv: tuple[str, ...]) -> Command:
    """util-linux: the namespaces and /proc only."""
    options = """
        --user --map-user=1000 --map-group=1000 --mount --pid --net --ipc --uts --cgroup --time
        --fork --kill-child --mount-proc"""
    return Command((find("unshare"), *options.split(), "--", *argv))


def runc(ground: Ground, argv: tuple[str, ...]) -> Command:
    """`runc run` on a bundle."""
    bundle = ground.plan(argv).with_suffix(".bundle")
    write_bundle(bundle, argv, ground.allowed)
    return Command((find("runc"), "--root", str(ground.scratch / "runc"), "run", "--bundle", str(bundle), f"bench-{os.getpid()}"))


def firejail(ground: Ground, argv: tuple[str, ...]) -> Command:
    """firejail with its own default filter."""
    options = """
        --quiet --noprofile --net=none --private-dev --private-tmp --private --caps.drop=all --nonewprivs --seccomp
        --ipc-namespace --hostname=sandbox"""
    return Command((find("firejail"), *options.split(), "--", *argv))


def nspawn(ground: Ground, argv: tuple[str, ...]) -> Command:
    """systemd-nspawn with its own default filter."""
    root = ground.scratch / "nspawn"
    write_root(root)
    options = """
        --quiet --register=no --keep-unit --read-only --private-network --private-users=100000:65536 --no-new-privileges=yes
        --console=pipe --link-journal=no --resolv-conf=off --timezone=off --bind-ro=/usr --tmpfs=/tmp --drop-capability=all"""
    return Command((find("systemd-nspawn"), *options.split(), f"--directory={root}", "--", *argv))


def find(program: str) -> str:
    """The path of a program; its bare name where it is not installed."""
    return shutil.which(program) or program


OURS = "launcher, saved plan"
EXEC = "sandboxer exec, warm"

PEERS = (
    Peer("plain exec", "true", plain),
    Peer(OURS, "", launcher),
    Peer(EXEC, "", exec_warm),
    Peer("  its interpreter alone", "", interpreter),
    Peer("bwrap", "bwrap", bwrap),
    Peer("unshare", "unshare", unshare),
    Peer("runc run", "runc", runc),
    Peer("firejail", "firejail", firejail),
    Peer("systemd-nspawn", "systemd-nspawn", nspawn),
)
