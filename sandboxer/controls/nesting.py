"""What nobody is to make more of in the user namespace of a box: the kernel's own numbers of namespaces, at 0.

It is the second wall in front of them, behind the filter. Where the filter lets the job make namespaces, there is none.
"""

from __future__ import annotations

from sandboxer.abi.capabilities import Capability
from sandboxer.abi.namespaces import NAMESPACES
from sandboxer.controls.room import Lowered, Scene
from sandboxer.model.op import U64, BarNamespaces
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.stage import Stage

_LOST = "the filter alone keeps the job from making user namespaces"
_WHY = "/proc/sys/user cannot be written here: it is read-only (a container has it so), or not there"
_ATTEMPT = "run where /proc/sys is mounted read-write"


def bar_namespaces(control: str, scene: Scene, available: frozenset[str], place: Place | None) -> Lowered:
    """The op and the line of a box with a user namespace of its own. available: the kinds that can be made on this host."""
    barred = _barred(scene, available)
    words = ", ".join(kind for kind in NAMESPACES if kind in barred)
    if not barred:
        return Lowered()
    if not scene.host.can_bar_namespaces:
        what = f"more could be made in the box: {words}"
        return Lowered(lines=(Line(control, Status.WEAKENED, what, _LOST, _WHY, _ATTEMPT, place),))
    op = BarNamespaces(U64(sum(NAMESPACES[kind] for kind in barred)))
    line = Line(control, Status.ENFORCED, f"no more can be made in the box: {words}", place=place)
    return Lowered((Step(op, Stage.LIMITS, control, place),), (line,))


def _barred(scene: Scene, available: frozenset[str]) -> frozenset[str]:
    """Everybody may make a user namespace, and would hold all capabilities in it. The others take CAP_SYS_ADMIN; where the job
    cannot have that, they stay free for boxes that join the user namespace. Never those of mounts: every mount is in one of its
    own until it is attached. Source: fs/namespace.c, alloc_mnt_ns.
    """
    if Trait.MAKES_NAMESPACES in scene.traits:
        return frozenset()
    if not scene.capabilities >> Capability.SYS_ADMIN & 1:
        return frozenset({"user"})
    return available - {"mount"}
