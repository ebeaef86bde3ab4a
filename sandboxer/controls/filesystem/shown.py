"""What the pieces of the box's tree let the job do, in the words that every room understands."""

from __future__ import annotations

from collections.abc import Iterator

from sandboxer.controls.filesystem.pieces import Bind, Cover, Fill, Freeze, Layout, NewFile
from sandboxer.controls.filesystem.tree import Access
from sandboxer.controls.paths import fact_of
from sandboxer.controls.room import Shown, Use
from sandboxer.model.host import Host, PathKind
from sandboxer.model.place import built_in

UNCHANGED = Use.LIST | Use.READ | Use.EXECUTE | Use.CONTROL | Use.CONNECT
"""All that can be done where nothing is changed."""
_ROOT = built_in("the box's root")


def find_shown(layout: Layout, host: Host, *, has_proc: bool) -> tuple[Shown, ...]:
    """Every path that the box may use, once. What is hidden or kept read-only below one of them is the mounts' business."""
    # All the names of the box's own root are there to be read; it holds nothing else but what follows.
    found = [Shown("/", Use.LIST, place=_ROOT, is_own=True)]
    if has_proc:
        # No name can be made there, whatever is mounted.
        found.append(Shown("/proc", Use.LIST | Use.READ | Use.CHANGE, place=built_in("filesystem.proc")))
    return (*found, *_pieces(layout, host))


def find_held(layout: Layout, host: Host) -> tuple[Shown, ...]:
    """What a piece holds back of the one that it lies in, where it shows nothing itself: hidden paths, and read-only ones of an
    overlay."""
    found = []
    for piece in layout.pieces:
        match piece:
            case Cover():
                found.append(Shown(piece.target, Use(0), piece.is_directory, piece.place))
            case Freeze():
                # An overlay lies where it lies on the host.
                is_directory = fact_of(host, piece.target).kind is PathKind.DIRECTORY
                found.append(Shown(piece.target, UNCHANGED, is_directory, piece.place))
    return tuple(found)


def _pieces(layout: Layout, host: Host) -> Iterator[Shown]:
    for piece in layout.pieces:
        match piece:
            case Bind(is_pin=False):
                yield bind_shown(piece, fact_of(host, piece.source).kind)
            case Fill():
                execute = Use.EXECUTE if piece.tmpfs.execute else Use(0)
                use = Use.LIST | Use.READ | Use.CHANGE | Use.MAKE | Use.CONNECT
                yield Shown(piece.target, use | execute, place=piece.place, is_own=True)
            case NewFile():
                yield Shown(piece.target, Use.READ, is_directory=False, place=piece.place, is_own=True)


def bind_shown(bind: Bind, kind: PathKind) -> Shown:
    """A host tree. Reading a directory is no talk with the servers whose sockets lie in it; a socket is granted for talking."""
    is_directory = kind is PathKind.DIRECTORY
    use = Use.READ | (Use.LIST if is_directory else Use(0))
    if Access.EXECUTE in bind.access:
        use |= Use.EXECUTE
    if Access.WRITE in bind.access:
        use |= Use.CHANGE | Use.CONNECT | (Use.MAKE if is_directory else Use(0))
    if kind is PathKind.SOCKET:
        use |= Use.CONNECT
    return Shown(bind.target, use, is_directory, bind.place, is_own=bind.overlay is not None)
