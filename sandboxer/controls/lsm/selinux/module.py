"""The whole text of a module, in CIL, and its name: a digest of it. So equal policies share one, and to load it twice is nothing.

**What it is.** A domain for the command, and a type for the files that are made in the box. It inherits nothing: it is in no
attribute of the machine's policy that would grant it anything. What it may use of the machine's types stands here rule by rule,
and what a policy lacks is left out there (`optional`).

**What it cannot say.** A type is a kind of file, wherever it lies. So the rules say which kinds the box may use, and the mounts
which of them it sees. What is handed in (a pipe, a terminal) may be used and not opened: without `open` no name leads to it.

**Pairs.** A box has two categories that no other one has. The constraints are the module's own, for its own types alone: in the
attribute that policies have for this (`mcs_constrained_type`) the domain could not write to a pipe of its caller, who has all
categories. Source: refpolicy, policy/mcs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.controls.lsm.selinux.types import DEVICES, LAUNCHERS, ROLES, TREES
from sandboxer.controls.lsm.sockets import NET_RAW, has_network
from sandboxer.controls.paths import covers
from sandboxer.controls.room import Scene, Shown, Use
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.policy import Trait

PREFIX = "sandboxer_"
SHARED_TYPE = "sandboxer_file_t"
"""Of directories of the host that boxes may use: it belongs to no single module, so it stays when a profile changes."""
_DIGITS = 16
_DOMAIN, _FILES = "@t", "@file_t"
_OWN, _BY, _READ, _RUN, _DEVICES = "@own", "@by", "@read", "@run", "@device"
"""The types and attributes while the text has no name yet."""

_DIR_READ = "getattr open read search lock ioctl"
_FILE_READ = "getattr open read lock ioctl map"
_FILE_RUN = "execute execute_no_trans entrypoint"
_DIR_WRITE = f"{_DIR_READ} write add_name remove_name create rename reparent rmdir setattr"
_FILE_WRITE = f"{_FILE_READ} write append create setattr rename link unlink"
_NAMED_WRITE = "getattr open read write append lock ioctl create setattr rename link unlink"
_LINK_WRITE = "getattr read create setattr rename unlink"
_HANDED_IN = "getattr read write append ioctl lock"
_SOCKET = "create ioctl read getattr write setattr append bind connect getopt setopt shutdown"
_STREAM = f"{_SOCKET} listen accept"
_CHANGES = Use.CHANGE | Use.MAKE


@dataclass(frozen=True, slots=True)
class Module:
    """A module by the name under which it is loaded, with its types."""

    name: str
    text: str

    @property
    def domain(self) -> str:
        """The type of the command."""
        return f"{self.name}_t"

    @property
    def file_type(self) -> str:
        """The type of files that are made in the box."""
        return f"{self.name}_file_t"


def make_module(scene: Scene) -> Module:
    """The module of a box; what its rooms show must be in the scene (`compile.lower.find_scene`).

    Raises: ProfileError for a box whose files are not known.
    """
    if Trait.JOINED_MOUNT_NAMESPACE in scene.traits:
        why = "a mount namespace that is joined brings its own root, and what lies there is not known here"
        raise ProfileError(Problem("no SELinux module can be made of a joined mount namespace", why=why))
    body = "".join(f"{line}\n" if line else "\n" for line in _body(scene))
    name = PREFIX + hashlib.sha256(body.encode()).hexdigest()[:_DIGITS]
    return Module(name, body.replace("@", f"{name}_"))


def _allow(source: str, target: str, kind: str, permissions: str) -> str:
    return f"(allow {source} {target} ({kind} ({permissions})))"


def _optional(name: str, *rules: str) -> str:
    """Rules that are left out where the policy lacks something that they name. The name must be unique in the module."""
    return f"(optional @{name} {' '.join(rules)})"


def _attribute(name: str, types: Iterable[str]) -> Iterator[str]:
    """An attribute of those of the types that the policy has."""
    yield f"(typeattribute {name})"
    for item in types:
        yield _optional(f"{name.removeprefix('@')}_{item}", f"(typeattributeset {name} ({item}))")


def _body(scene: Scene) -> Iterator[str]:
    """The statements; an empty line between subjects."""
    subjects = (
        _types(),
        _constraints(),
        _launchers(),
        _processes(scene),
        _handed_in(),
        _own_files(scene),
        _system(scene),
        _devices(scene),
        _shared(scene),
        _sockets(scene),
        _capabilities(scene),
    )
    for number, subject in enumerate(subjects):
        lines = tuple(subject)
        yield from ("", *lines) if lines and number else lines


def _types() -> Iterator[str]:
    yield f"(type {_DOMAIN})"
    yield f"(type {_FILES})"
    yield f"(roletype object_r {_FILES})"
    yield from (_optional(f"role_{role}", f"(roletype {role} {_DOMAIN})") for role in ROLES)
    yield _optional("file_type", f"(typeattributeset file_type ({_FILES}))")
    yield f"(typeattribute {_OWN})"
    yield f"(typeattributeset {_OWN} ({_DOMAIN} {_FILES}))"
    yield _optional("own_shared", f"(typeattributeset {_OWN} ({SHARED_TYPE}))")


def _constraints() -> Iterator[str]:
    """Whoever is in the domain needs the categories of what is the boxes' own; nothing else is asked of anybody."""
    shared = "read write append getattr setattr ioctl lock link unlink rename create open"
    rules = (
        ("file", f"{shared} execute execute_no_trans entrypoint map"),
        ("dir", "read write getattr setattr ioctl lock create open search add_name remove_name rmdir rename reparent"),
        ("lnk_file", "read write getattr setattr create unlink rename link"),
        *((kind, shared) for kind in ("fifo_file", "sock_file", "chr_file")),
        ("process", "ptrace signal sigkill sigstop signull getattr getsched setsched getpgid getsession getcap"),
        ("unix_stream_socket", "read write connectto"),
        ("unix_dgram_socket", "read write sendto"),
        *((kind, "read write unix_read unix_write destroy setattr getattr") for kind in ("sem", "shm", "msgq")),
        ("key", "read write search link setattr view"),
    )
    for kind, permissions in rules:
        yield f"(mlsconstrain ({kind} ({permissions})) (or (dom h1 h2) (or (neq t1 {_DOMAIN}) (neq t2 {_OWN}))))"


