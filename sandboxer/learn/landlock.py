"""What Landlock refused in a run, met with the policy: which rule was nearest, what would allow it, and at what risk."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sandboxer.abi.landlock import Kind, names_of
from sandboxer.controls.landlock.meaning import NAME, PORT_FIELDS, Settings, Wall
from sandboxer.controls.landlock.words import listed
from sandboxer.controls.paths import covers
from sandboxer.kernel.audit.records import Access
from sandboxer.kernel.paths import find_inode
from sandboxer.learn.answer import HOST, LOOPBACK, OF_FILESYSTEM, SHOWN_BYTES, UNJUDGED, Answer, is_plain, patch_of
from sandboxer.learn.patch import Grant, Patch, home_of
from sandboxer.learn.quote import printable, quote
from sandboxer.learn.risk import Judgement
from sandboxer.model.op import LandlockPath
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Policy
from sandboxer.model.result import LandlockDenial, Risk
from sandboxer.run.hearing.refused import Refused, RefusedLedger

SEE_ABOVE = "the same as for the other things that these rights were wanted for"

FILESYSTEM, NETWORK = "filesystem", "network"
_WRITTEN = (
    "write_file",
    "truncate",
    "make_dir",
    "make_reg",
    "make_sock",
    "make_fifo",
    "make_sym",
    "remove_dir",
    "remove_file",
    "refer",
)
_FIELD_OF = {
    **dict.fromkeys(("read_file", "read_dir"), "read"),
    "execute": "execute",
    **dict.fromkeys(_WRITTEN, "write"),
    "resolve_unix": "write",  # a socket of its own under `read` is one with the directory around it
}
"""The right on files -> the field of `filesystem` that grants it. Further ones are granted nowhere."""

_SERVER = Judgement(Risk.HIGH, "whoever listens there acts for the job with rights of its own, outside of the box")
_PORT = Judgement(Risk.MEDIUM, "the port is the same at every address that the job's network reaches")
_UNHANDLED = {
    "make_char": Judgement(Risk.HIGH, "a device file that outlives the box is a door to the hardware for whoever may open it"),
    "make_block": Judgement(Risk.HIGH, "a device file that outlives the box is a door to the hardware for whoever may open it"),
    "ioctl_dev": Judgement(Risk.MEDIUM, "the commands of every device that the box sees, and drivers have had many holes"),
    "signal": Judgement(Risk.MEDIUM, "it may signal what its ids may and its pid namespace shows"),
    "abstract_unix_socket": Judgement(
        Risk.HIGH, "abstract sockets of others on the same network act for the job, outside of the box"
    ),
    "filesystem": Judgement(Risk.HIGH, "the wall leaves all files to the mounts alone, and lets the job mount"),
}
"""What can only be taken out of the wall as a whole."""


@dataclass(frozen=True, slots=True)
class Above:
    """A rule that is about a path: where it stands in the tree, and what it grants."""

    path: str
    rights: int
    place: Place | None


@dataclass(frozen=True, slots=True)
class Walls:
    """What the explanation reads: the policy, its walls, and the rules for paths of the plan that was run."""

    policy: Policy
    settings: Settings
    rules: tuple[tuple[LandlockPath, Place | None], ...]

    def above(self, path: str) -> tuple[Above, ...]:
        """The rules at or above a path, the deepest first."""
        found = [Above(op.path, op.rights, place) for op, place in self.rules if covers(op.path, path)]
        return tuple(sorted(found, key=lambda rule: -len(rule.path)))

    def against(self, right: str, port: int | None) -> list[Wall]:
        """The walls that refuse a right, whose rules say nothing of it; ports are in lists of each wall's own."""
        handling = [wall for wall in self.settings.walls if right in wall.handled(self.policy.traits)]
        return [wall for wall in handling if port is None or port not in wall.ports.get(right, ())]


def find_walls(policy: Policy, settings: Settings, plan: Plan) -> Walls:
    """The walls of a plan. All domains of it have the same rules for paths, but for rights that they do not handle."""
    rules = {step.op.path: (step.op, step.place) for step in reversed(plan.inside) if isinstance(step.op, LandlockPath)}
    return Walls(policy, settings, tuple(rules.values()))


def explain_landlock(ledger: RefusedLedger[Access], walls: Walls) -> list[tuple[LandlockDenial, Patch]]:
    """Every row of a run, explained."""
    return [_explain(row, walls) for row in ledger.rows]


def _explain(row: Refused[Access], walls: Walls) -> tuple[LandlockDenial, Patch]:
    access = row.access
    kind, _, right = access.blockers[0].partition(".")
    answer = _answer(kind, right, access, walls)
    patch = patch_of(answer, walls.policy)
    if row.is_rest:
        patch = Patch("", SEE_ABOVE)
    path = (access.path or b"") if kind == "fs" else b""
    denial = LandlockDenial(
        rights=access.blockers,
        thing=_thing(kind, access),
        path=path.decode() if is_plain(path) else "",
        port=access.port if kind == "net" else None,
        count=row.count,
        is_rest=row.is_rest,
        pid=row.pid,
        process=printable(row.name.decode("utf-8", "backslashreplace")),
        rule=answer.rule,
        section=answer.section,
        place=answer.place,
        patch=patch.yaml,
        attempt=patch.attempt,
        risk=answer.judgement.risk,
        risk_why=answer.judgement.why,
    )
    return denial, patch


