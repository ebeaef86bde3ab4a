"""Probes of what the job can reach beyond its files: devices, the network, and what only Landlock refuses."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from functools import partial

from sandboxer.abi.landlock import Kind, mask_of
from sandboxer.controls import devices, landlock, namespaces, network
from sandboxer.controls.lsm import apparmor, selinux
from sandboxer.controls.room import Use
from sandboxer.model.op import LandlockCreate, SetExecContext, SetExecLabel
from sandboxer.model.plan import Step
from sandboxer.prove.files import AT_FDCWD, judge_opens
from sandboxer.prove.judge import judge_all, judge_answer, lacking, unless_refused
from sandboxer.prove.probe import Finding, Probe, Seen, Trial
from sandboxer.prove.rights import has_proc, judge_namespaces, weakened
from sandboxer.prove.script import Script, answer, data, scratch
from sandboxer.prove.subject import Subject

ROWS = ("devices", "network.mode", "landlock")

READ_WRITE = 2
MAKE_FILE = mask_of({"make_reg"}, Kind.FILESYSTEM)
FOREIGN = ("/dev/mem", "/dev/kmsg", "/dev/port", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/loop-control", "/dev/kvm",
           "/dev/fuse", "/dev/tty0", "/dev/console", "/dev/net/tun")  # fmt: skip
"""Devices of many hosts, tried where the profile does not grant them."""
CHARACTER_DEVICE = 0o020600
NULL_DEVICE = 1 << 8 | 3
AF_INET, SOCK_DGRAM = 2, 2
LOOPBACK, ELSEWHERE = "127.0.0.1", "192.0.2.1"  # the second is for documentation only. RFC 5737


def find_probes(subject: Subject) -> Iterator[Probe]:
    """Devices, then the network, then the second wall."""
    yield from foreign_devices(subject)
    yield from reachable_network(subject)
    yield from second_wall(subject)


def _shown_devices(subject: Subject) -> dict[str, Use]:
    lowered = devices.lower(subject.policy.settings[devices.NAME], subject.scene)
    return {item.path: item.use for item in lowered.shown}


def foreign_devices(subject: Subject) -> Iterator[Probe]:
    """No device of the host but what is granted, and none can be made. Those that are granted can be opened."""
    shown = _shown_devices(subject)
    script = Script(subject)
    made = script.call("mknodat", AT_FDCWD, data(b"/tmp/.sandboxer-probe"), CHARACTER_DEVICE, NULL_DEVICE)
    stopped = {}
    for path in FOREIGN:
        if path not in shown:
            stopped[script.call("openat", AT_FDCWD, data(path.encode()), READ_WRITE, 0)] = path
    given = {}
    for path in ("/dev/null", "/dev/zero", "/dev/full"):
        if path in shown:
            given[script.call("openat", AT_FDCWD, data(path.encode()), READ_WRITE, 0)] = path
    judges = (
        partial(judge_answer, made, ("EPERM", "EACCES", "EROFS", "ENOENT", "ENOSYS"), "a new node"),
        partial(judge_opens, stopped, given),
    )

    def owns(step: Step) -> bool:
        return step.control == devices.NAME

    declared = f"{sum(path.startswith('/dev/') for path in shown)} paths"
    trial = Trial(script.statements, partial(judge_all, judges))
    yield Probe("devices", declared, owns, (trial,), why_not=lacking(script, but="mknodat"))


def _is_labelled(subject: Subject) -> bool:
    """The command is under a label that refuses to make a socket of a network."""
    kinds = {type(step.op) for step in subject.plan.inside}
    is_profile = SetExecLabel in kinds and apparmor.refuses_sockets(apparmor.settings(subject.policy), subject.scene)
    is_domain = SetExecContext in kinds and selinux.refuses_sockets(selinux.settings(subject.policy), subject.scene)
    return is_profile or is_domain


def reachable_network(subject: Subject) -> Iterator[Probe]:
    """A route to somewhere else, and to itself where there is a loopback. Nothing is sent: the socket is one for datagrams.

    Landlock of ABI 10 answers ahead of the routes, so the namespace is looked at too.
    """
    mode = network.settings(subject.policy).mode
    lost = weakened(subject, network.NAME)
    if mode == "host":
        return
    script = Script(subject)
    sock = script.call("socket", AF_INET, SOCK_DGRAM, 0)
    away = script.call("connect", answer(sock), data(_address(ELSEWHERE)), 16)
    home = script.call("connect", answer(sock), data(_address(LOOPBACK)), 16)
    unreachable = ("ENETUNREACH", "EADDRNOTAVAIL", "EACCES", "EPERM")
    judges: tuple[Callable[[Seen], Finding], ...] = (
        partial(judge_answer, away, unreachable, f"a route to {ELSEWHERE}"),
        partial(judge_answer, home, ("0",) if mode == "loopback" else unreachable, "to itself"),
    )
    is_labelled = _is_labelled(subject)
    if is_labelled:
        judges = (partial(judge_answer, sock, ("EACCES",), "a socket under the label"),)
    judge = unless_refused(script, "socket", sock, partial(judge_all, judges))
    if has_proc(subject) and "net" in namespaces.made(namespaces.settings(subject.policy), subject.scene):
        script.call("readlinkat", AT_FDCWD, data(b"/proc/self/ns/net"), scratch(64), 64)
        link = script.say("dump 64")
        judge = partial(judge_all, (judge, partial(judge_namespaces, {link: ("net", True)})))

    def owns(step: Step) -> bool:
        return step.control in (network.NAME, "namespaces", "seccomp", *((apparmor.NAME, selinux.NAME) if is_labelled else ()))

    trial = Trial(script.statements, judge)
    yield Probe("network.mode", mode, owns, (trial,), why_not=lacking(script, but="socket connect"), lost=lost)


def _address(text: str) -> bytes:
    return struct.pack("<H", AF_INET) + struct.pack(">H", 9) + bytes(int(part) for part in text.split(".")) + bytes(8)


def second_wall(subject: Subject) -> Iterator[Probe]:
    """Something that Landlock alone refuses, and that the kernel would answer otherwise without the domain."""

    def owns(step: Step) -> bool:
        return step.control == landlock.NAME

    lost = weakened(subject, landlock.NAME)
    domains = [step.op for step in subject.plan.inside if isinstance(step.op, LandlockCreate)]
    if not domains:
        if lost:
            yield Probe("landlock", "a second wall", owns, lost=lost)
        return
    handled = 0
    for op in domains:
        handled |= op.filesystem
    script = Script(subject)
    root = script.call("openat", AT_FDCWD, data(b"/"), 0, 0)
    # No path leads to the file system of queues, so no rule of a domain can allow a new one.
    queue = struct.pack("<8q", 0, 1, 64, 0, 0, 0, 0, 0)
    made = script.call("mq_open", data(b"sandboxer-probe"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, data(queue))
    script.call("mq_unlink", data(b"sandboxer-probe"))
    why_not = lacking(script) or ("" if handled & MAKE_FILE else "it does not handle what could be tried without harm")
    judges = (
        partial(judge_answer, made, ("EACCES",), "a message queue"),
        partial(judge_opens, {}, {root: "/"}),
    )
    trials = () if why_not else (Trial(script.statements, partial(judge_all, judges)),)
    declared = f"{len(domains)} domain{'s' if len(domains) > 1 else ''}"
    yield Probe("landlock", declared, owns, trials, why_not=why_not, lost=lost)
