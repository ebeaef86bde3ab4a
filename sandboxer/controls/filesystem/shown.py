"""What the pieces of the box's tree let the job do, in the words that every room understands."""

from __future__ import annotations

from collections.abc import Iterator

from sandboxer.controls.filesystem.pieces import Bind, Fill, Layout, NewFile
from sandboxer.controls.filesystem.tree import Access
from sandboxer.controls.paths import fact_of
from sandboxer.controls.room import Shown, Use
from sandboxer.model.host import Host, PathKind
from sandboxer.model.place import built_in

_ROOT = built_in("the box's root")


def find_shown(layout: Layout, host: Host, *, has_proc: bool) -> tuple[Shown, ...]:
    """Every path that the box may use, once. What is hidden or kept read-only below one of them is the mounts' business."""
    # All the names of the box's own root are there to be read; it holds nothing else but what follows.
    found = [Shown("/", Use.LIST, place=_ROOT)]
    if has_proc:
        # No name can be made there, whatever is mounted.
        found.append(Shown("/proc", Use.LIST | Use.READ | Use.CHANGE, place=built_in("filesystem.proc")))
    return (*found, *_pieces(layout, host))


def _pieces(layout: Layout, host: Host) -> Iterator[Shown]:
    for piece in layout.pieces:
        match piece:
            case Bind(is_pin=False):
                yield bind_shown(piece, fact_of(host, piece.source).kind)
            case Fill():
                execute = Use.EXECUTE if piece.tmpfs.execute else Use(0)
                use = Use.LIST | Use.READ | Use.CHANGE | Use.MAKE | Use.CONNECT
                yield Shown(piece.target, use | execute, place=piece.place)
            case NewFile():
                yield Shown(piece.target, Use.READ, is_directory=False, place=piece.place)


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
    return Shown(bind.target, use, is_directory, bind.place)
