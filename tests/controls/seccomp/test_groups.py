"""The shipped groups: every call is somewhere, and nothing dangerous is in what applications get."""

from __future__ import annotations

import pytest

from sandboxer.abi.capabilities import Capability
from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.rules import CALLS, Rule, Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.model.node import Mapping, Scalar, Sequence, parse_node
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.filters import POLICIES, Groups, meaning, programs

APPLICATION = meaning('allow: ["@application"]')
STACK = programs(APPLICATION)
UNSAFE = (
    "debug",
    "namespaces",
    "namespace-flags",
    "mount",
    "module",
    "keyring",
    "bpf",
    "io-uring",
    "clock-set",
    "privileged",
    "obsolete",
    "cpu-emulation",
    "raw-io",
    "reboot",
    "swap",
)
EXPECTED = """
aio basic-io bpf chown clock cpu-emulation debug default file-read file-system file-write io-event io-uring ipc keyring
memory module mount namespace-flags network obsolete privileged process raw-io reboot resources sandbox setuid signals
swap sync system-service time timer
"""
"""Names that people bring from elsewhere, most of them systemd's."""
SAME = {
    "aio": "async-io",
    "clock": "clock-set",
    "default": "base",
    "io-event": "poll",
    "sandbox": "self-restrict",
    "setuid": "ids-change",
    "system-service": "application",
    "time": "time-read",
}
_DANGEROUS = """
acct add_key adjtimex bpf chroot clock_adjtime clock_settime clone3 delete_module fanotify_init fanotify_mark
finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp
kexec_file_load kexec_load keyctl lookup_dcookie lsm_set_self_attr migrate_pages modify_ldt mount mount_setattr
move_mount move_pages name_to_handle_at open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd
pivot_root process_madvise process_mrelease process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot
remap_file_pages request_key setdomainname sethostname setns settimeofday swapoff swapon sync sysfs syslog umount2
unshare userfaultfd ustat vhangup
"""
DANGEROUS = frozenset(_DANGEROUS.split())
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


def test_every_call_of_our_architectures_is_in_some_group() -> None:
    grouped = set().union(*map(calls_of, NAMES))
    for arch in ("x86_64", "aarch64", "riscv64"):
        assert not NUMBERS[arch].keys() - grouped, arch


@pytest.mark.parametrize("name", NAMES)
def test_group_says_what_it_is_for(name: str) -> None:
    node = parse_node((POLICIES / "syscalls" / f"{name}.yaml").read_bytes(), name)
    assert isinstance(node, Mapping)
    said = {key.text: value.text for key, value in node.entries if isinstance(value, Scalar)}
    assert said["name"] == f"syscalls/{name}"
    assert said["description"].endswith(".")


def test_names_that_people_expect_are_there() -> None:
    assert set(EXPECTED.split()) <= set(NAMES)


@pytest.mark.parametrize(("other", "name"), sorted(SAME.items()))
def test_group_under_another_name_is_the_same(other: str, name: str) -> None:
    for field in ("allow", "deny", "errno"):
        assert set(Groups()[other].values(field)) == set(Groups()[name].values(field))


def included(name: str) -> set[str]:
    """A group and all that it includes."""
    node = parse_node((POLICIES / "syscalls" / f"{name}.yaml").read_bytes(), name)
    assert isinstance(node, Mapping)
    policies = node.get("policies")
    items = policies.items if isinstance(policies, Sequence) else ()
    return {name}.union(*(included(item.text.removeprefix("syscalls/")) for item in items if isinstance(item, Scalar)))


@pytest.mark.parametrize("name", sorted(included("application") | included("system-service")))
def test_no_group_of_application_grants_a_dangerous_call(name: str) -> None:
    assert not calls_of(name) & DANGEROUS


def test_dangerous_calls_exist_and_each_is_in_a_group_of_its_own_kind() -> None:
    assert DANGEROUS <= CALLS
    assert set().union(*map(calls_of, set(NAMES) - included("system-service"))) >= DANGEROUS


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


@pytest.mark.parametrize(("held", "answer"), [(0, Errno.EPERM), (1 << Capability.SETGID, 0)])
def test_groups_are_set_only_by_who_may_hold_the_capability(held: int, answer: int) -> None:
    """Without it the kernel answers the same."""
    found = meaning('allow: [execve, exit_group, "@ids-change"]').at(Situation("x86_64", (6, 12), held))
    (filter_,) = compile_stack(found, "x86_64")
    assert run_stack([filter_.program], Call(NUMBERS["x86_64"]["setgroups"], (0, 0))).errno == answer
    assert run_stack([filter_.program], Call(NUMBERS["x86_64"]["setgid"], (0,))).errno == 0


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


NAMESPACES = [name for name in CONSTANTS if name.startswith("CLONE_NEW")]


@pytest.mark.parametrize("flag", NAMESPACES)
def test_denied_namespace_flags_leave_the_calls_without_them(flag: str) -> None:
    stack = programs(meaning('allow: ["@application", clone, unshare, setns]\ndeny: ["@namespace-flags"]'))
    number = NUMBERS["x86_64"]
    assert run_stack(stack, Call(number["unshare"], (CONSTANTS[flag],))).errno == 1
    assert run_stack(stack, Call(number["unshare"], (CONSTANTS[flag] | CONSTANTS["CLONE_FS"],))).errno == 1
    assert run_stack(stack, Call(number["unshare"], (CONSTANTS["CLONE_FS"],))).is_allowed
    assert run_stack(stack, Call(number["setns"], (3, CONSTANTS[flag]))).errno == 1
    # In clone the bit of CLONE_NEWTIME belongs to the signal, and makes no namespace.
    is_denied = flag != "CLONE_NEWTIME"
    assert (run_stack(stack, Call(number["clone"], (CONSTANTS[flag] | CONSTANTS["SIGCHLD"],))).errno == 1) == is_denied
    assert run_stack(stack, Call(number["clone"], (CONSTANTS["CLONE_VM"] | CONSTANTS["SIGCHLD"],))).is_allowed


def test_denied_namespace_flags_leave_mounts_without_them() -> None:
    stack = programs(meaning('allow: ["@application", "@mount"]\ndeny: ["@namespace-flags"]'))
    number = NUMBERS["x86_64"]
    for call, flags_at, flag in (("open_tree", 2, "OPEN_TREE_NAMESPACE"), ("fsmount", 1, "FSMOUNT_NAMESPACE")):
        arguments = [0] * 6
        assert run_stack(stack, Call(number[call], tuple(arguments))).is_allowed
        arguments[flags_at] = CONSTANTS[flag]
        assert run_stack(stack, Call(number[call], tuple(arguments))).errno == 1
