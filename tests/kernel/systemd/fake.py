"""A bus of the tests' own: a thread behind a socket, which speaks the wire with jeepney's other half, or does not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jeepney import HeaderFields, Parser, new_error, new_method_return

Answer = Callable[[str, tuple[Any, ...]], tuple[str, tuple[Any, ...]]]
"""From a member and its body to a signature and what is returned. Raises: Refused."""
Serve = Callable[[socket.socket], None]
GREETING = b"OK 0123456789abcdef0123456789abcdef\r\n"


class Refused(Exception):
    """The error that is sent: name, text."""


def speak(answer: Answer) -> Serve:
    """A service that greets, and answers every call until the other end closes."""

    def serve(connection: socket.socket) -> None:
        read_until(connection, b"\r\n")
        connection.sendall(GREETING)
        parser = Parser()
        parser.add_data(read_until(connection, b"BEGIN\r\n").partition(b"BEGIN\r\n")[2])
        for serial in range(1, 1 << 20):
            while (message := parser.get_next_message()) is None:
                parser.add_data(read(connection))
            member = str(message.header.fields[HeaderFields.member])
            try:
                signature, body = ("s", (":1.7",)) if member == "Hello" else answer(member, message.body)
                reply = new_method_return(message, signature or None, body)
            except Refused as refused:
                reply = new_error(message, refused.args[0], "s", (refused.args[1],))
            connection.sendall(reply.serialise(serial=serial))

    return serve


def read(connection: socket.socket) -> bytes:
    """What comes next. Raises: ConnectionResetError at the end."""
    data = connection.recv(4096)
    if not data:
        raise ConnectionResetError
    return data


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """All that comes, until these bytes are in it."""
    data = b""
    while end not in data:
        data += read(connection)
    return data


def greet_then(*pieces: bytes) -> Serve:
    """A service that greets well, and says this to the first call, whatever it is."""

    def serve(connection: socket.socket) -> None:
        read_until(connection, b"\r\n")
        connection.sendall(GREETING)
        read_until(connection, b"BEGIN\r\n")
        say(*pieces)(connection)

    return serve


def say(*pieces: bytes) -> Serve:
    """A service that says this, whatever it is told, and takes what comes."""

    def serve(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
        while connection.recv(4096):
            continue

    return serve


def close(connection: socket.socket) -> None:
    """A service that hangs up."""
    connection.recv(1)


@contextmanager
def served(path: Path, serve: Serve) -> Iterator[str]:
    """Serve every connection at a path, one after the other."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection:
                    try:
                        serve(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield str(path)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
