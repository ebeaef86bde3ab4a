"""Host functions: what a box may ask for, what it is told, and what bounds it."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sandboxer
from sandboxer.calls.boxes.pool import Pool
from sandboxer.calls.boxes.stocking import Stocking
from sandboxer.calls.talk.host import MAX_REFUSALS, Answers, HostFunction, read_functions
from sandboxer.calls.wire.block import ANSWER, HEAD, REFUSAL
from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.encode import encode
from sandboxer.calls.wire.frame import ASK, Frame
from sandboxer.model.result import Reason
from tests.calls.wire.values import Colour, Point


def answers(**functions: Callable[..., Any] | HostFunction) -> Answers:
    return Answers(read_functions(functions), Caps())


def ask(who: Answers, name: str, *arguments: Any, **keywords: Any) -> tuple[int, Any]:
    sent = encode([list(arguments), keywords])
    block = who.answer(Frame(ASK, f"{name}\n".encode() + sent.text, sent.segments))
    kind, _, _ = HEAD.unpack_from(block)
    return kind, pickle.loads(block[HEAD.size :])


def norm(point: Point, colour: Colour = Colour.RED) -> float:
    return math.hypot(point.x, point.y) if colour is Colour.RED else 0.0


def zero() -> int:
    return 0


# ── the arguments ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_arguments_are_of_the_classes_that_the_function_names() -> None:
    who = answers(norm=norm)
    assert ask(who, "norm", Point(3.0, 4.0)) == (ANSWER, 5.0)
    assert ask(who, "norm", Point(3.0, 4.0), colour=Colour.BLUE) == (ANSWER, 0.0)


@pytest.mark.parametrize(
    ("arguments", "keywords", "why"),
    [
        ((3,), {}, "says Point"),
        ((), {}, "missing a required argument: 'point'"),
        ((Point(1.0, 2.0), Colour.RED, 3), {}, "too many positional arguments"),
        ((Point(1.0, 2.0),), {"other": 1}, "unexpected keyword argument 'other'"),
        ((Point(1.0, "y"),), {}, "says float"),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_the_function_does_not_take_are_refused(arguments: Any, keywords: Any, why: str) -> None:
    kind, (name, text) = ask(answers(norm=norm), "norm", *arguments, **keywords)
    assert (kind, name) == (REFUSAL, "HostRefusal")
    assert why in text


def test_class_that_another_function_names_is_none_of_this_ones() -> None:
    def plain(value: Any) -> Any:
        return value

    kind, (_, text) = ask(answers(norm=norm, plain=plain), "plain", Point(1.0, 2.0))
    assert (kind, "does not name that class" in text) == (REFUSAL, True)


def test_each_of_many_arguments_is_held_against_the_annotation() -> None:
    def total(*values: int, **more: int) -> int:
        return sum(values) + sum(more.values())

    who = answers(total=total)
    assert ask(who, "total", 1, 2, a=3) == (ANSWER, 6)
    assert ask(who, "total", 1, "2")[0] == REFUSAL
    assert ask(who, "total", 1, a="2")[0] == REFUSAL


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80) | st.binary(max_size=60).map(b"norm\n".__add__), st.lists(st.binary(max_size=20), max_size=2))
def test_any_question_is_answered_or_the_one_error(text: bytes, segments: list[bytes]) -> None:
    called: list[Any] = []
    who = answers(norm=lambda point: called.append(point))
    try:
        block = who.answer(Frame(ASK, text, segments))
    except SerializationError:
        assert not text.startswith(b"norm\n")
        return
    assert HEAD.unpack_from(block)[0] in (ANSWER, REFUSAL)


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_exception_is_told_by_its_builtin_class_and_without_its_text() -> None:
    class Hidden(LookupError):
        pass

    def fail() -> None:
        raise Hidden("/home/somebody/secret")

    who = answers(fail=fail)
    assert ask(who, "fail") == (REFUSAL, ("LookupError", "the host function fail raised it"))
    assert who.log[0].outcome == "raised test_exception_is_told_by_its_builtin_class_and_without_its_text.<locals>.Hidden"


def test_text_of_a_refusal_is_told() -> None:
    def fail() -> None:
        raise sandboxer.HostRefusal("no such city")

    assert ask(answers(fail=fail), "fail") == (REFUSAL, ("HostRefusal", "no such city"))


def test_answer_that_cannot_cross_is_told_as_that() -> None:
    kind, (name, _) = ask(answers(give=lambda: lambda: 0), "give")
    assert (kind, name) == (REFUSAL, "TypeError")


def test_interrupt_of_the_caller_is_the_callers() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(answers(stop=stop), "stop")


# ── the limits ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_calls_are_counted_for_each_function() -> None:
    who = answers(few=HostFunction(zero, most_calls=2), more=zero)
    assert [ask(who, "few")[0] for _ in range(3)] == [ANSWER, ANSWER, REFUSAL]
    assert ask(who, "more")[0] == ANSWER
    assert [one.outcome for one in who.log] == [
        "answered",
        "answered",
        "refused: it was called 2 times, and may be no more",
        "answered",
    ]


def test_bytes_are_counted_there_and_back() -> None:
    called: list[bytes] = []

    def note(value: bytes) -> bytes:
        called.append(value)
        return value

    who = answers(note=HostFunction(note, most_bytes=10_000))
    assert ask(who, "note", b"x" * 4000)[0] == ANSWER
    assert ask(who, "note", b"x" * 4000)[0] == REFUSAL
    assert ask(answers(note=HostFunction(note, most_bytes=5000)), "note", b"x" * 4000)[0] == REFUSAL
    assert len(called) == 2
    assert [(one.asked_bytes > 4000, one.answered_bytes > 4000) for one in who.log] == [(True, True), (True, False)]


def test_whoever_asks_on_after_refusals_is_ended() -> None:
    who = answers(never=HostFunction(zero, most_calls=0))
    for _ in range(MAX_REFUSALS):
        assert ask(who, "never")[0] == REFUSAL
    with pytest.raises(SerializationError, match="asked on after 100 refusals"):
        ask(who, "never")


def test_nothing_is_called_once_the_call_is_over(tmp_path: Any) -> None:
    called: list[int] = []
    who = answers(note=lambda: called.append(1))
    with open("/dev/zero", "rb") as over:
        who.begin([over.fileno()])
        assert who.answer(Frame(ASK, b"note\n[[],{}]", [])) == b""  # always readable
    assert (called, who.log[0].outcome) == ([], "not called: the box had ended")


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"a b": int}, ValueError),
        ({"_hidden": int}, ValueError),
        ({"f": 3}, TypeError),
        ({"f": dict}, TypeError),
    ],
)
def test_what_is_no_host_function_is_refused_at_once(wrong: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        sandboxer.sandboxed(host=wrong)


def test_coroutine_function_is_no_host_function() -> None:
    async def later() -> None: ...

    with pytest.raises(TypeError, match="plain function"):
        HostFunction(later)


@pytest.mark.parametrize("limits", [{"most_calls": -1}, {"calls_per_second": 0}, {"most_bytes": -1}])
def test_limit_that_is_none_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="positive"):
        HostFunction(zero, **limits)


def test_there_is_no_host_outside_of_a_box() -> None:
    with pytest.raises(AttributeError, match="none outside of a box"):
        sandboxer.host.search("x")


# ── in boxes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_function_asks_its_host(jobs: Any, asking: Any) -> None:
    asking.seen.clear()
    found = asking.asks_twice.call(1)
    assert found.unwrap() == jobs.Point(8, 0)
    assert asking.seen == [(jobs.Point(1, 0), 1, True), (jobs.Point(2, 0), 2, True)]
    assert [(one.name, one.outcome) for one in found.host_calls] == [("double", "answered")] * 2


def test_host_functions_of_a_future_run_in_its_thread(asking: Any) -> None:
    asking.seen.clear()
    asking.asks_twice.submit(1).result(60)
    assert [is_main for _, _, is_main in asking.seen] == [False, False]


def test_exception_of_the_host_is_plain_in_the_box(asking: Any) -> None:
    classes, text = asking.told_what("open_secret")
    assert classes[0] == "FileNotFoundError"
    assert "secret/path" not in text
    assert asking.told_what("say_no", "here") == (
        ["HostRefusal", "RuntimeError", "Exception", "BaseException", "object"],
        "not here",
    )
    assert asking.told_what("give_lock")[0][0] == "TypeError"


def test_name_that_is_not_there_is_an_error_in_the_box(asking: Any) -> None:
    classes, text = asking.told_what("delete")
    assert (classes[0], "it may ask for double, echo" in text) == ("AttributeError", True)
    assert "it may ask for nothing" in asking.has_no_host()


def test_limits_hold_in_the_box(asking: Any) -> None:
    assert asking.asks_often("few", 5) == 2
    assert asking.told_what("short", *range(100))[0][0] == "HostRefusal"


def test_calls_that_come_too_soon_wait(asking: Any) -> None:
    found = asking.asks_often.call("slow", 3)
    assert found.value == 3
    assert sum(one.seconds for one in found.host_calls) > 0.05


def test_threads_of_the_box_ask_one_after_the_other(asking: Any) -> None:
    assert asking.asks_in_threads(20) == list(range(20))


def test_generator_asks_while_it_yields(asking: Any) -> None:
    assert list(asking.yields_what_it_asks(40)) == list(range(40))


def test_time_goes_on_while_a_call_waits_for_its_turn(asking: Any) -> None:
    found = asking.waits_for_its_turn.call()
    assert found.result.reason is Reason.WALL_TIMEOUT
    assert [one.outcome for one in found.host_calls] == ["answered", "not called: the box had ended"]


def test_box_that_is_shared_asks_in_each_call(asking: Any) -> None:
    with Pool(stocking=Stocking(reuse="same-key")) as pool:
        asks = sandboxer.sandboxed(pool=pool, host={"echo": HostFunction(asking.echo, most_calls=2)})(asking.asks_often.local)
        assert [asks("echo", 3) for _ in range(3)] == [2, 2, 2]
        assert pool.stats().reused == 2


# ── an attacker's ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_questions_without_waiting_for_answers_end_the_box(asking: Any) -> None:
    found = asking.floods_with_questions.call()
    assert isinstance(found.error, sandboxer.SerializationError)


@pytest.mark.parametrize("text", [b"", b"system\n[[],{}]", b"__class__\n[[],{}]", b"\xff\xfe\n", b"echo" * 1000])
def test_question_for_nothing_that_is_there_ends_the_box(asking: Any, text: bytes) -> None:
    with pytest.raises(sandboxer.SerializationError, match="is not there"):
        asking.asks_raw(text)


def test_question_of_a_function_without_a_host_ends_the_box(asking: Any) -> None:
    with pytest.raises(sandboxer.SerializationError):
        asking.asks_uninvited()


def test_question_that_is_no_value_runs_nothing(asking: Any) -> None:
    found = asking.asks_raw.call(b'echo\n[[{"$":["object","os:system",{"command":"true"}]}],{}]')
    assert [one.outcome.partition(":")[0] for one in found.host_calls] in (["refused"], ["not called"])
    assert isinstance(found.error, sandboxer.ProcessDied)


def test_box_that_asks_and_goes_gets_no_answer(asking: Any) -> None:
    found = asking.asks_and_goes.call()
    assert isinstance(found.error, sandboxer.ProcessDied)
