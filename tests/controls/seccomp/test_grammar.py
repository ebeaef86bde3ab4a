"""Rules are read as they are meant, and what is wrong is said with its place."""

from __future__ import annotations

import pytest

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.rules import Answer, Condition, Group, Rule, When
from sandboxer.errors import ProfileError
from tests.controls.seccomp.filters import section

WORD = 0xFFFFFFFF


def one(call: str, argument: str, mask: int, *values: int) -> Rule:
    """A rule of one condition: the argument under the mask is one of these values."""
    return Rule(call, ((Condition(argument, mask, tuple((value, value) for value in values)),),))


def rule(text: str) -> object:
    return section(f"allow: [{text}]").values("allow")[0]


def error(text: str) -> str:
    with pytest.raises(ProfileError) as caught:
        section(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("read", Rule("read")),
        ('"@file-read"', Group("file-read")),
        ("{socket: {family: AF_UNIX}}", one("socket", "family", WORD, 1)),
        ("{socket: {family: 1}}", one("socket", "family", WORD, 1)),
        ("{socket: {family: {in: [AF_INET6, AF_INET]}}}", one("socket", "family", WORD, 2, 10)),
        ("{clone: {clone_flags: {none_of: [CLONE_NEWUSER]}}}", one("clone", "clone_flags", 0x10000000, 0)),
        ("{mknod: {mode: {masked: [S_IFMT, S_IFREG]}}}", one("mknod", "mode", 0xF000, 0x8000)),
        ('{mmap: {prot: "PROT_READ|PROT_EXEC"}}', one("mmap", "prot", WORD, 5)),
        ('{ioctl: {cmd: "0x5412"}}', one("ioctl", "cmd", WORD, 0x5412)),
        ("{openat: {dfd: -100}}", one("openat", "dfd", WORD, 0xFFFFFF9C)),
        ("{read: {buf: 0}}", one("read", "buf", (1 << 64) - 1, 0)),
    ],
)
def test_rule_is_read_as_it_is_meant(text: str, expected: object) -> None:
    assert rule(text) == expected


def test_rules_that_say_the_same_are_equal() -> None:
    assert rule("{socket: {type: 1, family: AF_INET}}") == rule("{socket: {family: {in: [2, 2]}, type: SOCK_STREAM}}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("allow: [opne]", "unknown system call 'opne'"),
        ("allow: [socketcall]", "exists only for 32-bit x86"),
        ("allow: [{socket: {famly: 1}}]", "socket has no argument 'famly'"),
        ("allow: [{getpid: {x: 1}}]", "getpid takes no arguments"),
        ("allow: [{epoll_ctl_old: {x: 1}}]", "the arguments of epoll_ctl_old are not known"),
        ("allow: [{socket: {family: AF_INETT}}]", "unknown value 'AF_INETT'"),
        ("allow: [{socket: {type: AF_INET}}]", "AF_INET is no value of type"),
        ("allow: [{socket: {family: 4294967296}}]", "4294967296 does not fit into family"),
        ("allow: [{mknod: {mode: 65536}}]", "65536 does not fit into mode"),
        ("allow: [{socket: {family: {in: []}}}]", "expected a list of values that is not empty"),
        ("allow: [{socket: {family: {inn: [1]}}}]", "unknown condition 'inn'"),
        ("allow: [{mmap: {prot: {masked: [PROT_READ]}}}]", "expected [mask, value], found 1 values"),
        ("allow: [{mmap: {prot: {masked: [PROT_READ, PROT_WRITE]}}}]", "0x2 has bits outside of the mask 0x1"),
        ("allow: [{mmap: {prot: {masked: [0, 0]}}}]", "a mask of 0 looks at nothing"),
        ("allow: [{clone: {clone_flags: {none_of: [0]}}}]", "0 has no bits that could be set or clear"),
        ("allow: [{read: {buf: 1}}]", "buf is a pointer, which can be compared with 0 only"),
        ("allow: [{execve: {filename: {none_of: [1]}}}]", "filename is a pointer"),
        ('allow: [{"@network": {family: 1}}]', "a group has no arguments"),
        ('allow: ["@Net work"]', "cannot name a group"),
        ("allow: [{socket: {}}]", "expected the arguments of socket as a mapping, found an empty one"),
        ("allow: [{socket: {family: 1}, read: {fd: 1}}]", "found a mapping of 2 names"),
        ("allow: read", "expected a list of rules, found a text"),
        ("errno: {EPRM: [read]}", "unknown error number 'EPRM'"),
        ("errno: {ENOSYS: read}", "expected a list of calls, found a text"),
        ("errno: {ENOSYS: [{socket: {family: 1}}]}", "an answer is for every refused use of socket"),
        ("default_errno: 1", "unknown error number '1'"),
        ("backend: mine", "unknown backend 'mine'"),
    ],
)
def test_wrong_text_is_refused_with_the_reason(text: str, what: str) -> None:
    assert what in error(text)


