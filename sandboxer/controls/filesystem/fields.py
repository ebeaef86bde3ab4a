"""The rows of the section `filesystem`, and what can be said in them: grants, mounts, overlays, tmpfs, files, links."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from sandboxer.controls import parse
from sandboxer.controls.paths import covers, moved
from sandboxer.model.node import Mapping, Node, Scalar
from sandboxer.model.section import Field, Merge, Said
from sandboxer.units import show_bytes

MIB = 1024 * 1024
DEFAULT_TMPFS_BYTES = 64 * MIB
DEFAULT_OVERLAY_BYTES = 256 * MIB
DEFAULT_ROOT_BYTES = MIB
MAX_FILE_BYTES = 64 * 1024
ACCESS = ("read", "write", "execute")
PROC = ("none", "processes", "fresh")
CGROUP = ("none", "read", "delegate")
CHANGES = ("discard", "keep")


@dataclass(frozen=True, slots=True)
class Grant:
    """One host path of `read`, `execute` or `write`. as_owner: its owner's files look like the job's own."""

    path: str
    optional: bool = False
    as_owner: bool = False

    def __str__(self) -> str:
        return self.path + ("?" if self.optional else "") + (" (as owner)" if self.as_owner else "")


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path that is shown at another path of the box."""

    source: str
    target: str
    access: tuple[str, ...] = ("read",)
    optional: bool = False
    as_owner: bool = False

    def __str__(self) -> str:
        return f"{self.source} at {self.target} ({', '.join(self.access)})" + (" (as owner)" if self.as_owner else "")


@dataclass(frozen=True, slots=True)
class OverlayRule:
    """A host directory that the job may change for itself. keep: where the changes stay; empty where they are discarded."""

    path: str
    keep: str = ""
    size_bytes: int = DEFAULT_OVERLAY_BYTES

    def __str__(self) -> str:
        return (
            f"{self.path} (changes kept in {self.keep})"
            if self.keep
            else f"{self.path} (changes up to {show_bytes(self.size_bytes)}, discarded)"
        )


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """An empty directory in memory."""

    path: str
    size_bytes: int = DEFAULT_TMPFS_BYTES
    mode: int = 0o755
    execute: bool = False

    def __str__(self) -> str:
        return f"{self.path} ({show_bytes(self.size_bytes)}, mode {self.mode:04o}{', execute' if self.execute else ''})"


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file of the profile's own text."""

    path: str
    text: str = ""
    mode: int = 0o644

    def __str__(self) -> str:
        return f"{self.path} ({len(self.text)} characters, mode {self.mode:04o})"


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link in the box's own root."""

    path: str
    target: str

    def __str__(self) -> str:
        return f"{self.path} -> {self.target}"


def _path_and_mark(node: Node) -> tuple[str, bool]:
    """A path, and whether a trailing `?` marks it as optional."""
    value = parse.filled_text(node)
    if not isinstance(node, Scalar) or not node.written.endswith("?"):
        return parse.absolute_path(node), False
    bare = value[:-1]
    return parse.absolute_path(replace(node, text=bare, value=bare, template=node.template[:-1])), True


def _flag(found: dict[str, Node], name: str) -> bool:
    return name in found and parse.boolean(found[name])


def read_grant(node: Node) -> Grant:
    """`PATH`, `PATH?` or `{path, optional, as_owner}`."""
    if not isinstance(node, Mapping):
        path, optional = _path_and_mark(node)
        return Grant(path, optional)
    found = parse.record(node, ("path",), ("optional", "as_owner"), "a grant")
    path, optional = _path_and_mark(found["path"])
    return Grant(path, optional or _flag(found, "optional"), _flag(found, "as_owner"))


def read_mount(node: Node) -> Mount:
    """`{from, to, access, as_owner, optional}`."""
    found = parse.record(node, ("from", "to"), ("access", "as_owner", "optional"), "a mount")
    source, optional = _path_and_mark(found["from"])
    access: tuple[str, ...] = ("read",)
    if "access" in found:
        words = {str(item.value) for item in parse.each(parse.name_in(ACCESS, "access"))(found["access"])}
        access = tuple(word for word in ACCESS if word in words or word == "read")
    optional = optional or _flag(found, "optional")
    return Mount(source, parse.absolute_path(found["to"]), access, optional, _flag(found, "as_owner"))


