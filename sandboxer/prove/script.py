"""Scripts for `sandboxer-probe`: statements as text, and whether the box's filter lets the calls in them through.

Source: launcher/c/probe/probe.c, which states the language.
"""

from __future__ import annotations

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.prove.subject import Subject

Word = int | str
SIGCHLD = 17
CALLED: dict[str, tuple[tuple[str, tuple[Word, ...]], ...]] = {
    "child": (("clone", (SIGCHLD,)), ("wait4", (-1, "x", 0, 0))),
    "fork": (("clone", (SIGCHLD,)),),
    "touch": (("mmap", (0, 4096, 3, 0x22, -1, 0)),),
    "rest": (("nanosleep", ("x", 0)),),
    "spin": (("clock_gettime", (1, "x")),),
    "burn": (("clock_gettime", (2, "x")),),
}
"""What the verbs of the probe call."""


def data(content: bytes) -> str:
    """Bytes as an argument: a pointer to them, with a NUL behind."""
    return f"x{content.hex()}"


def scratch(size_bytes: int) -> str:
    """A buffer as an argument; `dump` shows the last one."""
    return f"b{size_bytes}"


def answer(index: int) -> str:
    """The answer of an earlier statement as an argument."""
    return f"r{index}"


class Script:
    """Statements in order; each method answers the number of its own. refused: calls that the filter stops, with its answers."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.lines: list[str] = []
        self.refused: dict[str, str] = {}

    def say(self, text: str) -> int:
        """Any statement. What the probe itself calls for it counts as well."""
        for verb in text.split():
            for name, arguments in CALLED.get(verb, ()):
                self._ask(name, arguments)
        self.lines.append(text)
        return len(self.lines) - 1

    def _ask(self, name: str, arguments: tuple[Word, ...]) -> None:
        if found := self.subject.refusal(name, arguments):
            self.refused[name] = found

    def call(self, name: str, *arguments: Word, ahead: str = "") -> int:
        """A system call. ahead: words in front, `child`."""
        self._ask(name, arguments)
        number = NUMBERS[self.subject.host.arch][name]
        return self.say(" ".join((*ahead.split(), "call", str(number), *map(str, arguments))))

    @property
    def statements(self) -> tuple[str, ...]:
        """What the probe gets."""
        return tuple(self.lines)
