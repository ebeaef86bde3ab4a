"""What tests of boxes in domains share: profiles, modules that are loaded once, labels, denials."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from sandboxer.controls.lsm.selinux import SHARED_TYPE, shared_module_path
from tests.live.boxes import Box

SHELL = ("box/application",)
PROJECT = "filesystem: {{write: ['{place}'], execute: ['{place}'], read_only: ['{place}/kept'], working_directory: '{place}'}}\n"
OTHER = PROJECT.replace("filesystem: {{", "filesystem: {{tmpfs: [{{path: /more, execute: true}}], ")
"""It says what no other profile here does, so its module is another one."""
LABEL = "cat /proc/self/attr/current | tr -d '\\0'"
GENERATE = "selinux: {type: generate}\n"
_PAIR = re.compile(r"^[^:]+:[^:]+:(\w+):s0:(c\d+,c\d+)$")
_loaded: set[str] = set()


def write_profile(box: Box, name: str, text: str, more: str = "") -> None:
    """A profile with a shell in it; {place} is the box's workplace."""
    box.profile(text.format(place=box.place) + more, name=name, policies=SHELL)


def load(box: Box, name: str, *more: Path) -> str:
    """Load the module of a profile, and further ones, as root does it for others, if it is not yet; its name."""
    done = box.person.run([box.installation.command, "export", "selinux", name], cwd=box.place)
    assert done.returncode == 0, done.stderr
    module = done.stdout.split("(type ", 1)[1].split("_t)", 1)[0]
    if module not in _loaded:
        path = Path(f"/tmp/{module}.cil")
        path.write_text(done.stdout)
        subprocess.run(["semodule", "-i", shared_module_path(), path, *more], check=True, capture_output=True)
        _loaded.add(module)
    return module


def relabel(path: Path, kind: str = SHARED_TYPE, level: str = "s0") -> None:
    subprocess.run(["chcon", "-R", f"system_u:object_r:{kind}:{level}", path], check=True)


def denials(*marks: str) -> list[str]:
    """What the kernel recorded with all of these in it."""
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return [line for line in log.splitlines() if "avc:  denied" in line and all(mark in line for mark in marks)]


def domain_and_pair(text: str) -> tuple[str, str]:
    found = _PAIR.match(text.splitlines()[0])
    assert found, text
    return found[1], found[2]


ONCE = pytest.mark.parametrize("project", ["caller"], indirect=True)
"""Of what is the same for everybody."""
AS_ORDINARY = pytest.mark.parametrize("project", ["ordinary"], indirect=True)