def read_overlay(node: Node) -> OverlayRule:
    """`PATH` or `{path, changes, keep, size}`."""
    if not isinstance(node, Mapping):
        return OverlayRule(parse.absolute_path(node))
    found = parse.record(node, ("path",), ("changes", "keep", "size"), "an overlay")
    changes = parse.name_in(CHANGES, "fate of the changes")(found["changes"]) if "changes" in found else "discard"
    if (changes == "keep") != ("keep" in found):
        where = found.get("keep", found.get("changes", node))
        parse.fail(
            where, "`changes: keep` and `keep: DIRECTORY` belong together", attempt="{path: ..., changes: keep, keep: DIRECTORY}"
        )
    keep = parse.absolute_path(found["keep"]) if "keep" in found else ""
    size = parse.size_bytes(least=4096)(found["size"]) if "size" in found else DEFAULT_OVERLAY_BYTES
    return OverlayRule(parse.absolute_path(found["path"]), keep, size)


def read_tmpfs(node: Node) -> Tmpfs:
    """`PATH` or `{path, size, mode, execute}`."""
    found: dict[str, Node] = {"path": node}
    if isinstance(node, Mapping):
        found = parse.record(node, ("path",), ("size", "mode", "execute"), "a tmpfs")
    path = parse.absolute_path(found["path"])
    size = parse.size_bytes(least=4096)(found["size"]) if "size" in found else DEFAULT_TMPFS_BYTES
    usual = 0o1777 if path in ("/tmp", "/var/tmp") else 0o755
    mode = parse.octal(most=0o1777)(found["mode"]) if "mode" in found else usual
    return Tmpfs(path, size, mode, _flag(found, "execute"))


def read_file(node: Node) -> MadeFile:
    """`{path, text, mode}`."""
    found = parse.record(node, ("path", "text"), ("mode",), "a file")
    text = parse.text(found["text"])
    if len(text.encode(errors="surrogateescape")) > MAX_FILE_BYTES:
        parse.fail(found["text"], f"this file is larger than {MAX_FILE_BYTES} bytes", attempt="grant a file of the host instead")
    mode = parse.octal(most=0o777)(found["mode"]) if "mode" in found else 0o644
    return MadeFile(parse.absolute_path(found["path"]), text, mode)


def read_link(node: Node) -> Link:
    """`{path, target}`."""
    found = parse.record(node, ("path", "target"), (), "a symlink")
    return Link(parse.absolute_path(found["path"]), parse.filled_text(found["target"]))


def read_proc_path(node: Node) -> str:
    """A path below /proc."""
    path = parse.absolute_path(node)
    if not path.startswith("/proc/"):
        parse.fail(node, f"{path} is not below /proc", attempt="hide or read_only, for other paths")
    return path


def _deeper(one: str, other: str) -> str | None:
    if covers(one, other):
        return other
    return one if covers(other, one) else None


def meet_grants(one: Hashable, other: Hashable) -> Hashable | None:
    """What two grants of host paths have in common: the deeper path, if one covers the other."""
    if not isinstance(one, Grant) or not isinstance(other, Grant):
        return None
    path = _deeper(one.path, other.path)
    return None if path is None else Grant(path, one.optional or other.optional, one.as_owner and other.as_owner)


def meet_mounts(one: Hashable, other: Hashable) -> Hashable | None:
    """What two mounts have in common: the deeper one, if the other shows the same source there; with what both allow."""
    if not isinstance(one, Mount) or not isinstance(other, Mount):
        return None
    inner, outer = (other, one) if covers(one.target, other.target) else (one, other)
    if not covers(outer.target, inner.target) or moved(inner.target, outer.target, outer.source) != inner.source:
        return None
    access = tuple(word for word in ACCESS if word in one.access and word in other.access)
    return Mount(inner.source, inner.target, access, one.optional or other.optional, one.as_owner and other.as_owner)


def meet_tmpfs(one: Hashable, other: Hashable) -> Hashable | None:
    """The smaller of two directories in memory at one path."""
    if not isinstance(one, Tmpfs) or not isinstance(other, Tmpfs) or one.path != other.path:
        return None
    return Tmpfs(one.path, min(one.size_bytes, other.size_bytes), one.mode & other.mode, one.execute and other.execute)


def meet_overlays(one: Hashable, other: Hashable) -> Hashable | None:
    """The smaller of two overlays at one path; kept and discarded changes have nothing in common."""
    if not isinstance(one, OverlayRule) or not isinstance(other, OverlayRule) or (one.path, one.keep) != (other.path, other.keep):
        return None
    return replace(one, size_bytes=min(one.size_bytes, other.size_bytes))


_SIZE: dict[str, object] = {"type": ["string", "integer"]}
_BOOL: dict[str, object] = {"type": "boolean"}
_PATH: dict[str, object] = {"type": "string"}


