"""The stack of filters that settings become, in the order of loading.

For each wall one filter of its grants (everything else refused) and, where it denies parts of calls, one of its denies
(everything else allowed); after them the closing filter. The kernel runs them all and takes the strictest answer, which is what
a stack of walls means. All but the last let seccomp(2) pass, because it loads the next one; the last has the verdict of every
wall on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandboxer.abi import bpf
from sandboxer.controls.seccomp import backend_libseccomp
from sandboxer.controls.seccomp.closing import LOADING_CALL, closing_filter
from sandboxer.controls.seccomp.meaning import Settings, Wall
from sandboxer.controls.seccomp.rules import Rule, includes
from sandboxer.model.place import Place


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: what it is for, in words, and its array of struct sock_filter."""

    purpose: str
    program: bytes
    place: Place

    @property
    def instructions(self) -> int:
        """How long it is."""
        return len(self.program) // bpf.INSTRUCTION_BYTES


def granted_rules(wall: Wall) -> tuple[Rule, ...]:
    """The grants of a wall that no single deny takes away wholly."""
    grants = wall.grants or ()
    denies = [item.rule for item in wall.denies]
    return tuple(item.rule for item in grants if not any(includes(deny, item.rule) for deny in denies))


def denied_rules(wall: Wall) -> tuple[Rule, ...]:
    """The denies that the filter of the grants does not cover: those of parts of calls, or all where everything is granted."""
    return tuple(
        item.rule for item in wall.denies if wall.grants is None or (wall.grants_of(item.rule.call) and not item.rule.is_whole)
    )


def _wall_filters(wall: Wall, arch: str, errno: int) -> Iterator[Filter]:
    refused = bpf.RET_ERRNO | errno
    if wall.grants is not None:
        rules = [rule for rule in granted_rules(wall) if rule.call != LOADING_CALL] + [Rule(LOADING_CALL)]
        program = backend_libseccomp.compile_filter(arch, rules, matched=bpf.RET_ALLOW, default=refused)
        yield Filter(f"what {wall.name} allows", program, wall.place)
    denies = [rule for rule in denied_rules(wall) if rule.call != LOADING_CALL]
    if denies:
        program = backend_libseccomp.compile_filter(arch, denies, matched=refused, default=bpf.RET_ALLOW)
        yield Filter(f"what {wall.name} denies", program, wall.place)


def compile_stack(settings: Settings, arch: str) -> tuple[Filter, ...]:
    """The filters in the order of loading. Raises ProfileError or HostError as the backend does."""
    filters = [item for wall in settings.walls for item in _wall_filters(wall, arch, settings.default_errno)]
    last = Filter("numbers without a name, and special answers", closing_filter(settings, arch), settings.walls[0].place)
    return (*filters, last)
