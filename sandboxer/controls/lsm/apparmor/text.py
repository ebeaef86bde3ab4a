"""The whole text of a label, and its name: a digest of it. So equal policies share one, and loading it twice changes nothing.

**Which paths.** AppArmor asks for the name of a file from the root of the mount namespace of whoever opens it. After pivot_root
that root is the box's own, so every path here is one of the box, and a label is right in a box and nowhere else. What was opened
outside and handed in (a terminal) has no name there: `attach_disconnected` has it matched by its name on the host instead of
being refused unseen, and `mediate_deleted` keeps a file that was unlinked while it is open under the rules of its old name.
What has no path at all, a pipe or a memfd that is read and written, is not asked about.

**What wins.** Rules that allow add up, as rights of Landlock do, but AppArmor can also take back: what is hidden or read-only
below a granted tree is denied, and that wins. Where something is granted again below that, the denial leaves out what is
needed there, and the mounts alone hold it.
Source: security/apparmor/path.c, d_namespace_path; apparmor.d(5).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.controls.lsm.apparmor.files import FileRule, file_rules
from sandboxer.controls.lsm.sockets import NET_RAW, has_network
from sandboxer.controls.paths import covers
from sandboxer.controls.room import Scene, Shown, Use
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.place import built_in
from sandboxer.model.policy import Trait

PREFIX = "sandboxer-"
_DIGITS = 16
_FLAGS = ("attach_disconnected", "mediate_deleted")
OWN = Shown("/box", Use.LIST | Use.READ | Use.CHANGE | Use.MAKE | Use.CONNECT, place=built_in("the run's own directory"))
_STREAMS = tuple(f'"/dev/{name}" rw' for name in ("null", "console", "pts/[0-9]*", "tty[A-Z0-9]*"))
"""Devices that a standard stream of the caller's can be; where the box has no such device, its own paths are not meant."""
PEER = '"{@{profile_name},@{profile_name}//&**,**//&@{profile_name},**//&@{profile_name}//&**}"'
"""Whoever is under this label, alone or with others stacked on it, which the kernel names in the order of the alphabet."""
_SYS_ADMIN = 1 << CAPABILITIES["sys_admin"]


@dataclass(frozen=True, slots=True)
class Label:
    """An AppArmor profile by the name under which it is loaded. `text` is what the parser reads; its paths need not be UTF-8."""

    name: str
    text: str

    @property
    def data(self) -> bytes:
        """The text as bytes, with the bytes of paths as they are."""
        return os.fsencode(self.text)


def make_label(scene: Scene, *, is_complaining: bool = False) -> Label:
    """The label of a box; what its rooms show must be in the scene (`compile.lower.find_scene`).

    is_complaining: what it does not allow is recorded and happens all the same. Raises: ProfileError for paths that cannot be
    said, and for a box whose files are not known.
    """
    if Trait.JOINED_MOUNT_NAMESPACE in scene.traits:
        why = "a mount namespace that is joined brings its own root, and what lies there is not known here"
        raise ProfileError(Problem("no AppArmor profile can be made of a joined mount namespace", why=why))
    body = "".join(f"  {line},\n" if line else "\n" for line in _body(scene))
    flags = ", ".join((*(("complain",) if is_complaining else ()), *_FLAGS))
    name = PREFIX + hashlib.sha256(os.fsencode(f"{flags}\n{body}")).hexdigest()[:_DIGITS]
    return Label(name, f'abi <abi/3.0>,\n\nprofile "{name}" flags=({flags}) {{\n{body}}}\n')


def _body(scene: Scene) -> Iterator[str]:
    """The rules without their commas; an empty line between subjects."""
    yield from (rule.show() for rule in label_rules(scene))
    yield from ("", *_STREAMS)
    for subject in (_network(scene), _unix(), _others(), _mounts(scene), _capabilities(scene)):
        lines = tuple(subject)
        yield from ("", *lines) if lines else ()


def label_rules(scene: Scene) -> tuple[FileRule, ...]:
    """The rules about files of the label of a box."""
    return file_rules(_with_own(scene.shown), scene.held)


def _with_own(shown: tuple[Shown, ...]) -> tuple[Shown, ...]:
    """What is shown and, where nothing else is, the directory of a run with files of its own: such a run needs no other label."""
    is_taken = any(covers(OWN.path, item.path) or (item.path != "/" and covers(item.path, OWN.path)) for item in shown)
    return shown if is_taken else (*shown, OWN)


def _network(scene: Scene) -> Iterator[str]:
    """Sockets by family. What the job has no network for is not even made."""
    yield "network unix"
    if not has_network(scene):
        return
    kinds = ("stream", "dgram", *(("raw",) if scene.capabilities & NET_RAW else ()))
    yield from (f"network {family} {kind}" for family in ("inet", "inet6") for kind in kinds)
    yield from (f"network netlink {kind}" for kind in ("raw", "dgram"))
    if scene.capabilities & NET_RAW:
        yield from (f"network packet {kind}" for kind in ("raw", "dgram"))


def _unix() -> Iterator[str]:
    """Abstract and nameless unix sockets: those of the box among each other, and what was handed in. Paths are files' business.

    The parser takes no peer for what one end does alone, so these are two rules.
    """
    yield "unix (create, bind, listen, getattr, setattr, getopt, setopt, shutdown)"
    yield f"unix (connect, accept, send, receive) peer=(label={PEER})"
    yield "unix (send, receive) peer=(label=unconfined)"


def _others() -> Iterator[str]:
    """Other processes. Whoever may signal or trace the box from outside is decided by what holds them."""
    yield "signal (receive)"
    yield f"signal (send) peer={PEER}"
    yield "ptrace (readby, tracedby)"
    yield f"ptrace (read, trace) peer={PEER}"


def _mounts(scene: Scene) -> Iterator[str]:
    """Mounting is for a job that holds CAP_SYS_ADMIN in the box; a namespace that it makes gives it none under a label."""
    if scene.capabilities & _SYS_ADMIN:
        yield from ("mount", "umount", "pivot_root")


def _capabilities(scene: Scene) -> Iterator[str]:
    names = sorted(CAPABILITIES, key=lambda name: CAPABILITIES[name])
    return (f"capability {name}" for name in names if scene.capabilities & 1 << CAPABILITIES[name])
