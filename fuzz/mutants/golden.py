"""Calls and what they answer, worked out by a person from the text of a policy and the kernel's tables. All numbers are literals:
nothing here comes from the code that is judged by it.
"""

from __future__ import annotations

from dataclasses import dataclass

ALLOW, LOG, KILL, THREAD, TRAP, NOTIFY = 0x7FFF0000, 0x7FFC0000, 0x80000000, 0x00000000, 0x00030000, 0x7FC00000
EPERM, EIO, EACCES, ENOSYS = 0x50001, 0x50005, 0x5000D, 0x50026
HIGH, SIGN, FULL = 1 << 32, 0xFFFFFFFF << 32, (1 << 64) - 1
NEW = (6, 12)

Point = tuple[int, tuple[int, ...], int]
"""(number, arguments, answer)."""


@dataclass(frozen=True, slots=True)
class Gold:
    """A policy, its layers, and for each (architecture, kernel, capabilities) some calls with their answers."""

    text: str
    places: tuple[tuple[str, tuple[int, int], int, tuple[Point, ...]], ...]
    layers: tuple[str, ...] = ()


BASE = "allow: [execve, exit_group, getpid]"

GOLDEN: tuple[Gold, ...] = (
    Gold(
        # What is listed passes, what is not answers EPERM, what nobody named ENOSYS, other ABIs end the process.
        BASE,
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (39, (), ALLOW),
                    (59, (), ALLOW),
                    (231, (), ALLOW),
                    (38, (), EPERM),
                    (40, (), EPERM),
                    (0, (), EPERM),
                    (41, (38,), EPERM),  # socket(AF_ALG)
                    (435, (), ENOSYS),  # clone3: its flags cannot be seen
                    (471, (), EPERM),
                    (472, (), ENOSYS),
                    (387, (), ENOSYS),
                    (1000, (), ENOSYS),
                    (0x3FFFFFFF, (), ENOSYS),
                    (0x40000000, (), KILL),
                    (0x40000027, (), KILL),
                    (0x7FFFFFFF, (), KILL),
                    (0xFFFFFFFE, (), KILL),
                    (0xFFFFFFFF, (), ENOSYS),
                ),
            ),
            (
                "aarch64",
                NEW,
                0,
                (
                    (172, (), ALLOW),
                    (221, (), ALLOW),
                    (94, (), ALLOW),
                    (39, (), EPERM),
                    (244, (), ENOSYS),
                    (258, (), ENOSYS),
                    (472, (), ENOSYS),
                    (0x40000027, (), ENOSYS),
                    (0xFFFFFFFF, (), ENOSYS),
                ),
            ),
            (
                "riscv64",
                NEW,
                0,
                ((172, (), ALLOW), (258, (), EPERM), (39, (), EPERM), (472, (), ENOSYS), (0x40000027, (), ENOSYS)),
            ),
        ),
    ),
    Gold(
        # A narrow argument is compared on the bits that the kernel looks at, a wide one on all.
        "allow: [execve, exit_group, {socket: {family: {in: [1, 2]}}}, {mknodat: {mode: {masked: ['0xf000', '0x2000']}}},"
        " {lseek: {offset: {range: [3, '17179869189']}, whence: {le: 2}}}, {ioctl: {arg: {any_of: ['0x100000000']}}}]\n"
        "deny: [{socket: {family: 2, type: {masked: ['0xf', 3]}}}]",
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (41, (1,), ALLOW),
                    (41, (2, 1), ALLOW),
                    (41, (2 | HIGH, 1 | SIGN), ALLOW),
                    (41, (2, 3), EPERM),
                    (41, (2 | SIGN, 0x80003 | HIGH), EPERM),
                    (41, (1, 3), ALLOW),
                    (41, (0,), EPERM),
                    (41, (3,), EPERM),
                    (41, (38,), EPERM),
                    (41, (0x80000001,), EPERM),
                    (259, (0, 0, 0x21B6), ALLOW),
                    (259, (0, 0, 0xABC21B6), ALLOW),
                    (259, (0, 0, 0x61B6), EPERM),
                    (259, (0, 0, 0x31B6), EPERM),
                    (8, (0, 3, 2), ALLOW),
                    (8, (0, 2, 2), EPERM),
                    (8, (0, 0xFFFFFFFF, 2), ALLOW),
                    (8, (0, HIGH, 2), ALLOW),
                    (8, (0, HIGH | 6, 2), ALLOW),
                    (8, (0, 3 * HIGH | 0xFFFFFFFF, 2), ALLOW),
                    (8, (0, 4 * HIGH | 5, 2), ALLOW),
                    (8, (0, 4 * HIGH | 6, 2), EPERM),
                    (8, (0, 5 * HIGH | 3, 2), EPERM),
                    (8, (0, 3, 3), EPERM),
                    (8, (0, 3, HIGH | 1), ALLOW),
                    (16, (0, 0, HIGH), ALLOW),
                    (16, (0, 0, FULL), ALLOW),
                    (16, (0, 0, FULL ^ HIGH), EPERM),
                    (16, (0, HIGH, 1), EPERM),
                ),
            ),
            (
                "aarch64",
                NEW,
                0,
                ((198, (2, 3), EPERM), (198, (2, 1), ALLOW), (33, (0, 0, 0x21B6), ALLOW), (62, (0, 2, 2), EPERM)),
            ),
        ),
    ),
    Gold(
        # The thread pointer of clone has another place on x86_64.
        "allow: [execve, exit_group, {clone: {clone_flags: {none_of: [CLONE_NEWUSER, CLONE_NEWNS]}, tls: {gt: 0}}}]",
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (56, (0x3D0F00, 0, 0, 0, 9), ALLOW),
                    (56, (0x3D0F00, 0, 0, 9, 0), EPERM),
                    (56, (0x3D0F00, 0, 0, 0, HIGH), ALLOW),
                    (56, (0x10000011, 0, 0, 0, 9), EPERM),
                    (56, (0x20011, 0, 0, 0, 9), EPERM),
                    (56, (0x40011, 0, 0, 0, 9), ALLOW),
                ),
            ),
            (
                "aarch64",
                NEW,
                0,
                ((220, (17, 0, 0, 9, 0), ALLOW), (220, (17, 0, 0, 0, 9), EPERM), (220, (0x10000011, 0, 0, 9), EPERM)),
            ),
            ("riscv64", NEW, 0, ((220, (17, 0, 0, 9, 0), ALLOW), (220, (17, 0, 0, 0, 9), EPERM))),
        ),
    ),
    Gold(
        # Of several denies the strictest action counts, an errno that is stated goes before that of the call, log before allow.
        "allow: [execve, exit_group, bpf, {bpf: {cmd: 1}, action: log}, {mount: {}, action: log}, unshare]\n"
        "deny: [{bpf: {cmd: {ge: 2}}, action: notify}, {bpf: {cmd: {ge: 3}}}, {bpf: {cmd: {ge: 4}}, errno: EIO},"
        " {bpf: {cmd: {ge: 5}}, action: trap}, {bpf: {cmd: {ge: 6}}, action: kill_thread},"
        " {bpf: {cmd: {ge: 7}}, action: kill_process},"
        " {unshare: {unshare_flags: CLONE_NEWUSER}, action: errno}]\n"
        "errno: {ENOSYS: [bpf, ptrace], EIO: [unshare]}\ndefault_errno: EACCES",
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (321, (0,), ALLOW),
                    (321, (1,), LOG),
                    (321, (2,), NOTIFY),
                    (321, (3,), ENOSYS),
                    (321, (4,), EIO),
                    (321, (5,), TRAP),
                    (321, (6,), THREAD),
                    (321, (7,), KILL),
                    (321, (7 | HIGH,), KILL),
                    (165, (), LOG),
                    (272, (0x10000000,), EIO),
                    (272, (0x20000,), ALLOW),
                    (101, (), ENOSYS),
                    (62, (), EACCES),
                    (435, (), ENOSYS),
                ),
            ),
        ),
    ),
    Gold(
        # Layers narrow, each by itself; of equal actions the profile's own number counts.
        "allow: [execve, exit_group, getpid, {socket: {family: {in: [1, 2]}}}, bpf, seccomp]\n"
        "deny: [{bpf: {cmd: {le: 5}}, errno: EIO}]\nerrno: {EACCES: [socket]}",
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (59, (), ALLOW),
                    (39, (), ALLOW),
                    (41, (1,), ALLOW),
                    (41, (2,), EACCES),
                    (41, (3,), EACCES),
                    (321, (3,), TRAP),
                    (321, (4,), EIO),
                    (321, (5,), EIO),
                    (321, (6,), EACCES),
                    (321, (9,), LOG),
                    (317, (1,), EPERM),
                    (317, (0,), ALLOW),
                    (999, (), ENOSYS),
                    (0x40000001, (), KILL),
                ),
            ),
        ),
        (
            "deny: [{bpf: {cmd: {range: [5, 6]}}, errno: EACCES}, {bpf: {cmd: 3}, action: trap}, {seccomp: {op: 1}}]",
            "allow: [execve, exit_group, getpid, {socket: {family: {not: 2}}}, {bpf: {}, action: log}, seccomp, getppid]",
        ),
    ),
    Gold(
        # Conditions on architecture, kernel and capabilities.
        "allow: [execve, exit_group, {getpid: {}, when: {arch: x86_64}}, {getppid: {}, when: {kernel: '>=5.8'}},"
        " {getuid: {}, when: {kernel: ['>=5.4', '<6.1']}}, {getgid: {}, when: {capability: [CAP_CHOWN, CAP_KILL]}}, bpf]\n"
        "deny: [{bpf: {cmd: 5}, when: {no_capability: CAP_CHOWN}}, {bpf: {cmd: 6}, when: {arch: [aarch64, riscv64]}}]",
        (
            (
                "x86_64",
                (5, 8),
                0,
                (
                    (39, (), ALLOW),
                    (110, (), ALLOW),
                    (102, (), ALLOW),
                    (104, (), EPERM),
                    (321, (5,), EPERM),
                    (321, (6,), ALLOW),
                ),
            ),
            ("x86_64", (5, 7), 1, ((110, (), EPERM), (102, (), ALLOW), (104, (), EPERM), (321, (5,), ALLOW))),
            ("x86_64", (6, 1), 33, ((110, (), ALLOW), (102, (), EPERM), (104, (), ALLOW), (321, (5,), ALLOW))),
            ("x86_64", (5, 3), 32, ((102, (), EPERM), (104, (), EPERM), (321, (5,), EPERM))),
            ("x86_64", (5, 10), 0, ((110, (), ALLOW),)),
            ("aarch64", (5, 8), 0, ((172, (), EPERM), (173, (), ALLOW), (280, (6,), EPERM), (280, (4,), ALLOW))),
        ),
    ),
    Gold(
        # Strict: what no compiler makes of a narrow argument that a rule looks at.
        "allow: [execve, exit_group, {openat: {dfd: {in: [-100, 3]}}}, {socket: {family: 1}}, bpf,"
        " {ioctl: {arg: {ge: 4}}}]\nstrict: true",
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (257, (3,), ALLOW),
                    (257, (0xFFFFFF9C,), ALLOW),
                    (257, (0xFFFFFF9C | SIGN,), ALLOW),
                    (257, (0xFFFFFF9C | HIGH,), EPERM),
                    (257, (3 | SIGN,), EPERM),
                    (257, (3 | HIGH,), EPERM),
                    (257, (3 | 0xFFFFFFFE << 32,), EPERM),
                    (257, (3, HIGH, HIGH, HIGH), ALLOW),
                    (41, (1,), ALLOW),
                    (41, (1 | HIGH,), EPERM),
                    (321, (HIGH,), ALLOW),
                    (16, (HIGH, HIGH, HIGH), ALLOW),
                    (16, (0, 0, 3), EPERM),
                ),
            ),
        ),
    ),
    Gold(
        # Strict of a layer is about the rules of the layer, and its denies are the profile's too.
        "allow: [execve, exit_group, {socket: {family: 1}}, bpf]",
        (("x86_64", NEW, 0, ((41, (1 | HIGH,), ALLOW), (321, (4,), ALLOW), (321, (5,), EPERM), (321, (4 | HIGH,), EPERM))),),
        ("deny: [{bpf: {cmd: 5}}]\nstrict: true",),
    ),
    Gold(
        # Strict of the profile is about the rules of its layers too.
        "allow: [execve, exit_group, bpf]\nstrict: true",
        (("x86_64", NEW, 0, ((321, (4,), ALLOW), (321, (5,), EPERM), (321, (4 | HIGH,), EPERM), (321, (4, HIGH), ALLOW))),),
        ("deny: [{bpf: {cmd: 5}}]",),
    ),
    Gold(
        # Strict looks at an argument where a rule that counts does.
        "allow: [execve, exit_group, bpf]\ndeny: [{bpf: {cmd: 5}, when: {arch: aarch64}}]\nstrict: true",
        (
            ("x86_64", NEW, 0, ((321, (4 | HIGH,), ALLOW), (321, (5,), ALLOW))),
            ("aarch64", NEW, 0, ((280, (4 | HIGH,), EPERM), (280, (5,), EPERM), (280, (4,), ALLOW))),
        ),
    ),
    Gold(
        # Expressions: precedence, masks, sets, order without sign, negation.
        "allow: [execve, exit_group,"
        " {mprotect: {expr: '(prot & (PROT_WRITE|PROT_EXEC)) != (PROT_WRITE|PROT_EXEC)'}},"
        " {socket: {expr: 'family == 1 || family in {2, 10} && type & SOCK_TYPE_MASK == SOCK_STREAM'}},"
        " {ioctl: {expr: '!(cmd == TIOCSTI || cmd == TIOCLINUX) && arg >= 0x100000000'}},"
        " {kill: {expr: 'sig > 15 && !(sig & 1)'}}]",
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (10, (0, 0, 2), ALLOW),
                    (10, (0, 0, 4), ALLOW),
                    (10, (0, 0, 6), EPERM),
                    (10, (0, 0, 7 | HIGH), EPERM),
                    (41, (1, 3), ALLOW),
                    (41, (2, 0x80801), ALLOW),
                    (41, (10, 1), ALLOW),
                    (41, (2, 2), EPERM),
                    (41, (3, 1), EPERM),
                    (16, (0, 0x5412, HIGH), EPERM),
                    (16, (0, 0x541C, FULL), EPERM),
                    (16, (0, 0x5412 | HIGH, FULL), EPERM),
                    (16, (0, 0x5413, HIGH), ALLOW),
                    (16, (0, 0x5413, HIGH - 1), EPERM),
                    (62, (0, 16), ALLOW),
                    (62, (0, 17), EPERM),
                    (62, (0, 14), EPERM),
                    (62, (0, 0x80000000), ALLOW),
                ),
            ),
        ),
    ),
    Gold(
        # Many values: long jumps, single values and ranges, and a deny in the middle of a grant.
        f"allow: [execve, exit_group, {{fcntl: {{cmd: {{in: [{', '.join(str(3 * at) for at in range(300))}]}}}}}},"
        " {madvise: {behavior: {any: [{le: 3}, 8, {range: [12, 19]}, {ge: 100}]}}}]\n"
        "deny: [{fcntl: {cmd: {range: [30, 60]}, arg: {lt: 5}}},"
        " {madvise: {behavior: {masked: [1, 1]}, start: '0xffffffff00000000'}}]",
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (72, (0, 0, 0), ALLOW),
                    (72, (0, 1, 0), EPERM),
                    (72, (0, 27, 0), ALLOW),
                    (72, (0, 30, 0), EPERM),
                    (72, (0, 30, 4), EPERM),
                    (72, (0, 30, 5), ALLOW),
                    (72, (0, 60, HIGH), ALLOW),
                    (72, (0, 60, 4), EPERM),
                    (72, (0, 63, 4), ALLOW),
                    (72, (0, 897, 0), ALLOW),
                    (72, (0, 898, 0), EPERM),
                    (72, (0, 900, 0), EPERM),
                    (28, (0, 0, 3), ALLOW),
                    (28, (0, 0, 4), EPERM),
                    (28, (0, 0, 8), ALLOW),
                    (28, (0, 0, 9), EPERM),
                    (28, (0, 0, 12), ALLOW),
                    (28, (0, 0, 19), ALLOW),
                    (28, (0, 0, 20), EPERM),
                    (28, (0, 0, 0xFFFFFFFF), ALLOW),
                    (28, (SIGN, 0, 3), EPERM),
                    (28, (SIGN, 0, 2), ALLOW),
                    (28, (SIGN | 1, 0, 3), ALLOW),
                ),
            ),
        ),
    ),
    Gold(
        # A deny of a whole call takes everything, and a grant of a whole call does not swallow the deny of a part.
        "allow: [execve, exit_group, ptrace, socket, {kill: {sig: 9}}]\n"
        "deny: [ptrace, {socket: {family: AF_ALG}}, {kill: {sig: 9}}]",
        (
            (
                "x86_64",
                NEW,
                0,
                (
                    (101, (), EPERM),
                    (41, (38,), EPERM),
                    (41, (38 | HIGH,), EPERM),
                    (41, (37,), ALLOW),
                    (62, (0, 9), EPERM),
                    (62, (0, 8), EPERM),
                ),
            ),
        ),
    ),
)
