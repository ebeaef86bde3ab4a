"""What of the section holds without mounts: grants, told to Landlock. What mounts alone can do is lost, and named.

Rights of Landlock flow down a tree, so a grant cannot have a hole in it; and nothing can be shown that is not there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sandboxer.abi.landlock import BY_NAME, KERNELS
from sandboxer.controls.filesystem.layout import lay_out
from sandboxer.controls.filesystem.lower import NAME, some_paths
from sandboxer.controls.filesystem.pieces import Bind, Cover, Fill, NewFile, Piece
from sandboxer.controls.filesystem.settings import Settings
from sandboxer.controls.filesystem.shown import bind_shown
from sandboxer.controls.filesystem.tree import Access
from sandboxer.controls.paths import covers, fact_of
from sandboxer.controls.room import Lack, Lowered, Scene
from sandboxer.model.host import Host
from sandboxer.model.op import KeepRoot, SetWorkingDirectory, Text
from sandboxer.model.place import Place, built_in
from sandboxer.model.plan import Step
from sandboxer.model.report import Line, Status
from sandboxer.model.stage import Stage

LEAST_ABI = 2
"""With the first ABI no file can be moved or linked to another directory, which breaks what usual programs do."""
_FLOWS = "rights of Landlock flow down a tree, and only a mount can take them back below"
_LATER = {
    "truncate": "every file that the caller may write can be cut",
    "resolve_unix": "servers on unix sockets can be reached wherever in the file system these lie",
}
"""Rights that came later, and what is open without them. Of ioctl_dev nothing is: no device can be opened but those granted."""


def lower_in_place(settings: Settings, scene: Scene) -> Lowered:
    """What is shown, for the room landlock, and what is lost. Raises: ProfileError as for a box."""
    host = scene.host
    if host.landlock_abi < LEAST_ABI:
        why, attempt = host.landlock_problem or f"Landlock has ABI {host.landlock_abi} here", host.landlock_mend
        lost = "every file that the caller may use can be used"
        return Lowered(lacks=(Lack("files cannot be confined without a box", why, attempt, lost),))
    pieces = lay_out(settings, host, outside=(scene.outside_uid, scene.outside_gid)).pieces
    granted = tuple(_as_granted(piece) for piece in pieces if isinstance(piece, Bind) and piece.source == piece.target)
    shown = tuple(bind_shown(bind, fact_of(host, bind.source).kind) for bind in granted if not bind.is_pin)
    written = [bind.target for bind in granted if Access.WRITE in bind.access]
    what = f"trees of the host that can be used: {len(shown)}; files can be changed in: {some_paths(written) or 'none'}"
    return Lowered(
        _steps(settings, granted) if scene.has_monitor else (),
        lines=(Line(NAME, Status.ENFORCED, what), *_unused(settings, pieces, granted)),
        shown=shown,
        lacks=(*_always(host), *_holes(pieces, granted)),
    )


def _steps(settings: Settings, granted: tuple[Bind, ...]) -> tuple[Step, ...]:
    """Where a command of a monitor starts: where it is said, or in / where that is not granted."""
    start = settings.working_directory
    path = start.value if any(covers(bind.target, start.value) for bind in granted) else "/"
    moved = Step(SetWorkingDirectory(Text(path)), Stage.PLACE, NAME, start.place)
    return Step(KeepRoot(), Stage.ROOT, NAME, built_in("the root of the caller")), moved


def _as_granted(bind: Bind) -> Bind:
    """An overlay's changes have nowhere to go: what is below it can be read."""
    return replace(bind, access=bind.access & ~Access.WRITE) if bind.overlay else bind


def _always(host: Host) -> Iterator[Lack]:
    """What Landlock does not know, wherever files lie."""
    why = "Landlock is not asked about stat, chmod, chown, utime and extended attributes, and only mounts hide names"
    lost = "every file's name and attributes can be seen, and its attributes changed where the caller may"
    yield Lack("names and attributes of files are not confined", why, "", lost)
    for name, lost in _LATER.items():
        if host.landlock_abi < BY_NAME[name].abi:
            since = KERNELS[BY_NAME[name].abi]
            why = f"Landlock knows {name} since ABI {BY_NAME[name].abi} (Linux {since}), and has ABI {host.landlock_abi} here"
            yield Lack(f"Landlock does not handle {name}", why, f"Linux {since} or newer", lost)


def _rights_at(path: str, granted: tuple[Bind, ...]) -> Access:
    """What the grants at a path and above it let the process do there."""
    found = Access.NONE
    for bind in granted:
        found |= bind.access if covers(bind.target, path) else Access.NONE
    return found


def _holes(pieces: tuple[Piece, ...], granted: tuple[Bind, ...]) -> Iterator[Lack]:
    """What lies inside of a granted tree, and would be less than that there."""
    found: dict[str, list[tuple[str, Place]]] = {}
    for piece in pieces:
        rights = _rights_at(piece.target, granted)
        match piece:
            case Cover() if rights:
                found.setdefault("what is hidden can be used", []).append((piece.target, piece.place))
            case Fill() | NewFile() if rights:
                found.setdefault("the host's own are in the place of the box's", []).append((piece.target, piece.place))
            case Bind() if rights and piece.source != piece.target:
                found.setdefault("the host's own are in the place of what is mounted there", []).append(
                    (piece.target, piece.place)
                )
            case Bind() if Access.WRITE in rights & ~piece.access and not piece.overlay:
                found.setdefault("what is read-only can be changed", []).append((piece.target, piece.place))
            case Bind() if rights & ~piece.access and not piece.overlay:
                found.setdefault("what is not to be executed can be", []).append((piece.target, piece.place))
    for lost, places in found.items():
        paths = some_paths([path for path, _ in places])
        yield Lack(f"in granted trees: {paths}", _FLOWS, "grant the directories beside them instead", lost, places[0][1])


def _unused(settings: Settings, pieces: tuple[Piece, ...], granted: tuple[Bind, ...]) -> Iterator[Line]:
    """What a box would have besides, and nobody misses for safety."""
    made = [piece.target for piece in pieces if isinstance(piece, Fill | NewFile) and not _rights_at(piece.target, granted)]
    made += [piece.target for piece in pieces if isinstance(piece, Bind) and piece.source != piece.target]
    if settings.proc.value != "none":
        made.append("/proc")
    if settings.cgroup.value != "none":
        made.append("/sys/fs/cgroup")
    if made:
        yield Line(NAME, Status.UNUSED, f"a box would have its own, and the host's are refused: {some_paths(made)}")
    overlaid = [bind.target for bind in granted if bind.overlay]
    if overlaid:
        yield Line(NAME, Status.UNUSED, f"there are no overlays, so nothing can be changed in {some_paths(overlaid)}")
