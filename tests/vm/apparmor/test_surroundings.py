"""Callers whom AppArmor gives user namespaces without capabilities, as hardened distributions and containers do."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.live.boxes import GROUND, Box, enforced

OUTER = """\
abi <abi/3.0>,
profile {name} flags=(attach_disconnected, mediate_deleted) {{
  file, network, unix, signal, ptrace,
  capability {capabilities},
}}
"""
STARTING = ("setuid", "setgid", "setpcap", "chown", "kill", "dac_override", "dac_read_search", "fowner")
"""What a login has on its way to a user, and a service of root's."""


def under(box: Box, name: str, labels: list[str], capabilities: Sequence[str]) -> Box:
    """The box as a caller starts it who is under a profile that lets him mount nothing."""
    text = OUTER.format(name=name, capabilities=", ".join(capabilities).replace(", ", ",\n  capability "))
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=text, text=True, check=True)
    labels.append(name)
    return replace(box, ahead=("aa-exec", "-p", name, "--"))


@pytest.mark.parametrize("person", ["ordinary"], indirect=True)
def test_caller_whose_profile_takes_the_capabilities_away_is_told_which_one(box: Box, labels: list[str]) -> None:
    confined = under(box, "hardened", labels, STARTING)
    said = confined.refusal()
    assert "AppArmor's hardened (enforce), which this process is under, takes its capabilities away inside" in said
    assert "try: start it from outside of that profile (docker run --security-opt apparmor=unconfined ...)" in said
    assert box.output("echo", "works") == "works\n"


def test_profile_that_lets_the_box_go_starts_there_all_the_same(box: Box, labels: list[str]) -> None:
    home = box.person.home
    mode = home.stat().st_mode
    home.chmod(0o755)
    box.place.chmod(0o755)
    box.profile(policies=(*GROUND, "box/anywhere"))
    done, report = under(box, "hardened", labels, STARTING).told("echo", "works")
    home.chmod(mode)
    assert (done.returncode, done.stdout) == (0, "works\n"), done.stderr
    assert enforced(report, "namespaces")[0] == "weakened: the command runs without a box"
