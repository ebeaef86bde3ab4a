"""What a box may do, as the text of an SELinux module in CIL, for the machine and the caller that it is written on."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.compile.lower import find_scene
from sandboxer.controls import ROOMS
from sandboxer.controls.lsm import selinux
from sandboxer.controls.lsm.selinux import Module, make_module
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.export.notes import Kind, Note, Translation
from sandboxer.model.host import Host
from sandboxer.model.policy import Policy

SUMMARY = "a module of SELinux in CIL, for semodule: files by type, network and processes of the box"

NOTES = (
    Note(
        Kind.DIFFERS,
        "paths, system calls, ports, limits and ids are left to the box",
        "SELinux knows types of files, and the module is a second wall around a box that has the rest",
    ),
    Note(
        Kind.NOTE,
        f"directories of the host need the type {selinux.SHARED_TYPE}, which {selinux.SHARED_MODULE}.cil declares",
        "one type for all boxes stays when a profile changes",
    ),
    Note(Kind.NOTE, "the name of a module is that of its file: NAME_t in the text belongs into NAME.cil"),
)


def module_for(policy: Policy, host: Host, *, capabilities: int | None = None) -> Module:
    """The module of a policy, whether its profile asks for one or not, and whether it is loaded or not.

    host: with the facts of the paths that the policy mentions. capabilities: those that the job will hold, if not the policy's.
    Raises: ProfileError, HostError.
    """
    others = [room for room in ROOMS if room.NAME != selinux.NAME]
    scene = find_scene(policy, replace(host, unloaded=()), others)
    return make_module(scene if capabilities is None else replace(scene, capabilities=capabilities))


def write(policy: Policy, situation: Situation, *, host: Host, may_narrow: bool = False) -> Translation:
    """The text of a policy. Raises: ProfileError, HostError."""
    return Translation(module_for(policy, host, capabilities=situation.capabilities).text, NOTES)
