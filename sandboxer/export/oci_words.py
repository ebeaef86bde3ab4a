"""The words of OCI seccomp: actions, comparisons, architectures, flags. Tables only.

Source: opencontainers/runtime-spec config-linux.md (Seccomp); the names in `includes` and `excludes` are those of Go's GOARCH, as
container engines compare them.
"""

from __future__ import annotations

from typing import Final

from sandboxer.abi import bpf

ACTIONS: Final[dict[str, int]] = {
    "SCMP_ACT_ALLOW": bpf.RET_ALLOW,
    "SCMP_ACT_LOG": bpf.RET_LOG,
    "SCMP_ACT_ERRNO": bpf.RET_ERRNO,
    "SCMP_ACT_KILL": bpf.RET_KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": bpf.RET_KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": bpf.RET_KILL_PROCESS,
    "SCMP_ACT_TRAP": bpf.RET_TRAP,
    "SCMP_ACT_NOTIFY": bpf.RET_USER_NOTIF,
    "SCMP_ACT_TRACE": bpf.RET_TRACE,
}
NAMES: Final[dict[int, str]] = {
    action: name for name, action in ACTIONS.items() if name != "SCMP_ACT_KILL"
}  # the old name of KILL_THREAD is read, never written

OPERATORS: Final = (
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
)

OUR_ARCHITECTURES: Final[dict[str, str]] = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_RISCV64": "riscv64",
}
ARCHITECTURE_NAMES: Final[dict[str, str]] = {arch: name for name, arch in OUR_ARCHITECTURES.items()}

ARCHITECTURES: Final[frozenset[str]] = frozenset(OUR_ARCHITECTURES) | {
    f"SCMP_ARCH_{name}"
    for name in (
        "X86",
        "X32",
        "ARM",
        "LOONGARCH64",
        "M68K",
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PARISC",
        "PARISC64",
        "PPC",
        "PPC64",
        "PPC64LE",
        "S390",
        "S390X",
        "SH",
        "SHEB",
    )
}

OUR_GOARCH: Final[dict[str, str]] = {"amd64": "x86_64", "arm64": "aarch64", "riscv64": "riscv64"}
GOARCH: Final[frozenset[str]] = frozenset(OUR_GOARCH) | frozenset(
    (
        "386",
        "x86",
        "x32",
        "amd64p32",
        "arm",
        "armbe",
        "arm64be",
        "loong64",
        "mips",
        "mipsle",
        "mips64",
        "mips64le",
        "mips64n32",
        "mips64p32",
        "mips64p32le",
        "mipsel",
        "mipsel64",
        "mipsel64n32",
        "parisc",
        "parisc64",
        "ppc",
        "ppc64",
        "ppc64le",
        "riscv",
        "s390",
        "s390x",
        "sparc",
        "sparc64",
    )
)

LOG_FLAG: Final = "SECCOMP_FILTER_FLAG_LOG"
FLAGS: Final[dict[str, str]] = {
    LOG_FLAG: "",
    "SECCOMP_FILTER_FLAG_TSYNC": "",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": "",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": "a policy has no word for how a listener waits",
}
"""The flags there are, and what is lost of those that a policy cannot say. Without threads there is nothing to synchronise, and
our filters are always loaded with SPEC_ALLOW."""
