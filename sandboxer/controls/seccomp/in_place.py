"""The wall of rules that stands in for what a process in place has no namespace for: a network, and a session of its own."""

from __future__ import annotations

from sandboxer.controls.seccomp.grammar import parse_denies
from sandboxer.controls.seccomp.meaning import Statement, Wall
from sandboxer.controls.seccomp.rules import Rule
from sandboxer.model.node import parse_node
from sandboxer.model.place import built_in

NAME = "what is in place"
_TYPING = b"""\
- {ioctl: {cmd: {in: [TIOCSTI, TIOCLINUX]}}}
"""
_NETWORK = b"""\
- {socket: {family: {not: AF_UNIX}}, errno: EAFNOSUPPORT}
- {socketpair: {family: {not: AF_UNIX}}, errno: EAFNOSUPPORT}
- io_uring_setup
"""
"""io_uring makes sockets without a filter being asked. io_uring_prep_socket(3)."""


def wall_in_place(*, has_network: bool) -> Wall:
    """A wall that lets everything pass but this."""
    said = parse_denies(parse_node(_TYPING if has_network else _TYPING + _NETWORK, NAME))
    place = built_in(NAME)
    return Wall(NAME, place, None, tuple(Statement(item.value, place) for item in said if isinstance(item.value, Rule)))
