"""How the first process of a box starts: by clone3, or by clone where a filter around the caller hides that."""

from __future__ import annotations

from sandboxer.controls.room import Scene
from sandboxer.errors import HostError, Problem
from sandboxer.model.host import Host
from sandboxer.model.op import U64, Op, Start, StartByClone
from sandboxer.model.place import Place
from sandboxer.model.policy import Enforce, Trait
from sandboxer.model.report import Line, Status


def start(flags: int, host: Host) -> Op:
    """The op. flags: the namespaces that must be there from the first moment."""
    return StartByClone(U64(flags)) if host.hides_clone3 else Start(U64(flags))


def can_have_clock(scene: Scene) -> bool:
    """Whether a box can have a time namespace: clone has no flag of it, and who unshares one only forks into it."""
    return not scene.host.hides_clone3 or Trait.HAS_INIT in scene.traits


def lose_clock(control: str, scene: Scene, place: Place | None) -> tuple[Line, ...]:
    """What there is to say where it cannot. Raises: HostError where it has to."""
    what = "a new time namespace"
    why = "a filter around this process hides clone3, and without a pid 1 of ours nobody forks behind an unshare"
    attempt = "write `init: true` in process, or `time: host` in namespaces"
    if scene.enforce is Enforce.REQUIRED:
        raise HostError(Problem(what, where=place, why=f"{why}; the section `{control}` is required", attempt=attempt))
    return (Line(control, Status.WEAKENED, what, "the box shares with the host the offsets of its clocks", why, attempt, place),)
