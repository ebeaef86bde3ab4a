"""Numbers and steps that several checks share."""

from __future__ import annotations

from collections.abc import Callable

from sandboxer.controls.seccomp.rules import Rule
from tests.controls.seccomp.filters import section

ALLOW, LOG, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x7FFC0000, 0x80000000, 0x50001, 0x50026
X86, ARM, RISCV = 0xC000003E, 0xC00000B7, 0xC00000F3
WORD = 0xFFFFFFFF
MINIMAL = "allow: [execve, exit_group, getpid]"


def raises(kind: type[Exception], run: Callable[[], object]) -> str:
    try:
        run()
    except kind as error:
        return str(error)
    raise AssertionError(f"nothing raised {kind.__name__}")


def rule(text: str) -> Rule:
    found = section(f"allow: [{text}]").values("allow")[0]
    assert isinstance(found, Rule)
    return found
