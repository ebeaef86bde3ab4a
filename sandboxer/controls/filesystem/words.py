"""The section in sentences, for people: what it means, and what one section allows that another does not.

By text alone: links of a host are not known here.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandboxer.controls.filesystem.fields import ACCESS, CGROUP, PROC
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.paths import covers, moved
from sandboxer.controls.said import comma

_PROC = {
    "none": "There is no /proc.",
    "processes": "/proc shows the box's own processes and nothing else.",
    "fresh": "/proc shows the box's own processes; what tells of the host's hardware and kernel memory is covered.",
}
_CGROUP = {
    "read": "/sys/fs/cgroup shows the box's own control groups, read-only.",
    "delegate": "/sys/fs/cgroup is the box's own control group; it may make groups below, within its limits.",
}


def sentences(settings: Settings) -> tuple[str, ...]:
    """What the section means."""
    found = ["The box has an empty, read-only root of its own; of the host it sees only what is named here."]
    for name, grants in (("read", settings.read), ("read and execute", settings.execute), ("read and change", settings.write)):
        if grants:
            found.append(f"It may {name} {comma([str(grant.value) for grant in grants])}.")
    found += [f"It sees {mount.value}." for mount in settings.mounts]
    found += [f"It may change {rule.value}; the host's files stay as they are." for rule in settings.overlay]
    if settings.tmpfs:
        found.append(f"Empty and in memory: {comma([str(item.value) for item in settings.tmpfs])}.")
    if settings.files or settings.symlinks:
        made = [str(file.value) for file in settings.files] + [str(link.value) for link in settings.symlinks]
        found.append(f"Made for it: {comma(made)}.")
    if settings.read_only:
        found.append(f"Read-only whatever is granted: {comma([item.value for item in settings.read_only])}.")
    if settings.hide:
        found.append(f"Hidden whatever is granted: {comma([item.value for item in settings.hide])}.")
    found.append(_PROC[settings.proc.value])
    found += [_CGROUP[settings.cgroup.value]] if settings.cgroup.value in _CGROUP else []
    if settings.proc_mask or settings.proc_read_only:
        covered, frozen = (comma([item.value for item in items]) for items in (settings.proc_mask, settings.proc_read_only))
        found.append(f"Below /proc, covered besides: {covered}; read-only besides: {frozen}.")
    found.append(f"The command starts in {settings.working_directory.value}.")
    return tuple(found)


def _rights_at(settings: Settings, target: str, source: str) -> frozenset[str]:
    """The words of access that a section gives to a host path at a path of the box; empty where it is hidden."""
    if any(covers(item.value, source) or covers(item.value, target) for item in settings.hide):
        return frozenset()
    found: set[str] = set()
    for name, grant in settings.grants:
        if source == target and covers(grant.value.path, target):
            found |= {"read", name}
    for mount in settings.mounts:
        rule = mount.value
        if covers(rule.target, target) and moved(target, rule.target, rule.source) == source:
            found.update(rule.access)
    if any(covers(item.value, source) or covers(item.value, target) for item in settings.read_only):
        found.discard("write")
    return frozenset(found)


def _points(settings: Settings) -> set[tuple[str, str]]:
    """The paths at which the rights of a section can change, as (path of the box, path of the host)."""
    found = {(grant.value.path, grant.value.path) for _, grant in settings.grants}
    found |= {(mount.value.target, mount.value.source) for mount in settings.mounts}
    denied = [item.value for item in settings.hide + settings.read_only]
    found |= {(path, path) for path in denied}
    for mount in settings.mounts:
        found |= {
            (path, moved(path, mount.value.target, mount.value.source)) for path in denied if covers(mount.value.target, path)
        }
        found |= {
            (moved(path, mount.value.source, mount.value.target), path) for path in denied if covers(mount.value.source, path)
        }
    return found


def _new_items(old: Iterable[Placed[object]], new: Iterable[Placed[object]]) -> list[str]:
    known = {item.value for item in old}
    return [str(item.value) for item in new if item.value not in known]


def widens_settings(old: Settings, new: Settings) -> tuple[str, ...]:
    """What `new` allows that `old` does not, in sentences; empty where it only narrows."""
    found: list[str] = []
    for target, source in sorted(_points(old) | _points(new)):
        more = _rights_at(new, target, source) - _rights_at(old, target, source)
        if more:
            words = ", ".join(word for word in ACCESS if word in more)
            found.append(f"may {words} {source}" + (f" at {target}" if target != source else ""))
    owners = {grant.value.path for _, grant in old.grants if grant.value.as_owner}
    for _, grant in new.grants:
        if grant.value.as_owner and not any(covers(path, grant.value.path) for path in owners):
            found.append(f"sees {grant.value.path} as its owner")
    found += [f"may change {item} in an overlay" for item in _new_items(old.overlay, new.overlay)]
    sizes = {item.value.path: item.value for item in old.tmpfs}
    for item in new.tmpfs:
        known = sizes.get(item.value.path)
        if known is None or item.value.size_bytes > known.size_bytes or item.value.execute > known.execute:
            found.append(f"may fill {item.value}")
    found += [f"has {item}" for item in _new_items(old.files, new.files) + _new_items(old.symlinks, new.symlinks)]
    if PROC.index(new.proc.value) > PROC.index(old.proc.value):
        found.append(f"has a /proc ({new.proc.value})")
    if CGROUP.index(new.cgroup.value) > CGROUP.index(old.cgroup.value):
        found.append(f"has a /sys/fs/cgroup ({new.cgroup.value})")
    for name, before, after in (("covered", old.proc_mask, new.proc_mask), ("read-only", old.proc_read_only, new.proc_read_only)):
        if new.proc.value == "fresh":
            found += [f"{item} is no longer {name}" for item in _new_items(after, before)]
    if new.root_size_bytes > old.root_size_bytes:
        found.append(f"has a root of up to {new.root_size_bytes} bytes")
    return tuple(dict.fromkeys(found))
