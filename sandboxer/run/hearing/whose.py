"""Which records are about one label: the profile of AppArmor, or the context of SELinux, that a box's command was given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from sandboxer.kernel.audit.avc import ALLOWED, DENIED, LEARNING, ContextRefusal, ProfileRefusal
from sandboxer.kernel.audit.records import Record
from sandboxer.kernel.lsm import apparmor, selinux
from sandboxer.model.op import PAIR

T = TypeVar("T", ProfileRefusal, ContextRefusal)


class Label(Protocol[T]):
    """A label as records name it, and how to be refused by its security module."""

    @property
    def is_shared(self) -> bool:
        """Whether another box can be under it at the same time."""

    def filled(self, pair: bytes) -> Label[T]:
        """The label of a box that got these categories."""

    def find(self, record: Record) -> T | None:
        """The record, if it is a refusal of this label's, or tells of what would be one."""

    def leave_mark(self) -> bytes:
        """Be refused once: the path in the record of it."""

    def doubts(self, told: Iterable[T]) -> Iterator[str]:
        """What these records cannot say, in sentences."""


@dataclass(frozen=True, slots=True)
class OfProfile:
    """An AppArmor profile, which equal boxes share."""

    name: bytes
    is_shared: bool = True

    def filled(self, _pair: bytes) -> OfProfile:
        """It has no categories."""
        return self

    def find(self, record: Record) -> ProfileRefusal | None:
        """Those of the profiles too that the kernel makes under it in a trial."""
        match record:
            case ProfileRefusal() if record.verdict in (DENIED, ALLOWED) and record.profile.partition(LEARNING)[0] == self.name:
                return record
        return None

    def leave_mark(self) -> bytes:
        """AppArmor records it without auditing."""
        return apparmor.leave_mark()

    def doubts(self, _told: Iterable[ProfileRefusal]) -> Iterator[str]:
        """None."""
        yield from ()


@dataclass(frozen=True, slots=True)
class OfContext:
    """A context of SELinux. With two categories that no other box has it is one box's alone; with others, or none, it is shared.

    is_permissive: the kernel was that when the box was planned.
    """

    context: str
    is_permissive: bool = False
    is_shared: bool = True

    def filled(self, pair: bytes) -> OfContext:
        """With the categories of the box in their place."""
        return replace(self, context=self.context.replace(PAIR, pair.decode()), is_shared=False) if pair else self

    def find(self, record: Record) -> ContextRefusal | None:
        """What a process of another context does to the box is not its own doing."""
        return record if isinstance(record, ContextRefusal) and record.source == self.context else None

    def leave_mark(self) -> bytes:
        """SELinux records it without auditing."""
        return selinux.leave_mark()

    def doubts(self, told: Iterable[ContextRefusal]) -> Iterator[str]:
        """A permissive kernel notes behind the first record that it was allowed. Source: security/selinux/avc.c, avc_denied."""
        if self.is_permissive and self.is_shared:
            yield "SELinux is permissive, and records each kind of access to a type once, for all boxes that have this context"
        elif any(not record.is_refused for record in told):
            yield "SELinux is permissive, and records each kind of access to a type once: how often it happened is not known"