def test_misspelt_names_are_followed_by_what_was_meant() -> None:
    assert "did you mean" in error("allow: [opneat]")
    assert "openat" in error("allow: [opneat]")
    assert "did you mean family?" in error("allow: [{socket: {famly: 1}}]")
    assert "AF_INET" in error("allow: [{socket: {family: AF_INETT}}]")


def test_all_wrong_items_of_a_list_are_said_at_once_with_their_places() -> None:
    shown = error("allow: [opne, read, cloze]\ndeny: [mout]")
    assert all(place in shown for place in ("test.yaml:1:9", "test.yaml:1:21", "test.yaml:2:8"))


def test_rule_with_too_many_combinations_is_refused() -> None:
    many = " && ".join(f"(family != {number} || protocol & {1 << number})" for number in range(20))
    assert "alternatives; a rule may have 256" in error(f"allow: [{{socket: {{expr: '{many}'}}}}]")


def test_answers_are_read_for_calls_and_groups() -> None:
    said = section('errno: {ENOSYS: [clone3, "@io-uring"], EACCES: [bpf]}').values("errno")
    assert said == (Answer(38, "clone3"), Answer(38, "@io-uring"), Answer(13, "bpf"))


def test_answers_take_the_conditions_of_rules() -> None:
    text = """
    errno:
      ENOSYS:
        - clone3
        - {bpf: {}, when: {arch: aarch64, kernel: ">=5.8"}}
        - {"@io-uring": {}, when: {capability: CAP_BPF, no_capability: [CAP_SYS_ADMIN]}}
    """
    plain, call, group = section(text).values("errno")
    assert plain == Answer(38, "clone3")
    assert call == Answer(38, "bpf", When(("aarch64",), ((5, 8), (0, 0))))
    assert group == Answer(38, "@io-uring", When(held=1 << 39, unheld=1 << 21))
    assert str(call) == "ENOSYS: bpf (on aarch64, from Linux 5.8)"
    assert str(plain) == "ENOSYS: clone3"


def test_condition_of_an_answer_is_refused_in_the_words_of_rules() -> None:
    assert "unknown architecture 'arm64'" in error("errno: {ENOSYS: [{bpf: {}, when: {arch: arm64}}]}")
    assert "test.yaml:1:41" in error("errno: {ENOSYS: [{bpf: {}, when: {arch: arm64}}]}")
    assert "expected the arguments of bpf as a mapping, found an empty one" in error("errno: {ENOSYS: [{bpf: {}}]}")


