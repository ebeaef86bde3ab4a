"""What a box may do, as the text of an AppArmor profile, for the machine and the caller that it is written on."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.compile.lower import find_scene
from sandboxer.controls import ROOMS
from sandboxer.controls.lsm import apparmor
from sandboxer.controls.lsm.apparmor import Label
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.export.notes import Kind, Note, Translation
from sandboxer.model.host import Host
from sandboxer.model.policy import Policy

SUMMARY = "a profile of AppArmor, for apparmor_parser: files, network and processes of the box"

NOTES = (
    Note(
        Kind.STRICTER,
        "a program without a path (a memfd) is not executed, and without a network no socket is made but unix ones",
        "AppArmor has rules for paths and for families; the box has others to the same end",
    ),
    Note(
        Kind.DIFFERS,
        "system calls, ports, limits and ids are left to the box",
        "the profile is a second wall around a box that has them, and none without it",
    ),
    Note(Kind.NOTE, "its paths are those inside the box, as they are for this caller on this machine"),
)


def label_for(policy: Policy, host: Host, *, capabilities: int | None = None) -> Label:
    """The label of a policy, whether its profile asks for one or not, and whether it is loaded or not.

    host: with the facts of the paths that the policy mentions. capabilities: those that the job will hold, if not the policy's.
    Raises: ProfileError, HostError.
    """
    others = [room for room in ROOMS if room.NAME != apparmor.NAME]
    scene = find_scene(policy, host, others)
    scene = scene if capabilities is None else replace(scene, capabilities=capabilities)
    return apparmor.label_of(apparmor.settings(policy), scene)


def write(policy: Policy, situation: Situation, *, host: Host, may_narrow: bool = False) -> Translation:
    """The text of a policy. Raises: ProfileError, HostError."""
    return Translation(label_for(policy, host, capabilities=situation.capabilities).text, NOTES)
