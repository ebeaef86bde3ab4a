"""One call: the arguments on their way into a box, and the answer on its way out.

The wire is a socket of its own, so nothing that the function prints can be taken for its answer.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sandboxer.calls.errors import ExecutionError, death, remote_error
from sandboxer.calls.request import Packed, pack_call
from sandboxer.calls.talk.conversation import Answerer, Basket, Conversation, Window
from sandboxer.calls.talk.host import Answers, HostCall, HostFunction
from sandboxer.calls.talk.reading import read_value
from sandboxer.calls.wire.block import LAST_BLOCK
from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.declared import hints_of
from sandboxer.calls.wire.decode import decode
from sandboxer.calls.wire.frame import ERROR, MAX_PASSED, Frame
from sandboxer.errors import SandboxerError
from sandboxer.kernel.buffers.passing import receive, refuse_descriptors, send
from sandboxer.launcher.spawn import Launch
from sandboxer.model.outcome.ending import SetupError
from sandboxer.model.result import Reason, Result
from sandboxer.run.turns import Turns

if TYPE_CHECKING:
    from sandboxer.calls.boxes.pool import Pool

R = TypeVar("R")
PARTS = 4
"""What a call is sent as, at most: what makes an interpreter ready, the call, what it passes, and that it is the last."""
CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """What a call came to. error: None where there is a value. result: of the box, why it ended, what it used and printed.

    host_calls: every time that the box asked for a host function, in order.
    """

    value: R | None
    error: SandboxerError | None
    result: Result
    host_calls: tuple[HostCall, ...] = ()

    def unwrap(self) -> R:
        """The value. Raises: the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None is a value like any other


