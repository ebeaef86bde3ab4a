"""The ops of each wall: a ruleset, its rules, and the step into it."""

from __future__ import annotations

from collections.abc import Iterator

from sandboxer.abi.landlock import LOG_ABI, Kind, RestrictFlag, known_rights, mask_of
from sandboxer.controls.landlock import words
from sandboxer.controls.landlock.meaning import NAME, OF_KIND, Settings, Wall
from sandboxer.controls.landlock.rules import path_rules, rights_for
from sandboxer.controls.room import Lowered, Scene, Use
from sandboxer.model.op import U32, U64, LandlockCreate, LandlockPath, LandlockPort, LandlockRestrict, Op, Text
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.stage import Stage

_REFER = frozenset({"refer"})
SLOT = U32(255)  # that of the last device, which is attached by then
# A stream that is open can be read, written, cut and controlled as it is; opened anew it can do no more.
_READABLE = rights_for(Use.READ | Use.CONTROL, is_directory=False)
_WRITABLE = rights_for(Use.CHANGE | Use.CONTROL, is_directory=False)


def is_heard(scene: Scene) -> bool:
    """Whether somebody wants to hear what the walls refuse, and can."""
    return scene.is_watched and not scene.host.unheard


def lower_walls(settings: Settings, scene: Scene) -> Lowered:
    """All walls, one inside the other, and a line for each."""
    handled = [wall.handled(scene.traits) & known_rights(scene.host.landlock_abi) for wall in settings.walls]
    has_files = any(names & OF_KIND[Kind.FILESYSTEM] for names in handled)
    lowered = Lowered()
    walls = [(wall, names) for wall, names in zip(settings.walls, handled, strict=True) if names]
    for number, (wall, names) in enumerate(walls):
        flags = _flags(wall, scene, is_last=number == len(walls) - 1)
        # Where one domain is about files, every domain of the stack refuses to move them, unless it handles that and allows it.
        # Source: security/landlock/access.h, LANDLOCK_ACCESS_FS_INITIALLY_DENIED.
        everywhere = _REFER - names if has_files else frozenset[str]()
        rules = path_rules(scene.shown, names | everywhere, everywhere)
        ops = [(LandlockPath(SLOT, Text(rule.path), U64(rule.rights)), rule.place) for rule in rules]
        steps = tuple(
            Step(op, Stage.LANDLOCK, NAME, place or wall.place) for op, place in _ops(wall, names | everywhere, ops, flags)
        )
        line = words.wall_line(wall, names, len(ops), scene.host)
        lowered = Lowered(lowered.steps + steps, (*lowered.lines, line))
    return lowered


def _ops(
    wall: Wall, names: frozenset[str], paths: list[tuple[LandlockPath, Place | None]], flags: RestrictFlag
) -> Iterator[tuple[Op, Place | None]]:
    masks = [U64(mask_of(names, kind)) for kind in (Kind.FILESYSTEM, Kind.NETWORK, Kind.SCOPE)]
    streams = [U64(mask_of(names & rights, Kind.FILESYSTEM)) for rights in (_READABLE, _WRITABLE)]
    yield LandlockCreate(SLOT, *masks, *streams), wall.place
    yield from paths
    for right, ports in sorted(wall.ports.items()):
        for port in sorted(ports) if right in names else ():
            yield LandlockPort(SLOT, U32(port), U64(mask_of({right}, Kind.NETWORK))), wall.place
    yield LandlockRestrict(SLOT, U32(flags)), wall.place


def _flags(wall: Wall, scene: Scene, *, is_last: bool) -> RestrictFlag:
    """What goes to the audit log. Source: landlock.rst, "Landlock enforcement flags"."""
    if scene.host.landlock_abi < LOG_ABI:
        return RestrictFlag(0)
    if is_heard(scene):
        # Domains that the job makes for itself are its own business, and must not be taken for ours: they have its pid too.
        return RestrictFlag.LOG_NEW_EXEC_ON | (RestrictFlag.LOG_SUBDOMAINS_OFF if is_last else RestrictFlag(0))
    return RestrictFlag.LOG_NEW_EXEC_ON if wall.log else RestrictFlag.LOG_SAME_EXEC_OFF | RestrictFlag.LOG_SUBDOMAINS_OFF
