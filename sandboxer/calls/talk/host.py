"""Functions of the caller's that a box may ask for: the only way back in, so everything about it is bounded and written down.

What is asked comes from a hostile process. Its arguments are made of the classes that the annotations of the function name, and
are held against these, before the function sees them. What it raises is told without its text, traceback or paths.
"""

from __future__ import annotations

import inspect
import pickle
import select
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandboxer.calls.asking import HostRefusal
from sandboxer.calls.talk.reading import classes_of
from sandboxer.calls.wire.block import ANSWER, REFUSAL, pack_block
from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.declared import check, hints_of
from sandboxer.calls.wire.decode import decode
from sandboxer.calls.wire.frame import Frame

MAX_REFUSALS = 100
"""Of one call; whoever asks on after so many is ended."""


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A function that a box may ask for, and how much of it. The limits are those of one call of the function in the box.

    calls_per_second: what comes sooner waits; None: nothing does. most_bytes: of arguments and answers together.
    """

    function: Callable[..., Any]
    most_calls: int = 1000
    calls_per_second: float | None = None
    most_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        if not callable(self.function) or inspect.iscoroutinefunction(self.function):
            raise TypeError(f"a host function is a plain function, not {self.function!r}")
        try:
            inspect.signature(self.function)
        except ValueError as error:
            raise TypeError(f"nobody knows which arguments {self.function!r} takes") from error
        if self.most_calls < 0 or self.most_bytes < 0 or (self.calls_per_second is not None and self.calls_per_second <= 0):
            raise ValueError("a limit of a host function is a positive number")


@dataclass(frozen=True, slots=True)
class HostCall:
    """One time that a box asked. outcome: `answered`, or why not. asked_bytes, answered_bytes: of what crossed."""

    name: str
    outcome: str
    asked_bytes: int
    answered_bytes: int
    seconds: float


def read_functions(host: Mapping[str, Callable[..., Any] | HostFunction]) -> dict[str, HostFunction]:
    """The argument `host` of the decorator. Raises: TypeError for what is no function, ValueError for a name that is none."""
    if not isinstance(host, Mapping):
        raise TypeError(f"host is {host!r:.60}, and may be a mapping of names to functions")
    wrong = [name for name in host if not name.isidentifier() or name.startswith("_")]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no name of a host function")
    return {name: one if isinstance(one, HostFunction) else HostFunction(one) for name, one in host.items()}


@dataclass(slots=True)
class _Use:
    """What was used of one function."""

    calls: int = 0
    content_bytes: int = 0
    next_s: float = 0.0


@dataclass(slots=True)
class Answers:
    """Answers one box, one question after the other, in the thread that waits for it. log: every question there was."""

    functions: Mapping[str, HostFunction]
    caps: Caps
    log: list[HostCall] = field(default_factory=list)
    _uses: dict[str, _Use] = field(default_factory=dict)
    _refusals: int = 0
    _over: select.poll = field(default_factory=select.poll)

    def begin(self, over_fds: Iterable[int]) -> None:
        """The box has started. over_fds: one of them is readable once the call is over; nothing is called after that."""
        for descriptor in over_fds:
            self._over.register(descriptor, select.POLLIN)

    @property
    def most_bytes(self) -> int:
        """No question may be longer."""
        return max((one.most_bytes for one in self.functions.values()), default=0)

    def answer(self, frame: Frame) -> bytes:
        """The block to send; empty where the call is over. Raises: SerializationError for what is no question."""
        name, _, text = frame.text.partition(b"\n")
        function = self.functions.get(name.decode("utf-8", "replace"))
        if function is None:
            raise SerializationError("the box asked for a function that is not there")
        asked = Frame(frame.kind, text, frame.segments)
        begun = time.monotonic()
        outcome, block = self._outcome(name.decode(), function, asked)
        self._refusals += outcome.startswith("refused")
        if self._refusals > MAX_REFUSALS:
            raise SerializationError(f"the box asked on after {MAX_REFUSALS} refusals")
        self.log.append(HostCall(name.decode(), outcome, asked.content_bytes, len(block), time.monotonic() - begun))
        return block

    def _outcome(self, name: str, function: HostFunction, asked: Frame) -> tuple[str, bytes]:
        use = self._uses.setdefault(name, _Use())
        if use.calls >= function.most_calls:
            return _refused(name, f"it was called {use.calls} times, and may be no more")
        if use.content_bytes + asked.content_bytes > function.most_bytes:
            return _refused(name, f"{function.most_bytes} bytes may cross for it, and these are more")
        use.calls += 1
        use.content_bytes += asked.content_bytes
        try:
            arguments, keywords = read_arguments(asked, function.function, self.caps)
        except (SerializationError, TypeError) as error:
            return _refused(name, str(error))
        if self._is_over(self._wait_s(use, function)):
            return "not called: the box had ended", b""
        outcome, block = _call(name, function.function, arguments, keywords)
        use.content_bytes += len(block)
        if use.content_bytes > function.most_bytes:
            return _refused(name, f"{function.most_bytes} bytes may cross for it, and the answer is longer")
        return outcome, block

    @staticmethod
    def _wait_s(use: _Use, function: HostFunction) -> float:
        """How long it is until it may be called again."""
        if function.calls_per_second is None:
            return 0
        now = time.monotonic()
        at = max(now, use.next_s)
        use.next_s = at + 1 / function.calls_per_second
        return at - now

    def _is_over(self, wait_s: float) -> bool:
        return bool(self._over.poll(wait_s * 1000))


def read_arguments(asked: Frame, function: Callable[..., Any], caps: Caps) -> tuple[list[Any], dict[str, Any]]:
    """What the box gives a function, as its annotations say.

    Raises: SerializationError; TypeError where it takes no such arguments.
    """
    hints = {name: hint for name, hint in hints_of(function).items() if name != "return"}
    both = decode(asked.text, asked.segments, classes_of(*hints.values()), caps)
    check(both, list[Any])
    check(tuple(both), tuple[list[Any], dict[str, Any]])
    arguments, keywords = both
    signature = inspect.signature(function)
    for name, value in signature.bind(*arguments, **keywords).arguments.items():
        match signature.parameters[name].kind:
            case inspect.Parameter.VAR_POSITIONAL:
                several = value
            case inspect.Parameter.VAR_KEYWORD:
                several = value.values()
            case _:
                several = (value,)
        for one in several:
            check(one, hints.get(name, Any), f".{name}")
    return arguments, keywords


def _call(name: str, function: Callable[..., Any], arguments: list[Any], keywords: dict[str, Any]) -> tuple[str, bytes]:
    try:
        value = function(*arguments, **keywords)
    except HostRefusal as error:
        return "raised HostRefusal", _tell("HostRefusal", str(error))
    except Exception as error:
        kind = next(one.__name__ for one in type(error).__mro__ if one.__module__ == "builtins")
        return f"raised {type(error).__qualname__}", _tell(kind, f"the host function {name} raised it")
    try:
        return "answered", pack_block(ANSWER, pickle.dumps(value, protocol=5))
    except Exception as error:
        return f"its answer cannot cross: {error}", _tell("TypeError", f"what the host function {name} returned cannot cross")


def _refused(name: str, why: str) -> tuple[str, bytes]:
    return f"refused: {why}", _tell("HostRefusal", f"{name}: {why}")


def _tell(kind: str, text: str) -> bytes:
    return pack_block(REFUSAL, pickle.dumps((kind, text)))
