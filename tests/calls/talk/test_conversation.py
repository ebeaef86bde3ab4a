"""What may be said when: a model of the caller's states against any order of frames, whole ones and junk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.calls.talk.conversation import Conversation
from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.frame import ASK, DONE, ERROR, ITEM, VALUE, Frame, pack_frame

NAMES = {VALUE: "value", ERROR: "error", ITEM: "item", DONE: "done", ASK: "ask"}


def frame(kind: int, text: bytes = b"1") -> bytes:
    return b"".join(pack_frame(kind, text, []))


class Window:
    """A basket with room for so many."""

    credit_fd = -1

    def __init__(self, room: int) -> None:
        self.room = room
        self.frames: list[Frame] = []

    def has_room(self) -> bool:
        return len(self.frames) < self.room

    def take_credit(self) -> bytes:
        return b""

    def put(self, frame: Frame) -> None:
        self.frames.append(frame)


class Says:
    """A host that says the same to everything."""

    most_bytes = 100

    def __init__(self, block: bytes) -> None:
        self.block = block

    def begin(self, over_fds: Iterable[int]) -> None:
        pass

    def answer(self, frame: Frame) -> bytes:
        return self.block


def conversation(*, room: int | None = None, is_asked: bool = False, opening: bytes = b"") -> Conversation:
    basket = None if room is None else Window(room)
    return Conversation(opening, Caps(), basket=basket, answerer=Says(b"answer") if is_asked else None)


def send_all(talk: Conversation) -> bytes:
    sent = b""
    while left := talk.unsent()[0]:
        sent += bytes(left[:2])
        talk.note_sent(len(left[:2]))
    return sent


def test_value_ends_a_call() -> None:
    talk = conversation()
    talk.hear(frame(VALUE, b"7")[:5])
    assert talk.answer is None
    talk.hear(frame(VALUE, b"7")[5:])
    assert talk.answer is not None
    assert (talk.answer.kind, talk.answer.text) == (VALUE, b"7")
    with pytest.raises(SerializationError, match="more came"):
        talk.hear(b"x")


def test_items_come_as_long_as_there_is_room() -> None:
    basket = Window(2)
    talk = Conversation(b"", Caps(), basket=basket)
    talk.hear(frame(ITEM, b"1") + frame(ITEM, b"2"))
    assert [one.text for one in basket.frames] == [b"1", b"2"]
    basket.frames.clear()
    talk.hear(frame(ITEM) + frame(DONE))
    assert talk.answer is not None


def test_item_without_room_is_refused() -> None:
    talk = conversation(room=2)
    talk.hear(frame(ITEM))
    with pytest.raises(SerializationError, match="no answer"):
        talk.hear(frame(ITEM) * 2)


def test_nothing_may_come_before_the_request_was_sent() -> None:
    talk = conversation(opening=b"request")
    assert bytes(talk.unsent()[0]) == b"request"
    talk.note_sent(6)
    with pytest.raises(SerializationError, match="more came"):
        talk.hear(frame(VALUE))


def test_one_question_at_a_time() -> None:
    talk = conversation(is_asked=True)
    talk.hear(frame(ASK))
    assert send_all(talk) == b"answer"
    talk.hear(frame(ASK))
    with pytest.raises(SerializationError, match="more came"):
        talk.hear(frame(ASK))


def test_answer_that_was_sent_may_be_followed_although_more_is_to_be_sent() -> None:
    talk = conversation(is_asked=True)
    talk.hear(frame(ASK))
    talk.say(b"later")
    talk.note_sent(len(talk.unsent()[0]))
    talk.hear(frame(VALUE))
    assert talk.answer is not None


def test_conversation_is_over_with_its_answer() -> None:
    talk = conversation(room=2)
    talk.say(b"credit")
    talk.hear(frame(DONE))
    assert (talk.is_over, bytes(talk.unsent()[0])) == (True, b"")


def test_block_that_is_halfway_is_sent_to_its_end_after_the_answer() -> None:
    talk = conversation(room=2)
    talk.say(b"credit")
    talk.say(b"more")
    talk.note_sent(2)
    talk.hear(frame(DONE))
    assert not talk.is_over
    assert send_all(talk) == b"edit"
    assert talk.is_over


STEPS = st.lists(st.sampled_from([*NAMES.values(), "taken", "sent", "junk"]), max_size=12)


@settings(max_examples=400, deadline=None)
@given(STEPS, st.booleans(), st.booleans())
def test_any_order_is_what_the_model_says(steps: list[str], gives_items: bool, is_asked: bool) -> None:
    basket = Window(2)
    talk = Conversation(b"", Caps(), basket=basket if gives_items else None, answerer=Says(b"yes") if is_asked else None)
    kinds = {name: kind for kind, name in NAMES.items()}
    state: Any = "open"
    for step in steps:
        if step == "taken":
            basket.frames.clear()
        elif step == "sent":
            send_all(talk)
            state = "open" if state == "asked" else state
        else:
            may = {"error", "done" if gives_items else "value"} if state == "open" else set()
            may |= {"item"} if state == "open" and gives_items and basket.has_room() else set()
            may |= {"ask"} if state == "open" and is_asked else set()
            data = b"\xff" * 20 if step == "junk" else frame(kinds[step])
            if step not in may:
                with pytest.raises(SerializationError):
                    talk.hear(data)
                return
            talk.hear(data)
            state = {"ask": "asked", "item": "open"}.get(step, "over")
    assert (talk.answer is not None) == talk.is_over == (state == "over")