def _launchers() -> Iterator[str]:
    """Whoever starts a box mounts and fills its files, enters the domain on the way to the command, and can end it."""
    enter = "transition siginh rlimitinh noatsecure signal sigkill sigstop signull getattr getpgid getsched setrlimit"
    yield from _attribute(_BY, LAUNCHERS)
    yield _allow(_BY, _DOMAIN, "process", enter)
    yield _allow(_BY, _DOMAIN, "process2", "nnp_transition nosuid_transition")
    yield _allow(_BY, _DOMAIN, "fd", "use")
    yield _allow(_BY, _DOMAIN, "dir", _DIR_READ)
    yield _allow(_BY, _DOMAIN, "file", "getattr open read")
    yield _allow(_BY, _DOMAIN, "lnk_file", "getattr read")
    yield _allow(_BY, _FILES, "filesystem", "mount remount unmount getattr relabelfrom relabelto")
    yield _allow(_BY, _FILES, "dir", f"{_DIR_WRITE} mounton")
    yield _allow(_BY, _FILES, "file", f"{_FILE_WRITE} mounton")
    yield from (_allow(_BY, _FILES, kind, _NAMED_WRITE) for kind in ("chr_file", "fifo_file", "sock_file"))
    yield _allow(_BY, _FILES, "lnk_file", _LINK_WRITE)
    yield _allow(_DOMAIN, _BY, "process", "sigchld")
    yield _allow(_FILES, _FILES, "filesystem", "associate")


def _processes(scene: Scene) -> Iterator[str]:
    """The box's own processes, and what they say to each other."""
    own = (
        "fork sigchld signal sigkill sigstop signull getattr getsched setsched getpgid setpgid getsession getcap setcap getrlimit"
    )
    yield _allow(_DOMAIN, _DOMAIN, "process", f"{own} setrlimit ptrace execmem")
    yield _allow(_DOMAIN, _DOMAIN, "dir", _DIR_READ)
    yield _allow(_DOMAIN, _DOMAIN, "file", "getattr open read write append lock ioctl")
    yield _allow(_DOMAIN, _DOMAIN, "lnk_file", "getattr read")
    yield _allow(_DOMAIN, _DOMAIN, "fd", "use")
    yield _allow(_DOMAIN, _DOMAIN, "fifo_file", "getattr open read write append ioctl lock setattr")
    yield from (
        _allow(_DOMAIN, _DOMAIN, kind, "create destroy getattr setattr read write unix_read unix_write associate")
        for kind in ("sem", "msgq", "shm")
    )
    yield _allow(_DOMAIN, _DOMAIN, "msgq", "enqueue")
    yield _allow(_DOMAIN, _DOMAIN, "shm", "lock")
    yield _allow(_DOMAIN, _DOMAIN, "msg", "send receive")
    if Trait.USES_KEYRINGS in scene.traits:
        yield _allow(_DOMAIN, _DOMAIN, "key", "create link read search setattr view write")


