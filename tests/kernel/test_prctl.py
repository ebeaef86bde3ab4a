"""Capability sets and attributes of a process, read by python-prctl and checked against /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from sandboxer.kernel.prctl import CapabilitySets, read_attributes, read_capability_sets
from sandboxer.kernel.proc import find_text, parse_status
from tests.kernel.conftest import RunCode


def run(code: str) -> str:
    return subprocess.check_output([sys.executable, "-c", code], text=True)


def test_capability_sets_are_those_of_status() -> None:
    status = parse_status(find_text("/proc/self/status") or "")
    fields = ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")
    assert read_capability_sets() == CapabilitySets(*(int(status[field], 16) for field in fields))


def test_capability_that_python_prctl_does_not_name_comes_from_status() -> None:
    assert read_capability_sets(f"CapEff:\t{1 << 62:016x}\n").effective >> 62 == 1


def test_capability_sets_of_an_ordinary_user_are_empty(run_ordinary: RunCode) -> None:
    code = "from sandboxer.kernel.prctl import *; s = read_capability_sets(); print(s.effective, s.permitted, s.ambient)"
    assert run_ordinary(code) == "0 0 0\n"


def test_attributes_of_a_fresh_process_are_plain() -> None:
    found = read_attributes()
    assert (found.is_dumpable, found.death_signal) == (True, 0)


def test_hardened_supervisor_has_its_name_and_is_not_dumpable() -> None:
    code = (
        "import json; from sandboxer.kernel.prctl import *; harden_supervisor('sandboxer-and-more-words', death_signal=15);"
        "a = read_attributes(); print(json.dumps([a.name, a.is_dumpable, a.death_signal]))"
    )
    assert json.loads(run(code)) == ["sandboxer-and-m", False, 15]


def test_hardened_supervisor_cannot_be_read_by_its_own_user(run_ordinary: RunCode) -> None:
    assert run_ordinary(READ_PARENT.format(harden="harden_supervisor()")) == "PermissionError\n"


def test_plain_supervisor_can_be_read_by_its_own_user(run_ordinary: RunCode) -> None:
    assert run_ordinary(READ_PARENT.format(harden="None")) == "read\n"


READ_PARENT = """
import subprocess, sys
from sandboxer.kernel.prctl import harden_supervisor
{harden}
code = '''
import os
try:
    open(f"/proc/{{os.getppid()}}/environ").read()
    print("read")
except OSError as error:
    print(type(error).__name__)
'''
print(subprocess.check_output([sys.executable, "-c", code], text=True), end="")
"""


def test_hardened_supervisor_starts_children_that_are_dumpable() -> None:
    code = (
        "import subprocess, sys; from sandboxer.kernel.prctl import *; harden_supervisor();"
        "print(subprocess.check_output([sys.executable, '-c',"
        "'from sandboxer.kernel.prctl import *; print(read_attributes().is_dumpable)'], text=True), end='')"
    )
    assert run(code) == "True\n"


def test_hardening_keeps_privileges(run_ordinary: RunCode) -> None:
    before = read_attributes().no_new_privs
    code = "from sandboxer.kernel.prctl import *; harden_supervisor(); print(read_attributes().no_new_privs)"
    assert run(code) == f"{before}\n"
    assert os.getpid()
