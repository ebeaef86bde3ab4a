"""System call filters as the job meets them. The calls are made by their numbers, so that no library can help or hide."""

from __future__ import annotations

import platform

import pytest

from sandboxer.abi.syscalls_table import NUMBERS
from tests.live.boxes import Box
from tests.live.needs import needs

ARCH = platform.machine()
CALLS = NUMBERS[ARCH]
ABOVE_THE_TABLE = max(CALLS.values()) + 500
SIGSYS = 31


def call(name: str, *arguments: object) -> str:
    """The code of one raw call."""
    return f"raw({', '.join(map(str, (CALLS[name], *arguments)))})"


def test_allowed_call_works_and_every_other_is_refused(box: Box) -> None:
    seen = box.look(f"""
seen["allowed"] = [{call("getpid")} == os.getpid(), {call("umask", 0o22)}, {call("sched_yield")}]
seen["refused"] = [{call("mount", 0, 0, 0, 0, 0)}, {call("bpf", 0, 0, 0)}, {call("reboot", 0, 0, 0, 0)}]
seen["refused"].append({call("unshare", 0x10000000)})
seen["clone3"] = {call("clone3", 0, 0)}
seen["newer"] = [raw({ABOVE_THE_TABLE}), raw({ABOVE_THE_TABLE + 12345})]
seen["status"] = [status("Seccomp"), int(status("Seccomp_filters")[0]) >= 1]
""")
    assert seen == {
        "allowed": [True, 0o22, 0],
        "refused": ["EPERM"] * 4,
        "clone3": "ENOSYS",
        "newer": ["ENOSYS"] * 2,
        "status": [["2"], True],
    }


def test_answers_of_refused_calls_are_those_of_the_profile(box: Box) -> None:
    box.profile(
        "seccomp: {default_errno: EACCES, deny: [sched_yield, getpriority], errno: {ENOSYS: [getpriority], ENOENT: [mount]}}"
    )
    seen = box.look(f"""
seen["found"] = [{call("sched_yield")}, {call("getpriority", 0, 0)}, {call("mount", 0, 0, 0, 0, 0)}, {call("bpf", 0, 0, 0)}]
seen["twin"] = {call("sched_get_priority_max", 1)}
""")
    assert seen == {"found": ["EACCES", "ENOSYS", "ENOENT", "EACCES"], "twin": 99}


def test_call_that_is_denied_by_its_argument_is_allowed_with_another(box: Box) -> None:
    rules = "{deny: [{socket: {family: AF_NETLINK}}, {kill: {sig: 9}}], errno: {EACCES: [kill]}}"
    box.profile(f"seccomp: {rules}")
    seen = box.look(f"""
def family(number):
    socket.socket(number, socket.SOCK_DGRAM).close()
seen["socket"] = [attempt(family, number) for number in (socket.AF_UNIX, socket.AF_INET, socket.AF_NETLINK)]
me = os.getpid()
high = 1 << 32
seen["kill"] = [{call("kill", "me", 0)}, {call("kill", "me", 9)}, {call("kill", "me", "high | 9")}, {call("kill", "me", "high")}]
""")
    assert seen == {"socket": ["ok", "ok", "EPERM"], "kill": [0, "EACCES", "EACCES", 0]}


def test_call_that_is_allowed_by_its_argument_is_refused_with_another(box: Box) -> None:
    box.profile("seccomp: {allow: [{unshare: {unshare_flags: {in: [CLONE_FS, CLONE_FILES]}}}]}")
    seen = box.look(f"""
seen["found"] = [{call("unshare", 0x200)}, {call("unshare", 0x400)}, {call("unshare", 0x600)}, {call("unshare", 0x10000000)}]
""")
    assert seen == {"found": [0, 0, "EPERM", "EPERM"]}


def test_whole_group_is_denied_by_its_name(box: Box) -> None:
    look = f"seen['found'] = [attempt(lambda: socket.socket().close()), {call('sched_yield')}]"
    assert box.look(look) == {"found": ["ok", 0]}
    box.profile("seccomp: {deny: ['@network']}")
    assert box.look(look) == {"found": ["EPERM", 0]}


@needs("x86_64")
def test_call_of_a_foreign_kind_ends_the_process_and_is_told(box: Box) -> None:
    done, report = box.told(*box.python(f"raw(0x40000000 + {CALLS['getpid']})"))
    assert done.returncode == 128 + SIGSYS
    assert (report["reason"], report["signal"], report["exit_code"]) == ("seccomp_kill", SIGSYS, None)
    assert "SIGSYS ended it, the signal of the system call filter" in done.stderr
    seen = box.look(f"seen['child'] = ended(lambda: raw(0x40000000 + {CALLS['getpid']}))")
    assert seen == {"child": -SIGSYS}


def test_filter_holds_for_children_and_threads(box: Box) -> None:
    seen = box.look(f"""
import threading
found = []
thread = threading.Thread(target=lambda: found.append({call("mount", 0, 0, 0, 0, 0)}))
thread.start()
thread.join()
seen["thread"] = found
seen["child"] = ended(lambda: os._exit(7 if {call("mount", 0, 0, 0, 0, 0)} == "EPERM" else 8))
""")
    assert seen == {"thread": ["EPERM"], "child": 7}


def test_profile_without_rules_is_refused(box: Box) -> None:
    box.profile(policies=["filesystem/runtime"])
    assert "seccomp" in box.refusal()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{deny: [getppidd]}", "did you mean getppid"),
        ("{deny: ['@netwrk']}", "@netwrk"),
        ("{deny: [{kill: {signal: 9}}]}", "signal"),
        ("{deny: [{socket: {family: AF_NOTHING}}]}", "AF_NOTHING"),
        ("{default_errno: EWHATEVER}", "EWHATEVER"),
    ],
)
def test_rule_that_nobody_knows_is_refused_with_its_place(box: Box, text: str, message: str) -> None:
    box.profile(f"seccomp: {text}")
    refusal = box.refusal()
    assert message in refusal
    assert ".sandboxer/profiles/box.yaml:5:" in refusal
