"""Makes sandboxer/abi/constants.py. A developer runs it when new kernel headers are out.

    python -m scripts.constants_table --include DIRECTORY && make format

DIRECTORY has the headers of several architectures side by side, as Zig ships them (lib/libc/include, PyPI `ziglang`): the
kernel's in any-linux-any and ARCH-linux-any, the C library's in generic-glibc and ARCH-linux-gnu. gcc evaluates every name
with the headers of each architecture; all three are little-endian and LP64, so one compiler serves for all.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.constants_kinds import kinds
from scripts.constants_spec import INTERNAL, SECTIONS, Section

TABLE = Path(__file__).resolve().parent.parent / "sandboxer/abi/constants.py"
ARCHITECTURES = {"x86_64": "x86", "aarch64": "aarch64", "riscv64": "riscv"}

# What a compiler for the architecture says of itself.
_DEFINED = {
    "x86": [],
    "aarch64": ["-U__x86_64__", "-D__aarch64__", "-D__AARCH64EL__"],
    "riscv": ["-U__x86_64__", "-D__riscv", "-D__riscv_xlen=64", "-D__riscv_float_abi_double"],
}

# Names of one architecture that have stood among those of all; there is no other meaning of them.
_SHARED_ANYWAY = """
MAP_32BIT PTRACE_GETREGS PTRACE_SETREGS PTRACE_GETFPREGS PTRACE_SETFPREGS PTRACE_GETFPXREGS PTRACE_SETFPXREGS
"""
SHARED_ANYWAY = frozenset(_SHARED_ANYWAY.split())


def run(command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    """A compiler, given its input."""
    return subprocess.run(command, input=text, capture_output=True, text=True)


def preprocess(flags: Sequence[str], text: str) -> str:
    """What the preprocessor makes of a text. Raises: FileNotFoundError for a header that is not there."""
    done = run(["gcc", "-E", "-xc", *flags, "-"], text)
    if done.returncode:
        raise FileNotFoundError(done.stderr[:2000])
    return done.stdout


def includes_of(section: Section) -> str:
    """The C that brings a section's names."""
    guard = "#define _GNU_SOURCE\n" if section.is_libc else "#include <linux/types.h>\n#include <linux/ioctl.h>\n"
    return guard + "".join(f"#include <{header}>\n" for header in section.includes.split())


def find_names(section: Section, flags: Sequence[str]) -> list[str]:
    """Names that the headers of a section define and that it asks for."""
    source = includes_of(section)
    macros = re.findall(r"^#define (\w+) (.+)$", preprocess(["-dM", *flags], source), re.MULTILINE)
    text = re.sub(r"^#.*$", "", preprocess(flags, source), flags=re.MULTILINE)
    found = [] if section.enum else [name for name, body in macros if not section.is_ioctl or re.search(r"IO[RW]*\s*\(", body)]
    if not section.is_ioctl:
        which = section.enum or r"(?:\w+\s*)?"
        bodies = re.findall(rf"\benum\s+{which}\s*\{{(.*?)\}}", text, re.DOTALL)
        found += [word for body in bodies for word in re.findall(r"(?:^|,)\s*(\w+)", body)]
    wanted = (name for name in found if re.fullmatch(section.pattern, name) and not re.fullmatch(section.without or "(?!)", name))
    return sorted(set(wanted))


def evaluate(section: Section, names: Sequence[str], flags: Sequence[str]) -> dict[str, int]:
    """The values of names; what is no number is left out. Negative ones are taken as 32 bits, as arguments hold them."""
    left = list(names)
    while left:
        lines = [includes_of(section), "int printf(const char *, ...);", "int main(void) {"]
        start = "\n".join(lines).count("\n") + 2
        lines += [f'  printf("%s %lld\\n", "{name}", (long long)({name}));' for name in left]
        with tempfile.TemporaryDirectory() as work:
            done = run(
                [
                    "gcc",
                    "-w",
                    "-Werror=implicit-function-declaration",
                    "-fmax-errors=0",
                    "-xc",
                    *flags,
                    "-",
                    "-o",
                    f"{work}/values",
                ],
                "\n".join([*lines, "}"]),
            )
            if done.returncode == 0:
                shown = (line.split() for line in run([f"{work}/values"], "").stdout.splitlines())
                values = {name: int(value) for name, value in shown}
                return {name: value & 0xFFFFFFFF if value < 0 else value for name, value in values.items()}
        wrong = {int(line) - start for line in re.findall(r"^<stdin>:(\d+):\d+: error", done.stderr, re.MULTILINE)}
        if not wrong or min(wrong) < 0:
            raise SystemExit(f"{section.includes}: {done.stderr[:2000]}")
        left = [name for at, name in enumerate(left) if at not in wrong]
    return {}


