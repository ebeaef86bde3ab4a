"""What is said between a caller and a box, without the sockets: which frame may come now, and what it is answered.

    a function     VALUE or ERROR ends it
    a generator    ITEM as long as the window is open, then DONE or ERROR
    host functions ASK at any time, one after the other: nothing may come before its answer has been sent

Everything else is a SerializationError, and whoever runs the box ends it then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sandboxer.calls.wire.block import HEAD
from sandboxer.calls.wire.caps import Caps
from sandboxer.calls.wire.frame import ASK, DONE, ERROR, ITEM, VALUE, Frame
from sandboxer.calls.wire.reader import FrameReader

MAX_NAME = 256
"""Of a host function, in bytes; a question has it ahead of its arguments."""


@dataclass(frozen=True, slots=True)
class Window:
    """How far the box may be ahead: items that nobody has taken, and their bytes. One item may go beyond the bytes."""

    items: int = 16
    content_bytes: int = 4 << 20


class Basket(Protocol):
    """Where the items of a generator go. credit_fd: readable when somebody has taken some."""

    credit_fd: int

    def take_credit(self) -> bytes:
        """The block that says so."""

    def has_room(self) -> bool:
        """One more may come."""

    def put(self, frame: Frame) -> None:
        """One came."""


class Answerer(Protocol):
    """Who calls host functions. most_bytes: no question may be longer."""

    @property
    def most_bytes(self) -> int: ...

    def begin(self, over_fds: Iterable[int]) -> None:
        """The box has started; one of these is readable once the call is over."""

    def answer(self, frame: Frame) -> bytes:
        """The block with what a host function came to. Raises: SerializationError for what is no question."""


class Conversation:
    """One call. answer: the frame that ended it; None until then.

    opening: what is said first. The box has nothing to say before all of that, or of the answer to what it asked, has been sent.
    most_passed: how many segments of a frame may come by descriptors.
    """

    __slots__ = (
        "_answerer",
        "_basket",
        "_ends",
        "_is_halfway",
        "_most_bytes",
        "_reader",
        "_to_send",
        "_unheard_bytes",
        "answer",
        "most_passed",
    )

    def __init__(
        self,
        opening: bytes,
        caps: Caps,
        *,
        basket: Basket | None = None,
        answerer: Answerer | None = None,
        most_passed: int = 0,
    ) -> None:
        self.most_passed = most_passed
        self._reader = FrameReader(caps, most_passed=most_passed)
        self._most_bytes = caps.text_bytes + caps.segment_bytes
        self._basket = basket
        self._answerer = answerer
        self._ends = (VALUE, ERROR) if basket is None else (DONE, ERROR)
        self._to_send: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._unheard_bytes = 0
        self._is_halfway = False
        self.answer: Frame | None = None
        self.say_and_wait(opening)

    def begin(self, over_fds: Iterable[int]) -> None:
        """The box has started. over_fds: one of them is readable once the call is over."""
        if self._answerer is not None:
            self._answerer.begin(over_fds)

    def hear(self, data: bytes, descriptors: Iterable[int] = ()) -> None:
        """Take what the box says. Raises: SerializationError, after which nothing more is to be taken."""
        self._reader.feed(data, descriptors)
        while (frame := self._reader.next(self._expected())) is not None:
            self._take(frame)

    def take_leftovers(self) -> list[int]:
        """The descriptors that came and that nobody has asked for; they are the caller's to close."""
        return self._reader.take_leftovers()

    def say(self, block: bytes, descriptors: Sequence[int] = ()) -> None:
        """Have a block sent. descriptors: that go with its content; they stay the caller's."""
        whole = memoryview(block)
        parts = ((whole[: HEAD.size], ()), (whole[HEAD.size :], descriptors)) if descriptors else ((whole, ()),)
        self._to_send.extend(part for part in parts if part[0])

    def say_and_wait(self, block: bytes, descriptors: Sequence[int] = ()) -> None:
        """The same, and nothing may come before all of it has been sent."""
        self.say(block, descriptors)
        self._unheard_bytes = sum(len(data) for data, _ in self._to_send)

    def unsent(self) -> tuple[memoryview, Sequence[int]]:
        """What is to be sent next, and the descriptors that go with its first byte; empty if nothing is."""
        return self._to_send[0] if self._to_send else (memoryview(b""), ())

    def note_sent(self, size: int) -> None:
        """So many bytes of that were sent."""
        self._unheard_bytes = max(self._unheard_bytes - size, 0)
        data, _ = self._to_send.popleft()
        self._is_halfway = len(data) > size
        if self._is_halfway:
            self._to_send.appendleft((data[size:], ()))

    @property
    def is_over(self) -> bool:
        """The box has answered, and no block is halfway to it: another conversation may begin with it."""
        return self.answer is not None and not self._to_send

    def _expected(self) -> dict[int, int]:
        if self.answer is not None or self._unheard_bytes:
            return {}
        kinds = dict.fromkeys(self._ends, self._most_bytes)
        if self._basket is not None and self._basket.has_room():
            kinds[ITEM] = self._most_bytes
        if self._answerer is not None:
            kinds[ASK] = self._answerer.most_bytes + MAX_NAME
        return kinds

    def _take(self, frame: Frame) -> None:
        if frame.kind == ITEM and self._basket is not None:
            self._basket.put(frame)
        elif frame.kind == ASK and self._answerer is not None:
            self.say_and_wait(self._answerer.answer(frame))
        else:
            self.answer = frame
            while len(self._to_send) > self._is_halfway:
                self._to_send.pop()  # nobody waits for that any more
