"""A mark is a refusal of its thread's alone."""

from __future__ import annotations

import ipaddress
import socket
import threading

import pytest

from sandboxer.kernel import calls
from sandboxer.kernel.audit.mark import make_mark
from sandboxer.kernel.prctl import read_attributes
from tests.live.needs import needs


@needs("landlock>=4")
def test_marks_are_loopback_addresses_that_nobody_guesses() -> None:
    marks = {(mark.address, mark.port) for mark in (make_mark() for _ in range(8))}
    assert len(marks) == 8
    assert all(ipaddress.ip_address(address).is_loopback and 0 < port < 1 << 16 for address, port in marks)


@needs("landlock>=4")
def test_thread_that_makes_one_ends_and_takes_its_domain_along() -> None:
    threads, before = threading.active_count(), read_attributes()
    make_mark()
    assert (threading.active_count(), read_attributes()) == (threads, before)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


@needs("landlock>=4")
def test_mark_that_is_not_refused_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "enter_ruleset", lambda ruleset, flags: None)
    with pytest.raises(ConnectionRefusedError):
        make_mark()
