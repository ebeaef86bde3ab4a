"""The shortest list of pieces that makes the box's tree, each directory ahead of what it holds."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.controls.filesystem.fields import MadeFile
from sandboxer.controls.filesystem.gather import ABSENT, Gathering
from sandboxer.controls.filesystem.pieces import Bind, Cover, Fill, Freeze, Ids, Layout, NewFile, NewLink, Piece
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.filesystem.tree import Access, Empty, Given, Tree
from sandboxer.controls.paths import covers, fact_of, moved, parts
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host, PathKind


class _Planner:
    """Lays pieces over what was gathered. outside: the host ids that the job really has."""

    def __init__(self, gathering: Gathering, host: Host, outside: Ids) -> None:
        self.scene = gathering
        self.tree: Tree = gathering.tree
        self.host = host
        self.outside = outside
        self.pieces: list[Piece] = []
        self.problems: list[Problem] = []

    def is_hidden(self, path: str) -> bool:
        """Whether a path of the box lies at or below something hidden."""
        return any(covers(hidden, path) for hidden in self.scene.hidden)

    def owner_ids(self, given: Given) -> Ids | None:
        """The ids that a mount must translate, or None. Only a caller with privilege builds mounts as somebody else."""
        if not self.host.is_privileged or not given.owner:
            return None
        fact = fact_of(self.host, given.owner)
        return None if (fact.uid, fact.gid) == self.outside else (fact.uid, fact.gid)

    def candidates(self, files: tuple[Placed[MadeFile], ...]) -> tuple[Piece, ...]:
        """Everything that may have to be made, one piece for each path, in order."""
        found: dict[str, Piece] = {path: Freeze(path, place) for path, place in self.scene.frozen.items()}
        for show in sorted(self.tree.shows, key=lambda item: item.place):
            if show.overlay or not isinstance(found.get(show.target), Bind):
                found[show.target] = Bind(show.target, show.place, overlay=show.overlay)
        for pin in self.pins():
            known = found.get(pin.target, pin)
            if isinstance(known, Bind) and not known.overlay:
                found[pin.target] = replace(known, is_pin=True)
        found.update((empty.target, Fill(empty.target, empty.place, tmpfs=empty.tmpfs)) for empty in self.tree.empties)
        found.update(self.scene.new_links)
        for item in files:
            target = self.tree.resolve(item.value.path, item.place)
            if target in found:
                why = f"the other one is at {found[target].place.show()}"
                self.problems.append(Problem(f"{target} is made in two ways", where=item.place, why=why))
            found[target] = NewFile(target, item.place, file=item.value)
        found = {path: piece for path, piece in found.items() if not self.is_hidden(path)}
        found.update(self.scene.hidden)
        return tuple(sorted(found.values(), key=lambda piece: parts(piece.target)))

    def pins(self) -> tuple[Bind, ...]:
        """The writable directories above what stays read-only.

        Whoever could rename one of them could put another one in its place. The kernel answers EBUSY for a directory that is
        itself a mount point, but not for one that merely holds mount points. Source: fs/namei.c, vfs_rename.
        """
        found = []
        for path, place in self.scene.frozen.items():
            names = parts(path)
            for above in ("/" + "/".join(names[:depth]) for depth in range(1, len(names))):
                given = self.tree.given(above)
                if isinstance(given, Given) and Access.WRITE in given.access and not given.overlay:
                    found.append(Bind(above, place))
        return tuple(found)

    def lay(self, files: tuple[Placed[MadeFile], ...]) -> None:
        """Keep of the candidates what is needed."""
        for candidate in self.candidates(files):
            above = [
                item for item in self.pieces if covers(item.target, candidate.target) and isinstance(item, Bind | Fill | Cover)
            ]
            enclosing = above[-1] if above else None
            match candidate:
                case Bind() | Freeze():
                    piece = self.bound(candidate, enclosing)
                case Cover():
                    kind = "directory" if candidate.is_directory else "file"
                    piece = self.on_point(candidate, enclosing, kind) if isinstance(enclosing, Bind) else None
                case NewFile():
                    made = self.on_point(candidate, enclosing, "file")
                    piece = replace(candidate, covers_host=not made.make)
                case NewLink():
                    piece = candidate
                case _:
                    piece = self.on_point(candidate, enclosing, "directory")
            if piece:
                self.pieces.append(piece)

    def bound(self, candidate: Bind | Freeze, enclosing: Piece | None) -> Piece | None:
        """The mount that a path needs; None where what encloses it gives the same already."""
        given = self.tree.given(candidate.target)
        if not isinstance(given, Given):
            return None
        is_frozen = any(covers(path, candidate.target) for path in self.scene.frozen)
        access = given.access & ~Access.WRITE if is_frozen else given.access
        overlay = candidate.overlay if isinstance(candidate, Bind) else None
        if given.overlay and given.overlay != candidate.target:
            return Freeze(candidate.target, candidate.place) if is_frozen else None
        if given.overlay and overlay is None:
            overlay = next(show.overlay for show in self.tree.shows if show.overlay and show.target == candidate.target)
        bind = Bind(candidate.target, candidate.place, "", given.source, access, self.owner_ids(given), overlay)
        if isinstance(enclosing, Bind) and not enclosing.overlay and not overlay:
            is_same_tree = moved(bind.target, enclosing.target, enclosing.source) == bind.source
            if is_same_tree and (enclosing.access, enclosing.owner) == (bind.access, bind.owner):
                if not (isinstance(candidate, Bind) and candidate.is_pin):
                    return None
                bind = replace(bind, is_pin=True)
        is_directory = fact_of(self.host, bind.source).kind is PathKind.DIRECTORY
        return self.on_point(bind, enclosing, "directory" if is_directory else "file")

    def on_point(self, piece: Piece, enclosing: Piece | None, kind: str) -> Piece:
        """The piece with its mount point: made in the box's own root or a tmpfs; in a tree of the host it must be there."""
        if not isinstance(enclosing, Bind):
            return replace(piece, make=kind)
        host_path = moved(piece.target, enclosing.target, enclosing.source)
        found = fact_of(self.host, host_path).kind
        if found in ABSENT:
            why = f"{enclosing.target} shows the host's {enclosing.source}, and nothing is ever made there"
            attempt = f"make {host_path} first, or use another path"
            self.problems.append(Problem(f"{piece.target} has no mount point", where=piece.place, why=why, attempt=attempt))
        elif (found is PathKind.DIRECTORY) != (kind == "directory"):
            why = f"the host's {host_path} is {'a directory' if found is PathKind.DIRECTORY else 'not a directory'}"
            self.problems.append(Problem(f"{piece.target} cannot be covered with a {kind}", where=piece.place, why=why))
        return piece

    def start(self, item: Placed[str], *, has_proc: bool) -> str:
        """The canonical working directory. A problem where it is not to be seen in the box."""
        path = self.tree.resolve(item.value, item.place)
        given = self.tree.given(path)
        is_there = path == "/" or any(covers(path, piece.target) and path != piece.target for piece in self.pieces)
        if isinstance(given, Given):
            is_there = is_there or fact_of(self.host, given.source).kind is PathKind.DIRECTORY
        elif isinstance(given, Empty):
            is_there = is_there or given.target == path
        else:
            is_there = is_there or (path == "/proc" and has_proc)
        if self.is_hidden(path) or not is_there:
            attempt = f"read: [{item.value}], or another one"
            self.problems.append(
                Problem(f"the working directory {item.value} is not in the box", where=item.place, attempt=attempt)
            )
        return path


def lay_out(settings: Settings, host: Host, *, outside: Ids, built_in: tuple[Placed[MadeFile], ...] = ()) -> Layout:
    """The pieces of the box's tree on this host.

    outside: the host ids that the job really has. built_in: files that are made unless something else is at their place.
    Raises: ProfileError for paths that are missing, that collide, or that could never be seen; all of them at once.
    """
    gathering = Gathering(settings, host)
    gathering.gather()
    planner = _Planner(gathering, host, outside)
    said = {planner.tree.resolve(item.value.path, item.place) for item in settings.files}
    said |= set(gathering.tree.links)
    wanted = tuple(item for item in built_in if planner.tree.given(item.value.path) is None and item.value.path not in said)
    planner.lay(settings.files + wanted)
    start = planner.start(settings.working_directory, has_proc=settings.proc.value != "none")
    if planner.problems:
        raise ProfileError(planner.problems)
    return Layout(
        tuple(planner.pieces),
        start,
        absent=tuple(gathering.absent),
        not_shown=tuple(gathering.not_shown),
        makeable=tuple(gathering.makeable),
        replaceable=tuple(dict.fromkeys(gathering.replaceable)),
        unused=tuple(gathering.unused),
    )
