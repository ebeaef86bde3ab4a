"""Pieces into ops: what is taken from the host, what is made in the new root, and in which stage."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.abi.mount import MountAttr
from sandboxer.controls.filesystem import groups, overlay, ownership, proc
from sandboxer.controls.filesystem.fields import MadeFile
from sandboxer.controls.filesystem.layout import lay_out
from sandboxer.controls.filesystem.pieces import Bind, Cover, Fill, Freeze, Ids, Layout, NewFile, NewLink, Piece
from sandboxer.controls.filesystem.proc import SEALED
from sandboxer.controls.filesystem.settings import PRIVATE, Placed, Settings
from sandboxer.controls.filesystem.shown import find_held, find_shown
from sandboxer.controls.filesystem.tree import Access
from sandboxer.controls.paths import fact_of
from sandboxer.controls.room import Lowered, Scene
from sandboxer.errors import HostError, Problem, ProfileError
from sandboxer.model.host import PathKind
from sandboxer.model.op import (
    NO_SLOT,
    U32,
    U64,
    Attach,
    BindInside,
    Blob,
    MakeDirectory,
    MakeFile,
    MakeRoot,
    MakeStage,
    MakeSymlink,
    MountFilesystem,
    Op,
    OpenTree,
    PivotRoot,
    SetMountAttributes,
    SetWorkingDirectory,
    ShowSpace,
    Text,
    TextList,
)  # fmt: skip
from sandboxer.model.place import Place, built_in
from sandboxer.model.plan import Step
from sandboxer.model.policy import Enforce, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.stage import Stage

NAME = "filesystem"
FIRST_TREE = 64  # the slots ahead of it are for id mappings
FIRST_DEVICE = 192  # the slots from here on are for the section devices
NOT_THERE = "not on this host, and left out"
NOT_SHOWN = "nothing of it is in the box anyway"
MAKEABLE = "not there to be kept read-only, so the job can make it"
HIDDEN_FILE = f"{PRIVATE}/file"
HIDDEN_DIRECTORY = f"{PRIVATE}/directory"
AS_MOUNTED: Ids = ((1 << 32) - 1, (1 << 32) - 1)
"""Whoever mounts stays the owner: what the job's ids are in a user namespace that is joined, only that one knows. chown(2)."""
_OURS = built_in("the box's root")
_NAMED = 6  # paths in one line of the report


def attributes_of(access: Access) -> MountAttr:
    """The MOUNT_ATTR_* of a host tree: never setuid, never devices; writing and executing only where granted."""
    found = MountAttr.NOSUID | MountAttr.NODEV
    if Access.WRITE not in access:
        found |= MountAttr.RDONLY
    if Access.EXECUTE not in access:
        found |= MountAttr.NOEXEC
    return found


def built_in_files(scene: Scene) -> tuple[Placed[MadeFile], ...]:
    """Who the job is, for programs that ask by name, and where localhost is."""
    name, uid, gid = scene.user_name, scene.inside_uid, scene.inside_gid
    users = {uid: f"{name}:x:{uid}:{gid}:{name}:/home/{name}:/bin/sh"}
    users.setdefault(0, "root:x:0:0:root:/nonexistent:/usr/sbin/nologin")
    users.setdefault(65534, "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin")
    groups = {gid: f"{name}:x:{gid}:"}
    groups.setdefault(0, "root:x:0:")
    groups.setdefault(65534, "nogroup:x:65534:")
    files = {"/etc/passwd": users, "/etc/group": groups}
    found = [MadeFile(path, "".join(f"{rows[key]}\n" for key in sorted(rows))) for path, rows in files.items()]
    if Trait.WANTS_LOOPBACK in scene.traits:
        found.append(MadeFile("/etc/hosts", f"127.0.0.1 localhost {scene.host_name}\n::1 localhost\n"))
    return tuple(Placed(file, built_in(f"{file.path} of the box")) for file in found)