# ── options ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def deny(text: str) -> object:
    return section(f"deny: [{text}]").values("deny")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{getpid: {}, action: allow}", Rule("getpid")),
        ("{getpid: {}, action: log}", Rule("getpid", answer=bpf.RET_LOG)),
        ("{action: log, getpid: {}}", Rule("getpid", answer=bpf.RET_LOG)),
        ('{"@net": {}, action: log}', Group("net", answer=bpf.RET_LOG)),
        ('{"@net": {but: [bind, accept, bind]}}', Group("net", ("accept", "bind"))),
        ("{getpid: {}, when: {arch: x86_64}}", Rule("getpid", when=When(("x86_64",)))),
        ("{getpid: {}, when: {arch: [riscv64, aarch64, riscv64]}}", Rule("getpid", when=When(("aarch64", "riscv64")))),
        ('{getpid: {}, when: {kernel: [">=5.8", "<6.10"]}}', Rule("getpid", when=When(kernel=((5, 8), (6, 10))))),
        ('{getpid: {}, when: {kernel: ">= 5.8"}}', Rule("getpid", when=When(kernel=((5, 8), (0, 0))))),
        ("{getpid: {}, when: {capability: [CHOWN, CAP_KILL]}}", Rule("getpid", when=When(held=0b100001))),
        ("{getpid: {}, when: {no_capability: CAP_CHECKPOINT_RESTORE}}", Rule("getpid", when=When(unheld=1 << 40))),
    ],
)
def test_options_of_a_grant_are_read(text: str, expected: object) -> None:
    assert rule(text) == expected


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("{bpf: {}, action: errno}", -1),
        ("{bpf: {}, action: kill_process}", bpf.RET_KILL_PROCESS),
        ("{bpf: {}, action: kill_thread}", bpf.RET_KILL_THREAD),
        ("{bpf: {}, action: trap}", bpf.RET_TRAP),
        ("{bpf: {}, action: notify}", bpf.RET_USER_NOTIF),
        ("{bpf: {}, errno: EIO}", bpf.RET_ERRNO | 5),
        ("{bpf: {}, action: errno, errno: EIO}", bpf.RET_ERRNO | 5),
    ],
)
def test_options_of_a_deny_are_read(text: str, answer: int) -> None:
    assert deny(text) == Rule("bpf", answer=answer)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("allow: [{getpid: {}, action: kill_process}]", "'kill_process' is no action of `allow`"),
        ("allow: [{getpid: {}, action: lgo}]", "'lgo' is no action of `allow`"),
        ("allow: [{getpid: {}, errno: EIO}]", "an allowed call answers for itself"),
        ("deny: [{getpid: {}, action: log}]", "'log' is no action of `deny`"),
        ("deny: [{getpid: {}, action: allow}]", "'allow' is no action of `deny`"),
        ("deny: [{getpid: {}, action: trap, errno: EIO}]", "trap answers no errno"),
        ("deny: [{getpid: {}, errno: EOI}]", "unknown error number 'EOI'"),
        ("deny: [{getpid: {}, errno: 5}]", "unknown error number '5'"),
        ("deny: [{errno: EIO}]", "found a mapping of 0 names"),
        ("allow: [{getpid: 1, action: log}]", "expected the arguments of getpid as a mapping, found a number"),
        ("allow: [{getpid: {}, when: {}}]", "expected conditions as in {arch: x86_64}"),
        ("allow: [{getpid: {}, when: x86_64}]", "expected conditions as in {arch: x86_64}"),
        ("allow: [{getpid: {}, when: {cpu: x86_64}}]", "unknown condition 'cpu'"),
        ("allow: [{getpid: {}, when: {arch: i386}}]", "unknown architecture 'i386'"),
        ("allow: [{getpid: {}, when: {arch: []}}]", "an empty list holds for nothing"),
        ("allow: [{getpid: {}, when: {capability: []}}]", "an empty list holds for nothing"),
        ("allow: [{getpid: {}, when: {capability: CAP_CHWON}}]", "unknown capability 'CAP_CHWON'"),
        ('allow: [{getpid: {}, when: {kernel: "5.8"}}]', "'5.8' says nothing about a kernel"),
        ('allow: [{getpid: {}, when: {kernel: ">5.8"}}]', "'>5.8' says nothing about a kernel"),
        ('allow: [{getpid: {}, when: {kernel: ">=5"}}]', "'>=5' says nothing about a kernel"),
        ('allow: [{getpid: {}, when: {kernel: ">=5.8.1"}}]', "'>=5.8.1' says nothing about a kernel"),
        ('allow: [{getpid: {}, when: {kernel: [">=6.1", "<6.1"]}}]', "no kernel fulfils this"),
        ('allow: [{"@net": {but: []}}]', "expected a list of calls that is not empty"),
        ('allow: [{"@net": {but: bind}}]', "expected a list of calls that is not empty"),
        ('allow: [{"@net": {but: [bnid]}}]', "unknown system call 'bnid'"),
        ('allow: [{"@net": bind}]', "expected {but: [call, ...]} for @net"),
        ("errno: {EIO: [{getpid: {}, action: log}]}", "an answer is for a call or a group, with `when` and no other options"),
        ('errno: {EIO: [{"@net": {but: [bind]}}]}', "an answer is for a call or a group, with `when` and no other options"),
        ("frequency: {raed: 1}", "unknown system call 'raed'"),
        ("frequency: {read: -1}", "-1 is out of range"),
        ("frequency: {read: many}", "expected a whole number"),
        ("frequency: [read]", "expected a mapping of calls to counts"),
        ("strict: 1", "expected true or false"),
    ],
)
def test_wrong_option_is_refused_with_the_reason(text: str, what: str) -> None:
    assert what in error(text)


def test_all_wrong_counts_are_said_at_once() -> None:
    shown = error("frequency: {raed: 1, read: -1, write: 2}")
    assert "raed" in shown
    assert "-1 is out of range" in shown
