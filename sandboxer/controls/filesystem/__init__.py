"""What the box sees of files: host trees by right, empty directories, overlays, hidden paths, /proc. Knows no devices."""

from __future__ import annotations

from sandboxer.controls.filesystem import groups, proc
from sandboxer.controls.filesystem.fields import FIELDS
from sandboxer.controls.filesystem.in_place import lower_in_place
from sandboxer.controls.filesystem.lower import NAME, lower_filesystem
from sandboxer.controls.filesystem.overlay import kept_directories
from sandboxer.controls.filesystem.settings import Settings
from sandboxer.controls.filesystem.settings import understand as _understand
from sandboxer.controls.filesystem.words import sentences, widens_settings
from sandboxer.controls.paths import covers, moved
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import own
from sandboxer.model.host import Host
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.section import Section

__all__ = [
    "FIELDS", "NAME", "STACKED", "TITLE", "Settings", "explain", "in_place", "lower", "mentions", "need", "settings", "traits",
    "understand", "widens",
]  # fmt: skip

TITLE = "what the box sees of files, and what it may do with them"
STACKED = False


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings. Strict where nothing was said: no path at all. Raises ProfileError."""
    return _understand(section, home=scope.home)


def settings(policy: Policy) -> Settings:
    """This room's settings in a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """Whether there is a /proc inside, and whether control groups are shown there or even the job's to make."""
    said = own(Settings, settings)
    found = set[Trait]() if said.proc.value == "none" else {Trait.FRESH_PROC}
    found |= set[Trait]() if said.cgroup.value == "none" else {Trait.SHOWS_GROUPS}
    return frozenset(found | ({Trait.OWNS_GROUPS} if said.cgroup.value == "delegate" else set()))


def mentions(settings: object) -> frozenset[str]:
    """Host paths whose facts lowering will read: what is said, and what shown trees must hold as mount points."""
    said = own(Settings, settings)
    found = {grant.value.path for _, grant in said.grants}
    found |= {item.value for item in said.read_only + said.hide} | {said.working_directory.value}
    for rule in said.overlay:
        found |= {rule.value.path, *kept_directories(rule.value.keep)}
    found |= {item.value.path for item in said.tmpfs} | {item.value.path for item in said.files}
    found |= {item.value.path for item in said.symlinks}
    found |= {mount.value.target for mount in said.mounts}
    for mount in said.mounts:
        rule_source, rule_target = mount.value.source, mount.value.target
        found |= {moved(path, rule_target, rule_source) for path in tuple(found) if covers(rule_target, path)} | {rule_source}
    return frozenset(found | proc.mentions(said)) - {"/"}


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """What this host cannot give. Whether ids can be translated depends on the job's ids, so lowering says that."""
    said = own(Settings, settings)
    lacks = []
    if said.proc.value != "none" and not host.has_fresh_proc:
        lacks.append(
            Lack(
                "a /proc of the box's own cannot be mounted",
                host.fresh_proc_problem or "the kernel refuses it",
                host.fresh_proc_mend or "filesystem: {proc: none}, for a box that has none",
                "the box has no /proc at all",
                said.proc.place,
            )
        )
    if said.overlay and not host.has_overlay:
        lacks.append(
            Lack(
                "overlays cannot be mounted",
                "this kernel has no overlayfs for this user (ordinary users need Linux 5.11)",
                "modprobe overlay, or grant the directory with read or write instead",
                "the directory is shown read-only",
                said.overlay[0].place,
            )
        )
    lack = groups.lack(said.cgroup.value, host, said.cgroup.place)
    return tuple([*lacks, lack] if lack else lacks)


def lower(settings: object, scene: Scene) -> Lowered:
    """The ops for this host. Pure. Raises ProfileError for paths that are missing or collide, HostError for foreign owners."""
    return lower_filesystem(own(Settings, settings), scene)


def in_place(settings: object, scene: Scene) -> Lowered:
    """What Landlock can hold of it, and what only mounts can."""
    return lower_in_place(own(Settings, settings), scene)


def explain(settings: object) -> tuple[str, ...]:
    """What the section means, in sentences."""
    return sentences(own(Settings, settings))


def widens(old: object, new: object) -> tuple[str, ...]:
    """What `new` allows that `old` does not, in sentences."""
    return widens_settings(own(Settings, old), own(Settings, new))
