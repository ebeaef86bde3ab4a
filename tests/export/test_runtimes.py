"""Exported JSON through libseccomp, added call by call as container runtimes do it: the filter means what the policy says."""

from __future__ import annotations

import json
import os
import platform
from typing import Any

import pyseccomp
import pytest

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.bits import Region
from sandboxer.controls.seccomp.compiler.program import Program, decode
from sandboxer.controls.seccomp.compiler.proof import ARCH, NUMBER, WORD, walk
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import answers_in
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.export.oci_seccomp import write_settings
from tests.controls.seccomp.filters import meaning
from tests.export.test_oci_seccomp import profile_settings

MACHINE = platform.machine()
HERE = Situation(MACHINE, (6, 12), 0)
OPERATORS = {"SCMP_CMP_EQ": pyseccomp.EQ, "SCMP_CMP_NE": pyseccomp.NE, "SCMP_CMP_MASKED_EQ": pyseccomp.MASKED_EQ}
ACTIONS = {"ALLOW": pyseccomp.ALLOW, "LOG": pyseccomp.LOG, "TRAP": pyseccomp.TRAP, "KILL_PROCESS": pyseccomp.KILL_PROCESS}
pytestmark = pytest.mark.skipif(MACHINE not in NUMBERS, reason="libseccomp is asked with the numbers of this machine")


def action_of(row: dict[str, Any], default: int) -> int:
    if row["action"] == "SCMP_ACT_ERRNO":
        return int(pyseccomp.ERRNO(row.get("errnoRet", default)))
    return int(ACTIONS[row["action"].removeprefix("SCMP_ACT_")])


def build(data: dict[str, Any]) -> Program:
    """The filter of a document: a rule for each name and entry, those of the default action left out."""
    default = int(pyseccomp.ERRNO(data["defaultErrnoRet"]))
    work = pyseccomp.SyscallFilter(default)
    work.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    for row in data["syscalls"]:
        action = action_of(row, 1)
        args = [
            pyseccomp.Arg(item["index"], OPERATORS[item["op"]], item["value"], item.get("valueTwo", 0))
            for item in row.get("args", ())
        ]
        for name in row["names"] if action != default else ():
            work.add_rule(action, NUMBERS[MACHINE][name], *args)
    with open(os.memfd_create("filter", os.MFD_CLOEXEC), "rb") as file:
        work.export_bpf(file)
        file.seek(0)
        return decode(file.read())


def check_filter(settings: Settings, program: Program) -> None:
    """Every call of the table answers, in every region of its arguments, what the policy says."""
    mine = settings.at(HERE)
    machine = Region().narrowed(ARCH, WORD, ((bpf.AUDIT_ARCH[MACHINE],) * 2,))
    assert machine is not None
    for call, number in NUMBERS[MACHINE].items():
        here = machine.narrowed(NUMBER, WORD, ((number, number),))
        assert here is not None
        for region, wanted in answers_in(mine, call, MACHINE, here):
            for part, found in walk(program, region):
                assert found == wanted, (call, part.point())


@pytest.mark.parametrize("name", ["default", "strict"])
def test_shipped_profile_means_the_same_to_libseccomp(name: str) -> None:
    settings = profile_settings(name)
    program = build(json.loads(write_settings(settings, HERE).text))
    assert len(program) <= bpf.MAX_INSTRUCTIONS
    check_filter(settings, program)


@pytest.mark.parametrize(
    "text",
    [
        "allow: [execve, exit_group, socket]\ndeny: [{socket: {family: 38}, errno: EACCES}, {socket: {type: {masked: [15, 3]}}}]",
        "allow: [execve, exit_group, read]\ndeny: [{read: {fd: 5}, action: trap}]\ndefault_errno: ENOSYS",
        "allow: [execve, exit_group, {mmap: {prot: {none_of: [PROT_EXEC]}, addr: {not: 0}}}]\nerrno: {EACCES: [write]}",
        "allow: [execve, exit_group, {prctl: {}, action: log}, {ioctl: {cmd: {range: [3, 900]}, fd: {le: 2}}}]",
    ],
)
def test_policy_means_the_same_to_libseccomp(text: str) -> None:
    settings = meaning(text)
    check_filter(settings, build(json.loads(write_settings(settings, HERE).text)))
