"""The walls in sentences."""

from __future__ import annotations

from sandboxer.controls import landlock
from tests.controls.landlock.test_meaning import settings


def test_strict_wall_says_what_it_is_for() -> None:
    assert landlock.explain(settings()) == (
        "What the other sections grant of files is granted a second time, in Landlock (ABI 3 or newer).",
        "So a mistake with a mount alone opens nothing but names; and nothing can be mounted inside.",
        "It signals nobody and reaches no abstract socket outside of the box.",
    )


def test_wall_that_is_off_says_so() -> None:
    assert landlock.explain(settings("unhandled: [filesystem, network, scopes]")) == ("Landlock adds no second wall.",)


def test_what_is_left_alone_and_ports_and_layers_are_named() -> None:
    found = landlock.explain(
        settings("unhandled: [signal, execute]\nbind_tcp: [80]", "connect_tcp: []", "unhandled: [filesystem]")
    )
    assert found[1:] == (
        "Left alone: execute signal.",
        "bind_tcp: 80.",
        "connect_tcp under layer 1: none.",
        "A further wall, layer 2, handles: bind_tcp connect_tcp bind_udp connect_send_udp abstract_unix_socket signal.",
    )


def test_widens_tells_what_is_no_longer_handled() -> None:
    strict, loose = settings(), settings("unhandled: [signal]\nleast_abi: 2")
    assert landlock.widens(strict, loose) == ("landlock.unhandled: signal", "landlock.least_abi: 2")
    assert landlock.widens(loose, strict) == ()
    assert landlock.widens(strict, settings("unhandled: [signal]", "unhandled: []")) == ()


def test_widens_tells_more_ports() -> None:
    some, more, every = settings("bind_tcp: [80]"), settings("bind_tcp: [80, 443]"), settings()
    assert landlock.widens(some, more) == ("landlock.bind_tcp: 443",)
    assert landlock.widens(some, every) == ("landlock.bind_tcp: all ports",)
    assert landlock.widens(every, some) == landlock.widens(more, some) == ()
    assert landlock.widens(settings("", "bind_tcp: [80]"), settings("", "bind_tcp: [80]", "bind_tcp: []")) == ()
