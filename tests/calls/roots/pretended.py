"""What ops of the root do to mounts, without a kernel: which mount is where, what was made on it, and its attributes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sandboxer.model import op as ops
from sandboxer.model.op import Op

Spot = tuple[str, str]
"""A mount, and a path on it; empty: its root."""


@dataclass
class Pretended:
    """A mount is known by what it was made from. mounted: what is on a spot."""

    mounted: dict[Spot, str] = field(default_factory=dict)
    made: dict[Spot, str] = field(default_factory=dict)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    trees: dict[int, str] = field(default_factory=dict)
    spaces: list[Spot] = field(default_factory=list)

    def find(self, path: str) -> Spot:
        """Where a path leads: on each step whatever is mounted on top."""
        mount, here = self._top("root", "")
        for name in filter(None, path.split("/")):
            mount, here = self._top(mount, f"{here}/{name}")
        return mount, here

    def _top(self, mount: str, here: str) -> Spot:
        while (mount, here) in self.mounted:
            mount, here = self.mounted[mount, here], ""
        return mount, here

    def below(self, spot: Spot) -> list[str]:
        """The mounts on a part of a mount, with all on them."""
        found = []
        for (mount, here), above in sorted(self.mounted.items()):
            if mount == spot[0] and (here + "/").startswith(spot[1] + "/"):
                found += [f"{above}{self.attributes.get(above, [])} on {mount}{here}", *self.below((above, ""))]
        return found

    def run(self, steps: Iterable[Op]) -> Pretended:
        """Do them all."""
        for op in steps:
            self._do(op)
        return self

    def _do(self, op: Op) -> None:
        match op:
            case ops.OpenTree(slot=slot, path=path):
                self.trees[slot] = f"tree {path} {op.attributes}"
            case ops.MakeDirectory(path=path) | ops.MakeFile(path=path) | ops.MakeSymlink(path=path):
                parent, _, name = path.rpartition("/")
                mount, here = self.find(parent)
                self.made.setdefault((mount, f"{here}/{name}"), str(op).replace(path, name))
            case ops.Attach(slot=slot, path=path):
                self.mounted[self.find(path)] = self.trees[slot]
            case ops.MountFilesystem(path=path):
                self.mounted[self.find(path)] = f"new {op}"
            case ops.BindInside(source=source, path=path):
                spot = self.find(source)
                self.mounted[self.find(path)] = f"bind {spot}{self.below(spot) if op.recursive else ''} {op}"
            case ops.SetMountAttributes(path=path):
                mount, here = self.find(path)
                for changed in [] if here else [mount, *(self._all_below(mount) if op.recursive else ())]:
                    self.attributes.setdefault(changed, []).append(f"{op.attributes} {op.cleared}")
            case ops.ShowSpace(path=path):
                self.spaces.append(self.find(path))
            case ops.MoveMount(source=source, path=path):
                mount, here = self.find(source)
                assert here == "", f"{source} is no mount"
                del self.mounted[next(spot for spot, above in self.mounted.items() if above == mount)]
                self.mounted[self.find(path)] = mount
            case ops.CheckMounts(paths=paths):
                assert all(self.find(path)[1] == "" for path in paths)

    def _all_below(self, mount: str) -> list[str]:
        above = [other for (on, _), other in self.mounted.items() if on == mount]
        return [*above, *(last for other in above for last in self._all_below(other))]

    def view(self) -> tuple[list[str], dict[Spot, str], list[Spot]]:
        """All that a box could see of it, but for our own place."""
        made = {spot: what for spot, what in self.made.items() if not (spot[0] == "root" and spot[1].startswith("/.sandboxer"))}
        return self.below(("root", "")), made, self.spaces