def some_paths(paths: list[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more


def _replaceable(link: str, place: Place) -> Problem:
    """A link is no mount point: what it leads to stays as it is, the link itself does not."""
    return Problem(
        f"{link} cannot be kept read-only",
        where=place,
        why="it is a symbolic link in a directory that the job may write, and the job could put something else in its place",
        attempt="a file or directory in place of the link; or, if nobody else obeys it, an `override` that removes it",
    )


class _Lowering:
    """The steps of one box while they are written down."""

    def __init__(self, settings: Settings, scene: Scene) -> None:
        self.settings = settings
        self.scene = scene
        self.host = scene.host
        self.outside: Ids = (scene.outside_uid, scene.outside_gid)
        has_own_ids = Trait.NEW_USER_NAMESPACE in scene.traits
        inside: Ids = (scene.inside_uid, scene.inside_gid) if has_own_ids else AS_MOUNTED
        self.mounter_owner = self.outside if self.host.is_privileged else inside
        self.idmaps = ownership.Idmaps(self.outside)
        self.sources: list[tuple[OpenTree, Place]] = []
        self.steps: list[Step] = []
        self.lines: list[Line] = []
        self.problems: list[Problem] = []
        self.has_proc = settings.proc.value != "none" and self.host.has_fresh_proc
        self.private_files = 0

    def step(self, op: Op, stage: Stage, place: Place) -> None:
        """Add one op."""
        self.steps.append(Step(op, stage, NAME, place))

    def mount_step(self, op: Op, place: Place) -> None:
        """Add one op to those that build the new root."""
        self.step(op, Stage.MOUNTS, place)

    def cannot(self, problem: Problem, lost: str) -> None:
        """Something that this host cannot give: a problem, or what was lost where the section is best_effort."""
        if self.scene.enforce is Enforce.REQUIRED:
            self.problems.append(problem)
            return
        place = problem.where if isinstance(problem.where, Place) else None
        self.lines.append(Line(NAME, Status.WEAKENED, problem.what, lost, problem.why, problem.attempt, place))

    def lower(self) -> Lowered:
        """All steps. Raises: ProfileError, HostError."""
        layout = lay_out(self.settings, self.host, outside=self.outside, built_in=built_in_files(self.scene))
        layout = replace(layout, pieces=tuple(self.possible(piece) for piece in layout.pieces))
        for link, place in layout.replaceable:
            self.cannot(_replaceable(link, place), "the job can put something else in place of the link")
        if self.problems:
            raise HostError(self.problems)
        self.check_sizes(layout)
        self.step(MakeStage(Text(self.host.stage_directory)), Stage.ROOT, _OURS)
        self.step(MakeRoot(U32(0o755), U64(self.settings.root_size_bytes)), Stage.ROOT, _OURS)
        self.make_private(layout)
        for piece in layout.pieces:
            self.place_piece(piece)
        if self.has_proc:
            for op, place in proc.lower_proc(
                self.settings, self.host, hidden_file=HIDDEN_FILE, hidden_directory=HIDDEN_DIRECTORY
            ):
                self.mount_step(op, place)
        shown_groups = self.place_groups()
        self.step(SetMountAttributes(Text("/"), U64(SEALED), U64(0), U32(0)), Stage.SEAL, _OURS)
        self.step(PivotRoot(), Stage.PIVOT, _OURS)
        self.step(SetWorkingDirectory(Text(layout.working_directory)), Stage.PLACE, self.settings.working_directory.place)
        self.take_sources()
        self.report(layout)
        shown = find_shown(layout, self.host, has_proc=self.has_proc)
        held_of_proc = proc.find_held(self.settings, self.host) if self.has_proc else ()
        return Lowered(
            tuple(self.steps),
            tuple(self.lines),
            shown=(*shown, *shown_groups.shown),
            held=(*find_held(layout, self.host), *held_of_proc),
            groups=shown_groups.wants,
        )

    def place_groups(self) -> groups.Groups:
        """The box's own control groups."""
        said = self.settings.cgroup
        found = groups.lower_groups(said.value, self.host, outside=self.outside, place=said.place)
        for op in found.before:
            self.step(op, Stage.PREPARE, said.place)
        for op in found.mounts:
            self.mount_step(op, said.place)
        return found

    def possible(self, piece: Piece) -> Piece:
        """The piece as this host can give it."""
        if not isinstance(piece, Bind):
            return piece
        if piece.overlay and not self.host.has_overlay:
            piece = replace(piece, overlay=None, access=piece.access & ~Access.WRITE)  # `need` has reported it
        wrong = overlay.obstacle(piece, self.host)
        if wrong:
            raise ProfileError(wrong)
        foreign = ownership.obstacle(piece, self.host) if piece.owner else None
        if foreign:
            self.cannot(foreign, "files there belong to somebody whom the job is not")
            piece = replace(piece, owner=None)
        return piece

    def check_sizes(self, layout: Layout) -> None:
        """Refuse what cannot fit into the root or into the launcher's slots."""
        texts = sum(len(piece.file.text) for piece in layout.pieces if isinstance(piece, NewFile))
        if texts > self.settings.root_size_bytes // 2:
            why = f"`files` hold {texts} characters, and the box's root holds {self.settings.root_size_bytes} bytes"
            raise ProfileError(Problem("the box's root is too small", why=why, attempt="a larger filesystem.root_size"))
        binds = [piece for piece in layout.pieces if isinstance(piece, Bind)]
        trees = sum(2 if bind.overlay else 1 for bind in binds)
        most = FIRST_DEVICE - FIRST_TREE
        if trees > most:
            raise ProfileError(
                Problem(f"{trees} mounts are needed, and {most} are possible", attempt="grant directories instead of files")
            )
        owners = {bind.owner for bind in binds if bind.owner} | {
            overlay.kept_owner(bind, self.host, self.outside) for bind in binds
        }
        if len(owners) > FIRST_TREE:
            raise ProfileError(Problem(f"files of {len(owners)} owners are granted, and {FIRST_TREE} are possible"))

    def make_private(self, layout: Layout) -> None:
        """What covers hidden paths: a file and a directory that nobody may open, in a directory that nobody may enter."""
        needed = any(isinstance(piece, Cover) or (isinstance(piece, NewFile) and piece.covers_host) for piece in layout.pieces)
        if not needed and not proc.masks(self.settings, self.host):
            return
        self.mount_step(MakeDirectory(Text(PRIVATE), U32(0)), _OURS)
        self.mount_step(MakeDirectory(Text(HIDDEN_DIRECTORY), U32(0)), _OURS)
        self.mount_step(MakeFile(Text(HIDDEN_FILE), U32(0), Blob(b"")), _OURS)

    def take_sources(self) -> None:
        """The mappings, and the host trees ahead of the new root: the stage may cover some of them."""
        for idmap in self.idmaps.ops():
            self.step(idmap, Stage.PREPARE, _OURS)
        for tree, place in self.sources:
            self.step(tree, Stage.SOURCES, place)

    def next_slot(self) -> U32:
        """A slot for a host tree."""
        return U32(FIRST_TREE + len(self.sources))

    def place_piece(self, piece: Piece) -> None:
        """The ops of one piece."""
        if piece.make == "directory":
            self.mount_step(MakeDirectory(Text(piece.target), U32(0o755)), piece.place)
        elif piece.make == "file" and not isinstance(piece, NewFile):
            self.mount_step(MakeFile(Text(piece.target), U32(0o444), Blob(b"")), piece.place)
        match piece:
            case Bind() if piece.overlay:
                self.place_overlay(piece)
            case Bind():
                self.place_bind(piece)
            case Fill():
                self.place_tmpfs(piece)
            case NewFile():
                self.place_file(piece)
            case NewLink():
                self.mount_step(MakeSymlink(Text(piece.target), Text(piece.text)), piece.place)
            case Cover():
                source = HIDDEN_DIRECTORY if piece.is_directory else HIDDEN_FILE
                self.mount_step(BindInside(Text(source), Text(piece.target), U64(SEALED), U32(0)), piece.place)
            case Freeze():
                self.mount_step(BindInside(Text(piece.target), Text(piece.target), U64(MountAttr.RDONLY), U32(1)), piece.place)

    def place_bind(self, bind: Bind) -> None:
        """A host tree."""
        slot = self.next_slot()
        is_directory = fact_of(self.host, bind.source).kind is PathKind.DIRECTORY
        attributes = U64(attributes_of(bind.access))
        tree = OpenTree(slot, Text(bind.source), attributes, U32(int(is_directory)), self.idmaps.slot(bind.owner))
        self.sources.append((tree, bind.place))
        self.mount_step(Attach(slot, Text(bind.target)), bind.place)

    def place_overlay(self, bind: Bind) -> None:
        """A host directory with the job's changes above it."""
        lower_slot, upper_slot = self.next_slot(), U32(self.next_slot() + 1)
        kept = overlay.kept_owner(bind, self.host, self.outside)
        idmaps = (self.idmaps.slot(bind.owner), self.idmaps.slot(kept, is_upper=True))
        layers = overlay.open_layers(bind, self.host, lower_slot=lower_slot, upper_slot=upper_slot, idmaps=idmaps)
        self.sources.extend((layer, bind.place) for layer in layers)
        attributes = attributes_of(bind.access)
        owner = self.mounter_owner
        op = overlay.mount(bind, self.host, attributes, lower_slot=lower_slot, upper_slot=upper_slot, owner=owner)
        if op.upper_slot == NO_SLOT:
            op = replace(op, size_bytes=U64(min(op.size_bytes, self.scene.disk_bytes)))
            self.step(ShowSpace(Text(bind.target)), Stage.SEAL, bind.place)
        self.mount_step(op, bind.place)
        for left in overlay.clean(bind, self.host):
            self.step(left, Stage.CLEAN, bind.place)

    def place_tmpfs(self, fill: Fill) -> None:
        """An empty directory in memory. Inodes are bounded too: each takes kernel memory that `size` does not count."""
        rule = fill.tmpfs
        uid, gid = self.mounter_owner
        size_bytes = min(rule.size_bytes, self.scene.disk_bytes)
        inodes = max(size_bytes // 4096, 1024)
        owner = () if self.mounter_owner == AS_MOUNTED else (f"uid={uid}", f"gid={gid}")
        options = TextList((f"size={size_bytes}", f"nr_inodes={inodes}", f"mode={rule.mode:o}", *owner))
        attributes = MountAttr.NOSUID | MountAttr.NODEV | (MountAttr.NONE if rule.execute else MountAttr.NOEXEC)
        self.mount_step(MountFilesystem(Text("tmpfs"), Text(fill.target), U64(attributes), options), fill.place)
        self.step(ShowSpace(Text(fill.target)), Stage.SEAL, fill.place)

    def place_file(self, piece: NewFile) -> None:
        """A file of the profile's own text; over a file of the host it is bound from the private directory."""
        content = Blob(piece.file.text.encode(errors="surrogateescape"))
        if not piece.covers_host:
            self.mount_step(MakeFile(Text(piece.target), U32(piece.file.mode), content), piece.place)
            return
        source = Text(f"{PRIVATE}/file-{self.private_files}")
        self.private_files += 1
        self.mount_step(MakeFile(source, U32(piece.file.mode), content), piece.place)
        self.mount_step(BindInside(source, Text(piece.target), U64(SEALED), U32(0)), piece.place)

    def report(self, layout: Layout) -> None:
        """What holds, in one line, and a line for each thing that had no effect."""
        binds = [piece for piece in layout.pieces if isinstance(piece, Bind)]
        changeable = [bind.target for bind in binds if Access.WRITE in bind.access and not (bind.overlay or bind.is_pin)]
        covered = sum(isinstance(piece, Cover) for piece in layout.pieces)
        what = (
            f"host trees shown: {sum(not bind.is_pin for bind in binds)}, hidden: {covered}; the host's files can be changed in: "
        )
        what += ", ".join(changeable) or "none"
        first = Line(NAME, Status.ENFORCED, what)
        roots = [bind for bind in binds if bind.target in changeable and bind.owner and bind.owner[0] == 0]
        made = [
            Line(NAME, Status.ENFORCED, f"what the job makes in {bind.target} belongs to root on the host", place=bind.place)
            for bind in roots
        ]
        unused = [Line(NAME, Status.UNUSED, text, place=place) for text, place in layout.unused]
        for text, paths in ((NOT_THERE, layout.absent), (NOT_SHOWN, layout.not_shown), (MAKEABLE, layout.makeable)):
            if paths:
                unused.append(Line(NAME, Status.UNUSED, f"{text}: {some_paths([path for path, _ in paths])}", place=paths[0][1]))
        self.lines = [first, *made, *self.lines, *unused]


def lower_filesystem(settings: Settings, scene: Scene) -> Lowered:
    """The ops for this host. Raises: ProfileError for paths, HostError for trees whose ids cannot be translated."""
    if Trait.JOINED_MOUNT_NAMESPACE in scene.traits:
        start = Step(SetWorkingDirectory(Text("/")), Stage.PLACE, NAME)
        return Lowered((start,), (Line(NAME, Status.ENFORCED, "the files are those of the joined mount namespace, all of them"),))
    if settings.proc.value != "none" and Trait.NEW_PID_NAMESPACE not in scene.traits:
        why = "a /proc shows the processes of a pid namespace, and the box has none of its own"
        problem = Problem(
            "/proc cannot be mounted", where=settings.proc.place, why=why, attempt="namespaces: {pid: new}, or proc: none"
        )
        raise ProfileError(problem)
    return _Lowering(settings, scene).lower()
