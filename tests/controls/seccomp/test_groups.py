"""The shipped groups: every call is somewhere, and nothing dangerous is in what applications get."""

from __future__ import annotations

import pytest

from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.rules import CALLS, Rule
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.filters import POLICIES, Groups, meaning, programs

APPLICATION = meaning('allow: ["@application"]')
STACK = programs(APPLICATION)
UNSAFE = ("debug", "namespaces", "mount", "module", "keyring", "bpf", "io-uring", "clock-set", "privileged", "obsolete")
NAMES = sorted(path.stem for path in (POLICIES / "syscalls").glob("*.yaml"))


def calls_of(group: str) -> set[str]:
    return {rule.call for rule in Groups()[group].values("allow") if isinstance(rule, Rule)}


def errno(call: str, *arguments: int) -> int:
    return run_stack(STACK, Call(NUMBERS["x86_64"][call], arguments)).errno


@pytest.mark.parametrize("name", NAMES)
def test_group_can_be_granted_beside_what_a_start_needs(name: str) -> None:
    programs(meaning(f'allow: [execve, exit_group, "@{name}"]'))


def test_every_call_is_in_some_group() -> None:
    assert set().union(*map(calls_of, NAMES)) == CALLS


@pytest.mark.parametrize("name", UNSAFE)
def test_application_allows_nothing_of_an_unsafe_group(name: str) -> None:
    for call in calls_of(name) - {"clone"}:
        assert not APPLICATION.passes_some(call), call


def test_application_allows_what_programs_use() -> None:
    for call in (
        "newfstatat",
        "read",
        "write",
        "mmap",
        "futex",
        "epoll_wait",
        "execve",
        "wait4",
        "connect",
        "getrandom",
        "mprotect",
    ):
        assert APPLICATION.passes_whole(call), call


@pytest.mark.parametrize(
    "family", ["AF_ALG", "AF_PACKET", "AF_VSOCK", "AF_KEY", "AF_BLUETOOTH", "AF_XDP", "AF_TIPC", "AF_UNSPEC"]
)
def test_application_makes_no_sockets_of_odd_families(family: str) -> None:
    assert errno("socket", CONSTANTS[family], 2) == 1


@pytest.mark.parametrize("family", ["AF_UNIX", "AF_INET", "AF_INET6"])
def test_application_makes_sockets_of_the_usual_families(family: str) -> None:
    assert errno("socket", CONSTANTS[family], CONSTANTS["SOCK_STREAM"] | CONSTANTS["SOCK_CLOEXEC"]) == 0


def test_application_asks_netlink_for_routes_only() -> None:
    assert errno("socket", CONSTANTS["AF_NETLINK"], 3, CONSTANTS["NETLINK_ROUTE"]) == 0
    assert errno("socket", CONSTANTS["AF_NETLINK"], 3, CONSTANTS["NETLINK_NETFILTER"]) == 1


def test_application_makes_fifos_and_no_devices() -> None:
    assert errno("mknod", 0, CONSTANTS["S_IFIFO"] | 0o600) == 0
    assert errno("mknod", 0, CONSTANTS["S_IFCHR"] | 0o600) == 1
    assert errno("mknodat", 0, 0, CONSTANTS["S_IFBLK"] | 0o600 | 1 << 16) == 1


@pytest.mark.parametrize("bit", ["S_ISUID", "S_ISGID"])
def test_application_makes_no_set_id_files(bit: str) -> None:
    mode = CONSTANTS[bit] | 0o755
    make, temporary = CONSTANTS["O_CREAT"], CONSTANTS["__O_TMPFILE"]
    assert {errno("openat", 0, 0, flags, mode) for flags in (make, temporary, 1 << 32 | make)} == {1}
    assert {errno("open", 0, make, mode), errno("creat", 0, mode), errno("mknod", 0, mode), errno("mknodat", 0, 0, mode)} == {1}
    assert {errno("chmod", 0, mode), errno("fchmod", 0, mode), errno("fchmodat", 0, 0, mode), errno("fchmodat2", 0, 0, mode)} == {
        1
    }


def test_application_makes_and_opens_other_files() -> None:
    assert errno("openat", 0, 0, CONSTANTS["O_CREAT"], 0o1755) == 0
    assert errno("openat", 0, 0, 0, CONSTANTS["S_ISUID"]) == 0
    assert errno("chmod", 0, 0o1755) == 0


def test_application_has_no_openat2_since_its_mode_cannot_be_seen() -> None:
    assert errno("openat2", 0, 0, 0, 24) == 38


def test_application_keeps_address_protection() -> None:
    assert errno("personality", 0xFFFFFFFF) == 0
    assert errno("personality", CONSTANTS["READ_IMPLIES_EXEC"]) == 1
    assert errno("personality", CONSTANTS["ADDR_NO_RANDOMIZE"]) == 1


def test_application_may_name_itself_and_not_rewrite_its_memory_map() -> None:
    assert errno("prctl", CONSTANTS["PR_SET_NAME"]) == 0
    assert errno("prctl", CONSTANTS["PR_SET_MM"]) == 1


def test_denied_network_leaves_local_sockets() -> None:
    stack = programs(meaning('allow: ["@application"]\ndeny: ["@network"]'))
    number = NUMBERS["x86_64"]["socket"]
    assert run_stack(stack, Call(number, (CONSTANTS["AF_INET"], 1))).errno == 1
    assert run_stack(stack, Call(number, (CONSTANTS["AF_UNIX"], 1))).is_allowed


def test_base_alone_starts_and_ends_programs_and_makes_no_socket() -> None:
    base = meaning('allow: ["@base"]')
    assert base.passes_whole("execve")
    assert base.passes_whole("mmap")
    assert not base.passes_some("socket")
    assert not base.passes_some("fork")
