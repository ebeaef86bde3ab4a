"""What can go wrong, said so that a person can act on it.

Every error is one or more problems, and a problem says what happened, where, why, and what to try. The classes say
whose fault it is: the text, this machine, one system call, or us; those of a box that ran are in `model/outcome/ending.py`. This
module knows how a problem is laid out on a terminal; it does not know what any errno means (kernel/explain.py does).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Where(Protocol):
    """A place that can show itself: `file:line:column`, and the line with a caret below it."""

    def show(self) -> str: ...

    def excerpt(self) -> str: ...


class Problem:
    """One thing that is wrong: what, where, why, try. `why` and `attempt` may be empty."""

    __slots__ = ("attempt", "what", "where", "why")

    def __init__(self, what: str, *, where: Where | None = None, why: str = "", attempt: str = "") -> None:
        self.what = what
        self.where = where
        self.why = why
        self.attempt = attempt

    def show(self) -> str:
        """Lay the problem out as text for a terminal, without a closing newline."""
        lines = [f"{self.where.show()}: {self.what}" if self.where else self.what]
        excerpt = self.where.excerpt() if self.where else ""
        if excerpt:
            lines.append(excerpt)
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.attempt:
            lines.append(f"  try: {self.attempt}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Problem({self.what!r})"


class SandboxerError(Exception):
    """The root of everything that sandboxer raises on purpose."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(problem.show() for problem in self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        """As what it is, with all that it knows, and without being made anew: its text is there already."""
        return _restore, (type(self), self.args), self.__dict__


class PolicyError(SandboxerError):
    """The text of a profile, a policy or an option is wrong."""


class UnsupportedError(SandboxerError):
    """This machine or this user cannot give what a profile requires."""


ProfileError = PolicyError
HostError = UnsupportedError
"""The names within sandboxer, and of programs that know them from before: the same classes, so what catches one catches both."""


class KernelError(SandboxerError):
    """A system call failed. `call` names it, `errno` is the kernel's number."""

    def __init__(self, problem: Problem, *, call: str, errno: int) -> None:
        super().__init__(problem)
        self.call = call
        self.errno = errno


class InternalError(SandboxerError):
    """We broke one of our own rules; the message asks for a report."""


def _restore(kind: type[SandboxerError], arguments: tuple[object, ...]) -> SandboxerError:
    error = kind.__new__(kind)
    error.args = arguments
    return error