class Wire:
    """Our end: what is said is sent and what comes is heard while the box runs. A hostile word ends the box.

    stop_fd: readable when somebody wants the end of it. basket: of the items of a generator, whose credit is sent on.
    is_drained: all that came was heard, and nothing can come any more.
    """

    def __init__(
        self,
        ours: socket.socket,
        conversation: Conversation,
        *,
        stop_fd: int = -1,
        basket: Basket | None = None,
    ) -> None:
        self._ours = ours
        self._conversation = conversation
        self._stop_fd = stop_fd
        self._basket = basket
        self._is_open = True
        self.is_drained = False
        self.error: SerializationError | None = None

    def begin(self) -> None:
        """Send what can be sent at once."""
        self._ours.setblocking(False)
        if not self._conversation.most_passed:
            refuse_descriptors(self._ours)
        for _ in range(PARTS):
            if self._conversation.unsent()[0]:
                self._send()

    def enter(self, turns: Turns, launch: Launch) -> None:
        """Take turns with the streams, and listen until the box has ended to whoever wants something of it."""
        others = {self._stop_fd: lambda: self._end(turns, launch)} if self._stop_fd >= 0 else {}
        self._conversation.begin([launch.result_fd, *others])
        if self._basket is not None:
            others[self._basket.credit_fd] = lambda: self._give_credit(turns, launch)
        for descriptor, call in others.items():
            turns.add(descriptor, select.POLLIN, lambda _, call=call: call())  # type: ignore[misc]  # bound here
        if others:
            turns.add(launch.result_fd, select.POLLIN, lambda _: self._let_go(turns, launch, list(others)))
        self._wait(turns, launch)

    def take_leftovers(self) -> list[int]:
        """The descriptors that came and that nobody has asked for; they are the caller's to close."""
        return self._conversation.take_leftovers()

    def correct(self, record: dict[str, int]) -> dict[str, int]:
        """The monitor's record as it is."""
        return record

    def _wait(self, turns: Turns, launch: Launch) -> None:
        """Wait for what the socket has to be waited for now."""
        events = select.POLLIN | (select.POLLOUT if self._conversation.unsent()[0] else 0)
        if self._is_open:
            turns.add(self._ours.fileno(), events, lambda found: self._serve(turns, launch, found))

    def _end(self, turns: Turns, launch: Launch) -> None:
        turns.drop(self._stop_fd)
        launch.cancel()

    def _let_go(self, turns: Turns, launch: Launch, others: list[int]) -> None:
        for descriptor in (*others, launch.result_fd):
            turns.drop(descriptor)

    def _give_credit(self, turns: Turns, launch: Launch) -> None:
        if self._basket is not None:
            self._conversation.say(self._basket.take_credit())
            self._wait(turns, launch)

    def _serve(self, turns: Turns, launch: Launch, events: int) -> None:
        if events & select.POLLOUT:
            self._send()
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._take(turns, launch)
        self._wait(turns, launch)

    def _send(self) -> None:
        left, descriptors = self._conversation.unsent()
        try:
            self._conversation.note_sent(send(self._ours, left[: 1 << 20], descriptors))
        except (BrokenPipeError, ConnectionResetError):
            self._conversation.note_sent(len(left))  # nobody is there any more; why, the record says
        except BlockingIOError:
            return

    def _take(self, turns: Turns, launch: Launch) -> None:
        try:
            data, descriptors, is_whole = receive(self._ours, CHUNK_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, descriptors, is_whole = b"", [], True
        if not data:
            self._drop(turns)
            self.is_drained = True
            return
        try:
            self._conversation.hear(data, descriptors)
            if not is_whole:
                raise SerializationError("descriptors were lost on their way: too many are open here")
        except SerializationError as error:
            self.error = error
            self._drop(turns)  # nothing more is taken of somebody who says such things
            launch.cancel()

    def _drop(self, turns: Turns) -> None:
        self._is_open = False
        turns.drop(self._ours.fileno())


@dataclass(frozen=True, slots=True)
class Says:
    """How a call is held: stop_fd and basket as in `Wire`; answerer: of what the box asks."""

    caps: Caps
    stop_fd: int = -1
    basket: Basket | None = None
    answerer: Answerer | None = None

    def open(self, ours: socket.socket, opening: bytes, packed: Packed, *, is_last: bool) -> tuple[Wire, Conversation]:
        """A conversation that begins with this and then with the call, and its wire. is_last: the box ends with the call."""
        most_passed = MAX_PASSED if packed.passes else 0
        conversation = Conversation(opening, self.caps, basket=self.basket, answerer=self.answerer, most_passed=most_passed)
        conversation.say_and_wait(packed.data, packed.descriptors)
        if is_last:
            conversation.say(LAST_BLOCK)
        return Wire(ours, conversation, stop_fd=self.stop_fd, basket=self.basket), conversation


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a conversation: what was wrong in it, its answer if there was one, and what became of the box."""

    error: SerializationError | None
    answer: Frame | None
    result: Result


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed about all calls of a function. pool: where its boxes are from. key: whose calls may share one.

    functions: the host functions that it may ask for.
    """

    caps: Caps
    pool: Pool
    key: Hashable = None
    functions: Mapping[str, HostFunction] = field(default_factory=dict)
    window: Window = field(default_factory=Window)

    @property
    def names(self) -> dict[str, int]:
        """Of the host functions, with the most bytes of a question."""
        return {name: one.most_bytes for name, one in self.functions.items()}


def make_call(
    function: Callable[..., R], arguments: tuple[Any, ...], keywords: dict[str, Any], *, terms: Terms, stop_fd: int = -1
) -> Call[R]:
    """Call a function in a box and wait. stop_fd: as in `Wire`.

    Raises: PoolError, ProfileError, HostError, SerializationError, all of them ahead of the start.
    """
    most = terms.pool.most_passed_bytes()
    packed = pack_call(function, arguments, keywords, host=terms.names, most_passed_bytes=most)
    return run_call(packed, hints_of(function).get("return", Any), terms=terms, stop_fd=stop_fd)


def run_call(packed: Packed, annotation: Any, *, terms: Terms, stop_fd: int = -1, basket: Basket | None = None) -> Call[Any]:
    """Run a packed call in a box and wait. annotation: of what it returns. Raises: PoolError, ProfileError, HostError."""
    answers = Answers(terms.functions, terms.caps) if terms.functions else None
    says = Says(terms.caps, stop_fd, basket, answers)
    try:
        with packed:
            heard = terms.pool.hold(packed, says, key=terms.key)
    except (ExecutionError, SetupError) as error:
        return Call(None, error, error.result)
    asked = tuple(answers.log) if answers else ()
    try:
        if heard.error is not None:
            raise heard.error
        value = read_answer(heard.answer, annotation, terms.caps, heard.result)
    except (ExecutionError, SetupError, SerializationError) as problem:
        return Call(None, problem, heard.result, asked)
    return Call(value, None, heard.result, asked)


def read_answer(answer: Frame | None, annotation: Any, caps: Caps, result: Result) -> Any:
    """The value that came. Raises: SerializationError for what is none; ExecutionError, SetupError for what came instead."""
    if result.reason in (Reason.SETUP_FAILED, Reason.NOT_FOUND, Reason.NOT_EXECUTABLE):
        raise SetupError(result.detail, result)
    if result.reason is not Reason.EXITED or answer is None:
        raise death(result)
    if answer.kind == ERROR:
        raise remote_error(decode(answer.text, answer.segments, caps=caps), result)
    return read_value(answer, annotation, caps)
