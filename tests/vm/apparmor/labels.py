"""What tests of labels share: profiles of boxes, loading their labels into the kernel, and what it recorded of them."""

from __future__ import annotations

import subprocess

from tests.live.boxes import Box

SHELL = ("box/application",)
PROJECT = "filesystem: {{write: ['{place}'], execute: ['{place}'], read_only: ['{place}/kept'], working_directory: '{place}'}}\n"
READ = "filesystem: {{read: ['{place}'], working_directory: '{place}'}}\n"
LABEL = "cat /proc/self/attr/apparmor/current"


def write_profile(box: Box, name: str, text: str, more: str = "") -> None:
    """A profile with a shell in it; {place} is the box's workplace."""
    box.profile(text.format(place=box.place) + more, name=name, policies=SHELL)


def exported(box: Box, name: str) -> str:
    """The AppArmor profile of a box of this person's."""
    done = box.person.run([box.installation.command, "export", "apparmor", name], cwd=box.place)
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(box: Box, name: str, labels: list[str]) -> str:
    """Load the profile of a box as root does it for others; its name."""
    text = exported(box, name)
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=text, text=True, check=True)
    labels.append(text.split('"')[1])
    return labels[-1]


def kernel_log() -> list[str]:
    return subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout.splitlines()


def denials(label: str, operation: str) -> list[str]:
    """What the kernel recorded of a label."""
    marks = ('apparmor="DENIED"', f'profile="{label}"', f'operation="{operation}"')
    return [line for line in kernel_log() if all(mark in line for mark in marks)]
