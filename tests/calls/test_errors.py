"""What a call comes to: deaths by their reasons, and exceptions that were told by somebody who may say anything."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sandboxer
from sandboxer.calls import errors
from sandboxer.calls.errors import MAX_DEPTH, RemoteError, death, remote_error
from sandboxer.calls.serving import describe
from sandboxer.errors import Problem
from sandboxer.model.outcome.escape import UNSAFE
from sandboxer.model.report import Report
from sandboxer.model.result import Reason, Result, Timings, Usage


def result(reason: Reason = Reason.EXITED, **more: Any) -> Result:
    usage, timings = Usage(), Timings()
    return Result("test", ("python3",), reason, 1, None, False, usage, timings, Report(()), "blake2b:00", **more)


@pytest.mark.parametrize(
    ("reason", "kind", "builtin"),
    [
        (Reason.WALL_TIMEOUT, sandboxer.SandboxTimeout, TimeoutError),
        (Reason.CPU_TIMEOUT, sandboxer.SandboxTimeout, TimeoutError),
        (Reason.IDLE_TIMEOUT, sandboxer.SandboxTimeout, TimeoutError),
        (Reason.OOM, sandboxer.MemoryLimit, MemoryError),
        (Reason.OUTPUT_LIMIT, sandboxer.OutputLimit, sandboxer.ExecutionError),
        (Reason.SECCOMP_KILL, sandboxer.ViolationError, PermissionError),
        (Reason.EXITED, sandboxer.ProcessDied, sandboxer.ExecutionError),
        (Reason.SIGNALLED, sandboxer.ProcessDied, sandboxer.SandboxerError),
    ],
)
def test_death_is_an_error_of_its_reason_with_the_result(reason: Reason, kind: type, builtin: type) -> None:
    ended = result(reason, detail="it did" if reason is Reason.OOM else "")
    error = death(ended)
    assert isinstance(error, kind)
    assert isinstance(error, builtin)
    assert error.result is ended
    assert ("it did" if reason is Reason.OOM else "without an answer") in str(error)


def told(error: BaseException) -> dict[str, Any]:
    try:
        raise error
    except BaseException as caught:
        return describe(caught)


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("k"), OSError(2, "no"), ZeroDivisionError(), FileNotFoundError(2, "no")]
)
def test_exception_comes_back_as_its_builtin_class(error: Exception) -> None:
    found = remote_error(told(error), result())
    assert isinstance(found, type(error))
    assert isinstance(found, RemoteError)
    assert found.class_name == type(error).__name__
    assert "test_errors.py" in found.__notes__[0]


def test_exception_of_a_class_of_its_own_comes_back_as_the_nearest_builtin_one() -> None:
    class Strange(LookupError):
        pass

    found = remote_error(told(Strange("x")), result())
    assert isinstance(found, LookupError)
    assert found.class_name.endswith("Strange")


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), BaseException("x"), Exception("x")])
def test_what_would_end_the_caller_is_an_error_only(error: BaseException) -> None:
    found = remote_error(told(error), result())
    assert type(found) is RemoteError
    assert isinstance(found, Exception)


def test_cause_and_notes_are_told() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            first.add_note("look here")
            raise ValueError("then") from first
    except ValueError as error:
        (note,) = remote_error(describe(error), result()).__notes__
    assert "ValueError: then\nwhich came of:" in note
    assert "KeyError: 'first'\nlook here" in note


def test_text_from_the_box_cannot_steer_a_terminal() -> None:
    found = remote_error({"classes": ["builtins:ValueError"], "text": "a\x1b[2J\u202eb\x9b\ufeff", "notes": ["\r\x07"]}, result())
    text = str(found) + found.__notes__[0]
    assert not UNSAFE.search(text)
    assert "a\\x1b[2J\\u202eb\\x9b\\ufeff" in text


JUNK = st.recursive(
    st.none()
    | st.integers()
    | st.text(max_size=9)
    | st.sampled_from(["builtins:exec", "builtins:ValueError", "os:system", "x:"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["classes", "text", "frames", "notes", "cause"]), inner, max_size=5)
    ),
    max_leaves=15,
)


@given(JUNK)
def test_whatever_is_told_makes_an_error_and_nothing_else(tree: Any) -> None:
    found = remote_error(tree, result())
    assert isinstance(found, RemoteError)
    assert len(found.__notes__) == 1


def test_cause_without_an_end_is_cut() -> None:
    tree: Any = {"text": "x"}
    for _ in range(50):
        tree = {"cause": tree, "text": "x"}
    assert remote_error(tree, result()).__notes__[0].count("which came of") == MAX_DEPTH


def test_description_of_an_exception_that_misbehaves_is_one_all_the_same() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert told(Odd())["text"] == "(its text cannot be had)"


@pytest.mark.parametrize("kind", [UnicodeDecodeError, UnicodeEncodeError, SyntaxError, KeyError, OSError, StopIteration])
def test_exception_that_is_made_of_more_than_a_text_is_one_here_too(kind: type[Exception]) -> None:
    classes = [f"builtins:{one.__name__}" for one in kind.__mro__]
    error = remote_error({"classes": classes, "text": "no", "frames": []}, result())
    assert isinstance(error, kind)
    assert (str(error), str(error.problems[0].show())) == (f"{kind.__name__}: no",) * 2


def test_group_of_exceptions_is_an_error_without_a_group() -> None:
    error = remote_error({"classes": ["builtins:ExceptionGroup", "builtins:Exception"], "text": "two"}, result())
    assert type(error) is RemoteError


@pytest.mark.parametrize(
    "error",
    [
        remote_error({"classes": ["builtins:UnicodeDecodeError"], "text": "no", "notes": ["a note"]}, result()),
        remote_error({"classes": ["somewhere:Own"], "text": "no"}, result()),
        remote_error({"classes": ["sandboxer.calls.wire.caps:SerializationError"], "text": "no"}, result()),
        death(result(Reason.WALL_TIMEOUT, stdout=b"so far")),
        death(result(Reason.SECCOMP_KILL)),
        sandboxer.SerializationError("a lock cannot cross", "[1]"),
        sandboxer.KernelError(Problem("no", why="so", attempt="this"), call="mount", errno=1),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_that_is_pickled_is_the_same_elsewhere(error: sandboxer.SandboxerError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.args) == (type(error), str(error), error.args)
    assert [one.show() for one in again.problems] == [one.show() for one in error.problems]
    assert again.__dict__.keys() == error.__dict__.keys()
    assert getattr(again, "result", None) == getattr(error, "result", None)


def test_names_of_the_module_are_those_of_builtin_exceptions() -> None:
    assert errors.RemoteValueError is errors.RemoteValueError
    for name in ("RemoteIOError", "Remoteint", "RemoteException", "RemoteNothing", "Nothing"):
        assert not hasattr(errors, name), name
