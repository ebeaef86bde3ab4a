"""Calls over D-Bus that have an end: the wire is jeepney's, the socket and the clock are ours.

Whoever answers is the caller's own process, or it is not spoken to; and it may hang, refuse or babble, so every wait ends at one
deadline and every answer that is not understood is a `BusError`. jeepney costs 13 ms to import: only who must ask comes here.
Source: D-Bus Specification, "Message Protocol" and "Authentication Protocol".
"""

from __future__ import annotations

import os
import socket
import struct
import time
from itertools import count
from types import TracebackType

from jeepney import DBusAddress, HeaderFields, MessageType, Parser, new_method_call
from jeepney.auth import BEGIN, Authenticator

MAX_BYTES = 1 << 20
"""More than that is no answer to anything that is asked here."""
_CREDENTIALS = struct.Struct("3i")
_NOT_UNDERSTOOD = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError, struct.error)
"""What jeepney raises on bytes that are no message; UnicodeDecodeError and its own errors are ValueErrors."""
_DAEMON = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")


class BusError(Exception):
    """Why there is no answer, for people."""


class BusRefusal(BusError):
    """The answer is an error. name: D-Bus's name for it."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text or name)
        self.name = name


class Bus:
    """A connection to a bus, or to a service itself (is_direct), that is good until the deadline (time.monotonic)."""

    def __init__(self, path: str, *, deadline: float, is_direct: bool) -> None:
        """Raises: BusError."""
        self._deadline = deadline
        self._parser = Parser()
        self._serials = count(1)
        self._bytes = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._open(path)
            if not is_direct:
                self._ask(new_method_call(_DAEMON, "Hello"))
        except BaseException:
            self._socket.close()
            raise

    def _open(self, path: str) -> None:
        try:
            self._wait().connect(path)
            self._check_peer()
            self._authenticate()
        except OSError as error:
            raise _as_bus_error(error) from error
        except _NOT_UNDERSTOOD as error:
            raise BusError("what answers is no bus") from error

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def call(self, address: DBusAddress, member: str, signature: str = "", body: tuple[object, ...] = ()) -> tuple[object, ...]:
        """Call a method, and what it returns. Raises: BusError, BusRefusal."""
        return self._ask(new_method_call(address, member, signature or None, body))

    def _ask(self, message: object) -> tuple[object, ...]:
        serial = next(self._serials)
        try:
            self._wait().sendall(message.serialise(serial=serial))  # type: ignore[attr-defined]
            while True:
                reply = self._parser.get_next_message()
                if reply is None:
                    self._parser.add_data(self._read())
                elif reply.header.fields.get(HeaderFields.reply_serial) == serial:
                    break
            if reply.header.message_type is MessageType.error:
                text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
                raise BusRefusal(str(reply.header.fields.get(HeaderFields.error_name, "an error")), text)
            return tuple(reply.body)
        except OSError as error:
            raise _as_bus_error(error) from error
        except _NOT_UNDERSTOOD as error:
            raise BusError("its answer is no message") from error

    def _authenticate(self) -> None:
        authenticator = Authenticator()
        for data in authenticator:
            if data:
                self._wait().sendall(data)
            authenticator.feed(self._read())
        self._wait().sendall(BEGIN)

    def _check_peer(self) -> None:
        """Whoever listens there must be the caller: anybody else could put the process into a group of theirs."""
        raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(raw)[1] != _caller():
            raise BusError("its socket belongs to somebody else")

    def _read(self) -> bytes:
        data = self._wait().recv(4096)
        self._bytes += len(data)
        if not data:
            raise ConnectionResetError
        if self._bytes > MAX_BYTES:
            raise BusError("it talks without end")
        return data

    def _wait(self) -> socket.socket:
        """The socket, for what is left until the deadline. Raises: TimeoutError."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._socket


def _caller() -> int:
    return os.geteuid()


def _as_bus_error(error: OSError) -> BusError:
    if isinstance(error, TimeoutError):
        return BusError("it did not answer in time")
    return BusError(f"it cannot be reached ({error.strerror})" if error.strerror else "it hung up")
