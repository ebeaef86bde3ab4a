"""What follows from the outcomes: which layers stop an attempt on their own, and where the kernel has only one to give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.attack.attempts import ATTEMPTS
from tests.attack.layers.measure import PROFILES, Outcomes, name_run
from tests.attack.layers.walls import ALL, Layer
from tests.live.needs import this_host, unmet

MARKED = "held EHWPOISON"
REFUSED = frozenset({"held EPERM", "held EACCES"})
BREACHED = "breached"


class Cell(Enum):
    """Whether a layer stops an attempt on its own. The value is how the page writes it."""

    STOPS = "x"
    LETS = ""
    UNKNOWN = "?"


Cells = dict[Layer, Cell]
Verdicts = dict[str, dict[str, Cells]]
"""By profile and attempt."""

OWN_RULES: dict[str, tuple[Layer, frozenset[str]]] = {
    **dict.fromkeys(
        ("handle-out", "make-device", "make-disk", "nice-up", "raise-limit", "settimeofday", "clock-settime", "bpf", "perf",
         "userfaultfd", "kexec", "kexec-file", "init-module", "finit-module", "delete-module", "swapon", "acct", "iopl", "ioperm",
         "syslog", "fanotify", "vhangup"),
        (Layer.PRIVILEGE, REFUSED),
    ),
    "kill-init": (Layer.VIEW, frozenset({"held EBUSY"})),
}  # fmt: skip
"""What the kernel refuses in the container with no layer at all, how it says so, and the layer whose rule that is.