def _handed_in() -> Iterator[str]:
    """What others opened and the box inherits, or gets over a socket.

    A command can be a memory file of whoever starts it (`entrypoint`); one that the box was given it cannot execute itself.
    """
    yield _optional(
        "handed_in",
        _allow(_DOMAIN, "domain", "fd", "use"),
        _allow(_DOMAIN, "domain", "fifo_file", _HANDED_IN),
        _allow(_DOMAIN, "domain", "unix_stream_socket", f"{_HANDED_IN} getopt setopt shutdown"),
    )
    yield from _attribute("@terminal", ("ptynode", "ttynode", "console_device_t"))
    yield _allow(_DOMAIN, "@terminal", "chr_file", _HANDED_IN)
    yield from _attribute("@memory", ("tmpfs_t", "user_tmpfs_t"))
    yield _allow(_DOMAIN, "@memory", "file", f"{_HANDED_IN} map execute entrypoint")


def _own_files(scene: Scene) -> Iterator[str]:
    """The box's own file systems. Where one of them may have programs, all may: they are of one type."""
    run = f" {_FILE_RUN}" if any(item.is_own and Use.EXECUTE in item.use for item in scene.shown) else ""
    yield _allow(_DOMAIN, _FILES, "filesystem", "getattr")
    yield _allow(_DOMAIN, _FILES, "dir", _DIR_WRITE)
    yield _allow(_DOMAIN, _FILES, "file", _FILE_WRITE + run)
    yield _allow(_DOMAIN, _FILES, "lnk_file", _LINK_WRITE)
    yield from (_allow(_DOMAIN, _FILES, kind, _NAMED_WRITE) for kind in ("fifo_file", "sock_file"))
    yield _allow(_DOMAIN, _FILES, "chr_file", "getattr open read write append ioctl lock setattr")
    yield _optional("memory_files", f"(typetransition {_DOMAIN} tmpfs_t file {_FILES})")
    yield _optional("watched", _allow(_DOMAIN, _FILES, "dir", "watch"), _allow(_DOMAIN, _FILES, "file", "watch"))


def _trees_of(item: Shown) -> tuple[str, ...]:
    """The rows of the table that a path shows something of."""
    if item.is_own:
        return ()
    return tuple(tree.path for tree in TREES if covers(tree.path, item.path) or covers(item.path, tree.path))


def _system(scene: Scene) -> Iterator[str]:
    """Trees of the host that are shown, by the types of the machine's policy."""
    read: dict[str, None] = {}
    run: dict[str, None] = {}
    for item in scene.shown:
        for tree in TREES:
            if tree.path in _trees_of(item):
                read |= dict.fromkeys(tree.read)
                run |= dict.fromkeys(tree.run if Use.EXECUTE in item.use else ())
    yield from _attribute(_READ, sorted(read))
    yield _allow(_DOMAIN, _READ, "dir", _DIR_READ)
    yield _allow(_DOMAIN, _READ, "file", _FILE_READ)
    yield _allow(_DOMAIN, _READ, "lnk_file", "getattr read")
    yield from _attribute(_RUN, sorted(run))
    yield _allow(_DOMAIN, _RUN, "file", _FILE_RUN)
    if any(item.path == "/proc" for item in scene.shown) and has_network(scene):
        yield _optional(
            "read_proc_net_t", _allow(_DOMAIN, "proc_net_t", "dir", _DIR_READ), _allow(_DOMAIN, "proc_net_t", "file", _FILE_READ)
        )
    if Trait.OWNS_GROUPS in scene.traits:
        yield _optional(
            "groups", _allow(_DOMAIN, "cgroup_t", "dir", _DIR_WRITE), _allow(_DOMAIN, "cgroup_t", "file", _FILE_WRITE)
        )


