"""The one place where an errno becomes words: what failed, what that really means in this step, and what to try."""

from __future__ import annotations

import errno as _errno
import re
from dataclasses import dataclass

from sandboxer.errors import KernelError, Problem, Where
from sandboxer.kernel.advice import ADVICE, GENERAL, VARIANTS, Row

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# errno.errorcode names the second of two equal numbers on some builds; the kernel's sources use these.
_PREFERRED = {_errno.EAGAIN: "EAGAIN", _errno.EDEADLK: "EDEADLK", _errno.EOPNOTSUPP: "EOPNOTSUPP"}
_PHRASES = {"execve": "start the command", "launch": "start the launcher"}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One failed step for people. `attempt` may be empty."""

    sentence: str
    why: str
    attempt: str

    def problem(self, where: Where | None = None) -> Problem:
        """The same as a problem of errors.py, at a place."""
        return Problem(self.sentence, where=where, why=self.why, attempt=self.attempt)


def explain(op: str, errno: int, detail: str = "") -> Explanation:
    """Say what a failed step means.

    op: the step's name in ops.def (`open_tree`) or its class (`OpenTree`); `execve` for the command, `launch` for the launcher.
    detail: what was to be done, as the op says it (`Op.say()`); empty: the step's name.
    """
    step = step_name(op)
    name = errno_name(errno)
    words = detail or _PHRASES.get(step) or step.replace("_", " ")
    why, attempt = _find_row(step, name, words)
    return Explanation(f"cannot {words}: {name}", why, attempt)


def kernel_error(op: str, errno: int, detail: str = "", where: Where | None = None) -> KernelError:
    """The error to raise for a failed call of our own, or for a step that the launcher reports."""
    return KernelError(explain(op, errno, detail).problem(where), call=step_name(op), errno=errno)


def errno_name(errno: int) -> str:
    """`EPERM` for 1; `errno 4000` for a number without a name."""
    return _PREFERRED.get(errno) or _errno.errorcode.get(errno) or f"errno {errno}"


def step_name(op: str) -> str:
    """`open_tree`, from `OpenTree` or from itself."""
    return _HUMP.sub("_", op).lower()


def _find_row(step: str, name: str, words: str) -> Row:
    for beginning, row in VARIANTS.get((step, name), ()):
        if words.startswith(beginning):
            return row
    known = ADVICE.get(step, {}).get(name) or GENERAL.get(name)
    return known or ("the kernel gives no further reason", "run `sandboxer check`, and see `dmesg`")
