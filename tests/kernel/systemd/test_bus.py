"""Calls over D-Bus against services that answer, hang, refuse and babble: each ends in time, with words."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress

from sandboxer.kernel.systemd import bus as bus_module
from sandboxer.kernel.systemd.bus import Bus, BusError, BusRefusal
from tests.kernel.systemd.fake import Refused, Serve, close, greet_then, say, served, speak

THING = DBusAddress("/a", bus_name="b.c", interface="d.e")
LIMIT_S = 0.3
CALL = b"l\1\0\1\0\0\0\0\1\0\0\0\0\0\0\0"


def echo(member: str, body: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    if member == "Fail":
        raise Refused("org.example.No", "not today")
    return "s", (f"{member} {body}",)


def ask(path: str, member: str = "Do", *, is_direct: bool = False) -> tuple[object, ...]:
    with Bus(path, deadline=time.monotonic() + LIMIT_S, is_direct=is_direct) as bus:
        return bus.call(THING, member, "s", ("x",))


@pytest.mark.parametrize("is_direct", [False, True])
def test_call_returns_what_the_service_answers(tmp_path: Path, is_direct: bool) -> None:
    with served(tmp_path / "bus", speak(echo)) as path:
        assert ask(path, is_direct=is_direct) == ("Do ('x',)",)


def test_error_has_its_name_and_words(tmp_path: Path) -> None:
    with served(tmp_path / "bus", speak(echo)) as path, pytest.raises(BusRefusal, match="not today") as caught:
        ask(path, "Fail")
    assert caught.value.name == "org.example.No"


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (say(), "did not answer in time"),
        (greet_then(), "did not answer in time"),
        (say(b"OK"), "did not answer in time"),
        (close, "hung up|cannot be reached"),
        (say(b"REJECTED EXTERNAL\r\n"), "no bus"),
        (say(b"OK 1\r\nOK 2\r\n"), "no bus"),
        (say(b"\xff" * 9000), "no bus"),
        (greet_then(b"\0" * 64), "no message"),
        (greet_then(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no message"),
        (greet_then(b"l\2\0\1" + b"\xff" * 60), "no message|did not answer"),
        (greet_then(*[CALL * 4096] * 40), "without end|in time"),
    ],
)
def test_service_that_is_none_is_left_in_time(tmp_path: Path, serve: Serve, said: str) -> None:
    with served(tmp_path / "bus", serve) as path, pytest.raises(BusError, match=said):
        ask(path)


@pytest.mark.parametrize("data", [os.urandom(64) for _ in range(20)], ids=range(20))
def test_noise_is_an_error_of_the_bus_and_no_other(tmp_path: Path, data: bytes) -> None:
    for head in (b"", b"l\2\0\1", b"B\3\0\1\0\0\0\4\0\0\0\1\0\0\0\x20"):
        with served(tmp_path / f"bus{len(head)}", greet_then(head + data)) as path, pytest.raises(BusError):
            ask(path, is_direct=True)


def test_socket_without_a_service_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="cannot be reached"):
        ask(str(tmp_path / "none"))


def test_service_of_somebody_else_is_not_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "_caller", lambda: os.geteuid() + 1)
    with served(tmp_path / "bus", speak(echo)) as path, pytest.raises(BusError, match="somebody else"):
        ask(path)