def _devices(scene: Scene) -> Iterator[str]:
    shown = {item.path for item in scene.shown}
    yield from _attribute(_DEVICES, sorted({kind for path, kind in DEVICES.items() if path in shown}))
    yield _allow(_DOMAIN, _DEVICES, "chr_file", "getattr open read write append ioctl lock map")


def _shared(scene: Scene) -> Iterator[str]:
    """Other directories of the host, which have the type of all boxes. What is made there has no categories: the next box has
    others, and is shown the directory all the same."""
    found = [item for item in scene.shown if not item.is_own and not _trees_of(item) and not covers("/dev", item.path)]
    use = _union(item.use for item in found)
    if not use:
        return
    run = f" {_FILE_RUN}" if Use.EXECUTE in use else ""
    is_changed = bool(use & _CHANGES)
    rules = [
        _allow(_DOMAIN, SHARED_TYPE, "dir", _DIR_WRITE if is_changed else _DIR_READ),
        _allow(_DOMAIN, SHARED_TYPE, "file", (_FILE_WRITE if is_changed else _FILE_READ) + run),
        _allow(_DOMAIN, SHARED_TYPE, "lnk_file", _LINK_WRITE if is_changed else "getattr read"),
        *(_allow(_DOMAIN, SHARED_TYPE, kind, _NAMED_WRITE) for kind in ("fifo_file", "sock_file") if is_changed),
    ]
    yield _optional("shared", *rules)
    if is_changed:
        kinds = ("file", "dir", "lnk_file", "fifo_file", "sock_file")
        yield _optional("shared_level", *(f"(rangetransition {_DOMAIN} {SHARED_TYPE} {kind} ((s0) (s0)))" for kind in kinds))


def _union(uses: Iterable[Use]) -> Use:
    found = Use(0)
    for use in uses:
        found |= use
    return found


def _sockets(scene: Scene) -> Iterator[str]:
    """Unix sockets among the box's own; those of a network where it has one."""
    yield _allow(_DOMAIN, _DOMAIN, "unix_stream_socket", f"{_STREAM} connectto")
    yield _allow(_DOMAIN, _DOMAIN, "unix_dgram_socket", f"{_SOCKET} sendto")
    if not has_network(scene):
        return
    is_raw = bool(scene.capabilities & NET_RAW)
    yield _allow(_DOMAIN, _DOMAIN, "tcp_socket", _STREAM)
    for kind in ("udp_socket", *(("rawip_socket", "packet_socket", "icmp_socket") if is_raw else ())):
        yield _allow(_DOMAIN, _DOMAIN, kind, _SOCKET)
    yield _allow(_DOMAIN, _DOMAIN, "netlink_route_socket", f"{_SOCKET} nlmsg_read")
    yield _optional(
        "ports",
        _allow(_DOMAIN, "port_type", "tcp_socket", "name_bind name_connect"),
        _allow(_DOMAIN, "port_type", "udp_socket", "name_bind"),
    )
    yield _optional(
        "nodes",
        *(_allow(_DOMAIN, "node_type", kind, "node_bind") for kind in ("tcp_socket", "udp_socket")),
        _allow(_DOMAIN, "node_type", "node", "recvfrom sendto"),
    )
    yield _optional("links", _allow(_DOMAIN, "netif_type", "netif", "ingress egress"))


def _capabilities(scene: Scene) -> Iterator[str]:
    """In a user namespace, where alone a job keeps any. Those from 32 on are of a class of their own. Source: classmap.h."""
    names = sorted(CAPABILITIES, key=lambda name: CAPABILITIES[name])
    held = [name for name in names if scene.capabilities & 1 << CAPABILITIES[name]]
    for name in held:
        kind = "cap_userns" if CAPABILITIES[name] < 32 else "cap2_userns"
        yield _optional(f"capability_{name}", _allow(_DOMAIN, _DOMAIN, kind, name))
    if "sys_admin" in held:
        yield _optional("mounts", _allow(_DOMAIN, _FILES, "filesystem", "mount remount unmount"))
        yield _optional("mount_points", _allow(_DOMAIN, _FILES, "dir", "mounton"), _allow(_DOMAIN, _FILES, "file", "mounton"))