def flags_of(root: Path, arch: str, section: Section) -> list[str]:
    """Where the headers of an architecture are."""
    gcc = run(["gcc", "-print-file-name=include"], "").stdout.strip()
    libc = [f"{arch}-linux-gnu", "generic-glibc"] if section.is_libc else []
    folders = [*(str(root / name) for name in (*libc, f"{arch}-linux-any", "any-linux-any")), gcc]
    version = ["-D__GLIBC__=2", "-D__GLIBC_MINOR__=42"] if libc else ["-ffreestanding"]
    return ["-nostdinc", *(f"-isystem{folder}" for folder in folders), *_DEFINED[arch], *version]


def read_section(root: Path, section: Section) -> dict[str, dict[str, int]]:
    """Values by architecture."""
    found = {}
    for ours, theirs in ARCHITECTURES.items():
        flags = flags_of(root, theirs, section)
        try:
            names = find_names(section, flags)
        except FileNotFoundError:
            if not section.is_shared:
                raise
            names = []
        found[ours] = evaluate(section, names, flags)
    return found


def shared_of(section: Section, found: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The names that all architectures have with one value, sorted by it."""
    every = {name: value for table in found.values() for name, value in table.items()}
    values = {name: {table.get(name) for table in found.values()} for name in every}
    shared = [name for name in every if len(values[name]) == 1 or section.is_shared or name in SHARED_ANYWAY]
    return {name: every[name] for name in sorted(shared, key=lambda name: (every[name], is_alias(name), name))}


# Second names. Where a value is shown by name, the first one of the table is taken.
_ALIASES = """
AF_LOCAL AF_FILE AF_ROUTE SIGIOT SIGPOLL SCHED_OTHER MSG_TRYHARD SO_GET_FILTER SO_DETACH_BPF AT_EACCESS BPF_PROG_RUN
KVM_ARM_SET_DEVICE_ADDR IPPROTO_BEETPH WSTOPPED
"""
ALIASES = frozenset(_ALIASES.split())


def is_alias(name: str) -> bool:
    """The name stands behind others of its value."""
    return name in ALIASES


def version_of(root: Path) -> str:
    """The version of the kernel that the headers are of."""
    text = (root / "any-linux-any/linux/version.h").read_text()
    parts = [re.search(rf"LINUX_VERSION_{part} (\d+)", text) for part in ("MAJOR", "PATCHLEVEL")]
    return ".".join(part[1] for part in parts if part)


def show(linux: str, found: Sequence[tuple[Section, Mapping[str, Mapping[str, int]]]]) -> str:
    """The text of abi/constants.py."""
    lines = [
        '"""Names of argument values that profiles may use. Generated by scripts/constants_table.py; do not edit.',
        "",
        f"Source: the headers of Linux {linux} (include/uapi), and of glibc where the kernel gives out none, as",
        "scripts/constants_spec.py says. CONSTANTS are the same on x86-64, arm64 and riscv64. BY_ARCH has those that differ",
        "(O_DIRECTORY) or that some of them lack. KINDS says which names belong to an argument, so that a number can be shown by",
        "its name.",
        '"""',
        "",
        "from typing import Final",
        "",
        f'LINUX: Final = "{linux}"',
        "",
        "CONSTANTS: Final[dict[str, int]] = {",
    ]
    seen: set[str] = set()
    own: dict[str, dict[str, int]] = {arch: {} for arch in ARCHITECTURES}
    for section, tables in found:
        shared = {name: value for name, value in shared_of(section, tables).items() if name not in seen}
        lines += [f"    # {section.title}"] if section.title else []
        lines += [_row(name, value) for name, value in shared.items()]
        seen |= shared.keys()
        for arch, table in tables.items():
            own[arch] |= {name: value for name, value in table.items() if name not in seen}
    lines += ["    # Of no header that is given out."]
    lines += [_row(name, value) for name, (value, _) in INTERNAL.items()]
    lines += ["}", "", "BY_ARCH: Final[dict[str, dict[str, int]]] = {"]
    for arch, table in own.items():
        lines += [f'    "{arch}": {{', *(f"    {_row(name, table[name])}" for name in sorted(table)), "    },"]
    lines += ["}", "", "KINDS: Final[dict[str, tuple[str, ...]]] = {"]
    for kind, words in sorted(kinds().items()):
        lines.append(f'    "{kind}": ({", ".join(repr(word) for word in words)}{"," * (len(words) == 1)}),'.replace("'", '"'))
    return "\n".join([*lines, "}", ""])


def _row(name: str, value: int) -> str:
    return f'    "{name}": 0x{value:X},'


def main() -> None:
    """Read the headers and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--include", type=Path, required=True, help="the headers of all architectures")
    options = parser.parse_args()
    found = [(section, read_section(options.include, section)) for section in SECTIONS]
    TABLE.write_text(show(version_of(options.include), found))


if __name__ == "__main__":
    main()
