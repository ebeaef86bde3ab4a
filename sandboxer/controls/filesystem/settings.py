"""The section `filesystem` understood: every value with its place, `~` replaced, and what is wrong by its text alone refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sandboxer.controls.filesystem.fields import DEFAULT_ROOT_BYTES, Grant, Link, MadeFile, Mount, OverlayRule, Tmpfs
from sandboxer.controls.parse import at_home
from sandboxer.controls.paths import covers
from sandboxer.errors import InternalError, Problem, ProfileError
from sandboxer.model.place import Place, built_in
from sandboxer.model.section import Section

T = TypeVar("T")
C = TypeVar("C", covariant=True)
R = TypeVar("R", Grant, Mount, OverlayRule, Tmpfs, MadeFile, Link)

PRIVATE = "/.sandboxer"  # what covers hidden paths lies here in the box's root, behind mode 000
_OWNED = {
    "/proc": "`proc: fresh` for a /proc of the box's own, `proc_mask` and `proc_read_only` for paths in it",
    "/dev": "the section `devices` fills /dev: `devices: {dev: minimal, allow: [/dev/...]}`",
    PRIVATE: "another path; sandboxer keeps its own things here",
}


@dataclass(frozen=True, slots=True)
class Placed(Generic[C]):
    """A value and where it was said."""

    value: C
    place: Place


@dataclass(frozen=True, slots=True)
class Settings:
    """What the box sees of files. Paths are absolute and normalised; no link was followed yet."""

    read: tuple[Placed[Grant], ...] = ()
    execute: tuple[Placed[Grant], ...] = ()
    write: tuple[Placed[Grant], ...] = ()
    read_only: tuple[Placed[str], ...] = ()
    hide: tuple[Placed[str], ...] = ()
    mounts: tuple[Placed[Mount], ...] = ()
    overlay: tuple[Placed[OverlayRule], ...] = ()
    tmpfs: tuple[Placed[Tmpfs], ...] = ()
    files: tuple[Placed[MadeFile], ...] = ()
    symlinks: tuple[Placed[Link], ...] = ()
    proc: Placed[str] = Placed("none", built_in("filesystem.proc"))
    cgroup: Placed[str] = Placed("none", built_in("filesystem.cgroup"))
    proc_mask: tuple[Placed[str], ...] = ()
    proc_read_only: tuple[Placed[str], ...] = ()
    working_directory: Placed[str] = Placed("/", built_in("filesystem.working_directory"))
    root_size_bytes: int = DEFAULT_ROOT_BYTES

    @property
    def grants(self) -> tuple[tuple[str, Placed[Grant]], ...]:
        """All plain grants, each with the name of its field."""
        fields = (("read", self.read), ("execute", self.execute), ("write", self.write))
        return tuple((name, grant) for name, grants in fields for grant in grants)


def _all(section: Section, name: str, kind: type[T]) -> tuple[Placed[T], ...]:
    found: list[Placed[T]] = []
    for item in section.said.get(name, ()):
        if not isinstance(item.value, kind):
            raise InternalError(Problem(f"filesystem.{name} holds a {type(item.value).__name__}", where=item.place))
        found.append(Placed(item.value, item.place))
    return tuple(found)


def _refuse(path: str, place: Place, verb: str) -> list[Problem]:
    if path == "/":
        return [
            Problem(
                f"/ cannot be {verb}",
                where=place,
                why="the box has a root of its own",
                attempt="the directories that are needed, e.g. /usr",
            )
        ]
    return [
        Problem(f"{path} cannot be {verb}", where=place, attempt=attempt)
        for owned, attempt in _OWNED.items()
        if covers(owned, path)
    ]


def check_text(settings: Settings) -> None:
    """Refuse what no host could give: / as a grant, paths that belong to other rooms, two things at one path.

    Raises: ProfileError with all problems.
    """
    problems: list[Problem] = []
    for _, grant in settings.grants:
        problems += _refuse(grant.value.path, grant.place, "granted whole" if grant.value.path == "/" else "granted")
    for mount in settings.mounts:
        problems += _refuse(mount.value.source, mount.place, "shown elsewhere") + _refuse(
            mount.value.target, mount.place, "a mount point"
        )
    made: list[Placed[str]] = []
    for kind in (settings.overlay, settings.tmpfs, settings.files, settings.symlinks):
        made += [Placed(item.value.path, item.place) for item in kind]
    for entry in made:
        problems += _refuse(entry.value, entry.place, "made here")
    seen: dict[str, Place] = {}
    for entry in made:
        if entry.value in seen:
            other = seen[entry.value].show()
            problems.append(Problem(f"{entry.value} is made in two ways", where=entry.place, why=f"the other one is at {other}"))
        seen[entry.value] = entry.place
    for denied in settings.hide:
        problems += _refuse(denied.value, denied.place, "hidden")
    for denied in settings.read_only:
        problems += _refuse(denied.value, denied.place, "made read-only here")
    if problems:
        raise ProfileError(problems)


def _widest_tmpfs(items: tuple[Placed[Tmpfs], ...]) -> tuple[Placed[Tmpfs], ...]:
    """One tmpfs for each path: the largest size, executable if one says so. Two modes at one path are left to be refused."""
    merged: dict[tuple[str, int], Placed[Tmpfs]] = {}
    for item in items:
        key = (item.value.path, item.value.mode)
        known = merged.get(key, item).value
        size = max(known.size_bytes, item.value.size_bytes)
        wide = replace(item.value, size_bytes=size, execute=known.execute or item.value.execute)
        merged[key] = Placed(wide, min(merged.get(key, item).place, item.place))
    return tuple(merged.values())


def _homed(items: tuple[Placed[R], ...], home: str, *names: str) -> tuple[Placed[R], ...]:
    def moved(value: R) -> R:
        changes: dict[str, Any] = {name: at_home(getattr(value, name), home) for name in names}
        return replace(value, **changes)

    return tuple(Placed(moved(item.value), item.place) for item in items)


def understand(section: Section, *, home: str) -> Settings:
    """The typed settings. Strict where nothing was said. Raises ProfileError."""

    def texts(name: str) -> tuple[Placed[str], ...]:
        return tuple(replace(item, value=at_home(item.value, home)) for item in _all(section, name, str))

    strict = Settings()
    proc = section.one("proc")
    cgroup = section.one("cgroup")
    start = section.one("working_directory")
    root = section.one("root_size")
    settings = Settings(
        read=_homed(_all(section, "read", Grant), home, "path"),
        execute=_homed(_all(section, "execute", Grant), home, "path"),
        write=_homed(_all(section, "write", Grant), home, "path"),
        read_only=texts("read_only"),
        hide=texts("hide"),
        mounts=_homed(_all(section, "mounts", Mount), home, "source", "target"),
        overlay=_homed(_all(section, "overlay", OverlayRule), home, "path", "keep"),
        tmpfs=_widest_tmpfs(_homed(_all(section, "tmpfs", Tmpfs), home, "path")),
        files=_homed(_all(section, "files", MadeFile), home, "path"),
        symlinks=_homed(_all(section, "symlinks", Link), home, "path"),
        proc=Placed(str(proc.value), proc.place) if proc else strict.proc,
        cgroup=Placed(str(cgroup.value), cgroup.place) if cgroup else strict.cgroup,
        proc_mask=texts("proc_mask"),
        proc_read_only=texts("proc_read_only"),
        working_directory=Placed(at_home(str(start.value), home), start.place) if start else strict.working_directory,
        root_size_bytes=root.value if root and isinstance(root.value, int) else strict.root_size_bytes,
    )
    check_text(settings)
    return settings
