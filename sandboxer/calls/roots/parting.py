"""A plan in two parts: what makes its root, once, and what every box does with a copy of that.

What a box has for itself (its tmpfs, /proc, terminals) stays in the second part, with all that lies on it. The first shows the
trees of the host; one that lies on something of the box's own waits in a place of ours until the box moves it there. The second
part ends with a look at every mount that could have been lost on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from sandboxer.abi.namespaces import CloneFlag
from sandboxer.model.op import (
    U32,
    U64,
    Attach,
    BindInside,
    Blob,
    CheckMounts,
    CloseFds,
    HandOver,
    JoinNamespace,
    KeepRoot,
    LabelMounts,
    MakeDirectory,
    MakeFile,
    MakeIdmap,
    MakePrivate,
    MakeRoot,
    MakeStage,
    MakeSymlink,
    MountFilesystem,
    MoveMount,
    Op,
    OpenTree,
    PivotRoot,
    SetExecContext,
    SetExecLabel,
    SetMountAttributes,
    SetParentDeathSignal,
    ShowSpace,
    Start,
    Text,
    TextList,
    U32List,
    Unshare,
)

SIGKILL = 9
OURS = "/.sandboxer"
HELD = f"{OURS}/held"
ENTERS_ANOTHER = CloneFlag.NEWUSER | CloneFlag.NEWNS
LABELS: frozenset[type[Op]] = frozenset({LabelMounts, SetExecLabel, SetExecContext})


class _Whose(Enum):
    """What a path of the root lies on: a mount of all boxes, one of each box, or one that waits to be moved."""

    ALL = auto()
    EACH = auto()
    WAITING = auto()


@dataclass(frozen=True, slots=True)
class Origin:
    """An op, and where it comes from: its index in the list inside of the whole plan; -1: it is new."""

    op: Op
    index: int = -1


@dataclass(frozen=True, slots=True)
class Parts:
    """making_before, making: the lists before and inside of what makes the root and hands it over.

    before: that of a box which begins with a copy of it. Its list inside has a head, as in the whole plan, and a tail; its list
    after is that of the whole plan.
    """

    making_before: tuple[Op, ...]
    making: tuple[Op, ...]
    before: tuple[Op, ...]
    head: tuple[Origin, ...]
    tail: tuple[Origin, ...]

    def inside(self, root_fd: int) -> tuple[Origin, ...]:
        """The list inside of a box, whose launcher has the mount namespace of the root under this descriptor."""
        new = CloneFlag.NEWNS
        entering = (JoinNamespace(U64(new), Text(f"/proc/self/fd/{root_fd}")), Unshare(U64(new)), KeepRoot())
        return (*self.head, *map(Origin, entering), *self.tail)


class _Whole(Exception):
    """This plan stays in one piece."""


def part(before: Iterable[Op], inside: Iterable[Op]) -> Parts | None:
    """Part a plan.

    None: it stays whole. Its mounts belong to a user namespace of their own, or they have labels, or the box does not end up in a
    user namespace from which nothing can be done to its mounts, or they are of a kind that is not parted.
    """
    try:
        return _part(tuple(before), tuple(inside))
    except _Whole:
        return None


def _part(before: tuple[Op, ...], inside: tuple[Op, ...]) -> Parts:
    starts = [op for op in before if isinstance(op, Start)]
    kinds = [type(op) for op in inside]
    if len(starts) != 1 or kinds.count(MakePrivate) != 1 or kinds.count(PivotRoot) != 1:
        raise _Whole
    first, last = kinds.index(MakePrivate), kinds.index(PivotRoot)
    flags = starts[0].clone_flags
    if not flags & CloneFlag.NEWNS or flags & CloneFlag.NEWUSER or any(map(_is_elsewhere, (*before, *inside[:first]))):
        raise _Whole
    if LABELS & set(kinds) or not any(isinstance(op, Unshare) and op.flags & CloneFlag.NEWUSER for op in inside[last:]):
        raise _Whole
    mounts = _Mounts()
    for index, op in enumerate(inside[first + 1 : last], first + 1):
        mounts.take(op, index)
    checking = [CheckMounts(TextList(tuple(mounts.endangered)))] if mounts.endangered else []
    return Parts(
        making_before=(*(op for op in before if isinstance(op, MakeIdmap)), Start(U64(CloneFlag.NEWNS))),
        making=(
            SetParentDeathSignal(U32(SIGKILL)),
            CloseFds(U32List(())),
            MakePrivate(),
            *mounts.shared,
            PivotRoot(),
            HandOver(Text("/")),
        ),
        before=tuple(
            replace(op, clone_flags=U64(flags & ~CloneFlag.NEWNS)) if isinstance(op, Start) else op
            for op in before
            if not isinstance(op, MakeIdmap)
        ),
        head=tuple(Origin(op, index) for index, op in enumerate(inside[:first])),
        tail=(
            *mounts.own,
            *map(Origin, checking),
            *(Origin(op, index) for index, op in enumerate(inside[last + 1 :], last + 1)),
        ),
    )


def _is_elsewhere(op: Op) -> bool:
    """Whether it leads into a user or mount namespace ahead of the root."""
    flags = op.kind if isinstance(op, JoinNamespace) else op.flags if isinstance(op, Unshare) else 0
    return bool(flags & ENTERS_ANOTHER)


@dataclass(slots=True)
class _Mounts:
    """The ops between the host's mounts and the pivot, one after the other, each put where it belongs."""

    shared: list[Op] = field(default_factory=list)
    own: list[Origin] = field(default_factory=list)
    endangered: list[str] = field(default_factory=list)
    _whose: dict[str, _Whose] = field(default_factory=lambda: {"/": _Whose.ALL})
    _trees: set[str] = field(default_factory=set)  # where something of the host is shown
    _waiting: dict[str, str] = field(default_factory=dict)  # what is moved there -> where it waits
    _links: set[str] = field(default_factory=set)
    _files: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)  # where a step of the box's own has looked

    def take(self, op: Op, index: int) -> None:
        """Put the next op where it belongs. Raises: _Whole."""
        match op:
            case OpenTree() | MakeStage() | MakeRoot():
                self.shared.append(op)
            case MakeDirectory(path=path) | MakeFile(path=path) | MakeSymlink(path=path):
                self._make(op, path, index)
            case Attach(path=path):
                self._attach(op, path, index)
            case MountFilesystem(path=path):
                self._check(path)
                self.own.append(Origin(op, index))
                self._cover(path, _Whose.EACH)
            case BindInside(source=source, path=path):
                self._bind(op, source, path, index)
            case SetMountAttributes(path=path, recursive=recursive):
                self._check(path)
                if recursive:
                    self._check_bare(path)
                self._put(op, path, self._find(path), index)
            case ShowSpace(path=path):
                self._check(path)
                self.own.append(Origin(op, index))
                self._seen.add(path)
            case _:
                raise _Whole

    def _make(self, op: MakeDirectory | MakeFile | MakeSymlink, path: str, index: int) -> None:
        self._check(path if not isinstance(op, MakeSymlink) else _parent(path))
        self._put(op, path, self._find(_parent(path)), index)
        if isinstance(op, MakeSymlink):
            self._links.add(path)
        if isinstance(op, MakeFile):
            self._files.add(path)

    def _attach(self, op: Attach, path: str, index: int) -> None:
        self._check(path)
        whose = self._find(path)
        if self._is_on_tree(path):
            self.endangered.append(path)
        if whose is _Whose.EACH:
            place = Text(f"{HELD}/{len(self._waiting)}")
            for missing in (OURS, HELD):
                self.shared.append(MakeDirectory(Text(missing), U32(0)))
            is_file = path in self._files
            self.shared.append(MakeFile(place, U32(0), Blob(b"")) if is_file else MakeDirectory(place, U32(0)))
            self.shared.append(Attach(op.slot, place))
            self.own.append(Origin(MoveMount(place, op.path), index))
            self._waiting[path] = place
            whose = _Whose.WAITING
        else:
            self._put(op, path, whose, index)
        self._cover(path, whose)
        self._trees.add(path)

    def _bind(self, op: BindInside, source: str, path: str, index: int) -> None:
        self._check(path)
        self._check(source)
        whose, of_source = self._find(path), self._find(source)
        if op.recursive and source != path:
            self._check_bare(source)
        is_shared = whose is of_source is _Whose.ALL
        if is_shared:
            self.shared.append(op)
            if self._is_on_tree(path):
                self.endangered.append(path)
        else:
            self.own.append(Origin(op, index))
            self._seen.add(source)
        self._cover(path, _Whose.ALL if is_shared else _Whose.EACH)

    def _put(self, op: Op, path: str, whose: _Whose, index: int) -> None:
        if whose is _Whose.EACH:
            self.own.append(Origin(op, index))
        elif whose is _Whose.ALL:
            self.shared.append(op)
        else:
            self.shared.append(replace(op, path=Text(self._place(path))))  # type: ignore[call-arg]

    def _find(self, path: str) -> _Whose:
        return self._whose[self._mount_of(path, self._whose)]

    def _is_on_tree(self, path: str) -> bool:
        """Whether its mount point is a file of the host."""
        return self._mount_of(_parent(path), self._whose) in self._trees

    def _place(self, path: str) -> str:
        """Where it waits."""
        above = self._mount_of(path, self._waiting)
        return self._waiting[above] + path[len(above) :]

    def _mount_of(self, path: str, mounts: Iterable[str]) -> str:
        return max((other for other in mounts if other == path or is_below(path, other)), key=len)

    def _cover(self, path: str, whose: _Whose) -> None:
        """Note a mount. Raises: _Whole for one that covers others, or what was seen: the parts do not keep the order of both."""
        self._check_bare(path)
        if whose is not _Whose.EACH and any(path == seen or is_below(path, seen) or is_below(seen, path) for seen in self._seen):
            raise _Whole
        self._whose[path] = whose
        self._trees.discard(path)

    def _check_bare(self, path: str) -> None:
        if any(is_below(other, path) for other in self._whose):
            raise _Whole

    def _check(self, path: str) -> None:
        """A path over a link may lead anywhere. Raises: _Whole."""
        if any(path == link or is_below(path, link) for link in self._links):
            raise _Whole


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def is_below(path: str, other: str) -> bool:
    """Whether a path lies below another one."""
    return path != other and path.startswith(other.rstrip("/") + "/")
