"""A refusal of our own, to be found in the audit log: it proves that records come, and parts old ones from new.

A thread enters a Landlock domain that lets no TCP connection be made, asks for one to an address and a port that nobody can
guess, is refused ahead of any packet, and ends. The number of its domain is above those of all older domains, and below those
of all newer ones (security/landlock/id.c), and its records come behind everything that was written before.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import threading
from dataclasses import dataclass

from sandboxer.abi.landlock import BY_NAME
from sandboxer.kernel import calls

_RULESET = struct.Struct("=QQ")  # struct landlock_ruleset_attr: handled_access_fs, handled_access_net
_PORTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the connection was to go."""

    address: str
    port: int


def make_mark() -> Mark:
    """Be refused once. Raises: OSError where that cannot be done."""
    number = secrets.randbits(24)
    mark = Mark(f"127.{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}", 1 + secrets.randbelow(_PORTS - 1))
    failures: list[OSError] = []
    thread = threading.Thread(target=_try, args=(mark, failures))
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return mark


def _try(mark: Mark, failures: list[OSError]) -> None:
    try:
        _be_refused(mark)
    except OSError as error:
        failures.append(error)


def _be_refused(mark: Mark) -> None:
    """In a thread that ends at once: neither the domain nor no_new_privs reaches any other."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as asking:
        calls.forbid_new_privileges()
        ruleset = calls.make_ruleset(_RULESET.pack(0, BY_NAME["connect_tcp"].mask))
        try:
            calls.enter_ruleset(ruleset, 0)
        finally:
            os.close(ruleset)
        try:
            asking.connect((mark.address, mark.port))
        except PermissionError:
            return
    raise OSError(0, "a Landlock domain without ports let a connection pass")