def _records(required: tuple[str, ...], rows: dict[str, dict[str, object]], *, or_path: bool = True) -> dict[str, object]:
    schema = {name: {**row, "required": name in required} for name, row in rows.items()}
    mapping: dict[str, object] = {"type": "dict", "schema": schema}
    return {"type": "list", "schema": {"anyof": [_PATH, mapping]} if or_path else mapping}


_GRANT = _records(("path",), {"path": _PATH, "optional": _BOOL, "as_owner": _BOOL})
_PATHS: dict[str, object] = {"type": "list", "schema": _PATH}


def _grants(name: str, what: str) -> Field:
    return Field(name, Merge.GRANT, _GRANT, parse.each(read_grant), what, default="[]", meet=meet_grants)


def _denies(name: str, what: str, read: Callable[[Node], str] = parse.absolute_path) -> Field:
    return Field(name, Merge.DENY, _PATHS, parse.each(read), what, default="[]")


def _proc(node: Node) -> tuple[Said, ...]:
    return parse.one(parse.name_in(PROC, "kind of /proc"))(node)


FIELDS: tuple[Field, ...] = (
    _grants("read", "host paths that the job may read; everything below them too; a ? at the end marks one that may be missing"),
    _grants("execute", "host paths that the job may read and execute"),
    _grants("write", "host paths that the job may read and change; its files there belong to the path's owner"),
    _denies("read_only", "paths that stay read-only whatever is granted"),
    _denies("hide", "paths that stay empty whatever is granted"),
    Field(
        "mounts",
        Merge.GRANT,
        _records(
            ("from", "to"),
            {
                "from": _PATH,
                "to": _PATH,
                "access": {"type": "list", "allowed": list(ACCESS)},
                "as_owner": _BOOL,
                "optional": _BOOL,
            },
            or_path=False,
        ),
        parse.each(read_mount),
        "host paths shown at another path of the box",
        default="[]",
        meet=meet_mounts,
    ),
    Field(
        "overlay",
        Merge.GRANT,
        _records(
            ("path",), {"path": _PATH, "changes": {"type": "string", "allowed": list(CHANGES)}, "keep": _PATH, "size": _SIZE}
        ),
        parse.each(read_overlay),
        "host directories that the job may change for itself; the changes are discarded, or kept in another directory",
        default="[]",
        meet=meet_overlays,
    ),
    Field(
        "tmpfs",
        Merge.GRANT,
        _records(("path",), {"path": _PATH, "size": _SIZE, "mode": {"type": "string"}, "execute": _BOOL}),
        parse.each(read_tmpfs),
        "empty, writable directories in memory (64M each unless said)",
        default="[]",
        meet=meet_tmpfs,
    ),
    Field(
        "files",
        Merge.GRANT,
        _records(("path", "text"), {"path": _PATH, "text": {"type": "string"}, "mode": {"type": "string"}}, or_path=False),
        parse.each(read_file),
        "files with a text of their own",
        default="[]",
    ),
    Field(
        "symlinks",
        Merge.GRANT,
        _records(("path", "target"), {"path": _PATH, "target": {"type": "string"}}, or_path=False),
        parse.each(read_link),
        "symbolic links in the box's own root",
        default="[]",
    ),
    Field(
        "proc",
        Merge.WIDEST,
        {"type": "string", "allowed": list(PROC)},
        _proc,
        "/proc of the box's own processes: none, processes (nothing but them), fresh (with cpuinfo, meminfo and so on, masked)",
        default="none",
        scale=PROC,
    ),
    Field(
        "cgroup",
        Merge.WIDEST,
        {"type": "string", "allowed": list(CGROUP)},
        parse.one(parse.name_in(CGROUP, "way to show control groups")),
        "/sys/fs/cgroup with the box's own control groups: none, read, or delegate (v2 alone: the job may make groups below)",
        default="none",
        scale=CGROUP,
    ),
    _denies("proc_mask", "paths below /proc that are covered, besides the built-in ones", read_proc_path),
    _denies("proc_read_only", "paths below /proc that are read-only, besides the built-in ones", read_proc_path),
    Field(
        "working_directory",
        Merge.CHOICE,
        _PATH,
        parse.one(parse.absolute_path),
        "where the command starts",
        default="/",
    ),
    Field(
        "root_size",
        Merge.LEAST,
        _SIZE,
        parse.one(parse.size_bytes(least=64 * 1024)),
        "how much memory the box's own root may take: mount points, links and `files`",
        default="1M",
    ),
)
