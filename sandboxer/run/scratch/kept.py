"""The files of a session in a policy: a directory of the host at `/box`, or an overlay over one that the caller names."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandboxer.controls.filesystem.fields import Grant, Mount, OverlayRule
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.paths import covers
from sandboxer.model.place import built_in
from sandboxer.model.policy import Policy
from sandboxer.run.scratch.plan import PATH, check_free

PLACE = built_in("the files of the session")


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a session keeps its files.

    directory: of the session's own. shown: a directory that is seen through an overlay; empty: none, and the session's own is at
    `/box`.
    """

    directory: str
    shown: str = ""

    @property
    def place(self) -> str:
        """Where commands start."""
        return self.shown or PATH


def with_kept(policy: Policy, kept: Kept) -> Policy:
    """The policy with these files in it. Nothing of the directory that is shown can be written but through the overlay.

    Raises: ProfileError where the profile has something else at the path.
    """
    settings = policy.settings["filesystem"]
    if not isinstance(settings, Settings):
        return policy
    start = Placed(kept.place, PLACE)
    if not kept.shown:
        check_free(settings)
        own = Placed(Mount(f"{kept.directory}/files", PATH, ("read", "write"), as_owner=True), PLACE)
        changed = replace(settings, mounts=(*settings.mounts, own), working_directory=start)
    else:
        below = tuple(item for item in settings.write if covers(kept.shown, item.value.path))
        changed = replace(
            settings,
            read=(*settings.read, *below, Placed(Grant(kept.shown, as_owner=True), PLACE)),
            write=tuple(item for item in settings.write if item not in below),
            overlay=(*settings.overlay, Placed(OverlayRule(kept.shown, kept.directory), PLACE)),
            working_directory=start,
        )
    return replace(policy, settings={**policy.settings, "filesystem": changed})
