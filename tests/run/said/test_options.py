"""What may be said beside a profile, wherever Python code says it: what is misspelt is refused before anything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

import sandboxer
from sandboxer import aio
from sandboxer.calls.boxes.stocking import Stocking
from sandboxer.run.said.options import Options, read_options, read_words, settle_options

PLACES: dict[str, Callable[..., Any]] = {
    "run": lambda **options: sandboxer.run(["true"], profile="python", **options),
    "stream": lambda **options: sandboxer.stream(["true"], profile="python", **options),
    "aio.run": lambda **options: asyncio.run(aio.run(["true"], profile="python", **options)),
    "aio.stream": lambda **options: aio.stream(["true"], profile="python", **options),
    "load": lambda **options: sandboxer.load("python", **options),
    "sandboxed": lambda **options: sandboxer.sandboxed(profile="python", **options)(len),
    "Pool": lambda **options: sandboxer.Pool("python", **options),
    "Box": lambda **options: sandboxer.Box("python", **options),
    "aio.Box": lambda **options: aio.Box("python", **options),
    "SandboxExecutor": lambda **options: sandboxer.SandboxExecutor(profile="python", **options),
}


@pytest.mark.parametrize("place", PLACES)
def test_misspelt_limit_is_refused(place: str) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'memroy': did you mean memory\?"):
        PLACES[place](memroy="16M")


@pytest.mark.parametrize("place", PLACES)
def test_word_like_no_other_is_refused_without_advice(place: str) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzz'$"):
        PLACES[place](zzz=1)


@pytest.mark.parametrize("place", PLACES)
def test_limit_that_is_no_number_is_refused(place: str) -> None:
    with pytest.raises(TypeError, match="memory is True, and may be a text such as `128M`"):
        PLACES[place](memory=True)


@pytest.mark.parametrize("place", ["Pool", "SandboxExecutor"])
def test_stocking_is_said_in_the_stocking(place: str) -> None:
    with pytest.raises(TypeError, match=r"stocking=Stocking\(preload=\.\.\.\)"):
        PLACES[place](preload=["json"])


@pytest.mark.parametrize(
    "said", [{"profile": "strict"}, {"memory": "16M"}, {"preload": ["json"]}, {"reuse": "same-key"}, {"max_output_bytes": 1}]
)
def test_what_a_pool_says_is_not_said_of_a_function(said: dict[str, Any]) -> None:
    with sandboxer.Pool("python") as pool, pytest.raises(TypeError, match="the pool says which"):
        sandboxer.sandboxed(pool=pool, **said)(len)


def test_pool_with_its_own_words_serves_a_function() -> None:
    with sandboxer.Pool("python", stocking=Stocking(spares=0), memory="256M") as pool:
        assert sandboxer.sandboxed(pool=pool, ahead=2)(len)("four") == 4


def read(**options: Any) -> list[tuple[str, str]]:
    return read_options(cast(Options, options))


def test_each_option_is_one_of_the_command_line() -> None:
    assert read(fds=[3, 4], read=[Path("/a"), b"/b"], write=("/c",), env={"A": "1", "B": None, "C": ""}, timeout=1.5) == [
        ("--read", "/a"), ("--read", "/b"), ("--write", "/c"), ("--env", "A=1"), ("--env", "B"), ("--env", "C="),
        ("--timeout", "1500ms"), ("--fd", "3"), ("--fd", "4"),
    ]  # fmt: skip
    assert read(timeout="10s", memory=1 << 20, network="none", params={"fast": True, "size": 3}, workdir="/w", cache=False) == [
        ("--timeout", "10s"), ("--memory", "1048576B"), ("--network", "none"), ("--set", "fast=true"), ("--set", "size=3"),
    ]  # fmt: skip


def test_none_is_what_was_not_said() -> None:
    assert read(**dict.fromkeys(Options.__annotations__)) == read() == []


@pytest.mark.parametrize(
    ("said", "error", "what"),
    [
        ({"read": "/etc"}, TypeError, r"read is a list of paths, and not one: \['/etc'\]"),
        ({"write": Path("/srv")}, TypeError, "write is a list of paths, and not one"),
        ({"read": [3]}, TypeError, "not int"),
        ({"env": ["A"]}, TypeError, "env is .'A'., and may be a mapping"),
        ({"env": {"A": 5}}, TypeError, r"env\['A'\] is 5, and may be a text, or None"),
        ({"env": {5: "A"}}, TypeError, r"env\[5\] is 'A'"),
        ({"env": {"A=B": "C"}}, ValueError, "'A=B' names no variable: it has a ="),
        ({"env": {"A": "B\0C"}}, ValueError, "the variable A has a NUL byte"),
        ({"timeout": True}, TypeError, "timeout is True, and may be a text such as `10s`, or seconds"),
        ({"timeout": float("inf")}, ValueError, "timeout is inf; None leaves"),
        ({"timeout": float("nan")}, ValueError, "timeout is nan"),
        ({"memory": 1.5}, TypeError, "memory is 1.5, and may be a text such as `128M`, or a whole number of bytes"),
        ({"network": 1}, TypeError, "network is 1, and may be a text"),
        ({"params": "x"}, TypeError, "params is 'x', and may be a mapping"),
        ({"fds": 3}, TypeError, "not iterable"),
    ],
)  # fmt: skip
def test_what_is_of_the_wrong_kind_is_named(said: dict[str, Any], error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        read(**said)


def test_settled_options_can_be_read_again() -> None:
    settled = settle_options({"read": (path for path in ("/a", "/b")), "env": {"A": "1"}})
    assert read_options(settled) == read_options(settled) == [("--read", "/a"), ("--read", "/b"), ("--env", "A=1")]


def test_session_keeps_what_came_as_a_generator() -> None:
    with sandboxer.Box("python", read=(path for path in ["/etc/hosts"])) as box:
        for _ in range(2):
            assert box.exec(["cat", "/etc/hosts"]).stdout == Path("/etc/hosts").read_bytes()


def test_command_is_a_list_of_words() -> None:
    assert read_words(["a", b"\xff", Path("/p")]) == ("a", "\udcff", "/p")


@pytest.mark.parametrize(
    ("argv", "error", "what"),
    [
        ("true", TypeError, r"a command is a list of words, and not one: \['true'\]"),
        (b"true", TypeError, "a command is a list of words"),
        (Path("/bin/true"), TypeError, "a command is a list of words"),
        ([], ValueError, "there is no command"),
        (["a", 3], TypeError, "not int"),
        (["a\0b"], ValueError, "NUL byte"),
    ],
)
def test_what_is_no_command_is_refused(argv: Any, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        read_words(argv)
