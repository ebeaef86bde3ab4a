"""How much of a network the job has."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from tests.live.boxes import Box
from tests.live.needs import no_network

TCP = """
def connect(port, host="127.0.0.1"):
    with socket.create_connection((host, port), timeout=5) as client:
        return client.recv(16).decode()
def serve():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=5)
        other, _ = server.accept()
        client.sendall(b"hello")
        text = other.recv(16).decode()
        client.close()
        other.close()
        return text
seen["names"] = [name for _, name in socket.if_nameindex()]
seen["up"] = [line.split()[0] for line in read("/proc/net/route").splitlines()[1:]]
seen["serve"] = attempt(serve)
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server of the host on loopback; whoever connects reads `host`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


def test_without_a_network_nothing_can_be_reached_not_even_loopback(box: Box, server: socket.socket) -> None:
    port = server.getsockname()[1]
    seen = box.look(TCP + f"seen.update(host=attempt(connect, {port}), far=attempt(connect, 53, '192.0.2.1'))")
    assert seen == {"names": ["lo"], "up": [], "serve": no_network(), "host": no_network(), "far": no_network()}


def test_loopback_is_the_boxs_own(box: Box, server: socket.socket) -> None:
    box.profile("network: {mode: loopback}")
    port = server.getsockname()[1]
    seen = box.look(
        TCP + f"seen.update(host=attempt(connect, {port}), far=attempt(connect, 53, '192.0.2.1'))\n"
        "seen['v6'] = attempt(lambda: socket.create_server(('::1', 0), family=socket.AF_INET6).close())\n"
        "seen['hosts'] = socket.gethostbyname('localhost')"
    )
    assert seen == {
        "names": ["lo"], "up": [], "serve": "ok", "host": "ECONNREFUSED", "far": "ENETUNREACH", "v6": "ok", "hosts": "127.0.0.1",
    }  # fmt: skip


def test_network_of_the_host_reaches_the_host(box: Box, server: socket.socket) -> None:
    box.profile("network: {mode: host}")
    code = (
        TCP
        + f"""
client = socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=5)
seen["host"] = client.getpeername()[0]
seen["net"] = os.readlink("/proc/self/ns/net")
"""
    )
    seen = box.look(code)
    assert (seen["serve"], seen["host"]) == ("ok", "127.0.0.1")
    assert seen["names"] == [name for _, name in socket.if_nameindex()]
    assert seen["net"] == os.readlink("/proc/self/ns/net")


@pytest.mark.parametrize(("mode", "expected"), [("none", "ECONNREFUSED"), ("loopback", "ECONNREFUSED"), ("host", "ok")])
def test_abstract_sockets_of_the_host_are_reached_only_over_its_network(box: Box, mode: str, expected: str) -> None:
    """Here without the scope of Landlock, so that the network namespace is what is seen."""
    name = f"sandboxer-test-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        box.profile(f"network: {{mode: {mode}}}\nlandlock: {{unhandled: [abstract_unix_socket]}}")
        seen = box.look(f"seen['found'] = attempt(socket.socket(socket.AF_UNIX).connect, '\\0{name}')")
    assert seen == {"found": expected}


def test_raw_sockets_need_a_capability(box: Box) -> None:
    look = "seen['raw'] = attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())"
    box.profile("network: {mode: loopback}\nseccomp: {allow: [socket]}")
    assert box.look(look) == {"raw": "EPERM"}
    box.profile("network: {mode: loopback}\nseccomp: {allow: [socket]}\ncapabilities: {keep: [net_raw], ambient: [net_raw]}")
    assert box.look(look) == {"raw": "ok"}