Most ask for a capability over the initial user namespace: to be in any other one is what stops them, and that cannot be taken
away on a machine that is to live. The first process of a pid namespace takes no signal from within that it has not asked for.
"""
SETTINGS: dict[tuple[str, Layer], tuple[Path, str]] = {
    ("link-out", Layer.PRIVILEGE): (Path("/proc/sys/fs/protected_hardlinks"), "1"),
}
"""Cells that need a setting of the machine: where it is another, they cannot be told."""


def judge(outcomes: Outcomes) -> dict[str, Cells]:
    """The cells of each attempt under one profile."""
    return {row.name: {layer: judge_cell(row.name, layer, outcomes) for layer in Layer} for row in ATTEMPTS}


def judge_cell(name: str, layer: Layer, outcomes: Outcomes) -> Cell:
    """Whether a layer stops an attempt alone.

    Where the attempt succeeds without any layer, that it fails with this one says it. Where it does not, only an answer that
    comes ahead of the kernel's own says it: another error number, for filters the mark.
    """
    path, value = SETTINGS.get((name, layer), (None, ""))
    if path and path.read_text().strip() != value:
        return Cell.UNKNOWN
    bare, alone = outcomes[""][name], outcomes[layer.value][name]
    owner, answers = OWN_RULES.get(name, (None, frozenset()))
    if bare == BREACHED:
        if owner is layer:
            return Cell.UNKNOWN  # a setting of this machine gives it to everybody
        return Cell.STOPS if alone != BREACHED else Cell.LETS
    if owner is layer and bare in answers:
        return Cell.STOPS
    if layer is Layer.SECCOMP:
        return Cell.STOPS if alone == MARKED or (alone.startswith("killed") and alone != bare) else Cell.LETS
    return Cell.STOPS if alone not in (bare, BREACHED) else Cell.UNKNOWN


def judge_all(measured: Mapping[str, Outcomes]) -> Verdicts:
    """The cells of each profile."""
    return {profile: judge(measured[profile]) for profile in PROFILES}


def stopping(cells: Cells) -> tuple[Layer, ...]:
    """The layers that stop an attempt on their own."""
    return tuple(layer for layer in Layer if cells[layer] is Cell.STOPS)


def is_told(name: str, outcomes: Outcomes) -> bool:
    """Whether this kernel can tell how many layers stop it: it works here without any, or fails as we know it."""
    bare = outcomes[""][name]
    return bare == BREACHED if name not in OWN_RULES else bare in OWN_RULES[name][1]


@dataclass(frozen=True, slots=True)
class Lone:
    """Attempts that the kernel gives one layer for, and why it has no second. until: what a kernel needs that has one."""

    layer: Layer
    names: tuple[str, ...]
    why: str
    profiles: tuple[str, ...] = PROFILES
    until: str = ""

    @property
    def is_over(self) -> bool:
        """This kernel has a second one."""
        return bool(self.until) and not unmet((self.until,), this_host())


_IDS = ("become-root", "become-root-all", "become-group")
_SET_IDS = ("set-id-by-chmod", "set-id-by-open", "set-id-by-openat2")
_FREE = ("handle-name", "io-uring-setup", "io-uring-enter", "add-key", "request-key", "keyctl", "personality", "socket-vsock",
         "socket-alg", "socket-alg-high-bits")  # fmt: skip

LONE: tuple[Lone, ...] = (
    Lone(Layer.VIEW, ("read-kernel-memory",),
         "`/proc` is granted as a whole, because rights of Landlock flow down a tree; and everybody may read these files"),
    Lone(Layer.VIEW, ("connect-path",),
         "everybody may connect, by the mode of the socket; before Linux 7.1 Landlock is not asked", until="landlock>=9"),
    Lone(Layer.VIEW, ("shared-memory",),
         "System V objects have no path for Landlock to judge, and everybody may use this one, by its mode; a rule about keys "
         "would hold nothing, for `shmat` takes the number of any segment"),
    Lone(Layer.VIEW, ("posix-shared-memory",),
         "Landlock grants `/dev/shm`, which is the box's own; without the view that path is the host's when the rule is made"),
    Lone(Layer.VIEW, ("other-interfaces",),
         "libraries ask a netlink socket for names and addresses, and what is asked lies in memory; `strict` makes none",
         profiles=("python",)),
    Lone(Layer.VIEW, ("send-datagram",),
         "before Linux 7.2 Landlock knows TCP only; `strict` makes no such socket", profiles=("python",), until="landlock>=10"),
    Lone(Layer.PRIVILEGE, _IDS,
         "no other id is mapped, and no capability is there to become one: both are privilege; programs set their own ids by the "
         "same calls, and rules do not know which these are"),
    Lone(Layer.PRIVILEGE, ("raise-capabilities", "holds-capability"),
         "capabilities are what privilege is; programs give theirs up by `capset`, and the sets lie in memory, where no "
         "filter looks"),
    Lone(Layer.PRIVILEGE, ("forget-no-new-privs",),
         "it is a flag of the process, which the kernel lets nobody clear"),
    Lone(Layer.PRIVILEGE, ("nice-up", "raise-limit"),
         "programs may lower both; what is higher only the kernel can tell, which knows what they are: a limit lies in "
         "memory, and a niceness is more or less than the one before"),
    Lone(Layer.SECCOMP, _SET_IDS,
         "the mode of a file is its owner's to set, and no right of Landlock; a mount without set-user-id programs keeps the "
         "bit"),
    Lone(Layer.SECCOMP, _FREE,
         "everybody may, with no capability and in any namespace; what switches some of it off (`kernel.io_uring_disabled`) "
         "is the whole machine's"),
    Lone(Layer.SECCOMP, ("setns-own", "quotactl"),
         "the attempt is to reach the code of the call, with wrong arguments; what asks for a capability comes later"),
    Lone(Layer.SECCOMP, ("int80", "x32"),
         "another way into the kernel, which is nobody's right"),
    Lone(Layer.SECCOMP, ("newer-than-table",),
         "what a kernel does not have yet it cannot refuse"),
    Lone(Layer.START, ("stray-descriptor", "leaked-environment"),
         "what a program has been given is its own; the launcher is who gives"),
)  # fmt: skip


def lone_layer(name: str, profile: str) -> Layer | None:
    """The layer that is the only one for an attempt on this kernel; None: there have to be two."""
    found = [row for row in LONE if name in row.names and profile in row.profiles and not row.is_over]
    return found[0].layer if found else None


def find_faults(measured: Mapping[str, Outcomes]) -> list[str]:
    """What is not as it has to be: attempts that nothing stops, or fewer layers than the kernel has, or more than told."""
    verdicts = judge_all(measured)
    return [
        f"{profile}: {row.name}: {fault}"
        for profile in PROFILES
        for row in ATTEMPTS
        for fault in _faults(row.name, profile, verdicts[profile][row.name], measured[profile])
    ]


def _faults(name: str, profile: str, cells: Cells, outcomes: Outcomes) -> Iterator[str]:
    if outcomes[name_run(ALL)][name] == BREACHED:
        yield "is not stopped by all layers together"
    found, lone = stopping(cells), lone_layer(name, profile)
    if not is_told(name, outcomes):
        if Layer.SECCOMP not in found and name not in OWN_RULES and lone in (None, Layer.SECCOMP):
            yield f"this kernel does not know it ({outcomes[''][name]}), and no filter stops it"
        return
    names = ", ".join(layer.value for layer in found) or "none"
    if lone is None and len(found) < 2:
        yield f"one layer alone has to be missed: {names} alone stops it"
    if lone is not None and found != (lone,):
        yield f"said to be stopped by {lone.value} alone, but there are: {names}"
    for layer in Layer:
        outcome = outcomes[name_run(ALL - {layer})][name]
        if outcome == BREACHED and set(found) != {layer}:
            yield f"gets through without {layer.value}, although each of these stops it: {names}"
        if outcome != BREACHED and set(found) == {layer} and outcomes[""][name] == BREACHED:
            yield f"is stopped without {layer.value}, which is said to be the only one"