def _answer(kind: str, right: str, access: Access, walls: Walls) -> Answer:
    match kind:
        case "fs" if all(name.removeprefix("fs.") in _FIELD_OF for name in access.blockers) and access.path:
            return _of_files(access, walls)
        case "fs" if right == "change_topology":
            return _of_wall("filesystem", "no process in a domain that is about files can mount", walls)
        case "fs" if right in _UNHANDLED:
            return _of_wall(right, f"nothing grants {right} there", walls, access.path)
        case "net":
            return _of_network(right, access, walls)
        case "scope" if right in _UNHANDLED:
            return _of_wall(right, f"{right} is scoped: nothing outside of the box is reached", walls)
    attempt = "nothing: a domain never lets a process trace one outside of it" if kind == "ptrace" else ""
    return Answer(NAME, "the domain refuses it", home_of(walls.policy, NAME), (), UNJUDGED, attempt)


def _of_files(access: Access, walls: Walls) -> Answer:
    path = access.path or b""
    rights = [name.removeprefix("fs.") for name in access.blockers]
    above = walls.above(path.decode("utf-8", "surrogateescape"))
    granted = {name for item in above for name in names_of(item.rights, Kind.FILESYSTEM)}
    place = (above[0].place if above else None) or home_of(walls.policy, FILESYSTEM)
    if granted.issuperset(rights):
        return Answer(FILESYSTEM, *_of_moved(rights, place))
    rule = f"the rules down to {above[0].path if above else '/'} grant {listed(granted)}, and not {listed(set(rights) - granted)}"
    fields = sorted({_FIELD_OF[right] for right in rights})
    worst = max((OF_FILESYSTEM[name] for name in fields), key=lambda judgement: list(Risk).index(judgement.risk))
    judgement = _SERVER if "resolve_unix" in rights else worst
    said = ", ".join(fields)
    if not is_plain(path):
        attempt = f"its name is not one that a profile could hold, so grant what it lies in under {said}"
        return Answer(FILESYSTEM, rule, place, (), judgement, attempt)
    if not access.inode or find_inode(path) != access.inode:
        attempt = f"{FILESYSTEM}.{said} for what shows it: the box sees something else under this path than the host"
        return Answer(FILESYSTEM, rule, place, (), judgement, attempt)
    grants = tuple(Grant(FILESYSTEM, name, json.dumps(path.decode())) for name in fields)
    return Answer(FILESYSTEM, rule, place, grants, judgement)


def _of_moved(rights: list[str], place: Place) -> tuple[str, Place, tuple[Grant, ...], Judgement, str]:
    """What is granted by name and refused nonetheless: the file had another name when it was asked for, or is to get another."""
    if "refer" in rights:
        rule = "a file that is moved or linked there would have more rights than where it is"
        return rule, place, (), OF_FILESYSTEM["write"], "copy it, or grant both directories the same"
    return "the rules grant it under this path, which the file did not have when it was asked for", place, (), UNJUDGED, ""


def _of_network(right: str, access: Access, walls: Walls) -> Answer:
    own, *layers = walls.settings.walls
    against = walls.against(right, access.port)
    if any(wall in layers for wall in against):
        return _of_layer(next(wall for wall in against if wall in layers), f"does not allow {right} of port {access.port}")
    if right in PORT_FIELDS and right in own.ports:
        rule = f"the profile allows {right} of other ports only"
        place = walls.settings.places.get(right) or own.place
        return Answer(NAME, rule, place, (Grant(NAME, right, str(access.port)),), _PORT)
    is_inside = right.startswith("bind") or not access.address or access.address.startswith("127.") or access.address == "::1"
    mode, judgement = ("loopback", LOOPBACK) if is_inside else ("host", HOST)
    grants = (Grant(NETWORK, "mode", mode, is_one=True),)
    return Answer(NETWORK, "the profile gives it no network", home_of(walls.policy, NETWORK), grants, judgement)


def _of_wall(right: str, rule: str, walls: Walls, path: bytes | None = None) -> Answer:
    """What only `unhandled` lets pass. path: of a file that it was wanted for."""
    handled = "write_file" if right == "filesystem" else right
    own, *layers = walls.settings.walls
    layer = next((wall for wall in walls.against(handled, None) if wall in layers), None)
    if layer:
        return _of_layer(layer, f"handles {right}")
    place = walls.settings.places.get("unhandled") or own.place
    above = walls.above(path.decode("utf-8", "surrogateescape")) if path else ()
    place = (above[0].place if above else None) or place
    return Answer(NAME, rule, place, (Grant(NAME, "unhandled", right),), _UNHANDLED[right])


def _of_layer(wall: Wall, what: str) -> Answer:
    attempt = f"change the layer {wall.name} ({wall.place.show()}), or leave it out: a layer is not widened by a profile"
    return Answer(NAME, f"the layer {wall.name} {what}", wall.place, (), _PORT, attempt)


def _thing(kind: str, access: Access) -> str:
    """What was wanted, for people."""
    if kind == "net":
        return f"port {access.port}" + (f" ({access.address})" if access.address else "")
    if access.path is not None:
        name = access.path.removeprefix(b"\0")
        shown = quote(name[:SHOWN_BYTES], is_whole=len(name) <= SHOWN_BYTES)
        command = "" if access.command is None else f", command {access.command:#x}"
        return f"abstract socket {shown}" if access.path.startswith(b"\0") else shown + command
    if access.process is not None:
        return f"process {quote(access.process[:SHOWN_BYTES])}"
    return ""
